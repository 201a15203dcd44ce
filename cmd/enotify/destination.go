package main

import (
	"context"
	"fmt"
	"math"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"
	"golang.org/x/time/rate"

	"enotify/queue"
	"enotify/sender/throttle"
)

func (a *app) destinationCmd() *cobra.Command {
	return noun("destination", "How fast mail may go, and to where", a.destinationListCmd(), a.destinationSetCmd(), a.destinationResetCmd())
}

// A destination is what holds for a recipient domain or site, wherever it
// comes from.
type destination struct {
	Name          string     `json:"name"`
	Rate          string     `json:"rate"`                // as it was set, or in the shortest unit
	PerSecond     *float64   `json:"messages_per_second"` // nil: no limit
	Burst         int        `json:"burst"`
	Connections   int        `json:"connections"`
	PerConnection int        `json:"per_connection"`
	Set           []string   `json:"set"` // the fields that an operator set for this name
	UpdatedAt     *time.Time `json:"updated_at"`
	UpdatedBy     string     `json:"updated_by"`
}

// effective merges what was set with what is built in, as a node does: first
// the row for all, then those that were set, then the sites known and what
// else is asked for.
func effective(set []queue.Destination, others ...string) []destination {
	rows := map[string]queue.Destination{}
	limits := map[string]throttle.Policy{}
	names := []string{throttle.Everyone}
	for _, d := range set {
		rows[d.Name], limits[d.Name] = d, limitsOf(d)
		names = append(names, d.Name)
	}
	names = append(append(names, throttle.Sites()...), others...)
	var node throttle.Throttle
	node.SetPolicies(limits)
	var all []destination
	for i, name := range names {
		if slices.Index(names, name) == i {
			all = append(all, describe(rows[name], rows[throttle.Everyone], name, node.Policy(name)))
		}
	}
	return all
}

func describe(own, everyone queue.Destination, name string, holds throttle.Policy) destination {
	d := destination{Name: name, Rate: formatLimit(holds.Rate), Burst: holds.Burst, Connections: holds.Connections, PerConnection: holds.PerConnection, Set: []string{}}
	if holds.Rate != rate.Inf {
		perSecond := float64(holds.Rate)
		d.PerSecond = &perSecond
	}
	for _, r := range []*queue.Rate{own.Rate, everyone.Rate} {
		if r != nil {
			d.Rate = formatRate(*r)
			break
		}
	}
	for _, field := range []struct {
		name string
		set  bool
	}{{"rate", own.Rate != nil}, {"burst", own.Burst > 0}, {"connections", own.Connections > 0}, {"per-connection", own.PerConnection > 0}} {
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
		Use: "list", Short: "List the limits that hold: those set, and those built in", Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			db, stop, err := a.open(cmd.Context())
			if err != nil {
				return err
			}
			defer stop()
			set, err := db.Destinations(cmd.Context())
			if err != nil {
				return err
			}
			all := effective(set)
			return a.print(all, func(p *page) { layDestinations(p, all) })
		},
	}
}

func layDestinations(p *page, all []destination) {
	var rows [][]string
	for _, d := range all {
		origin := "built in"
		if d.UpdatedAt != nil {
			origin = fmt.Sprintf("%s set by %s at %s", strings.Join(d.Set, ", "), d.UpdatedBy, clock(*d.UpdatedAt))
		}
		rows = append(rows, []string{d.Name, d.Rate, count(d.Burst), count(d.Connections), count(d.PerConnection), origin})
	}
	p.table([]string{"DESTINATION", "RATE PER DOMAIN", "BURST", "CONNECTIONS", "PER CONNECTION", "ORIGIN"}, rows...)
	p.line("")
	p.line("* is every destination that has no line of its own, and what a line leaves open.")
}

func (a *app) destinationSetCmd() *cobra.Command {
	var d queue.Destination
	var speed string
	cmd := &cobra.Command{
		Use: "set NAME", Short: "Set limits of a recipient domain, of a site, or with * of all", Args: one("a name"),
		Long: `Sets limits of a recipient domain (gmail.com), of a site, which is all domains
that one provider serves (google), or of everything else (*). Only the limits
given change. Running nodes follow at once.`,
		Example: `  enotify destination set gmail.com --rate 20/s --burst 5
  enotify destination set google --connections 8 --per-connection 50
  enotify destination set '*' --rate unlimited`,
	}
	f := cmd.Flags()
	f.StringVar(&speed, "rate", "", "messages to a domain: 10/s, 300/min, 5000/h, 100000/day or unlimited")
	f.IntVar(&d.Burst, "burst", 0, "messages that may go at once after a quiet time")
	f.IntVar(&d.Connections, "connections", 0, "connections open at once")
	f.IntVar(&d.PerConnection, "per-connection", 0, "messages before a connection is closed")
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		set := 0
		for _, limit := range []struct {
			flag string
			n    int
		}{{"burst", d.Burst}, {"connections", d.Connections}, {"per-connection", d.PerConnection}} {
			if f.Changed(limit.flag) {
				set++
				if limit.n < 1 || limit.n > math.MaxInt32 {
					return usagef("--%s %d: it is 1 or more", limit.flag, limit.n)
				}
			}
		}
		if f.Changed("rate") {
			r, err := parseRate(speed)
			if err != nil {
				return usagef("--rate: %w", err)
			}
			set++
			d.Rate = &r
		}
		if set == 0 {
			return usagef("nothing to set: give --rate, --burst, --connections or --per-connection")
		}
		db, stop, err := a.open(cmd.Context())
		if err != nil {
			return err
		}
		defer stop()
		if d.Name, err = destinationName(cmd.Context(), db, args[0]); err != nil {
			return err
		}
		if err := db.SetDestination(cmd.Context(), d); err != nil {
			return err
		}
		return a.sayLimits(cmd.Context(), db, d.Name)
	}
	return cmd
}

func (a *app) destinationResetCmd() *cobra.Command {
	cmd := &cobra.Command{
		Use: "reset NAME", Short: "Forget what was set for a destination", Args: one("a name"),
	}
	yes := yesFlag(cmd)
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		db, stop, err := a.open(cmd.Context())
		if err != nil {
			return err
		}
		defer stop()
		name, err := destinationName(cmd.Context(), db, args[0])
		if err != nil {
			return err
		}
		if err := a.confirm(*yes, "forget the limits set for %s?", name); err != nil {
			return err
		}
		if err := db.ResetDestination(cmd.Context(), name); err != nil {
			return err
		}
		return a.sayLimits(cmd.Context(), db, name)
	}
	return cmd
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
		return "", usagef("%q is neither a domain nor *, nor one of the sites %s", name, strings.Join(sites, ", "))
	}
	return db.Domain(ctx, lower)
}

// sayLimits prints what holds for a destination now.
func (a *app) sayLimits(ctx context.Context, db *queue.DB, name string) error {
	set, err := db.Destinations(ctx)
	if err != nil {
		return err
	}
	all := effective(set, name)
	d := all[slices.IndexFunc(all, func(d destination) bool { return d.Name == name })]
	return a.say("%s: rate %s, burst %s, %s, %s each", d.Name, d.Rate, count(d.Burst), some(d.Connections, "connection"), some(d.PerConnection, "message"))
}
