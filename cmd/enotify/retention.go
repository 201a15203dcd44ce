package main

import (
	"context"
	"fmt"
	"time"

	"github.com/spf13/cobra"

	"enotify/cmd/enotify/exit"
	"enotify/cmd/enotify/figures"
	"enotify/cmd/enotify/term"
	"enotify/queue"
	"enotify/queue/retention"
)

func (a *app) retentionCmd() *cobra.Command {
	return noun("retention", "How long data is kept", a.retentionListCmd(), a.retentionSetCmd())
}

// forGood is what a person writes for data that is never dropped.
const forGood = "forever"

func keptFor(keep *time.Duration) string {
	if keep == nil {
		return forGood
	}
	return figures.Span(*keep)
}

// A kept is a retention as list prints it.
type kept struct {
	retention.Rule
	KeepSeconds *float64 `json:"keep_seconds"` // null: for good
}

func (a *app) retentionListCmd() *cobra.Command {
	return &cobra.Command{
		Use: "list", Short: "Show how long each kind of data is kept", Args: atMost(0),
		RunE: a.onQueue(func(ctx context.Context, db *queue.DB, _ []string) error {
			found, err := retention.Of(db).Rules(ctx)
			if err != nil {
				return err
			}
			all := make([]kept, len(found))
			for i, r := range found {
				all[i].Rule = r
				if r.Keep != nil {
					seconds := r.Keep.Seconds()
					all[i].KeepSeconds = &seconds
				}
			}
			return a.print(all, func(p *term.Page) {
				var rows [][]string
				for _, r := range all {
					rows = append(rows, []string{r.Kind, keptFor(r.Keep), r.About})
				}
				p.Table([]string{"KIND", "KEPT FOR", "WHAT"}, rows...)
			})
		}),
	}
}

func (a *app) retentionSetCmd() *cobra.Command {
	cmd := &cobra.Command{
		Use: "set KIND DURATION", Short: "Set how long a kind of data is kept, or " + forGood,
		Args: func(cmd *cobra.Command, args []string) error {
			if len(args) != 2 {
				return fmt.Errorf("%s needs a kind of data, and how long to keep it: %s", cmd.CommandPath(), cmd.UseLine())
			}
			return nil
		},
		Long: `Sets how long a kind of data is kept, at least a day. The running nodes drop
what is older within minutes, in small steps beside the sending.`,
		Example: "  enotify retention set recipients 180d\n  enotify retention set verdicts forever",
	}
	yes := yesFlag(cmd)
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		kind := args[0]
		var keep *time.Duration
		if args[1] != forGood {
			span, err := figures.ParseSpan(args[1])
			if err != nil || span < 24*time.Hour {
				return exit.Usagef("%s: want how long, at least 1d, such as 180d, or %s", args[1], forGood)
			}
			keep = &span
		}
		return a.withQueue(cmd.Context(), func(ctx context.Context, db *queue.DB) error {
			all, err := retention.Of(db).Rules(ctx)
			if err != nil {
				return err
			}
			for _, r := range all {
				if r.Kind == kind && keep != nil && (r.Keep == nil || *keep < *r.Keep) {
					if err := a.confirm(*yes, "drop for good what is older than %s: %s?", keptFor(keep),
						r.About); err != nil {
						return err
					}
				}
			}
			if err := retention.Of(db).Keep(ctx, kind, keep); err != nil {
				return err
			}
			return a.say("%s: kept for %s", kind, keptFor(keep))
		})
	}
	return cmd
}
