package main

import (
	"context"
	"fmt"
	"time"

	"github.com/spf13/cobra"

	"enotify/cmd/enotify/exit"
	"enotify/cmd/enotify/figures"
	"enotify/cmd/enotify/term"
	"enotify/queue"
)

// requeueFlags are the flags of batch requeue.
type requeueFlags struct {
	class, mark, expires string
	dryRun               bool
}

// requeueDomains is how many domains are shown of each class.
const requeueDomains = 5

func (a *app) batchRequeueCmd() *cobra.Command {
	var f requeueFlags
	cmd := &cobra.Command{
		Use: "requeue ID", Short: "Send again to recipients in doubt, or refused by a cured fault",
		Args: one("a number"),
		Long: `Sends again to the recipients of a batch that ended with one class of reply,
such as auth_rejected, or as "expired", or as "unknown", which means in doubt
after a crash. Addresses suppressed since are left out. The guard checks the
client's SPF record before anything leaves.

With --class unknown --mark delivered nothing is sent: recipients in doubt are
recorded as delivered. --dry-run shows how many recipients would be sent to, by
class and domain.`,
		Example: `  enotify batch requeue 42 --dry-run
  enotify batch requeue 42 --class auth_rejected
  enotify batch requeue 42 --class unknown --mark delivered`,
	}
	yes := yesFlag(cmd)
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		id, err := batchID(args[0])
		if err != nil {
			return err
		}
		expires, err := f.check()
		if err != nil {
			return err
		}
		return a.withQueue(cmd.Context(), func(ctx context.Context, db *queue.DB) error {
			return a.requeue(ctx, db, id, f, expires, *yes)
		})
	}
	fl := cmd.Flags()
	fl.StringVar(&f.class, "class", "", "recipients that ended as `CLASS`: auth_rejected, policy, spam_block, …, or expired, or unknown")
	fl.StringVar(&f.mark, "mark", "", "with --class unknown: send nothing, record them as `delivered`")
	fl.StringVar(&f.expires, "expires", "",
		"try nothing after `TIME`; default: as before, or in 3 days if that has passed")
	fl.BoolVar(&f.dryRun, "dry-run", false, "only show the recipients; without --class, the recipients of every class")
	_ = cmd.RegisterFlagCompletionFunc("class",
		cobra.FixedCompletions(requeueClasses, cobra.ShellCompDirectiveNoFileComp))
	return cmd
}

var requeueClasses = func() []string {
	words := []string{"unknown", "expired"}
	for _, c := range queue.Classes() {
		if c.Treatment().Requeues {
			words = append(words, string(c))
		}
	}
	return words
}()

func (f requeueFlags) check() (expires *time.Time, err error) {
	switch {
	case f.class == "" && !f.dryRun:
		return nil, exit.Usagef("--class is missing: which recipients to send to again; --dry-run counts them by class")
	case f.mark != "" && f.mark != "delivered":
		return nil, exit.Usagef("--mark %s: want delivered", f.mark)
	case f.mark != "" && f.class != "unknown":
		return nil, exit.Usagef("--mark is for recipients in doubt: it needs --class unknown")
	case f.mark != "" && f.expires != "":
		return nil, exit.Usagef("--expires is for recipients that are sent to again, and --mark sends nothing")
	case f.expires == "":
		return nil, nil
	}
	t, err := figures.ParseMoment(f.expires, time.Now())
	if err != nil {
		return nil, exit.Usagef("--expires: %v", err)
	}
	return &t, nil
}

// A requeued is the result of batch requeue.
type requeued struct {
	queue.Status
	Requeued int `json:"requeued"` // to be sent to again
	LeftOut  int `json:"left_out"` // suppressed meanwhile
	Marked   int `json:"marked_delivered"`
}

func (a *app) requeue(ctx context.Context, db *queue.DB, id int64, f requeueFlags, expires *time.Time, yes bool) error {
	before, err := db.Status(ctx, id)
	if err != nil {
		return err
	}
	found, err := db.Requeueable(ctx, id, f.class, requeueDomains)
	if err != nil {
		return err
	}
	if f.dryRun {
		return a.print(found, func(p *term.Page) { layRequeueable(p, id, f.class, found) })
	}
	r := requeued{}
	switch {
	case f.mark != "":
		if before.Unknown > 0 {
			if err := a.confirm(yes, "take %s of batch %d who are in doubt for delivered, without sending?",
				figures.Some(before.Unknown, "recipient"), id); err != nil {
				return err
			}
		}
		r.Marked, err = db.MarkDelivered(ctx, id)
	default:
		if len(found) > 0 {
			if err := a.confirm(yes, "%s", requeueQuestion(before, found[0])); err != nil {
				return err
			}
		}
		r.Requeued, r.LeftOut, err = db.Requeue(ctx, id, f.class, expires)
	}
	if err != nil {
		return err
	}
	if r.Status, err = db.Status(ctx, id); err != nil {
		return err
	}
	return a.print(r, func(p *term.Page) { r.lay(p, f) })
}

func requeueQuestion(s queue.Status, found queue.Requeueable) string {
	question := fmt.Sprintf("send batch %d (%s, %s) again to %s who ended as %s?", s.ID, s.State, s.Client,
		figures.Some(found.Alike-found.AlikeSuppressed, "recipient"), found.Class)
	if found.Class == "unknown" {
		question = "those in doubt may have got it already; " + question
	}
	return question
}

func (r requeued) lay(p *term.Page, f requeueFlags) {
	switch {
	case f.mark != "":
		p.Line("%s taken for delivered", figures.Some(r.Marked, "recipient"))
	case r.Requeued == 0:
		p.Line("no recipient to send to again as %s; enotify batch requeue %d --dry-run counts them by class", f.class, r.ID)
	default:
		p.Line("%s to be sent to again%s", figures.Some(r.Requeued, "recipient"), map[string]string{
			"paused":  fmt.Sprintf(" once it goes on: enotify batch resume %d", r.ID),
			"blocked": " once it is no longer blocked: " + r.Reason,
		}[r.State])
	}
	if r.LeftOut > 0 {
		p.Line("%s left out, suppressed meanwhile; enotify suppression list shows why",
			figures.Some(r.LeftOut, "recipient"))
	}
	p.Line("batch %d is %s: %s", r.ID, r.State, tally(r.Status))
}

// layRequeueable prints a section per class, with the domains hit most.
func layRequeueable(p *term.Page, batch int64, class string, found []queue.Requeueable) {
	if len(found) == 0 {
		p.Line("nobody of batch %d can be sent to again%s", batch, map[bool]string{true: " as " + class}[class != ""])
	}
	for len(found) > 0 {
		first, n := found[0], 0
		var rows [][]string
		for n < len(found) && found[n].Class == first.Class {
			rows = append(rows, []string{figures.Count(found[n].N - found[n].Suppressed),
				figures.Count(found[n].Suppressed), found[n].Domain})
			n++
		}
		p.Heading("%s: %s; enotify batch requeue %d --class %s", first.Class,
			figures.Some(first.Alike-first.AlikeSuppressed, "recipient"), batch, first.Class)
		p.Table([]string{"RECIPIENTS", "SUPPRESSED", "DOMAIN"}, rows...)
		if more := first.Domains - n; more > 0 {
			p.Line("and %s", figures.Some(more, "more domain"))
		}
		found = found[n:]
	}
}
