package main

import (
	"context"

	"github.com/spf13/cobra"

	"enotify/cmd/enotify/figures"
	"enotify/cmd/enotify/term"
	"enotify/queue"
	"enotify/queue/retention"
)

func (a *app) forgetCmd() *cobra.Command {
	var keep bool
	cmd := &cobra.Command{
		Use: "forget ADDRESS", Short: "Erase an address from everything that is kept", Args: one("an address"),
		Long: `Erases an address, with its merge data, from the recipients of all batches, and
the words of receivers and returned mail about it, which may quote it; from
drafts, suppressions, notes, alerts and preflight reports. Who was counted stays
counted: states and totals do not change, and batch audit balances. A recipient
not tried yet gets nothing.

With --keep-suppressed a suppression in force goes on under a keyed hash, from
which the address cannot be read. Without it, a new batch may send to the
address.

What this cannot reach: backups; logs; for 15 minutes, the journals of nodes.`,
		Example: "  enotify forget ann@example.org --keep-suppressed",
	}
	cmd.Flags().BoolVar(&keep, "keep-suppressed", false,
		"let a suppression in force go on, under a keyed hash in place of the address")
	yes := yesFlag(cmd)
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		return a.withQueue(cmd.Context(), func(ctx context.Context, db *queue.DB) error {
			address, batches, err := retention.Of(db).Held(ctx, args[0])
			if err != nil {
				return err
			}
			if err := a.confirm(*yes, "erase %s for good, here and in %s?", address,
				figures.Some(batches, "batch")); err != nil {
				return err
			}
			f, err := retention.Of(db).Forget(ctx, address, keep)
			if err != nil {
				return err
			}
			if len(f.Under) > 0 {
				a.hint("an application is writing recipients right now (process %v), which may hold the address: run this again in a minute", f.Under)
			}
			return a.print(f, func(p *term.Page) { layForgotten(p, f) })
		})
	}
	return cmd
}

func layForgotten(p *term.Page, f retention.Forgotten) {
	if f.Recipients+f.Replies+f.Reports+f.Events+f.Staged+f.Suppressions+f.Counted+f.Texts == 0 {
		p.Line("nothing is kept of %s", f.Address)
	} else {
		p.Line("%s is erased", f.Address)
		var rows [][]string
		for _, erased := range []struct {
			n    int
			what string
		}{
			{f.Recipients, "recipients, in " + figures.Some(f.Batches, "batch")},
			{f.Replies, "replies of receivers"},
			{f.Reports, "returned mails"},
			{f.Events, "events with words of receivers"},
			{f.Staged, "staged recipients of drafts, which are invalid now"},
			{f.Suppressions, "suppressions"},
			{f.Counted, "counts of its replies"},
			{f.Texts, "notes, reasons, alerts and preflight reports that named it"},
		} {
			if erased.n > 0 {
				rows = append(rows, []string{figures.Count(erased.n), erased.what})
			}
		}
		p.Table(nil, rows...)
	}
	switch {
	case f.Kept > 0:
		p.Line("it stays suppressed, under a keyed hash")
	case f.Suppressions > 0:
		p.Line("it is not suppressed any more: a new batch that has it is sent")
	}
}
