package main

import (
	"context"
	"encoding/csv"
	"errors"
	"fmt"
	"io"
	"os"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"enotify/cmd/enotify/figures"
	"enotify/cmd/enotify/recipients"
	"enotify/cmd/enotify/term"
	"enotify/queue"
)

// suppressionColumns are those of import and export; address alone must be there.
var suppressionColumns = []string{"address", "client", "cause", "until", "note"}

// badRowsShown is how many of the lines that are wrong are told of at once.
const badRowsShown = 20

func (a *app) suppressionImportCmd() *cobra.Command {
	return &cobra.Command{
		Use: "import FILE", Short: "Suppress the addresses of a CSV file, all or none", Args: one("a file, or -"),
		Long: `Reads CSV whose first line names the columns. "address" is required. Optional are
"client" (a domain; empty means all clients), "cause" (no_such_user,
mailbox_full, complaint, unsubscribe or, by default, operator), "until" (RFC
3339; empty means forever) and "note". When a line is wrong, nothing is added and
the wrong lines are named. A permanent suppression by a receiver or a reader is
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
					return fmt.Errorf("%s line 1: there is no column %s; there may be %s", name, column, strings.Join(suppressionColumns, ", "))
				}
			}
			return a.withQueue(cmd.Context(), func(ctx context.Context, db *queue.DB) error {
				read, added, bad, err := db.ImportSuppressions(ctx, badRowsShown, func() (queue.Suppressible, bool, error) { return suppressible(rows) })
				if err != nil {
					return err
				}
				if len(bad) > 0 {
					for _, b := range bad[1:] {
						a.hint("%s line %d: %s", name, b.Line, term.Clip(b.Problem, 200))
					}
					return fmt.Errorf("%s line %d: %s; nothing was added", name, bad[0].Line, term.Clip(bad[0].Problem, 200))
				}
				return a.say("%s read, %s added; the rest was suppressed for good already, or repeated", figures.Some(read, "line"), figures.Count(int(added)))
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
				return s, false, fmt.Errorf("%s line %d: until %q is no time such as %s; nothing was added", rows.Name(), s.Line, value, time.Now().Format(time.RFC3339))
			}
			s.Until = &t
		}
	}
	return s, true, nil
}

func (a *app) suppressionExportCmd() *cobra.Command {
	var client string
	cmd := &cobra.Command{
		Use: "export", Short: "Print all suppressed addresses as CSV that import reads", Args: cobra.NoArgs,
		RunE: a.onQueue(func(ctx context.Context, db *queue.DB, _ []string) error {
			w := csv.NewWriter(a.stdout)
			if err := w.Write(suppressionColumns); err != nil {
				return err
			}
			if err := db.ExportSuppressions(ctx, client, func(s queue.Suppression) error {
				until := ""
				if s.Until != nil {
					until = s.Until.UTC().Format(time.RFC3339)
				}
				return w.Write([]string{s.Address, s.Client, s.Cause, until, s.Note})
			}); err != nil {
				return err
			}
			w.Flush()
			return w.Error()
		}),
	}
	cmd.Flags().StringVar(&client, "client", "", "only suppressions that hold for the client `DOMAIN`")
	return cmd
}
