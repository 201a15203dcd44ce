package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"strconv"
	"strings"

	"github.com/spf13/cobra"

	"enotify/cmd/enotify/exit"
	"enotify/cmd/enotify/figures"
	"enotify/cmd/enotify/preflight"
	"enotify/cmd/enotify/preflight/gather"
	"enotify/cmd/enotify/term"
	"enotify/queue"
	"enotify/queue/insight"
	"enotify/sender/compose"
)

func (a *app) batchCmd() *cobra.Command {
	return noun("batch", "Notifications to many recipients", a.batchCreateCmd(), a.batchEditCmd(), a.batchReadyCmd(),
		a.batchRehearseCmd(), a.batchSubmitCmd(), a.batchTestCmd(), a.batchListCmd(), a.batchShowCmd(),
		a.batchWatchCmd(),
		a.batchPauseCmd(), a.batchResumeCmd(), a.batchCancelCmd(), a.batchRequeueCmd(), a.batchAuditCmd(),
		a.batchDoubtCmd(), a.batchPruneCmd())
}

// batchVerb makes a verb that does one thing to one batch, and then says where
// the batch stands.
func (a *app) batchVerb(use, short string,
	do func(ctx context.Context, db *queue.DB, batch int64) error) *cobra.Command {
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

// tally counts recipients by state, and leaves out states without any.
func tally(s queue.Status) string {
	if s.State == "draft" {
		return figures.Some(s.Staged, "staged recipient")
	}
	parts := append([]string{figures.Some(s.Total, "recipient")}, figures.Counts(s.Counts())...)
	return strings.Join(parts, ", ")
}

func (a *app) batchPauseCmd() *cobra.Command {
	var reason string
	cmd := a.batchVerb("pause", "Pause a batch; no new message begins after one second",
		func(ctx context.Context, db *queue.DB, batch int64) error {
			s, err := db.Status(ctx, batch)
			if err != nil {
				return err
			}
			if s.State == "paused" {
				said := "no reason was given"
				if s.Reason != "" {
					said = "its reason was: " + term.Clip(s.Reason, 200)
				}
				if reason == "" || reason == s.Reason {
					said = strings.Replace(said, " was", " stays", 1)
				} else {
					said += "; now it is: " + term.Clip(reason, 200)
				}
				a.hint("batch %d was paused already; %s", batch, said)
			}
			return db.Pause(ctx, batch, reason)
		})
	cmd.Flags().StringVar(&reason, "reason", "",
		"`TEXT` that says why; it is kept and shown, in place of an earlier one")
	cmd.Long = `Pauses a batch, or with --client or --all every batch that is submitted and not
finished. Within a second no new message begins; those under way finish. Batches
that are submitted later are not paused.`
	return a.orAll(cmd, "paused", leftGoing,
		func(ctx context.Context, db *queue.DB, client string) (queue.Steered, error) {
			return db.PauseAll(ctx, client, reason)
		})
}

func (a *app) batchResumeCmd() *cobra.Command {
	cmd := a.batchVerb("resume", "Continue a paused batch; check SPF again for a blocked one",
		func(ctx context.Context, db *queue.DB, batch int64) error {
			return db.Resume(ctx, batch)
		})
	cmd.Long = `Continues a paused batch, and has the guard check a blocked one again. With
--client or --all it continues the batches that pause --client or pause --all
has paused. A batch that was paused by its number stays paused.`
	return a.orAll(cmd, "resumed", leftPaused,
		func(ctx context.Context, db *queue.DB, client string) (queue.Steered, error) {
			return db.ResumeAll(ctx, client)
		})
}

func (a *app) batchCancelCmd() *cobra.Command {
	var reason string
	var yes *bool
	cmd := a.batchVerb("cancel", "Cancel a batch; recipients not yet tried get nothing",
		func(ctx context.Context, db *queue.DB, batch int64) error {
			s, err := db.Status(ctx, batch)
			if err != nil {
				return err
			}
			over := s.State == "cancelled" || s.State == "done" // nothing is lost
			if err := a.confirm(*yes || over, "cancel batch %d for good (%s, %s)?", batch, s.State,
				tally(s)); err != nil {
				return err
			}
			return db.Cancel(ctx, batch, reason)
		})
	cmd.Flags().StringVar(&reason, "reason", "", "`TEXT` that says why; it is kept and shown")
	yes = yesFlag(cmd)
	return cmd
}

func (a *app) batchAuditCmd() *cobra.Command {
	return &cobra.Command{
		Use: "audit [ID]", Short: "Check that each recipient is in exactly one state", Args: atMost(1),
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
			return a.withReader(cmd.Context(), func(ctx context.Context, db *queue.DB) error {
				audits, err := insight.Of(db).Audit(ctx, id)
				if err != nil {
					return err
				}
				if len(audits) == 0 {
					if err := seen(ctx, db); err != nil {
						return err
					}
					a.hint("no batches: there is nothing to count")
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
					return exit.With(exit.Blocked,
						fmt.Errorf("%s of %d violated; keep the database as it is and report this",
							figures.Some(violated, "batch"), len(audits)))
				}
				return nil
			})
		},
	}
}

func layAudits(p *term.Page, audits []insight.Audit) {
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
		p.Line("batch %d %s %s: %s sealed = %s", audit.Batch, audit.State, p.Paint(word, term.StyleOf(word)),
			figures.Count(audit.Total), cmp.Or(strings.Join(sum, " + "), "0"))
		for _, problem := range audit.Problems {
			p.Line("  %s", problem)
		}
	}
}

func (a *app) batchSubmitCmd() *cobra.Command {
	p := &preflightFlags{app: a}
	var look, force bool
	var reason string
	cmd := a.batchVerb("submit", "Seal a draft and queue it",
		func(ctx context.Context, db *queue.DB, batch int64) error {
			switch {
			case force && !look:
				return exit.Usagef("--force is for --preflight")
			case force && strings.TrimSpace(reason) == "":
				return exit.Usagef("--force needs --reason: why it is sent anyway, for others to read")
			}
			if err := p.check(); err != nil {
				return err
			}
			content, err := db.Content(ctx, batch)
			switch {
			case errors.Is(err, queue.ErrDenied): // an application may submit; nodes check the content too
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
2, with the findings on standard error. --force submits it anyway, and
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
