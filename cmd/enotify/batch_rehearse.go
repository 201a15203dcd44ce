package main

import (
	"context"
	"fmt"
	"log/slog"
	"time"

	"github.com/spf13/cobra"

	"enotify/cmd/enotify/exit"
	"enotify/cmd/enotify/figures"
	"enotify/cmd/enotify/rehearsal"
	"enotify/cmd/enotify/settings"
	"enotify/cmd/enotify/term"
	"enotify/queue"
)

func (a *app) batchRehearseCmd() *cobra.Command {
	var c rehearsal.Config
	var egress []string
	cmd := &cobra.Command{
		Use: "rehearse ID", Short: "Send a batch to nobody, and say when all would have it",
		Args: one("a number"),
		Long: `Sends the real batch at the limits in force, by a node of its own, to a
mail host on loopback that keeps nothing. It takes as long as the sending would.
It runs on a private PostgreSQL: nothing changes in the database, and nothing
but DNS questions leaves this host. The mail host takes as long for a message as
the live nodes measured, and refuses nobody: receivers that slow us down make it
longer. Hours, quotas, warm-up and the batches ahead are not waited for; the
line "in its turn" counts them.

Exit codes: 0 all recipients would have it; 2 some would not, or the guard
blocks it.`,
		Example: "  enotify batch rehearse 42",
	}
	f := cmd.Flags()
	f.StringSliceVar(&egress, "egress", nil,
		"`IP` addresses that receivers see, separated by commas; default: what the live nodes use")
	f.StringVar(&c.HELO, "helo", "", "our `NAME` in EHLO; default: what the live nodes use")
	f.StringVar(&c.DKIMDir, "dkim-dir", "", "`DIR` with the DKIM keys; without it, mail is not signed")
	f.DurationVar(&c.Message, "message-time", 0,
		"time that the mail host takes for a message; default: as measured by the live nodes")
	cmd.RunE = func(cmd *cobra.Command, args []string) (err error) {
		if c.Batch, err = batchID(args[0]); err != nil {
			return err
		}
		if c.Egress, err = settings.Addresses("--egress", egress); err != nil {
			return err
		}
		progress := a.progress()
		c.Resolver, c.Log = a.resolver, slog.New(slog.DiscardHandler)
		if a.verbose {
			c.Log = a.logger()
		}
		c.Tell = func(s queue.Status) {
			progress.Say("rehearsing batch %d: %s of %s", c.Batch, figures.Count(s.Settled()), figures.Count(s.Total))
		}
		return a.withQueue(cmd.Context(), func(ctx context.Context, db *queue.DB) error {
			c.DB = db
			r, err := rehearsal.Run(ctx, c)
			progress.End()
			if err != nil {
				return err
			}
			if err := a.print(r, func(p *term.Page) { layRehearsal(p, r) }); err != nil {
				return err
			}
			if !r.Complete {
				return exit.With(exit.Blocked, nil)
			}
			return nil
		})
	}
	return cmd
}

func layRehearsal(p *term.Page, r rehearsal.Result) {
	took := figures.Span(time.Duration(r.Seconds * float64(time.Second)))
	switch {
	case r.Complete:
		p.Line("batch %d: the last of %s would have it after %s", r.Batch,
			figures.Some(r.Status.Delivered, "recipient"), took)
	case r.Reason != "":
		p.Line("batch %d would not go: it is %s: %s", r.Batch, r.State, r.Reason)
	default:
		p.Line("batch %d would not reach everyone: %s", r.Batch, tally(r.Status))
	}
	rows := [][]string{{"recipients", tally(r.Status)}}
	if r.Complete {
		rows = append(rows, []string{"in its turn", "everybody is tried in " + r.Forecast})
	}
	if r.Slowest != "" {
		rows = append(rows, []string{"last", r.Slowest})
	}
	p.Table(nil, append(rows, []string{"per message", fmt.Sprintf("%d ms at the mail host", r.MessageMS)})...)
}
