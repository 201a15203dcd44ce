package main

import (
	"cmp"
	"context"
	"math"
	"time"

	"github.com/spf13/cobra"

	"enotify/cmd/enotify/destinations"
	"enotify/cmd/enotify/exit"
	"enotify/cmd/enotify/figures"
	"enotify/cmd/enotify/settings"
	"enotify/cmd/enotify/term"
	"enotify/queue"
	"enotify/queue/insight"
	"enotify/sender"
	"enotify/spfguard/dns"
)

func (a *app) destinationCmd() *cobra.Command {
	return noun("destination", "Limits per recipient domain and site", a.destinationListCmd(), a.destinationShowCmd(),
		a.destinationSetCmd(), a.destinationResetCmd())
}

func (a *app) destinationListCmd() *cobra.Command {
	return &cobra.Command{
		Use: "list", Short: "List the limits that apply: set and built-in ones", Args: atMost(0),
		RunE: a.onReader(func(ctx context.Context, db *queue.DB, _ []string) error {
			all, err := destinations.List(ctx, db)
			if err != nil {
				return err
			}
			return a.print(all, func(p *term.Page) { destinations.Lay(p, all) })
		}),
	}
}

func (a *app) destinationShowCmd() *cobra.Command {
	var dnssec string
	var allowMX []string
	cmd := &cobra.Command{
		Use: "show NAME", Short: "Show the limits of a domain or site, and why it is slow", Args: one("a name"),
		Long: `Shows the limits of a recipient domain or site and where they come from, what
the nodes learned of it, and what waits there. For a domain it also asks the DNS
and the domain's MTA-STS policy, and says which encryption holds for each of its
mail hosts and why. Give it the --dnssec-resolver and --allow-mx of the nodes.`,
	}
	dnssecFlag(cmd.Flags(), &dnssec)
	allowMXFlag(cmd.Flags(), &allowMX)
	cmd.RunE = a.onQueue(func(ctx context.Context, db *queue.DB, args []string) error {
		if err := settings.HostPort("--dnssec-resolver", dnssec); err != nil {
			return err
		}
		networks, err := settings.Networks("--allow-mx", allowMX)
		if err != nil {
			return err
		}
		name, err := destinations.ParseName(ctx, db, args[0])
		if err != nil {
			return err
		}
		r, err := destinations.Show(ctx, db, name, time.Now())
		if err != nil {
			return err
		}
		mail := &sender.Sender{Resolver: &dns.Resolver{Server: cmp.Or(dnssec, a.resolver), DNSSEC: dnssec != ""},
			AllowMX: networks}
		mail.STS = destinations.Policies(mail, destinations.ReadOnly{Store: destinations.Store{DB: db}}, nil)
		if err := r.Explain(ctx, db, mail); err != nil {
			return err
		}
		return a.print(r, r.Lay)
	})
	return cmd
}

