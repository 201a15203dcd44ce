// Package ready checks drafts that are kept ready, as part of a node: the same
// preflight that an operator runs, by itself. One node at a time checks one draft.
package ready

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"sync"
	"time"

	"enotify/cmd/enotify/preflight"
	"enotify/cmd/enotify/preflight/gather"
	"enotify/queue"
)

// A Watch checks drafts that are kept ready.
type Watch struct {
	DB      *queue.DB
	Sources func() (*gather.Sources, error) // where a check looks
	Log     *slog.Logger
	Alerted func(queue.Alert)
	Woken   <-chan struct{} // look at once
}

const (
	every    = 30 * time.Second // between looks
	pause    = time.Second      // between looks, however often it is woken
	patience = 10 * time.Minute // a check may take so long
	hold     = time.Minute      // so long a draft is this node's, unless it says so again
)

// Run checks until ctx ends.
func (w *Watch) Run(ctx context.Context) {
	tick := time.NewTicker(every)
	defer tick.Stop()
	for {
		for ctx.Err() == nil {
			if some, err := w.Look(ctx); err != nil && ctx.Err() == nil {
				w.Log.Warn("drafts that are kept ready could not be checked; trying again", "error", err)
				break
			} else if !some {
				break
			}
		}
		select {
		case <-ctx.Done():
			return
		case <-time.After(pause):
		}
		select {
		case <-ctx.Done():
			return
		case <-w.Woken:
		case <-tick.C:
		}
	}
}

// Look checks one draft, if one is due.
func (w *Watch) Look(ctx context.Context) (some bool, err error) {
	asking, cancel := context.WithTimeout(context.WithoutCancel(ctx), 10*time.Second)
	defer cancel() // an answer that is cut off would leave a draft that is taken and not checked
	due, err := w.DB.CheckReady(asking, hold)
	if errors.Is(err, queue.ErrNotFound) {
		return false, nil
	}
	if err != nil {
		return false, err
	}
	release := w.keep(ctx, due)
	verdict, line, kept := w.check(ctx, due.Batch)
	release()
	if ctx.Err() != nil {
		leaving, cancel := context.WithTimeout(context.WithoutCancel(ctx), 5*time.Second)
		defer cancel()
		return false, errors.Join(ctx.Err(), w.DB.LeaveReady(leaving, due))
	}
	alert, err := w.DB.NoteReady(ctx, due, verdict, line, kept)
	if alert != nil {
		w.Alerted(*alert)
	}
	return true, err
}

// keep keeps a draft this node's until release is called. One of a node that was killed is
// checked by another after hold.
func (w *Watch) keep(ctx context.Context, due queue.ReadyCheck) (release func()) {
	ctx, cancel := context.WithCancel(ctx)
	var keeping sync.WaitGroup
	keeping.Go(func() {
		tick := time.NewTicker(hold / 3)
		defer tick.Stop()
		for {
			select {
			case <-ctx.Done():
				return
			case <-tick.C:
			}
			if err := w.DB.HoldReady(ctx, due, hold); err != nil && ctx.Err() == nil {
				w.Log.Warn("another node may check a draft that this one is checking", "batch", due.Batch, "error", err)
			}
		}
	})
	return func() { cancel(); keeping.Wait() }
}

// check runs a preflight. What cannot be checked is no verdict, and is said.
func (w *Watch) check(ctx context.Context, batch int64) (verdict, line string, kept *queue.KeptPreflight) {
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	r, err := w.preflight(ctx, batch)
	if err != nil {
		return "unknown", err.Error(), nil
	}
	text, err := r.Encode()
	if err != nil {
		return "unknown", err.Error(), nil
	}
	return string(r.Summary.Readiness), stops(r), &queue.KeptPreflight{Line: r.Line(), Report: text}
}

func (w *Watch) preflight(ctx context.Context, batch int64) (*preflight.Report, error) {
	sources, err := w.Sources()
	if err != nil {
		return nil, err
	}
	in, err := sources.Campaign(ctx, gather.Campaign{ID: batch})
	if err != nil {
		return nil, err
	}
	return preflight.Run(ctx, in)
}

// stops says what would stop a batch, in a line; "" if nothing would.
func stops(r *preflight.Report) string {
	blocking := r.Of(preflight.Block)
	if len(blocking) == 0 {
		return ""
	}
	// What enotify itself sends nothing for comes first.
	slices.SortStableFunc(blocking, func(a, b preflight.Finding) int {
		switch {
		case a.Enforced == b.Enforced:
			return 0
		case a.Enforced:
			return -1
		}
		return 1
	})
	line := blocking[0].Title + ": " + blocking[0].Found
	if n := len(blocking) - 1; n > 0 {
		line += fmt.Sprintf(" (and %d more)", n)
	}
	return line
}
