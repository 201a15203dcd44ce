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

	"enotify/cmd/enotify/exit"
	"enotify/cmd/enotify/figures"
	"enotify/cmd/enotify/preflight"
	"enotify/cmd/enotify/preflight/gather"
	"enotify/cmd/enotify/term"
	"enotify/queue"
	"enotify/sender/compose"
)

func (a *app) batchCmd() *cobra.Command {
	return noun("batch", "Notifications to many recipients", a.batchCreateCmd(), a.batchEditCmd(), a.batchSubmitCmd(), a.batchTestCmd(), a.batchListCmd(), a.batchShowCmd(), a.batchWatchCmd(),
		a.batchPauseCmd(), a.batchResumeCmd(), a.batchCancelCmd(), a.batchRequeueCmd(), a.batchAuditCmd(), a.batchDoubtCmd(), a.batchPruneCmd())
}

// batchVerb makes a verb that does one thing to one batch, and then says where
// the batch stands.
func (a *app) batchVerb(use, short string, do func(ctx context.Context, db *queue.DB, batch int64) error) *cobra.Command {
	return &cobra.Command{
		Use: use + " ID", Short: short, Args: one("a number"),
		RunE: func(cmd *cobra.Command, args []string) error {
			id, err := batchID(args[0])
			if err != nil {
				return err
			}
			return a.withQueue(cmd.Context(), func(ctx context.Context, db *queue.DB) error {
				if err := do(ctx, db, id); err != nil {
					return err
				}
				s, err := db.Status(ctx, id)
				if err != nil {
					return err
				}
				return a.print(s, func(p *term.Page) { p.Line("batch %d is %s: %s", id, s.State, tally(s)) })
			})
		},
	}
}

func batchID(text string) (int64, error) {
	id, err := strconv.ParseInt(text, 10, 64)
	if err != nil || id < 1 {
		return 0, exit.Usagef("%q is no batch: batches have numbers; enotify batch list shows them", text)
	}
	return id, nil
}

// tally counts recipients by state, those that there are.
func tally(s queue.Status) string {
	parts := append([]string{figures.Some(s.Total, "recipient")}, figures.Counts(s.Counts())...)
	return strings.Join(parts, ", ")
}

func (a *app) batchPauseCmd() *cobra.Command {
	var reason string
	cmd := a.batchVerb("pause", "Pause a batch; no new message begins after one second", func(ctx context.Context, db *queue.DB, batch int64) error {
		return db.Pause(ctx, batch, reason)
	})
	cmd.Flags().StringVar(&reason, "reason", "", "`TEXT` that says why; it is kept and shown")
	return cmd
}

func (a *app) batchResumeCmd() *cobra.Command {
	return a.batchVerb("resume", "Continue a paused batch; check SPF again for a blocked one", func(ctx context.Context, db *queue.DB, batch int64) error {
		return db.Resume(ctx, batch)
	})
}

func (a *app) batchCancelCmd() *cobra.Command {
	var reason string
	var yes *bool
	cmd := a.batchVerb("cancel", "Cancel a batch; recipients not yet tried get nothing", func(ctx context.Context, db *queue.DB, batch int64) error {
		s, err := db.Status(ctx, batch)
		if err != nil {
			return err
		}
		over := s.State == "cancelled" || s.State == "done" // nothing is lost
		if err := a.confirm(*yes || over, "cancel batch %d for good (%s, %s)?", batch, s.State, tally(s)); err != nil {
			return err
		}
		return db.Cancel(ctx, batch, reason)
	})
	cmd.Flags().StringVar(&reason, "reason", "", "`TEXT` that says why; it is kept and shown")
	yes = yesFlag(cmd)
	return cmd
}

// batchStates are those that --state takes.
var batchStates = []string{"draft", "queued", "sending", "draining", "retrying", "paused", "blocked", "done", "cancelled"}

// listed is how long a batch that has finished stays in the list without --all.
const listed = 24 * time.Hour

