package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"enotify/cmd/enotify/figures"
	"enotify/cmd/enotify/keyring"
	"enotify/cmd/enotify/term"
	"enotify/cmd/enotify/watch"
	"enotify/queue"
	"enotify/queue/insight"
)

// How much of the bad news is shown.
const (
	failuresShown = 5 // domains per state and class
	doubtsShown   = 10
)

// A batchDetails is what batch show prints.
type batchDetails struct {
	queue.Status
	Log      []insight.Change      `json:"log"`
	Failures []insight.Failure     `json:"failures"`
	Doubts   []insight.Doubt       `json:"doubts"`
	NextDue  *time.Time            `json:"next_due"`
	Verdicts []queue.StoredVerdict `json:"verdicts"` // the verdicts that block it

	Preflight *queue.KeptPreflight `json:"preflight"` // the last one; nil: none was made
	Partial   bool                 `json:"partial"`   // the login sees no log, doubts and preflight
	Why       string               `json:"why"`       // it waits; "": it does not
	Forecast  string               `json:"forecast"`  // "": nothing is left to try, or the duration is unknown
}

func (a *app) batchShowCmd() *cobra.Command {
	var message string
	var own messageFlags
	cmd := &cobra.Command{
		Use: "show ID", Short: "Show the state of a batch, its history and what receivers say", Args: one("a number"),
		Long: `Shows the state of a batch, its history and what receivers say. With --message
it prints the message of one recipient instead, octet for octet as a node with
the same settings sends it. Before the batch begins, the Date is that of its
creation.`,
		Example: `  enotify batch show 42
  enotify batch show 42 --message citizen@mail.example > message.eml`,
		RunE: func(cmd *cobra.Command, args []string) error {
			id, err := batchID(args[0])
			if err != nil {
				return err
			}
			if message != "" {
				return a.showMessage(cmd.Context(), own, id, message)
			}
			return a.withReader(cmd.Context(), func(ctx context.Context, db *queue.DB) error {
				r, err := readDetails(ctx, db, id)
				if err != nil {
					return err
				}
				return a.print(r, r.lay)
			})
		},
	}
	cmd.Flags().StringVar(&message, "message", "", "print the message for `RECIPIENT`, by number or address")
	own.add(cmd.Flags())
	return cmd
}

// showMessage prints a message with the addresses that the nodes sign, where the
// login may read their keys.
func (a *app) showMessage(ctx context.Context, own messageFlags, id int64, who string) error {
	mail, err := own.sender()
	if err != nil {
		return err
	}
	return a.withQueue(ctx, func(ctx context.Context, db *queue.DB) error {
		keys, err := (&keyring.Keyring{DB: db}).Load(ctx)
		switch {
		case errors.Is(err, keyring.ErrNotAllowed):
			a.hint("the signed addresses in it lead nowhere: to sign as nodes do takes a member of enotify_sender")
		case err != nil:
			return err
		case len(keys) > 0:
			mail.Keys = keys
		}
		text, err := messageOf(ctx, db, mail, id, who)
		if err != nil {
			return err
		}
		if a.output == "json" {
			return a.print(map[string]string{"message": string(text)}, nil)
		}
		if term.IsTerminal(a.stdout) {
			lines := strings.Split(string(text), "\r\n")
			for i := range lines {
				lines[i] = term.Visible(lines[i])
			}
			text = []byte(strings.Join(lines, "\n"))
		}
		_, err = a.stdout.Write(text)
		return err
	})
}

