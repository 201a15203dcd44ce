package main

import (
	"context"
	"net/netip"
	"strings"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"enotify/cmd/enotify/addresses"
	"enotify/cmd/enotify/exit"
	"enotify/cmd/enotify/figures"
	"enotify/cmd/enotify/settings"
	"enotify/cmd/enotify/term"
	"enotify/queue"
	"enotify/spfguard"
)

func (a *app) egressCmd() *cobra.Command {
	return noun("egress", "Addresses that receivers see, their pools, and warm-up", a.egressAddCmd(), a.egressListCmd(),
		a.egressShowCmd(),
		a.egressSetCmd(), a.egressWarmCmd(), a.egressDrainCmd(), a.egressPoolCmd(), a.egressRemoveCmd())
}

// egressFlags are what can be set of an address.
type egressFlags struct {
	pool, helo, bind, rate, siteRate, note, hold string
	weight                                       int
	private, active                              bool
}

func (e *egressFlags) add(f *pflag.FlagSet) {
	f.StringVar(&e.pool, "pool", "", "`NAME` of its pool; a new name makes a new pool")
	f.StringVar(&e.helo, "helo", "", "`NAME` at EHLO, or none for that of the node")
	withoutTwin(f, "helo")
	f.StringVar(&e.bind, "bind", "", "local `ADDRESS` to connect from, behind NAT; or none for the address itself")
	f.StringVar(&e.rate, "rate", "", "messages per time that leave from it, over all nodes: 10/s, 5000/h, 100000/day or unlimited")
	f.StringVar(&e.siteRate, "site-rate", "", "messages per time that leave from it to each site")
	f.IntVar(&e.weight, "weight", 1, "`NUMBER`: its share of the sites of its pool, beside the weights of the others")
	f.StringVar(&e.note, "note", "", "`TEXT` for people")
}

// change reads the flags that were given, and reports whether there are any.
func (e *egressFlags) change(f *pflag.FlagSet) (c queue.EgressChange, any bool, err error) {
	text := func(flag, value string, to **string) {
		if f.Changed(flag) {
			if value == "none" {
				value = ""
			}
			*to, any = &value, true
		}
	}
	text("helo", e.helo, &c.HELO)
	text("note", e.note, &c.Note)
	if f.Changed("pool") {
		c.Pool, any = &e.pool, true
	}
	if f.Changed("bind") {
		var bind netip.Addr
		if e.bind != "none" {
			found, err := settings.Addresses("--bind", []string{e.bind})
			if err != nil {
				return c, false, err
			}
			bind = found[0]
		}
		c.Bind, any = &bind, true
	}
	if f.Changed("weight") {
		if e.weight < 1 || e.weight > 1000 {
			return c, false, exit.Usagef("--weight %d: want 1 to 1000", e.weight)
		}
		c.Weight, any = &e.weight, true
	}
	for _, of := range []struct {
		flag, value string
		to          **queue.Rate
	}{{"rate", e.rate, &c.Rate}, {"site-rate", e.siteRate, &c.SiteRate}} {
		if !f.Changed(of.flag) {
			continue
		}
		r, err := figures.ParseRate(of.value)
		if err != nil {
			return c, false, exit.Usagef("--%s: %w", of.flag, err)
		}
		*of.to, any = &r, true
	}
	return c, any, nil
}

// addressArg reads an address that an operator names.
func addressArg(text string) (netip.Addr, error) {
	found, err := settings.Addresses("egress", []string{text})
	if err != nil {
		return netip.Addr{}, err
	}
	return found[0], nil
}

