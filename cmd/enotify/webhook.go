package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"enotify/cmd/enotify/exit"
	"enotify/cmd/enotify/figures"
	"enotify/cmd/enotify/term"
	"enotify/cmd/enotify/webhook"
	"enotify/queue"
	"enotify/queue/events"
)

func (a *app) webhookCmd() *cobra.Command {
	return noun("webhook", "Receivers that events are pushed to", a.webhookAddCmd(), a.webhookListCmd(),
		a.webhookShowCmd(), a.webhookTestCmd(),
		a.webhookReplayCmd(), a.webhookEnableCmd(), a.webhookRemoveCmd())
}

func (a *app) webhookAddCmd() *cobra.Command {
	w := events.Webhook{}
	var all bool
	cmd := &cobra.Command{
		Use: "add URL", Short: "Push events to a URL, signed", Args: one("a URL"),
		Long: `Has the nodes push what happens from now on, as POST requests in the form of
Standard Webhooks, and records the events of the client from now on. The secret
that signs is printed now and never again: the receiver checks webhook-signature
with it. What is not acknowledged by 2xx is sent again for 5 days, in order;
then the webhook is disabled, with an alert.`,
		Example: "  enotify webhook add https://cms.example/hooks/mail --client town.example --events delivered,bounced,batch",
		RunE: func(cmd *cobra.Command, args []string) error {
			w.URL = args[0]
			if err := checkHook(&w, all); err != nil {
				return err
			}
			return a.withQueue(cmd.Context(), func(ctx context.Context, db *queue.DB) error {
				secret, shown := webhook.NewSecret()
				id, err := events.Of(db).AddWebhook(ctx, w, secret)
				if err != nil {
					return err
				}
				return a.print(map[string]any{"id": id, "secret": shown}, func(p *term.Page) {
					p.Table(nil, []string{"webhook", strconv.Itoa(int(id))}, []string{"secret", shown})
					a.hint("this secret is shown only now; try the receiver: enotify webhook test %d", id)
				})
			})
		},
	}
	f := cmd.Flags()
	f.StringVar(&w.Client, "client", "", "events of the client `DOMAIN`")
	f.BoolVar(&all, "all-clients", false, "events of all clients, for a receiver of the operator's")
	f.StringSliceVar(&w.Kinds, "events", nil, "only these `KINDS`, separated by commas: "+
		strings.Join(events.Kinds(), ", ")+"; default: all")
	_ = cmd.RegisterFlagCompletionFunc("events",
		cobra.FixedCompletions(events.Kinds(), cobra.ShellCompDirectiveNoFileComp))
	return cmd
}

func checkHook(w *events.Webhook, all bool) error {
	u, err := url.Parse(w.URL)
	if err != nil || u.Scheme != "https" && u.Scheme != "http" || u.Hostname() == "" || u.User != nil ||
		u.Fragment != "" {
		return exit.Usagef("%s: want an https URL, such as https://cms.example/hooks/mail", w.URL)
	}
	if (w.Client == "") == !all {
		return exit.Usagef("say whose events: --client DOMAIN, or --all-clients")
	}
	for _, kind := range w.Kinds {
		if !slices.Contains(events.Kinds(), kind) {
			return exit.Usagef("--events %s: want some of %s", kind, strings.Join(events.Kinds(), ", "))
		}
	}
	return nil
}

func (a *app) webhookListCmd() *cobra.Command {
	return &cobra.Command{
		Use: "list", Short: "List the webhooks", Args: atMost(0),
		RunE: a.onQueue(func(ctx context.Context, db *queue.DB, _ []string) error {
			hooks, err := events.Of(db).Webhooks(ctx)
			if err != nil {
				return err
			}
			if hooks == nil {
				hooks = []events.Webhook{}
			}
			if len(hooks) == 0 {
				a.hint("no webhook; enotify webhook add URL --client DOMAIN adds one")
			}
			return a.print(hooks, func(p *term.Page) {
				var rows [][]string
				for _, w := range hooks {
					rows = append(rows, []string{strconv.Itoa(int(w.ID)), cmp.Or(w.Client, "all"), kindsOf(w),
						stateOf(p, w), figures.Count(int(w.Delivered)), w.URL})
				}
				if rows != nil {
					p.Table([]string{"WEBHOOK", "CLIENT", "EVENTS", "STATE", "DELIVERED", "URL"}, rows...)
				}
			})
		}),
	}
}

