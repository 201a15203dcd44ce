package main

import (
	"context"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"enotify/cmd/enotify/exit"
	"enotify/cmd/enotify/figures"
	"enotify/cmd/enotify/term"
	"enotify/queue"
)

// batchStates are the states that --state takes.
var batchStates = []string{"draft", "queued", "sending", "draining", "retrying", "paused", "blocked", "done",
	"cancelled"}

// listed is how long a batch that has finished stays in the list without --all.
const listed = 24 * time.Hour

func (a *app) batchListCmd() *cobra.Command {
	var f queue.Filter
	var all bool
	limit := 50
	cmd := &cobra.Command{
		Use: "list", Short: "List unfinished batches and those finished within a day", Args: atMost(0),
		Long: `Lists the unfinished batches, and then those that finished within a day, each
the newest first. Of both it shows the newest 50; --limit shows more, and
--before the next ones.`,
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
			return a.withReader(cmd.Context(), func(ctx context.Context, db *queue.DB) error {
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
				if err := noteReady(ctx, db, batches); err != nil {
					return err
				}
				for _, hint := range more {
					a.hint("%s", hint)
				}
				around, err := look(ctx, db, nil)
				if err != nil {
					return err
				}
				return a.print(around.rows(batches), func(p *term.Page) { layBatches(p, batches, around) })
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

// noteReady says of the drafts that are kept ready whether they would go.
func noteReady(ctx context.Context, db *queue.DB, batches []queue.Status) error {
	if !slices.ContainsFunc(batches, func(s queue.Status) bool { return s.State == "draft" }) {
		return nil
	}
	drafts, err := db.ReadyDrafts(ctx)
	for i, s := range batches {
		for _, r := range drafts {
			if r.Batch == s.ID {
				batches[i].Reason = readiness(r)
			}
		}
	}
	return err
}

func readiness(r queue.ReadyDraft) string {
	switch {
	case r.CheckedAt == nil:
		return "kept ready; not checked yet"
	case r.Goes():
		return "kept ready; would go, checked " + figures.Clock(*r.CheckedAt)
	case r.Verdict == "unknown":
		return "kept ready; could not be checked: " + r.Line
	}
	return "kept ready; NOT READY: " + r.Line
}

// usual are the states that have a column even when no recipient is in them.
var usual = []queue.State{queue.Pending, queue.Deferred, queue.Delivered, queue.Bounced}

// layBatches has a column for each state that at least one recipient is in, by the
// name that batch show, bounce report and the view batch_status give it: they add
// up to the total.
func layBatches(p *term.Page, batches []queue.Status, around standing) {
	if len(batches) == 0 {
		return
	}
	header := []string{"BATCH", "STATE", "CLIENT", "PRIO", "AGE", "TOTAL", "DONE", "RATE", "ETA"}
	shown := map[queue.State]bool{}
	for _, c := range (queue.Status{}).Counts() {
		shown[c.State] = slices.Contains(usual, c.State) ||
			slices.ContainsFunc(batches, func(s queue.Status) bool { return count(s, c.State) > 0 })
		if shown[c.State] {
			header = append(header, strings.ToUpper(string(c.State)))
		}
	}
	var rows [][]string
	for _, s := range batches {
		row := []string{
			strconv.FormatInt(s.ID, 10), s.State, s.Client, strconv.Itoa(s.Priority),
			figures.Span(p.Now.Sub(s.CreatedAt)),
			total(s), done(s), speed(s), around.eta(s),
		}
		for _, c := range s.Counts() {
			if shown[c.State] {
				row = append(row, figures.Count(c.N))
			}
		}
		rows = append(rows, append(row, term.Clip(s.Subject, 30), term.Clip(around.why(s), 60)))
	}
	p.Table(append(header, "SUBJECT", "WHY"), rows...)
}

func count(s queue.Status, of queue.State) int {
	for _, c := range s.Counts() {
		if c.State == of {
			return c.N
		}
	}
	return 0
}

// total is how many recipients a batch has, or how many are staged for a draft.
func total(s queue.Status) string {
	if s.State == "draft" {
		return figures.Count(s.Staged) + " staged"
	}
	return figures.Count(s.Total)
}

// speed is how fast a batch has been since it took the turn.
func speed(s queue.Status) string {
	if s.PerSecond == nil {
		return "-"
	}
	return figures.Speed(*s.PerSecond)
}

// A listed batch is what batch list prints as JSON.
type listedBatch struct {
	queue.Status
	Why         string   `json:"why"` // it waits
	SecondsLeft *float64 `json:"seconds_left"`
}

func (s standing) rows(batches []queue.Status) []listedBatch {
	rows := make([]listedBatch, len(batches))
	for i, b := range batches {
		rows[i] = listedBatch{Status: b, Why: s.why(b)}
		if f, ok := s.forecasts[b.ID]; ok && s.eta(b) != "-" && !f.Late {
			left := f.End.Seconds()
			rows[i].SecondsLeft = &left
		}
	}
	return rows
}

// done is the share of recipients that have an outcome, rounded down: 100% is all.
func done(s queue.Status) string {
	if s.Total == 0 {
		return "-"
	}
	return fmt.Sprintf("%d%%", 100*s.Settled()/s.Total)
}
