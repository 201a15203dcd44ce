package engine

import (
	"context"
	"fmt"
	"log/slog"
	"sync"
	"sync/atomic"
	"time"

	"enotify/queue"
)

// A flusher writes results as soon as there are any. What comes in while a writer is
// busy, or rests after few, goes into one transaction: the slower the database and the
// more is sent, the more results in each.
//
// Deferred results wait for each other while final ones come in, for gather at most: they
// take three statements of a transaction, however few they are, and sites that refuse
// are found one by one.
type flusher struct {
	record  func(ctx context.Context, writer int16, rs []*result) (mark int64, err error) // in the database
	done    func(writer int16, mark int64, rs []*result)                                  // told of those that are
	log     *slog.Logger
	ctx     context.Context
	mu      sync.Mutex
	cond    *sync.Cond
	pending []*result
	// deferred are results after which another try follows
	deferred []*result
	since    time.Time   // when the first of them came in
	final    time.Time   // when the last final one came in
	again    *time.Timer // looks at deferred again
	writing  int
	closed   bool
	writers  sync.WaitGroup
	failing  atomic.Bool // the last write failed
}

func startFlusher(ctx context.Context, v *serving) *flusher {
	f := &flusher{ctx: context.WithoutCancel(ctx), log: v.log, record: v.record, done: v.recorded}
	f.cond = sync.NewCond(&f.mu)
	f.again = time.AfterFunc(time.Hour, f.look)
	for i := range flushers {
		f.writers.Go(func() { f.write(intents + 1 + int16(i)) })
	}
	return f
}

// add has a result written, which must not change from now on.
func (f *flusher) add(r *result) {
	f.mu.Lock()
	switch now := time.Now(); {
	case r.State != queue.Deferred:
		f.pending, f.final = append(f.pending, r), now
	case len(f.deferred) == 0:
		f.since = now
		fallthrough
	default:
		f.deferred = append(f.deferred, r)
	}
	n := len(f.pending)
	if r.State == queue.Deferred {
		n = len(f.deferred)
	}
	f.mu.Unlock()
	if n == 1 || n == minFlush { // a writer that waits goes on at none other, see ready
		f.cond.Broadcast()
	}
}

// look wakes the writers that wait, so that they look at the time again. It takes mu, so that none of them is
// just about to wait.
func (f *flusher) look() {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.cond.Broadcast()
}

// left is how many results are not written. It needs mu.
func (f *flusher) left() int { return len(f.pending) + len(f.deferred) + f.writing }

// stop writes what is left. It fails when ctx ends first.
func (f *flusher) stop(ctx context.Context) error {
	stop := context.AfterFunc(ctx, f.look)
	defer stop()
	defer f.again.Stop()
	f.mu.Lock()
	for f.left() > 0 && ctx.Err() == nil {
		f.cond.Wait()
	}
	left := f.left()
	f.closed = true
	f.mu.Unlock()
	f.cond.Broadcast()
	if left > 0 {
		return fmt.Errorf("%d outcomes could not be recorded: those recipients are in doubt", left)
	}
	f.writers.Wait()
	return nil
}

// write is one of the writers; its number is its row in table node_mark.
func (f *flusher) write(writer int16) {
	var rested time.Time
	for {
		rs := f.take(rested)
		if rs == nil {
			return
		}
		var mark int64
		for failures := 1; ; failures++ {
			var err error
			mark, err = f.try(writer, rs)
			f.failing.Store(err != nil)
			if err == nil {
				break
			}
			f.log.Warn("outcomes could not be recorded; trying again", "outcomes", len(rs), "error", err)
			time.Sleep(min(time.Duration(failures)*100*time.Millisecond, 5*time.Second))
			f.mu.Lock()
			closed := f.closed
			f.mu.Unlock()
			if closed {
				return
			}
		}
		f.done(writer, mark, rs)
		f.mu.Lock()
		f.writing -= len(rs)
		f.mu.Unlock()
		f.cond.Broadcast()
		if len(rs) < minFlush {
			rested = time.Now().Add(flushGap)
			time.AfterFunc(flushGap, f.look)
		}
	}
}

func (f *flusher) try(writer int16, rs []*result) (mark int64, err error) {
	ctx, cancel := context.WithTimeout(f.ctx, roundTrip)
	defer cancel()
	return f.record(ctx, writer, rs)
}

// take waits for results; nil means stop.
func (f *flusher) take(rested time.Time) []*result {
	f.mu.Lock()
	defer f.mu.Unlock()
	var finals, deferred int
	for finals+deferred == 0 {
		if f.closed && f.left() == f.writing {
			return nil
		}
		if finals, deferred = f.ready(time.Now(), rested); finals+deferred == 0 {
			f.cond.Wait()
		}
	}
	rs := f.pending[:finals:finals]
	f.pending = f.pending[finals:]
	rs = append(rs, f.deferred[:deferred]...)
	f.deferred = f.deferred[deferred:]
	f.writing += len(rs)
	return rs
}

// ready is how many results a writer may write now, of those that are final and of those
// that are not: few only when the other writer is done and this one is rested. It needs mu.
func (f *flusher) ready(now, rested time.Time) (finals, deferred int) {
	if len(f.pending) >= minFlush || f.writing == 0 && !now.Before(rested) {
		finals = min(len(f.pending), maxFlush)
	}
	if len(f.deferred) == 0 {
		return finals, 0
	}
	switch {
	case now.Sub(f.since) >= gather, len(f.deferred) >= minFlush:
	case f.closed, now.Sub(f.final) >= flushGap && f.writing == 0:
	default:
		f.again.Reset(flushGap)
		return finals, 0
	}
	return finals, min(len(f.deferred), maxFlush-finals)
}
