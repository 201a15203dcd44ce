package main

import (
	"context"
	"fmt"

	"github.com/spf13/cobra"

	"enotify/cmd/enotify/exit"
	"enotify/cmd/enotify/figures"
	"enotify/cmd/enotify/term"
	"enotify/queue"
)

// orAll lets a verb for one batch take --client or --all in place of its number.
// done says what was done with the batches; left says which stay unchanged, and why.
func (a *app) orAll(cmd *cobra.Command, done string, left func(n int, of string) string,
	do func(ctx context.Context, db *queue.DB, client string) (queue.Steered, error)) *cobra.Command {
	var client string
	var all bool
	cmd.Flags().StringVar(&client, "client", "", "all batches of the client `DOMAIN` in place of one")
	cmd.Flags().BoolVar(&all, "all", false, "all batches in place of one")
	verb, ofOne := cmd.Name(), cmd.RunE
	cmd.Use = verb + " ID | --client DOMAIN | --all"
	cmd.DisableFlagsInUseLine = true
	cmd.Args = cobra.ArbitraryArgs
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		if client == "" && !all {
			if err := one("a number, --client DOMAIN or --all")(cmd, args); err != nil {
				return exit.Usagef("%w; see %s --help", err, cmd.CommandPath())
			}
			return ofOne(cmd, args)
		}
		if len(args) > 0 || client != "" && all {
			return exit.Usagef("give a batch, --client DOMAIN or --all: one of them; see %s --help", cmd.CommandPath())
		}
		return a.withQueue(cmd.Context(), func(ctx context.Context, db *queue.DB) error {
			of := ""
			if client != "" {
				c, err := db.Client(ctx, client)
				if err != nil {
					return err
				}
				client, of = c.Domain, " of "+c.Domain
			}
			s, err := do(ctx, db, client)
			if err != nil {
				return err
			}
			if s.Left > 0 {
				a.hint("%s", left(s.Left, of))
			}
			return a.print(s, func(p *term.Page) { p.Line("%s%s %s", figures.Some(s.Batches, "batch"), of, done) })
		})
	}
	return cmd
}

func leftGoing(n int, of string) string {
	return fmt.Sprintf("%s%s could not be paused, as other sessions hold them: enotify batch list, and again",
		figures.Some(n, "batch"), of)
}

func leftPaused(n int, of string) string {
	return fmt.Sprintf("%s%s not resumed: paused for itself, each goes on with enotify batch resume ID; enotify batch list --state paused", figures.Some(n, "batch"), of)
}