func (a *app) batchListCmd() *cobra.Command {
	var f queue.Filter
	var all bool
	limit := 50
	cmd := &cobra.Command{
		Use: "list", Short: "List unfinished batches and those finished within a day", Args: cobra.NoArgs,
		Long: `Lists the unfinished batches, and then those that finished within a day, each
the newest first. Of both it shows the newest 50; --limit shows more, and --before
the next ones.`,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if f.State != "" && !slices.Contains(batchStates, f.State) {
				return exit.Usagef("--state %s: want one of %s", f.State, strings.Join(batchStates, ", "))
			}
			if limit < 0 {
				return exit.Usagef("--limit %d: want how many to show, or 0 for all", limit)
			}
			if !all {
				f.Since = listed
			}
			if limit > 0 {
				f.Limit = limit + 1 // one more shows that there are more
			}
			return a.withQueue(cmd.Context(), func(ctx context.Context, db *queue.DB) error {
				batches, err := db.Batches(ctx, f)
				if err != nil {
					return err
				}
				if len(batches) == 0 {
					if err := seen(ctx, db); err != nil {
						return err
					}
					if all {
						a.hint("no batches")
					} else {
						a.hint("no batches; --all shows those that finished more than a day ago too")
					}
				}
				batches, more := newest(batches, limit)
				for _, hint := range more {
					a.hint("%s", hint)
				}
				return a.print(batches, func(p *term.Page) { layBatches(p, batches) })
			})
		},
	}
	fl := cmd.Flags()
	fl.StringVar(&f.State, "state", "", "only batches in `STATE`")
	fl.StringVar(&f.Client, "client", "", "only batches of the client `DOMAIN`")
	fl.BoolVar(&all, "all", false, "also batches that finished more than a day ago")
	fl.IntVar(&limit, "limit", limit, "show at most `N` unfinished batches, and N finished ones; 0: all")
	fl.Int64Var(&f.Before, "before", 0, "only batches with numbers below `ID`")
	_ = cmd.RegisterFlagCompletionFunc("state", cobra.FixedCompletions(batchStates, cobra.ShellCompDirectiveNoFileComp))
	return cmd
}

// newest keeps the first so many of the unfinished batches, and of the others, and
// says what it leaves out. Limit 0 keeps all.
func newest(batches []queue.Status, limit int) (kept []queue.Status, more []string) {
	if limit == 0 {
		return batches, nil
	}
	n := map[bool]int{}
	kept = batches[:0]
	for _, b := range batches {
		finished := b.FinishedAt != nil
		if n[finished]++; n[finished] <= limit {
			kept = append(kept, b)
			continue
		}
		kind := "unfinished"
		if finished {
			kind = "finished"
		}
		more = append(more, fmt.Sprintf("only the newest %d %s batches are listed; older ones: --limit 0, or --before %d", limit, kind, b.ID+1))
	}
	return kept, more
}

func layBatches(p *term.Page, batches []queue.Status) {
	if len(batches) == 0 {
		return
	}
	var rows [][]string
	for _, s := range batches {
		rows = append(rows, []string{
			strconv.FormatInt(s.ID, 10), s.State, s.Client, strconv.Itoa(s.Priority), figures.Count(s.Total), figures.Count(s.Pending + s.Sending), figures.Count(s.Deferred),
			figures.Count(s.Delivered), figures.Count(s.Bounced + s.Expired + s.Invalid), figures.Count(s.Suppressed + s.Cancelled), figures.Count(s.Unknown), term.Clip(s.Subject, 30), term.Clip(s.Reason, 60),
		})
	}
	p.Table([]string{"BATCH", "STATE", "CLIENT", "PRIO", "TOTAL", "WAITING", "DEFERRED", "DELIVERED", "FAILED", "NOT SENT", "UNKNOWN", "SUBJECT", "WHY"}, rows...)
}

