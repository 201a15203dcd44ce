package main

import (
	"cmp"
	"context"
	"fmt"
	"maps"
	"math"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"
	"golang.org/x/time/rate"

	"enotify/cmd/enotify/exit"
	"enotify/cmd/enotify/figures"
	"enotify/cmd/enotify/term"
	"enotify/queue"
	"enotify/queue/insight"
	"enotify/sender"
	"enotify/sender/throttle"
)

func (a *app) destinationCmd() *cobra.Command {
	return noun("destination", "Limits per recipient domain and site", a.destinationListCmd(), a.destinationShowCmd(), a.destinationSetCmd(), a.destinationResetCmd())
}

// A destination is what holds for a recipient domain or site, wherever it
// comes from.
type destination struct {
	Name          string     `json:"name"`
	Site          bool       `json:"site"`                // all domains of a provider, whose rate is that of all of them together
	Rate          string     `json:"rate"`                // as it was set, or in the shortest unit
	PerSecond     *float64   `json:"messages_per_second"` // nil: no limit
	Burst         int        `json:"burst"`
	Connections   int        `json:"connections"`
	PerConnection int        `json:"per_connection"`
	TLS           string     `json:"tls"` // "": as enotify run --tls says
	Set           []string   `json:"set"` // the fields that an operator set for this name
	UpdatedAt     *time.Time `json:"updated_at"`
	UpdatedBy     string     `json:"updated_by"`
	Learned       string     `json:"learned"` // what keeps a site slower than that, in short; "" when nothing does
}

// effective lists what holds: first for all, then what was set, then the sites
// known and those of which something was learned.
func effective(ctx context.Context, db *queue.DB) ([]destination, error) {
	l, err := readLimits(ctx, db)
	if err != nil {
		return nil, err
	}
	learned, err := learnedInShort(ctx, db)
	if err != nil {
		return nil, err
	}
	names := append([]string{throttle.Everyone}, slices.Sorted(maps.Keys(l.rows))...)
	names = append(names, throttle.Sites()...)
	names = append(names, slices.Sorted(maps.Keys(learned))...)
	sites, err := insight.Of(db).AreSites(ctx, names)
	if err != nil {
		return nil, err
	}
	var all []destination
	for i, name := range names {
		if slices.Index(names, name) == i {
			d := l.describe(name, isSite(name) || slices.Contains(sites, name))
			d.Learned = learned[name]
			all = append(all, d)
		}
	}
	return all, nil
}

// learnedInShort says of each site what keeps it slower than its limits.
func learnedInShort(ctx context.Context, db *queue.DB) (map[string]string, error) {
	memos, _, err := db.Memos(ctx, time.Time{})
	if err != nil {
		return nil, err
	}
	learned := map[string]string{}
	for _, m := range memos {
		if state, err := throttle.ReadState(m.State, m.At); err == nil && m.Kind == queue.Site {
			if short := inShort(state, time.Now()); short != "" {
				learned[m.Name] = short
			}
		}
	}
	return learned, nil
}

// limits is what was set, and a throttle that has taken it as a node would.
type limits struct {
	rows map[string]queue.Destination
	node throttle.Throttle
}

func readLimits(ctx context.Context, db *queue.DB) (*limits, error) {
	set, err := db.Destinations(ctx)
	if err != nil {
		return nil, err
	}
	l := &limits{rows: map[string]queue.Destination{}}
	policies := map[string]throttle.Policy{}
	for _, d := range set {
		l.rows[d.Name], policies[d.Name] = d, throttle.PolicyOf(d)
	}
	l.node.SetPolicies(policies)
	return l, nil
}

// isSite reports whether a name can be nothing but a site: domains have a dot.
func isSite(name string) bool { return name != throttle.Everyone && !strings.Contains(name, ".") }

func (l *limits) describe(name string, site bool) destination {
	own, holds, rates := l.rows[name], l.node.Policy(name), []*queue.Rate{l.rows[name].Rate, l.rows[throttle.Everyone].Rate}
	if site {
		holds, rates = l.node.SitePolicy(name), rates[:1]
	}
	d := destination{Name: name, Site: site, Rate: figures.Rate(holds.Rate), Burst: holds.Burst, Connections: holds.Connections, PerConnection: holds.PerConnection,
		TLS: cmp.Or(own.TLS, l.rows[throttle.Everyone].TLS), Set: []string{}}
	if holds.Rate != rate.Inf {
		perSecond := float64(holds.Rate)
		d.PerSecond = &perSecond
	}
	for _, r := range rates {
		if r != nil {
			d.Rate = figures.FormatRate(*r)
			break
		}
	}
	for _, field := range []struct {
		name string
		set  bool
	}{{"rate", own.Rate != nil}, {"burst", own.Burst > 0}, {"connections", own.Connections > 0}, {"per-connection", own.PerConnection > 0}, {"TLS " + own.TLS, own.TLS != ""}} {
		if field.set {
			d.Set = append(d.Set, field.name)
		}
	}
	if len(d.Set) > 0 {
		d.UpdatedAt, d.UpdatedBy = &own.UpdatedAt, own.UpdatedBy
	}
	return d
}

