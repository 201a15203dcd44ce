package main

import (
	"context"
	"fmt"

	"github.com/spf13/cobra"

	"enotify/cmd/enotify/exit"
	"enotify/cmd/enotify/figures"
	"enotify/cmd/enotify/term"
	"enotify/queue"
	"enotify/queue/retention"
)

func (a *app) batchPruneCmd() *cobra.Command {
	var olderThan, client string
	var dryRun bool
	cmd := &cobra.Command{
		Use: "prune", Short: "Drop recipients and content of batches that finished long ago", Args: atMost(0),
		Long: `Drops content, recipients, outcomes and attempts of batches that finished long
ago. A pruned batch stays in the list with its counts and its log, and keeps its
key: an application that submits the same key again sends nothing twice.
Suppressions and the history of SPF checks stay too. Pruning works in small
steps beside the sending; it can be interrupted and started again.`,
		Example: "  enotify batch prune --older-than 90d",
	}
	yes := yesFlag(cmd)
	cmd.RunE = func(cmd *cobra.Command, _ []string) error {
		if olderThan == "" {
			return exit.Usagef("--older-than is missing: how long finished batches are kept, such as 90d")
		}
		keep, err := figures.ParseSpan(olderThan)
		if err != nil {
			return exit.Usagef("--older-than: %v, such as 90d", err)
		}
		return a.withQueue(cmd.Context(), func(ctx context.Context, db *queue.DB) error {
			batches, err := retention.Of(db).Prunable(ctx, keep, client)
			if err != nil {
				return err
			}
			recipients := 0
			for _, b := range batches {
				recipients += b.Total
			}
			if len(batches) == 0 {
				if err := seen(ctx, db); err != nil {
					return err
				}
				a.hint("no batch finished longer ago than %s and is there in full", olderThan)
			}
			if dryRun || len(batches) == 0 {
				return a.print(batches, func(p *term.Page) { layPrunable(p, batches) })
			}
			if err := a.confirm(*yes, "drop for good what is kept of %s to %s, finished longer ago than %s?",
				figures.Some(len(batches), "batch"), figures.Some(recipients, "recipient"), olderThan); err != nil {
				return err
			}
			if err := a.prune(ctx, db, batches, recipients); err != nil {
				return err
			}
			a.hint("autovacuum makes their room free; to have it at once: VACUUM (ANALYZE) enotify.recipient, enotify.outcome, enotify.attempt")
			return a.print(batches, func(p *term.Page) {
				p.Line("pruned %s to %s", figures.Some(len(batches), "batch"), figures.Some(recipients, "recipient"))
			})
		})
	}
	f := cmd.Flags()
	f.StringVar(&olderThan, "older-than", "", "batches that finished longer ago than `DURATION`, such as 90d")
	f.StringVar(&client, "client", "", "only batches of the client `DOMAIN`")
	f.BoolVar(&dryRun, "dry-run", false, "only show which batches would be pruned")
	return cmd
}

// prune deletes the recipients of batches, and shows its progress on the terminal.
func (a *app) prune(ctx context.Context, db *queue.DB, batches []queue.Status, recipients int) error {
	progress := a.progress()
	defer progress.End()
	done := 0
	for i, b := range batches {
		at := func(n int) {
			progress.Say("batch %d (%d of %d): %s of %s", b.ID, i+1, len(batches), figures.Count(done+n),
				figures.Some(recipients, "recipient"))
		}
		at(0)
		if err := retention.Of(db).Prune(ctx, b.ID, at); err != nil {
			return fmt.Errorf("batch %d could not be pruned, those before it are: %w", b.ID, err)
		}
		done += b.Total
	}
	return nil
}

func layPrunable(p *term.Page, batches []queue.Status) {
	if len(batches) == 0 {
		return
	}
	var rows [][]string
	for _, b := range batches {
		rows = append(rows, []string{fmt.Sprint(b.ID), b.State, b.Client, figures.Count(b.Total),
			figures.Clock(*b.FinishedAt), term.Clip(b.Subject, 40)})
	}
	p.Table([]string{"BATCH", "STATE", "CLIENT", "TOTAL", "FINISHED", "SUBJECT"}, rows...)
}