func kindsOf(w events.Webhook) string { return cmp.Or(strings.Join(w.Kinds, ","), "all") }

func stateOf(p *term.Page, w events.Webhook) string {
	switch {
	case w.DisabledAt != nil:
		return "disabled " + p.Ago(*w.DisabledAt)
	case w.Failures > 0 && w.FailingSince != nil:
		return fmt.Sprintf("failing since %s, next try %s", figures.Clock(*w.FailingSince), p.Ago(w.DueAt))
	}
	return "ok"
}

func (a *app) webhookShowCmd() *cobra.Command {
	return &cobra.Command{
		Use: "show ID", Short: "Show a webhook: how far it has come, and why it fails",
		Args: one("the number of a webhook"),
		RunE: a.onWebhook(func(ctx context.Context, db *queue.DB, id int32) error {
			w, err := events.Of(db).Webhook(ctx, id)
			if err != nil {
				return err
			}
			return a.print(w, func(p *term.Page) {
				last := "none yet"
				if w.DeliveredAt != nil {
					last = fmt.Sprintf("%d, acknowledged %s", w.After, p.Ago(*w.DeliveredAt))
				}
				rows := [][]string{
					{"webhook", strconv.Itoa(int(w.ID))}, {"client", cmp.Or(w.Client, "all")}, {"events", kindsOf(w)},
					{"url", w.URL},
					{"state", stateOf(p, w)}, {"delivered", figures.Count(int(w.Delivered))}, {"last event", last},
					{"added", fmt.Sprintf("%s by %s", figures.Clock(w.CreatedAt), w.CreatedBy)},
				}
				if w.Failure != "" {
					rows = append(rows, []string{"last failure", w.Failure})
				}
				if w.DisabledAt != nil {
					rows = append(rows, []string{"next", fmt.Sprintf("enotify webhook enable %d", w.ID)})
				}
				p.Table(nil, rows...)
			})
		}),
	}
}

// onWebhook is a verb that takes the number of a webhook.
func (a *app) onWebhook(verb func(ctx context.Context, db *queue.DB, id int32) error) func(*cobra.Command,
	[]string) error {
	return func(cmd *cobra.Command, args []string) error {
		id, err := strconv.ParseInt(args[0], 10, 32)
		if err != nil || id < 1 {
			return exit.Usagef("%s: want the number of a webhook; enotify webhook list shows them", args[0])
		}
		return a.withQueue(cmd.Context(),
			func(ctx context.Context, db *queue.DB) error { return verb(ctx, db, int32(id)) })
	}
}

func (a *app) webhookTestCmd() *cobra.Command {
	var wait time.Duration
	cmd := &cobra.Command{
		Use: "test ID", Short: "Push a test event, and wait for the receiver's answer",
		Args: one("the number of a webhook"),
		Long: `Has a node push an event of kind test. Events that wait are pushed before it.
Exits with 2 when the receiver does not acknowledge it.`,
	}
	cmd.Flags().DurationVar(&wait, "wait", 30*time.Second, "how long to wait for the answer")
	cmd.RunE = a.onWebhook(func(ctx context.Context, db *queue.DB, id int32) error {
		before, err := events.Of(db).Webhook(ctx, id)
		if err != nil {
			return err
		}
		if before.DisabledAt != nil {
			return fmt.Errorf("webhook %d is disabled: enotify webhook enable %[1]d tries it again", id)
		}
		event, err := events.Of(db).TestWebhook(ctx, id)
		if err != nil {
			return err
		}
		ctx, cancel := context.WithTimeout(ctx, wait)
		defer cancel()
		for tick := time.NewTicker(100 * time.Millisecond); ; {
			done, failures, failure, err := events.Of(db).Tested(ctx, id, event)
			switch {
			case err == nil && done:
				return a.say("webhook %d works", id)
			case err == nil && failures > before.Failures:
				return exit.With(exit.Blocked, fmt.Errorf("webhook %d: %s", id, failure))
			case err != nil && ctx.Err() == nil:
				return err
			}
			select {
			case <-ctx.Done():
				if !errors.Is(ctx.Err(), context.DeadlineExceeded) {
					return ctx.Err()
				}
				return exit.With(exit.Blocked,
					fmt.Errorf("webhook %d: no answer in %s; nodes push events: is one running? enotify node list", id,
						figures.Span(wait)))
			case <-tick.C:
			}
		}
	})
	return cmd
}