func readDetails(ctx context.Context, db *queue.DB, id int64) (r batchDetails, err error) {
	if r.Status, err = db.Status(ctx, id); err != nil {
		return r, err
	}
	login, err := db.Login(ctx)
	if err != nil {
		return r, err
	}
	if !login.Admin && !login.Sender { // what the views for applications show
		r.Partial, r.Log, r.Doubts, r.Verdicts = true, []insight.Change{}, []insight.Doubt{}, []queue.StoredVerdict{}
		r.Failures, err = insight.Of(db).OwnFailures(ctx, id, failuresShown)
		return r, err
	}
	if r.Log, err = insight.Of(db).History(ctx, id); err != nil {
		return r, err
	}
	if r.Failures, err = insight.Of(db).Failures(ctx, id, failuresShown); err != nil {
		return r, err
	}
	if r.Doubts, err = insight.Of(db).Doubts(ctx, id, doubtsShown); err != nil {
		return r, err
	}
	if r.NextDue, err = insight.Of(db).NextDue(ctx, id); err != nil {
		return r, err
	}
	if r.Preflight, err = db.LastPreflight(ctx, id); err != nil {
		return r, err
	}
	around, err := look(ctx, db, &r.Status)
	if err != nil {
		return r, err
	}
	r.Why, r.Forecast = around.why(r.Status), around.line(r.Status)
	r.Verdicts = []queue.StoredVerdict{}
	if r.State == "blocked" {
		all, err := db.Verdicts(ctx, r.Client, verdictsShown)
		if err != nil {
			return r, err
		}
		r.Verdicts = slices.DeleteFunc(all,
			func(v queue.StoredVerdict) bool { return !v.Blocks || v.SupersededAt != nil })
	}
	return r, nil
}

func (r batchDetails) lay(p *term.Page) {
	r.layHead(p)
	if len(r.Verdicts) > 0 {
		p.Heading("Why it is blocked; it goes on by itself once the record is right")
		for _, v := range r.Verdicts {
			layVerdict(p, v)
		}
	}
	r.layCounts(p)
	r.layFailures(p)
	if len(r.Doubts) > 0 {
		p.Heading("In doubt: it may or may not have been delivered, and is not sent again")
		var rows [][]string
		for _, d := range r.Doubts {
			rows = append(rows, []string{figures.Clock(d.At), d.Address, term.Clip(d.Reply, 90)})
		}
		p.Table([]string{"SINCE", "ADDRESS", "WHY"}, rows...)
		if more := r.Unknown - len(r.Doubts); more > 0 {
			p.Line("and %s more", figures.Count(more))
		}
		p.Line("send to them again: enotify batch requeue %d --class unknown", r.ID)
		p.Line("take them for delivered: enotify batch requeue %d --class unknown --mark delivered", r.ID)
	}
	if r.Partial {
		p.Heading("Log, and recipients in doubt: for members of enotify_admin; each recipient: SELECT * FROM enotify.delivery WHERE batch_id = %d", r.ID)
		return
	}
	p.Heading("Log")
	var rows [][]string
	for _, c := range r.Log {
		rows = append(rows, []string{figures.Clock(c.At), c.To, c.Who(), c.Reason})
	}
	p.Table([]string{"AT", "STATE", "BY", "WHY"}, rows...)
}

func (r batchDetails) layHead(p *term.Page) {
	rows := [][]string{
		{"batch", strconv.FormatInt(r.ID, 10)},
		{"state", r.State},
	}
	if why := cmp.Or(r.Why, r.Reason); why != "" {
		rows = append(rows, []string{"why", why})
	}
	if r.Forecast != "" {
		rows = append(rows, []string{"forecast", r.Forecast})
	}
	rows = append(rows, []string{"client", r.Client}, []string{"from", r.FromAddress},
		[]string{"subject", term.Clip(r.Subject, 120)}, []string{"key", r.IdemKey})
	if r.Priority != 0 {
		rows = append(rows, []string{"priority", strconv.Itoa(r.Priority)})
	}
	if r.SendWindow != nil {
		rows = append(rows, []string{"window", *r.SendWindow})
	}
	rows = append(rows, []string{"created", p.Ago(r.CreatedAt) + " by " + r.CreatedBy})
	for _, t := range []struct {
		label string
		at    *time.Time
	}{{"not before", r.NotBefore}, {"submitted", r.SubmittedAt}, {"started", r.StartedAt}, {"finished", r.FinishedAt},
		{"pruned", r.PrunedAt}} {
		if t.at != nil {
			rows = append(rows, []string{t.label, p.Ago(*t.at)})
		}
	}
	if f := r.Preflight; f != nil {
		rows = append(rows, []string{"preflight",
			fmt.Sprintf("%s, %s by %s; enotify preflight %d --last", f.Verdict, p.Ago(f.At), f.By, r.ID)})
		if f.Forced != "" {
			rows = append(rows, []string{"", "submitted anyway: " + term.Clip(f.Forced, 120)})
		}
	}
	if r.FinishedAt == nil {
		rows = append(rows, []string{"expires", p.Ago(r.ExpiresAt)})
	}
	p.Table(nil, rows...)
}

