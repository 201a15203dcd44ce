package main

import (
	"context"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"enotify/cmd/enotify/destinations"
	"enotify/cmd/enotify/exit"
	"enotify/queue"
	"enotify/queue/warmup"
)

// The first cap of a plan that is given by its days.
const firstCap = 50

func (a *app) egressWarmCmd() *cobra.Command {
	var caps []string
	var days, from, to int
	var site, zone, overflow string
	var off bool
	cmd := &cobra.Command{
		Use: "warm ADDRESS", Short: "Let the mail of a new address grow from day to day", Args: one("an address"),
		Long: `Receivers distrust an address that they do not know and that sends much. A plan
says how many messages may leave from it on the first day, the second, and so
on. A day with at least half of its messages moves the plan on. A day on which
receivers refuse 2 % of the messages for the address's sake, or 0.1 % of readers
complain, keeps it where it is; from 5 % and 0.3 % on it goes back by a day.
After the last day there is no limit.

What is above the limit waits for the next day, or with --overflow pool leaves
from addresses of the pool that are warm. Plans hold over all nodes and
restarts.`,
		Example: `  enotify egress warm 192.0.2.11 --days 30 --to 100000 --overflow pool
  enotify egress warm 192.0.2.11 --plan 50,100,200,400,800
  enotify egress warm 192.0.2.11 --site google --plan 20,40,80
  enotify egress warm 192.0.2.11 --off`,
	}
	f := cmd.Flags()
	f.StringSliceVar(&caps, "plan", nil, "messages on each day, separated by commas; it does not fall")
	f.IntVar(&days, "days", 0, "`NUMBER` of days of a plan that grows by the same factor each day")
	f.IntVar(&from, "from", firstCap, "with --days: messages on the first day")
	f.IntVar(&to, "to", 0, "with --days: messages on the last day")
	f.StringVar(&site, "site", "*", "the `SITE` or recipient domain that it holds for, such as google; *: all of them together")
	f.StringVar(&zone, "zone", "UTC", "time `ZONE` of its days, such as Europe/Berlin")
	f.StringVar(&overflow, "overflow", "wait",
		"what is above the limit: `wait` for the next day, or leave from warm addresses of the pool")
	f.BoolVar(&off, "off", false, "end the plan: there is no limit any more")
	_ = cmd.RegisterFlagCompletionFunc("overflow",
		cobra.FixedCompletions([]string{"wait", "pool"}, cobra.ShellCompDirectiveNoFileComp))
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		addr, err := addressArg(args[0])
		if err != nil {
			return err
		}
		if off {
			only := ""
			if f.Changed("site") {
				only = strings.ToLower(site)
			}
			return a.withQueue(cmd.Context(), func(ctx context.Context, db *queue.DB) error {
				if _, err := db.Egress(ctx, addr); err != nil {
					return err
				}
				if err := db.EndWarmup(ctx, addr, only); err != nil {
					return err
				}
				return a.sayEgress(ctx, db, addr)
			})
		}
		plan, err := planOf(caps, days, from, to)
		if err != nil {
			return err
		}
		if _, err := time.LoadLocation(zone); err != nil || zone == "" || zone == "Local" {
			return exit.Usagef("--zone %s: want a name of the IANA database, such as Europe/Berlin", zone)
		}
		if overflow != "wait" && overflow != "pool" {
			return exit.Usagef("--overflow %s: want wait or pool", overflow)
		}
		return a.withQueue(cmd.Context(), func(ctx context.Context, db *queue.DB) error {
			name, err := destinations.ParseName(ctx, db, site)
			if err != nil {
				return err
			}
			if err := db.Warm(ctx, addr,
				queue.Warmup{Site: name, Caps: plan, Zone: zone, Overflow: overflow}); err != nil {
				return err
			}
			return a.sayEgress(ctx, db, addr)
		})
	}
	return cmd
}

// planOf is what --plan, or --days and --to, say.
func planOf(caps []string, days, from, to int) (plan warmup.Plan, err error) {
	switch {
	case len(caps) > 0 && days > 0:
		return nil, exit.Usagef("--plan and --days: give one of them")
	case days != 0:
		if to == 0 {
			return nil, exit.Usagef("--days %d: up to how many messages a day? add --to NUMBER", days)
		}
		if plan, err = warmup.Ramp(days, from, to); err != nil {
			return nil, exit.Usagef("--days: %w", err)
		}
		return plan, nil
	case len(caps) == 0:
		return nil, exit.Usagef("which plan? give --plan 50,100,200 or --days 30 --to 100000; --off ends one")
	}
	for _, text := range caps {
		n, err := strconv.Atoi(strings.TrimSpace(text))
		if err != nil {
			return nil, exit.Usagef("--plan: %q is no number of messages", text)
		}
		plan = append(plan, n)
	}
	if err := plan.Check(); err != nil {
		return nil, exit.Usagef("--plan: %w", err)
	}
	return plan, nil
}