func (a *app) webhookReplayCmd() *cobra.Command {
	var from string
	cmd := &cobra.Command{
		Use: "replay ID", Short: "Push events again, from a time or an event on", Args: one("the number of a webhook"),
		Long: `Pushes again what happened from a time or an event on, as far as it is kept, and
then what follows. It enables a webhook that is disabled. Events keep their ids.`,
		Example: "  enotify webhook replay 3 --from 2h\n  enotify webhook replay 3 --from 1883003904000120",
	}
	cmd.Flags().StringVar(&from, "from", "",
		"the id of an event, a `TIME` in RFC 3339, or a duration before now such as 2h")
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		event, at, err := replayPoint(from, time.Now())
		if err != nil {
			return err
		}
		return a.onWebhook(func(ctx context.Context, db *queue.DB, id int32) (err error) {
			if event == 0 {
				if event, err = events.Of(db).First(ctx, at); err != nil {
					return err
				}
			}
			gone, err := events.Of(db).ReplayWebhook(ctx, id, event)
			if err != nil {
				return err
			}
			a.warnGone(gone)
			return a.say("webhook %d gets what happened from event %d on", id, event)
		})(cmd, args)
	}
	return cmd
}

// replayPoint reads an event's id, or a time.
func replayPoint(from string, now time.Time) (event int64, at time.Time, err error) {
	if event, err := strconv.ParseInt(from, 10, 64); err == nil && event > 0 {
		return event, at, nil
	}
	if span, err := figures.ParseSpan(from); err == nil {
		return 0, now.Add(-span), nil
	}
	if at, err = time.Parse(time.RFC3339, from); err != nil {
		return 0, at, exit.Usagef("--from %q: want the id of an event, a time in RFC 3339, or a duration such as 2h",
			from)
	}
	return 0, at, nil
}

func (a *app) webhookEnableCmd() *cobra.Command {
	return &cobra.Command{
		Use: "enable ID", Short: "Try a webhook again at once, from where it stopped",
		Args: one("the number of a webhook"),
		RunE: a.onWebhook(func(ctx context.Context, db *queue.DB, id int32) error {
			gone, err := events.Of(db).EnableWebhook(ctx, id)
			if err != nil {
				return err
			}
			a.warnGone(gone)
			return a.say("webhook %d is enabled", id)
		}),
	}
}

// warnGone says that a webhook misses events, which were older than events are kept.
func (a *app) warnGone(upto int64) {
	if upto > 0 {
		a.hint("it misses events up to %d, which are kept no more: ask enotify batch show for those batches", upto)
	}
}

func (a *app) webhookRemoveCmd() *cobra.Command {
	cmd := &cobra.Command{
		Use: "rm ID", Short: "Remove a webhook; its secret is gone for good", Args: one("the number of a webhook"),
	}
	yes := yesFlag(cmd)
	cmd.RunE = a.onWebhook(func(ctx context.Context, db *queue.DB, id int32) error {
		w, err := events.Of(db).Webhook(ctx, id)
		if err != nil {
			return err
		}
		if err := a.confirm(*yes, "remove webhook %d, which pushes events of %s to %s?", id, ofClient(w.Client),
			w.URL); err != nil {
			return err
		}
		if err := events.Of(db).RemoveWebhook(ctx, id); err != nil {
			return err
		}
		return a.say("webhook %d is removed; events of %s go on being recorded: enotify event off ends that", id,
			ofClient(w.Client))
	})
	return cmd
}
