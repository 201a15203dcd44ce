package main

import (
	"context"

	"github.com/spf13/cobra"

	"enotify/cmd/enotify/exit"
	"enotify/cmd/enotify/figures"
	"enotify/cmd/enotify/term"
	"enotify/queue"
)

// A doubted batch is one whose recipients were put in doubt.
type doubted struct {
	Batch      int64 `json:"batch"`
	Recipients int   `json:"recipients"`
}

func (a *app) batchDoubtCmd() *cobra.Command {
	var all bool
	cmd := &cobra.Command{
		Use: "doubt [ID…]", Short: "After a restored backup: put recipients in doubt",
		Long: `A database restored from a backup does not know what was sent after the backup
was made, and would send it again. This verb records every recipient who has no
outcome as unknown, in the batches named or, with --all, in every batch that has
not finished. Stop all nodes first. Then decide for each batch: batch requeue ID
--class unknown sends to them, and some may get a second copy; with --mark
delivered nothing is sent.

Nodes that stopped less than 15 minutes ago know what they sent: start them on
their own disk instead, and they write it again.`,
		Example: "  enotify batch doubt --all",
	}
	yes := yesFlag(cmd)
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		if all == (len(args) > 0) {
			return exit.Usagef("want either batch numbers or --all")
		}
		return a.withQueue(cmd.Context(), func(ctx context.Context, db *queue.DB) error {
			var ids []int64
			for _, arg := range args {
				id, err := batchID(arg)
				if err != nil {
					return err
				}
				ids = append(ids, id)
			}
			if all {
				if err := seesAll(ctx, db); err != nil {
					return err
				}
				batches, err := db.Unfinished(ctx)
				if err != nil {
					return err
				}
				for _, b := range batches {
					ids = append(ids, b.ID)
				}
			}
			if len(ids) == 0 {
				a.hint("no batch was under way in this database")
				return a.print([]doubted{}, func(*term.Page) {})
			}
			if err := a.confirm(*yes, "record as unknown every recipient without an outcome, of %s?",
				figures.Some(len(ids), "batch")); err != nil {
				return err
			}
			done := []doubted{}
			for _, id := range ids {
				n, err := db.Doubt(ctx, id)
				if err != nil {
					return err
				}
				done = append(done, doubted{id, n})
			}
			return a.print(done, func(p *term.Page) {
				for _, d := range done {
					p.Line("batch %d: %s in doubt; next: enotify batch requeue %d --class unknown --dry-run", d.Batch,
						figures.Some(d.Recipients, "recipient"), d.Batch)
				}
			})
		})
	}
	cmd.Flags().BoolVar(&all, "all", false, "every batch that has not finished")
	return cmd
}