func (a *app) egressAddCmd() *cobra.Command {
	e := &egressFlags{}
	cmd := &cobra.Command{
		Use: "add ADDRESS", Short: "Register an address, and put it into a pool", Args: one("an address"),
		Long: `Registers an address that receivers see. Mail leaves from it once a node
announces it: enotify run --egress ADDRESS on the host that has it. An address
that a node announces before it is registered is in the pool default.`,
		Example: `  enotify egress add 192.0.2.11 --pool newsletters --helo news.host.example
  enotify egress add 192.0.2.12 --pool urgent`,
	}
	f := cmd.Flags()
	e.add(f)
	f.BoolVar(&e.private, "private", false, "the address is one that no receiver on the internet sees")
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		addr, err := addressArg(args[0])
		if err != nil {
			return err
		}
		if why := spfguard.NotPublic(addr); why != "" && !addr.IsLoopback() && !e.private {
			return exit.Usagef("%s: it is %s, which receivers do not see; give the public address, and the local one with --bind, or --private when the receivers are in this network", addr, why)
		}
		c, _, err := e.change(f)
		if err != nil {
			return err
		}
		return a.withQueue(cmd.Context(), func(ctx context.Context, db *queue.DB) error {
			if err := db.AddEgress(ctx, addr, c); err != nil {
				return err
			}
			return a.sayEgress(ctx, db, addr)
		})
	}
	return cmd
}

// sayEgress says in a line where an address stands.
func (a *app) sayEgress(ctx context.Context, db *queue.DB, addr netip.Addr) error {
	e, err := db.Egress(ctx, addr)
	if err != nil {
		return err
	}
	if len(e.Nodes) == 0 {
		a.hint("no live node announces %s; on the host that has it: enotify run --egress %[1]s", addr)
	}
	return a.say("%s: %s", addr, addresses.InShort(e))
}

func (a *app) egressListCmd() *cobra.Command {
	return &cobra.Command{
		Use: "list", Short: "List the addresses, their pools, and the nodes that have them", Args: atMost(0),
		RunE: a.onReader(func(ctx context.Context, db *queue.DB, _ []string) error {
			all, err := db.Egresses(ctx)
			if err != nil {
				return err
			}
			if len(all) == 0 {
				a.hint("no address yet: enotify run --egress ADDRESS announces one, enotify egress add ADDRESS registers one")
			}
			return a.print(addresses.List(all), func(p *term.Page) { addresses.Lay(p, all) })
		}),
	}
}

func (a *app) egressShowCmd() *cobra.Command {
	return &cobra.Command{
		Use: "show ADDRESS", Short: "Show an address, and its warm-up against what was sent", Args: one("an address"),
		RunE: a.onReader(func(ctx context.Context, db *queue.DB, args []string) error {
			addr, err := addressArg(args[0])
			if err != nil {
				return err
			}
			e, err := db.Egress(ctx, addr)
			if err != nil {
				return err
			}
			return a.print(addresses.Of(e), func(p *term.Page) { addresses.LayOne(p, e) })
		}),
	}
}

func (a *app) egressSetCmd() *cobra.Command {
	e := &egressFlags{}
	cmd := &cobra.Command{
		Use: "set ADDRESS", Short: "Change the pool, rates, weight or name of an address; hold it",
		Args: one("an address"),
		Long: `Changes what is given, and nothing else. Running nodes follow within a second.
With --hold, nothing leaves from the address until --active; the other addresses
of its pool take over.`,
		Example: `  enotify egress set 192.0.2.11 --pool newsletters --weight 2
  enotify egress set 192.0.2.11 --rate 5000/h --site-rate 60/min
  enotify egress set 192.0.2.11 --hold 'on a block list since Monday'`,
	}
	f := cmd.Flags()
	e.add(f)
	f.StringVar(&e.hold, "hold", "", "send nothing from it, for the `REASON`")
	f.BoolVar(&e.active, "active", false, "send from it again")
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		addr, err := addressArg(args[0])
		if err != nil {
			return err
		}
		c, any, err := e.change(f)
		switch {
		case err != nil:
			return err
		case f.Changed("hold") && e.active:
			return exit.Usagef("--hold and --active: give one of them")
		case f.Changed("hold") && strings.TrimSpace(e.hold) == "":
			return exit.Usagef("--hold needs a reason, which egress show displays")
		case f.Changed("hold"):
			c.State, c.Reason = new(queue.EgressHeld), &e.hold
		case e.active:
			c.State, c.Reason = new(queue.EgressActive), new(string)
		case !any:
			return exit.Usagef("nothing to set: give --pool, --helo, --bind, --rate, --site-rate, --weight, --note, --hold or --active")
		}
		return a.withQueue(cmd.Context(), func(ctx context.Context, db *queue.DB) error {
			if err := db.SetEgress(ctx, addr, c); err != nil {
				return err
			}
			return a.sayEgress(ctx, db, addr)
		})
	}
	return cmd
}

