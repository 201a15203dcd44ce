package main

import (
	"cmp"
	"context"
	"encoding/csv"
	"errors"
	"fmt"
	"io"
	"os"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"enotify/cmd/enotify/exit"
	"enotify/cmd/enotify/figures"
	"enotify/cmd/enotify/recipients"
	"enotify/cmd/enotify/term"
	"enotify/queue"
)

func (a *app) suppressionCmd() *cobra.Command {
	return noun("suppression", "Addresses that get no mail", a.suppressionListCmd(), a.suppressionExplainCmd(),
		a.suppressionAddCmd(), a.suppressionRemoveCmd(),
		a.suppressionImportCmd(), a.suppressionExportCmd())
}

func (a *app) suppressionListCmd() *cobra.Command {
	var client, match string
	var limit int
	cmd := &cobra.Command{
		Use: "list", Short: "List suppressed addresses, newest first", Args: atMost(0),
		RunE: func(cmd *cobra.Command, _ []string) error {
			if limit < 0 {
				return exit.Usagef("--limit %d: want 0 or more", limit)
			}
			return a.withReader(cmd.Context(), func(ctx context.Context, db *queue.DB) error {
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
					a.hint("no suppressed address matches")
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
		address := s.Address
		if s.Forgotten() {
			address = "(forgotten)"
		}
		rows = append(rows, []string{address, cmp.Or(s.Client, "all"), s.Cause, figures.Clock(s.AddedAt), s.AddedBy,
			until, batch, term.Clip(s.Note, 80)})
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
	cmd.Flags().StringVar(&client, "client", "",
		"lift the suppression of the client `DOMAIN`; default: the one for all clients")
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

// suppressionColumns are the columns of import and export; only address must be there.
var suppressionColumns = []string{"address", "client", "cause", "until", "note"}

// badRowsShown is how many of the lines that are wrong are told of at once.
const badRowsShown = 20

func (a *app) suppressionImportCmd() *cobra.Command {
	return &cobra.Command{
		Use: "import FILE", Short: "Suppress the addresses of a CSV file; none while a line is wrong", Args: one("a file, or -"),
		Long: `Reads CSV whose first line names the columns. "address" is required. Optional
are "client" (a domain; empty means all clients), "cause" (no_such_user,
mailbox_full, complaint, unsubscribe or, by default, operator), "until" (RFC
3339; empty means forever) and "note". When a line is wrong, nothing is added
and the wrong lines are named. Else 10,000 addresses are added at a time:
nothing that is sent meanwhile waits for more, and an import that is cut off
says how many it has added. A permanent suppression by a receiver or a reader is
not changed.`,
		Example: "  enotify suppression import unsubscribed.csv\n  enotify suppression export | ssh other enotify suppression import -",
		RunE: func(cmd *cobra.Command, args []string) error {
			in, name := a.stdin, "standard input"
			if args[0] != "-" {
				file, err := os.Open(args[0])
				if err != nil {
					return err
				}
				defer file.Close()
				in, name = file, args[0]
			}
			rows, err := recipients.NewCSV(in, name)
			if err != nil {
				return err
			}
			for _, column := range rows.Columns() {
				if !slices.Contains(suppressionColumns, strings.ToLower(column)) {
					return fmt.Errorf("%s line 1: there is no column %s; there may be %s", name, column,
						strings.Join(suppressionColumns, ", "))
				}
			}
			return a.withQueue(cmd.Context(), func(ctx context.Context, db *queue.DB) error {
				read, added, bad, err := db.ImportSuppressions(ctx, badRowsShown,
					func() (queue.Suppressible, bool, error) { return suppressible(rows) })
				if err != nil {
					return err
				}
				if len(bad) > 0 {
					for _, b := range bad[1:] {
						a.hint("%s line %d: %s", name, b.Line, term.Clip(b.Problem, 200))
					}
					return fmt.Errorf("%s line %d: %s; nothing was added", name, bad[0].Line,
						term.Clip(bad[0].Problem, 200))
				}
				return a.say("%s read, %s added; the rest was suppressed for good already, or repeated",
					figures.Some(read, "line"), figures.Count(int(added)))
			})
		},
	}
}

// suppressible is the next row, false after the last.
func suppressible(rows *recipients.CSV) (s queue.Suppressible, more bool, err error) {
	r, err := rows.Next()
	if errors.Is(err, io.EOF) {
		return s, false, nil
	}
	if err != nil {
		return s, false, err
	}
	s.Line = rows.Line()
	s.Address = r.Address
	for column, value := range rows.Fields() {
		value = strings.TrimSpace(value)
		switch strings.ToLower(column) {
		case "client":
			s.Client = strings.ToLower(value)
		case "cause":
			s.Cause = value
		case "note":
			s.Note = value
		case "until":
			if value == "" {
				continue
			}
			t, err := time.Parse(time.RFC3339, value)
			if err != nil {
				return s, false, fmt.Errorf("%s line %d: until %q is no time such as %s; nothing was added",
					rows.Name(), s.Line, value, time.Now().Format(time.RFC3339))
			}
			s.Until = &t
		}
	}
	return s, true, nil
}

func (a *app) suppressionExportCmd() *cobra.Command {
	var client string
	cmd := &cobra.Command{
		Use: "export", Short: "Print all suppressed addresses as CSV that import reads", Args: atMost(0),
		RunE: a.onReader(func(ctx context.Context, db *queue.DB, _ []string) error {
			w := csv.NewWriter(a.stdout)
			if err := w.Write(suppressionColumns); err != nil {
				return err
			}
			forgotten := 0
			if err := db.ExportSuppressions(ctx, client, func(s queue.Suppression) error {
				if s.Forgotten() {
					forgotten++
					return nil
				}
				until := ""
				if s.Until != nil {
					until = s.Until.UTC().Format(time.RFC3339)
				}
				// A note may be the words of a receiver.
				return w.Write([]string{s.Address, s.Client, s.Cause, until, term.Visible(s.Note)})
			}); err != nil {
				return err
			}
			if forgotten > 0 {
				a.hint("left out: %s of forgotten addresses, whose keyed hashes mean nothing in another database",
					figures.Some(forgotten, "suppression"))
			}
			w.Flush()
			return w.Error()
		}),
	}
	cmd.Flags().StringVar(&client, "client", "", "only suppressions that hold for the client `DOMAIN`")
	return cmd
}