func (r batchDetails) layCounts(p *term.Page) {
	if r.State == "draft" {
		p.Heading("Not submitted yet: enotify batch submit %d", r.ID)
		p.Table(nil, []string{"staged", figures.Count(r.Staged),
			"rows, not checked yet: each repeated address will count once"})
		return
	}
	p.Heading("Recipients")
	rows := [][]string{}
	for _, c := range r.Counts() {
		note := ""
		switch {
		case c.State == queue.Deferred && r.NextDue != nil:
			note = "next try " + p.Ago(*r.NextDue)
			if !r.NextDue.After(p.Now) {
				note = "the next try is due"
			}
		case c.State == queue.Unknown && c.N > 0:
			note = "in doubt after a crash or a lost connection"
		}
		if c.N > 0 || c.State == queue.Delivered {
			rows = append(rows, []string{string(c.State), figures.Count(c.N), note})
		}
	}
	rows = append(rows, []string{"total", figures.Count(r.Total), ""})
	p.Table(nil, rows...)
	if r.Duplicates > 0 {
		was := "were"
		if r.Duplicates == 1 {
			was = "was"
		}
		p.Line("%s repeated an address and %s left out", figures.Some(r.Duplicates, "line"), was)
	}
}

// layFailures prints what receivers say: a section per state and class, with
// the domains hit most.
func (r batchDetails) layFailures(p *term.Page) {
	for len(r.Failures) > 0 {
		first := r.Failures[0]
		n := 1
		for n < len(r.Failures) && r.Failures[n].State == first.State && r.Failures[n].Class == first.Class {
			n++
		}
		var rows [][]string
		domains := map[string]bool{}
		for _, f := range r.Failures[:n] {
			domains[f.Domain] = true
			rows = append(rows, []string{figures.Count(f.N), cmp.Or(f.Domain, "-"), term.Clip(f.Reply, 110)})
		}
		p.Heading("%s: %s", strings.TrimSuffix(first.State+", "+first.Class, ", "),
			figures.Some(first.Alike, "recipient"))
		p.Table([]string{"RECIPIENTS", "DOMAIN", "ONE OF THE REPLIES"}, rows...)
		if more := first.Domains - len(domains); more > 0 {
			p.Line("and %s", figures.Some(more, "more domain"))
		}
		if queue.Class(first.Class).Treatment().AsksGuard && first.State != string(queue.Deferred) {
			p.Line("once the record is right: enotify batch requeue %d --class %s", r.ID, first.Class)
		}
		r.Failures = r.Failures[n:]
	}
}

func (a *app) batchWatchCmd() *cobra.Command {
	return &cobra.Command{
		Use: "watch [ID]", Short: "Watch a batch until it ends, or those that have the turn",
		Args: atMost(1),
		Long: `Shows the progress of a batch: how far and how fast, what is left at the slowest
sites and why, which recipients were refused. On a terminal the picture is
redrawn; in a pipe, and with -o json, a line is written when something changed.

Without ID it shows the batch that has the turn until all its recipients were
tried, also when it is paused meanwhile, then the next one, until it is
interrupted.

Exit codes, with ID: 0 done; 2 blocked; 1 cancelled, or an error.`,
		Example: "  enotify batch watch 42",
		RunE: func(cmd *cobra.Command, args []string) error {
			w := &watch.Watch{Screen: a.newScreen(), JSON: a.output == "json", Out: a.stdout, Hint: a.stderr}
			if len(args) == 1 {
				id, err := batchID(args[0])
				if err != nil {
					return err
				}
				w.ID = id
			}
			return a.withQueue(cmd.Context(), func(ctx context.Context, db *queue.DB) error {
				if w.ID == 0 { // an application would wait for ever while others are sent
					if err := seesAll(ctx, db); err != nil {
						return err
					}
				}
				w.DB = db
				return w.Run(ctx)
			})
		},
	}
}