func (a *app) egressDrainCmd() *cobra.Command {
	var reason string
	cmd := &cobra.Command{
		Use: "drain ADDRESS", Short: "Let nothing more leave from an address, before it is given up",
		Args: one("an address"),
		Long: `From now on nothing leaves from the address; messages under way are finished.
The other addresses of its pool take over. Clients need not authorise it any
more. enotify egress set ADDRESS --active ends it.`,
	}
	cmd.Flags().StringVar(&reason, "reason", "", "`TEXT` for people")
	cmd.RunE = a.onQueue(func(ctx context.Context, db *queue.DB, args []string) error {
		addr, err := addressArg(args[0])
		if err != nil {
			return err
		}
		if err := db.SetEgress(ctx, addr,
			queue.EgressChange{State: new(queue.EgressDraining), Reason: &reason}); err != nil {
			return err
		}
		return a.sayEgress(ctx, db, addr)
	})
	return cmd
}

func (a *app) egressRemoveCmd() *cobra.Command {
	cmd := &cobra.Command{
		Use: "rm ADDRESS", Short: "Forget an address and its plans", Args: one("an address"),
		Long: `Forgets an address that no live node announces, with its plans of warm-up. What
left from it stays counted for 400 days.`,
	}
	yes := yesFlag(cmd)
	cmd.RunE = a.onQueue(func(ctx context.Context, db *queue.DB, args []string) error {
		addr, err := addressArg(args[0])
		if err != nil {
			return err
		}
		if _, err := db.Egress(ctx, addr); err != nil {
			return err
		}
		if err := a.confirm(*yes, "forget %s and its plans?", addr); err != nil {
			return err
		}
		if err := db.RemoveEgress(ctx, addr); err != nil {
			return err
		}
		return a.say("%s: forgotten", addr)
	})
	return cmd
}

func (a *app) egressPoolCmd() *cobra.Command {
	var kind string
	cmd := &cobra.Command{
		Use: "pool [NAME]", Short: "List the pools, or say which batches leave from one", Args: atMost(1),
		Long: `Lists the pools. With a name and --kind, says which batches leave from it:

  shared   those of the clients whose pool it is, and all that name it
  private  the same, but an application may name it only for those clients
  urgent   those of a priority above 0, unless they name another; no others, so
           that newsletters never share an address with emergency notices. One
           pool can be urgent.`,
		Example: `  enotify egress pool
  enotify egress pool emergencies --kind urgent`,
	}
	cmd.Flags().StringVar(&kind, "kind", "", "shared, private or urgent")
	_ = cmd.RegisterFlagCompletionFunc("kind",
		cobra.FixedCompletions([]string{"shared", "private", "urgent"}, cobra.ShellCompDirectiveNoFileComp))
	cmd.RunE = a.onQueue(func(ctx context.Context, db *queue.DB, args []string) error {
		switch {
		case kind != "" && len(args) == 0:
			return exit.Usagef("--kind %s: name the pool: enotify egress pool NAME --kind %[1]s", kind)
		case kind != "" && kind != "shared" && kind != "private" && kind != "urgent":
			return exit.Usagef("--kind %s: want shared, private or urgent", kind)
		case kind != "":
			if err := db.SetPool(ctx, args[0], queue.PoolKind(kind)); err != nil {
				return err
			}
		}
		if len(args) > 0 {
			found, err := db.EgressPool(ctx, args[0])
			if err != nil {
				return err
			}
			return a.print(found, func(p *term.Page) { addresses.LayPools(p, []queue.Pool{found}) })
		}
		all, err := db.EgressPools(ctx)
		if err != nil {
			return err
		}
		return a.print(all, func(p *term.Page) { addresses.LayPools(p, all) })
	})
	return cmd
}
