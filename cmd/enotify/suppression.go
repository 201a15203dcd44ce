package main

import (
	"cmp"
	"context"
	"errors"
	"strconv"
	"time"

	"github.com/spf13/cobra"

	"enotify/cmd/enotify/exit"
	"enotify/cmd/enotify/figures"
	"enotify/cmd/enotify/term"
	"enotify/queue"
)

func (a *app) suppressionCmd() *cobra.Command {
	return noun("suppression", "Addresses that get no mail", a.suppressionListCmd(), a.suppressionExplainCmd(), a.suppressionAddCmd(), a.suppressionRemoveCmd(),
		a.suppressionImportCmd(), a.suppressionExportCmd())
}

func (a *app) suppressionListCmd() *cobra.Command {
	var client, match string
	var limit int
	cmd := &cobra.Command{
		Use: "list", Short: "List suppressed addresses, newest first", Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if limit < 0 {
				return exit.Usagef("--limit %d: want 0 or more", limit)
			}
			return a.withQueue(cmd.Context(), func(ctx context.Context, db *queue.DB) error {
				ask := limit
				if limit > 0 {
					ask++ // to know whether there are more
				}
				found, err := db.Suppressions(ctx, client, match, ask)
				if err != nil {
					return err
				}
				if limit > 0 && len(found) > limit {
					found = found[:limit]
					a.hint("there are more than %s; --limit 0 shows all", figures.Count(limit))
				}
				if len(found) == 0 {
					a.hint("no address is suppressed that fits")
				}
				return a.print(found, func(p *term.Page) { laySuppressions(p, found) })
			})
		},
	}
	f := cmd.Flags()
	f.StringVar(&client, "client", "", "only suppressions that hold for the client `DOMAIN`")
	f.StringVar(&match, "match", "", "only addresses that contain `TEXT`")
	f.IntVar(&limit, "limit", 100, "at most this many; 0 for all")
	return cmd
}

func laySuppressions(p *term.Page, found []queue.Suppression) {
	if len(found) == 0 {
		return
	}
	var rows [][]string
	for _, s := range found {
		until := "for good"
		if s.Until != nil {
			until = p.Ago(*s.Until)
		}
		batch := "-"
		if s.BatchID != nil {
			batch = strconv.FormatInt(*s.BatchID, 10)
		}
		rows = append(rows, []string{s.Address, cmp.Or(s.Client, "all"), s.Cause, figures.Clock(s.AddedAt), s.AddedBy, until, batch, term.Clip(s.Note, 80)})
	}
	p.Table([]string{"ADDRESS", "CLIENT", "CAUSE", "SINCE", "BY", "UNTIL", "BATCH", "NOTE"}, rows...)
}

func (a *app) suppressionAddCmd() *cobra.Command {
	var s queue.Suppression
	var until string
	cmd := &cobra.Command{
		Use: "add ADDRESS", Short: "Suppress an address: never send to it again", Args: one("an address"),
		RunE: func(cmd *cobra.Command, args []string) error {
			s.Address = args[0]
			if until != "" {
				t, err := figures.ParseMoment(until, time.Now())
				if err != nil {
					return exit.Usagef("--until: %w", err)
				}
				if !t.After(time.Now()) {
					return exit.Usagef("--until %s is past", until)
				}
				s.Until = &t
			}
			return a.withQueue(cmd.Context(), func(ctx context.Context, db *queue.DB) error {
				address, err := db.Suppress(ctx, s)
				if errors.Is(err, queue.ErrExists) { // what was asked for is so
					a.hint("%v; %s", err, next(err))
					return nil
				}
				if err != nil {
					return err
				}
				return a.say("%s is suppressed", address)
			})
		},
	}
	f := cmd.Flags()
	f.StringVar(&s.Client, "client", "", "only for the client `DOMAIN`; default: for all clients")
	f.StringVar(&s.Note, "note", "", "`TEXT` that says why; it is kept and shown")
	f.StringVar(&until, "until", "", "end the suppression at `TIME`: RFC 3339, or a duration from now such as 30d; default: never")
	return cmd
}

func (a *app) suppressionRemoveCmd() *cobra.Command {
	var client string
	cmd := &cobra.Command{
		Use: "rm ADDRESS", Short: "Lift a suppression: send again, from the next batch on", Args: one("an address"),
	}
	cmd.Flags().StringVar(&client, "client", "", "lift the suppression of the client `DOMAIN`; default: the one for all clients")
	yes := yesFlag(cmd)
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		if err := a.confirm(*yes, "send to %s again?", args[0]); err != nil {
			return err
		}
		return a.withQueue(cmd.Context(), func(ctx context.Context, db *queue.DB) error {
			address, err := db.Release(ctx, args[0], client)
			if err != nil {
				return err
			}
			return a.say("%s is not suppressed any more", address)
		})
	}
	return cmd
}
