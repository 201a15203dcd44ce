package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"enotify/cmd/enotify/exit"
	"enotify/cmd/enotify/figures"
	"enotify/cmd/enotify/term"
	"enotify/queue"
	"enotify/queue/events"
)

func (a *app) eventCmd() *cobra.Command {
	return noun("event", "Records of what happened, for applications to read", a.eventListCmd(),
		a.eventOnCmd(), a.eventOffCmd(),
		a.eventShowCmd())
}

func (a *app) eventListCmd() *cobra.Command {
	var after int64
	var limit int
	cmd := &cobra.Command{
		Use: "list", Short: "List events, oldest first, of the clients that this login may see", Args: atMost(0),
		Example: "  enotify event list --after 1883003904000120 -o json",
		RunE: func(cmd *cobra.Command, _ []string) error {
			if limit < 1 || limit > 10000 {
				return exit.Usagef("--limit %d: want 1 to 10000", limit)
			}
			return a.withQueue(cmd.Context(), func(ctx context.Context, db *queue.DB) error {
				found, err := events.Of(db).List(ctx, after, limit)
				if err != nil {
					return err
				}
				if found == nil {
					found = []events.Event{}
				}
				switch {
				case len(found) == limit:
					a.hint("there may be more: --after %d", found[limit-1].ID)
				case len(found) == 0:
					if err := seen(ctx, db); err != nil {
						return err
					}
					a.hint("no event; enotify event show says whether they are recorded")
				}
				return a.print(found, func(p *term.Page) { layEvents(p, found) })
			})
		},
	}
	f := cmd.Flags()
	f.Int64Var(&after, "after", 0, "only events after this `ID`; 0 begins with the oldest that is kept")
	f.IntVar(&limit, "limit", 100, "at most this many, up to 10000")
	return cmd
}

func layEvents(p *term.Page, found []events.Event) {
	if len(found) == 0 {
		return
	}
	var rows [][]string
	for _, e := range found {
		batch := "-"
		if e.Batch != nil {
			batch = strconv.FormatInt(*e.Batch, 10)
		}
		rows = append(rows, []string{strconv.FormatInt(e.ID, 10), figures.Clock(e.At), e.Kind, orDash(e.Client), batch,
			orDash(e.Address), term.Clip(compact(e.Data), 80)})
	}
	p.Table([]string{"ID", "AT", "EVENT", "CLIENT", "BATCH", "ADDRESS", "DATA"}, rows...)
}

func orDash(s *string) string {
	if s == nil {
		return "-"
	}
	return *s
}

func compact(raw json.RawMessage) string {
	var b bytes.Buffer
	if json.Compact(&b, raw) != nil || b.String() == "{}" {
		return ""
	}
	return b.String()
}

func (a *app) eventOnCmd() *cobra.Command {
	var client, keep string
	cmd := &cobra.Command{
		Use: "on", Short: "Record events of a client, or of all", Args: atMost(0),
		Long: `Records from now on what happens to recipients, batches and the record of a
client, or of all clients. Applications read it with enotify.events(), webhooks
push it. Without it nothing is recorded. A webhook switches it on by itself.`,
		Example: "  enotify event on --client town.example\n  enotify event on --keep 7d",
		RunE: func(cmd *cobra.Command, _ []string) error {
			var span time.Duration
			if keep != "" {
				var err error
				if span, err = figures.ParseSpan(keep); err != nil || span < time.Hour {
					return exit.Usagef("--keep %s: want a duration of 1h or more, such as 30d", keep)
				}
			}
			return a.withQueue(cmd.Context(), func(ctx context.Context, db *queue.DB) error {
				if keep != "" {
					if err := events.Of(db).Keep(ctx, span); err != nil {
						return err
					}
				}
				if err := events.Of(db).Record(ctx, client, true); err != nil {
					return err
				}
				return a.say("events of %s are recorded", ofClient(client))
			})
		},
	}
	cmd.Flags().StringVar(&client, "client", "", "only of the client `DOMAIN`; default: of all clients")
	cmd.Flags().StringVar(&keep, "keep", "", "keep events for `DURATION`, of all clients; 30d at first")
	return cmd
}

func ofClient(client string) string {
	if client == "" {
		return "all clients"
	}
	return client
}

func (a *app) eventOffCmd() *cobra.Command {
	var client string
	cmd := &cobra.Command{
		Use: "off", Short: "Record no more events of a client, or of all", Args: atMost(0),
		Long: `Stops recording. Without --client it ends the recording for all clients that
enotify event on without --client began; clients that were switched on one by
one stay on. What was recorded can be read until it is dropped.`,
		RunE: func(cmd *cobra.Command, _ []string) error {
			return a.withQueue(cmd.Context(), func(ctx context.Context, db *queue.DB) error {
				if err := events.Of(db).Record(ctx, client, false); err != nil {
					return err
				}
				now, err := events.Of(db).Recording(ctx)
				if err != nil {
					return err
				}
				switch {
				case client != "" && now.Every:
					return errors.New("events of all clients are recorded, so those of one cannot be left out; enotify event off ends the recording of all")
				case client == "" && len(now.Clients) > 0:
					return a.say("events are recorded of %s alone", strings.Join(now.Clients, ", "))
				}
				return a.say("events of %s are not recorded", ofClient(client))
			})
		},
	}
	cmd.Flags().StringVar(&client, "client", "", "only of the client `DOMAIN`; default: of all clients")
	return cmd
}

func (a *app) eventShowCmd() *cobra.Command {
	return &cobra.Command{
		Use: "show", Short: "Show which events are recorded, and for how long they are kept", Args: atMost(0),
		RunE: a.onQueue(func(ctx context.Context, db *queue.DB, _ []string) error {
			now, err := events.Of(db).Recording(ctx)
			if err != nil {
				return err
			}
			return a.print(now, func(p *term.Page) {
				of := "no client: enotify event on"
				switch {
				case now.Every:
					of = "all clients"
				case len(now.Clients) > 0:
					of = strings.Join(now.Clients, ", ")
				}
				p.Table(nil, []string{"recorded", "of " + of}, []string{"kept for", now.KeepFor},
					[]string{"last event", fmt.Sprint(now.Last)})
			})
		}),
	}
}