func (a *app) destinationListCmd() *cobra.Command {
	return &cobra.Command{
		Use: "list", Short: "List the limits that apply: set and built-in ones", Args: cobra.NoArgs,
		RunE: a.onQueue(func(ctx context.Context, db *queue.DB, _ []string) error {
			all, err := effective(ctx, db)
			if err != nil {
				return err
			}
			return a.print(all, func(p *term.Page) { layDestinations(p, all) })
		}),
	}
}

func layDestinations(p *term.Page, all []destination) {
	var rows [][]string
	for _, d := range all {
		origin := "built in"
		if d.UpdatedAt != nil {
			origin = fmt.Sprintf("%s set by %s at %s", strings.Join(d.Set, ", "), d.UpdatedBy, figures.Clock(*d.UpdatedAt))
		}
		rows = append(rows, []string{d.Name, d.Rate, figures.Count(d.Burst), figures.Count(d.Connections), figures.Count(d.PerConnection), origin, d.Learned})
	}
	p.Table([]string{"DESTINATION", "RATE", "BURST", "CONNECTIONS", "PER CONNECTION", "ORIGIN", "LEARNED"}, rows...)
	p.Line("")
	p.Line("* is every destination that has no line of its own, and what a line leaves open. A rate is that of one recipient domain;")
	p.Line("beside a site it is that of all its domains together. enotify destination show NAME tells more.")
}

func (a *app) destinationSetCmd() *cobra.Command {
	var d queue.Destination
	var speed string
	cmd := &cobra.Command{
		Use: "set NAME", Short: "Set the limits of a recipient domain, a site, or * for all", Args: one("a name"),
		Long: `Sets the limits of a recipient domain (gmail.com), of a site, which is all domains
that one provider serves (google), or of everything else (*). Only the given
limits change. Running nodes follow within a second.

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
	_ = cmd.RegisterFlagCompletionFunc("tls", cobra.FixedCompletions(sender.TLSPolicies(), cobra.ShellCompDirectiveNoFileComp))
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
			if d.Name, err = destinationName(ctx, db, args[0]); err != nil {
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
		name, err := destinationName(ctx, db, args[0])
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
	standing, err := insight.Of(db).Standing(ctx, name)
	if err != nil {
		return err
	}
	if site := standing.Site; site != "" && site != name && !standing.IsSite {
		return exit.Usagef("%s is a domain of the site %s, of which things are learned: enotify destination reset %s --learned", name, site, site)
	}
	if err := a.confirm(yes, "forget what was learned of %s, and try it anew at once?", name); err != nil {
		return err
	}
	if err := db.ForgetLearned(ctx, name); err != nil {
		return err
	}
	return a.say("%s: forgotten what was learned; the nodes try it anew now", name)
}

// destinationName is a name as the throttle knows it. A word without a dot is
// a site: one that is not known is a slip of the pen, and would have no effect.
func destinationName(ctx context.Context, db *queue.DB, name string) (string, error) {
	lower := strings.ToLower(strings.TrimSpace(name))
	sites := throttle.Sites()
	switch {
	case lower == throttle.Everyone || slices.Contains(sites, lower):
		return lower, nil
	case !strings.Contains(lower, "."):
		return "", exit.Usagef("%q is neither a domain nor *, nor one of the sites %s", name, strings.Join(sites, ", "))
	}
	return db.Domain(ctx, lower)
}

// sayLimits prints what holds for a destination now.
func (a *app) sayLimits(ctx context.Context, db *queue.DB, name string) error {
	l, err := readLimits(ctx, db)
	if err != nil {
		return err
	}
	standing, err := insight.Of(db).Standing(ctx, name)
	if err != nil {
		return err
	}
	d := l.describe(name, isSite(name) || standing.IsSite && !standing.IsDomain)
	encryption := ""
	if d.TLS != "" {
		encryption = ", TLS " + d.TLS
	}
	return a.say("%s: rate %s, burst %s, %s, %s each%s", d.Name, d.Rate, figures.Count(d.Burst), figures.Some(d.Connections, "connection"), figures.Some(d.PerConnection, "message"), encryption)
}