func (a *app) batchAuditCmd() *cobra.Command {
	return &cobra.Command{
		Use: "audit [ID]", Short: "Check that each recipient is in exactly one state", Args: cobra.MaximumNArgs(1),
		Long: `Counts the recipients of one batch, or of all, in two ways: by the sums that
enotify keeps, and row by row. Both must equal the number of recipients that
were submitted, and each recipient must be in exactly one state.

Exit codes: 0 all counts agree; 2 they do not.`,
		RunE: func(cmd *cobra.Command, args []string) (err error) {
			var id int64
			if len(args) > 0 {
				if id, err = batchID(args[0]); err != nil {
					return err
				}
			}
			return a.withQueue(cmd.Context(), func(ctx context.Context, db *queue.DB) error {
				audits, err := db.Audit(ctx, id)
				if err != nil {
					return err
				}
				if err := a.print(audits, func(p *term.Page) { layAudits(p, audits) }); err != nil {
					return err
				}
				violated := 0
				for _, audit := range audits {
					if len(audit.Problems) > 0 {
						violated++
					}
				}
				if violated > 0 {
					return exit.With(exit.Blocked, fmt.Errorf("%s of %d violated; keep the database as it is and report this", figures.Some(violated, "batch"), len(audits)))
				}
				return nil
			})
		},
	}
}

func layAudits(p *term.Page, audits []queue.Audit) {
	for _, audit := range audits {
		var sum []string
		for _, c := range (queue.Status{}).Counts() {
			if n := audit.States[string(c.State)]; n > 0 {
				sum = append(sum, figures.Count(n)+" "+string(c.State))
			}
		}
		word := "balances"
		if len(audit.Problems) > 0 {
			word = "VIOLATED"
		}
		p.Line("batch %d %s %s: %s sealed = %s", audit.Batch, audit.State, p.Paint(word, term.StyleOf(word)), figures.Count(audit.Total), cmp.Or(strings.Join(sum, " + "), "0"))
		for _, problem := range audit.Problems {
			p.Line("  %s", problem)
		}
	}
}

func (a *app) batchSubmitCmd() *cobra.Command {
	p := &preflightFlags{app: a}
	var look, force bool
	var reason string
	cmd := a.batchVerb("submit", "Seal a draft and queue it", func(ctx context.Context, db *queue.DB, batch int64) error {
		switch {
		case force && !look:
			return exit.Usagef("--force is for --preflight")
		case force && strings.TrimSpace(reason) == "":
			return exit.Usagef("--force needs --reason: why it is sent all the same, for others to read")
		}
		if err := p.check(); err != nil {
			return err
		}
		content, err := db.Content(ctx, batch)
		switch {
		case errors.Is(err, queue.ErrDenied): // an application may submit; nodes check the content before the turn too
		case err != nil:
			return err
		default:
			if err := compose.Check(content); err != nil {
				return fmt.Errorf("batch %d cannot be sent: %w; cancel it and create another", batch, err)
			}
		}
		if look {
			if err := p.clear(ctx, db, batch, force, reason); err != nil {
				return err
			}
		}
		_, err = db.Submit(ctx, batch)
		return err
	})
	cmd.Long = `Seals a draft and queues it. With --preflight the draft is checked first, as
enotify preflight does. When a row blocks, the draft is not submitted: exit code
2, with the findings on standard error. --force submits it all the same, and
keeps who did so and why with the report.`
	f := cmd.Flags()
	f.BoolVar(&look, "preflight", false, "check the batch first; submit it only if nothing blocks")
	f.BoolVar(&force, "force", false, "with --preflight: submit although a row blocks")
	f.StringVar(&reason, "reason", "", "with --force: `TEXT` that says why; it is kept with the report")
	p.addSources(f)
	return cmd
}

// clear makes a report and keeps it. It refuses a batch when a row blocks.
func (p *preflightFlags) clear(ctx context.Context, db *queue.DB, batch int64, force bool, reason string) error {
	s, err := db.Status(ctx, batch)
	if err != nil {
		return err
	}
	if s.State != "draft" {
		return nil // it was submitted before; to submit it again changes nothing
	}
	_, r, err := p.report(ctx, db, gather.Campaign{ID: batch})
	if err != nil {
		return err
	}
	blocked := r.Summary.Readiness == preflight.Blocked
	if !blocked {
		reason = ""
	}
	if err := p.store(ctx, db, r, reason); err != nil {
		return err
	}
	if blocked && !force {
		return refused(p.app, r)
	}
	p.hint("%s", r.Line())
	return nil
}