func (a *app) destinationSetCmd() *cobra.Command {
	var d queue.Destination
	var speed string
	cmd := &cobra.Command{
		Use: "set NAME", Short: "Set the limits of a recipient domain, a site, or * for all", Args: one("a name"),
		Long: `Sets the limits of a recipient domain (gmail.com), of a site, which is all
domains that one provider serves (google), or of everything else (*). Only the
given limits change. Running nodes follow within a second.

The rate of a domain limits its own messages; the rate of a site limits those of
all its domains together. Both apply. A name that is both a domain and a site
sets both.`,
		Example: `  enotify destination set gmail.com --rate 20/s --burst 5
  enotify destination set google --connections 8 --per-connection 50
  enotify destination set bank.example --tls verified
  enotify destination set '*' --rate unlimited`,
	}
	f := cmd.Flags()
	f.StringVar(&speed, "rate", "", "messages per time: 10/s, 300/min, 5000/h, 100000/day or unlimited")
	f.IntVar(&d.Burst, "burst", 0, "messages that may leave at once after a quiet time")
	f.IntVar(&d.Connections, "connections", 0, "connections open at the same time")
	f.IntVar(&d.PerConnection, "per-connection", 0, "messages per connection before it is closed")
	f.StringVar(&d.TLS, "tls", "", "opportunistic: encrypt where it works; required: never unencrypted; verified: required, with a valid certificate")
	_ = cmd.RegisterFlagCompletionFunc("tls",
		cobra.FixedCompletions(sender.TLSPolicies(), cobra.ShellCompDirectiveNoFileComp))
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		set := 0
		for _, limit := range []struct {
			flag string
			n    int
		}{{"burst", d.Burst}, {"connections", d.Connections}, {"per-connection", d.PerConnection}} {
			if f.Changed(limit.flag) {
				set++
				if limit.n < 1 || limit.n > math.MaxInt32 {
					return exit.Usagef("--%s %d: want 1 or more", limit.flag, limit.n)
				}
			}
		}
		if f.Changed("rate") {
			r, err := figures.ParseRate(speed)
			if err != nil {
				return exit.Usagef("--rate: %w", err)
			}
			set++
			d.Rate = &r
		}
		if f.Changed("tls") {
			if _, err := sender.ParseTLSPolicy(d.TLS); err != nil {
				return exit.Usagef("--tls: %w", err)
			}
			set++
		}
		if set == 0 {
			return exit.Usagef("nothing to set: give --rate, --burst, --connections, --per-connection or --tls")
		}
		return a.withQueue(cmd.Context(), func(ctx context.Context, db *queue.DB) (err error) {
			if d.Name, err = destinations.ParseName(ctx, db, args[0]); err != nil {
				return err
			}
			if err := db.SetDestination(ctx, d); err != nil {
				return err
			}
			return a.sayLimits(ctx, db, d.Name)
		})
	}
	return cmd
}

func (a *app) destinationResetCmd() *cobra.Command {
	var learned bool
	cmd := &cobra.Command{
		Use: "reset NAME", Short: "Forget the limits set for a destination, or learned about it", Args: one("a name"),
		Long: `Forgets the limits that were set for a recipient domain, a site or *. With
--learned it forgets what the nodes learned about a site instead: how many
connections and messages it accepts, that it is closed, which egress addresses
it blocks. The nodes try the site again at once, deferred recipients included.`,
		Example: `  enotify destination reset gmail.com
  enotify destination reset outlook --learned`,
	}
	cmd.Flags().BoolVar(&learned, "learned", false, "forget what was learned instead of what was set")
	yes := yesFlag(cmd)
	cmd.RunE = a.onQueue(func(ctx context.Context, db *queue.DB, args []string) error {
		name, err := destinations.ParseName(ctx, db, args[0])
		if err != nil {
			return err
		}
		if learned {
			return a.forgetLearned(ctx, db, name, *yes)
		}
		if err := a.confirm(*yes, "forget the limits set for %s?", name); err != nil {
			return err
		}
		if err := db.ResetDestination(ctx, name); err != nil {
			return err
		}
		return a.sayLimits(ctx, db, name)
	})
	return cmd
}

func (a *app) forgetLearned(ctx context.Context, db *queue.DB, name string, yes bool) error {
	standing, err := insight.Of(db).Backlog(ctx, name)
	if err != nil {
		return err
	}
	if site := standing.Site; site != "" && site != name && !standing.IsSite {
		return exit.Usagef("%s is a domain of the site %s, and limits are learned by site: enotify destination reset %s --learned", name, site, site)
	}
	if err := a.confirm(yes, "forget what was learned of %s, and try it again at once?", name); err != nil {
		return err
	}
	if err := db.ForgetLearned(ctx, name); err != nil {
		return err
	}
	return a.say("%s: forgotten what was learned; the nodes try it again now", name)
}

// sayLimits prints what holds for a destination now.
func (a *app) sayLimits(ctx context.Context, db *queue.DB, name string) error {
	d, err := destinations.Describe(ctx, db, name)
	if err != nil {
		return err
	}
	encryption := ""
	if d.TLS != "" {
		encryption = ", TLS " + d.TLS
	}
	return a.say("%s: rate %s, burst %s, %s, %s each%s", d.Name, d.Rate, figures.Count(d.Burst),
		figures.Some(d.Connections, "connection"),
		figures.Some(d.PerConnection, "message"), encryption)
}
