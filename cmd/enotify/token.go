package main

import (
	"context"
	"crypto/rand"
	"strconv"
	"strings"

	"github.com/spf13/cobra"

	"enotify/cmd/enotify/exit"
	"enotify/cmd/enotify/figures"
	"enotify/cmd/enotify/term"
	"enotify/queue"
)

func (a *app) tokenCmd() *cobra.Command {
	return noun("token", "Tokens of applications that enqueue over HTTP", a.tokenAddCmd(), a.tokenListCmd(),
		a.tokenRemoveCmd())
}

func (a *app) tokenAddCmd() *cobra.Command {
	var login, note string
	cmd := &cobra.Command{
		Use: "add", Short: "Make a token of a login, and print it", Args: atMost(0),
		Long: `Makes a bearer token for the listener of enotify run --submit. Whoever has it
can enqueue for the clients that the login is tied to, and see their batches, as
the login can by SQL. It is printed now and never again: the database has a
hash.`,
		Example: "  enotify token add --role cms --note 'the web shop'",
		RunE: func(cmd *cobra.Command, _ []string) error {
			if login == "" {
				return exit.Usagef("name the login that the application acts as: --role LOGIN")
			}
			return a.withQueue(cmd.Context(), func(ctx context.Context, db *queue.DB) error {
				token := "enotify_" + strings.ToLower(rand.Text())
				_, check := queue.TokenKeyOf(token)
				id, err := db.AddToken(ctx, login, note, check)
				if err != nil {
					return err
				}
				return a.print(map[string]any{"id": id, "token": token}, func(p *term.Page) {
					p.Line("%s", token)
					a.hint("token %d acts as %s and is shown only now; enotify token rm %d ends it", id, login, id)
				})
			})
		},
	}
	cmd.Flags().StringVar(&login, "role", "", "the application's `LOGIN`")
	cmd.Flags().StringVar(&note, "note", "", "`TEXT` that says who has it")
	return cmd
}

func (a *app) tokenListCmd() *cobra.Command {
	return &cobra.Command{
		Use: "list", Short: "List the tokens, without their secrets", Args: atMost(0),
		RunE: a.onQueue(func(ctx context.Context, db *queue.DB, _ []string) error {
			tokens, err := db.Tokens(ctx)
			if err != nil {
				return err
			}
			if tokens == nil {
				tokens = []queue.Token{}
			}
			if len(tokens) == 0 {
				a.hint("no token; enotify token add --role LOGIN makes one")
			}
			return a.print(tokens, func(p *term.Page) {
				var rows [][]string
				for _, t := range tokens {
					state := "accepted"
					if t.RetiredAt != nil {
						state = "retired " + p.Ago(*t.RetiredAt)
					}
					rows = append(rows, []string{strconv.Itoa(int(t.ID)), t.Login, state, figures.Clock(t.CreatedAt),
						t.CreatedBy, t.Note})
				}
				if rows != nil {
					p.Table([]string{"TOKEN", "LOGIN", "STATE", "MADE", "BY", "NOTE"}, rows...)
				}
			})
		}),
	}
}

func (a *app) tokenRemoveCmd() *cobra.Command {
	cmd := &cobra.Command{Use: "rm ID", Short: "Refuse a token from now on, for good",
		Args: one("the number of a token")}
	yes := yesFlag(cmd)
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		id, err := strconv.ParseInt(args[0], 10, 32)
		if err != nil || id < 1 {
			return exit.Usagef("%s: want the number of a token; enotify token list shows them", args[0])
		}
		return a.withQueue(cmd.Context(), func(ctx context.Context, db *queue.DB) error {
			if err := a.confirm(*yes, "refuse token %d for good?", id); err != nil {
				return err
			}
			if err := db.RetireToken(ctx, int32(id)); err != nil {
				return err
			}
			return a.say("token %d is refused", id)
		})
	}
	return cmd
}
