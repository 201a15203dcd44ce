package engine

import (
	"context"
	"fmt"
	"log/slog"
	"sync"
	"sync/atomic"
	"time"
)

// A flusher writes results as soon as there are any. What comes in while a writer is
// busy, or rests after few, goes into one transaction: the slower the database and the
// more is sent, the more results in each.
type flusher struct {
	record  func(ctx context.Context, writer int16, rs []*result) (mark int64, err error) // in the database
	done    func(writer int16, mark int64, rs []*result)                                  // told of those that are
	log     *slog.Logger
	ctx     context.Context
	mu      sync.Mutex
	cond    *sync.Cond
	pending []*result
	writing int
	closed  bool
	writers sync.WaitGroup
	failing atomic.Bool // the last write failed
}

func startFlusher(ctx context.Context, v *serving) *flusher {
	f := &flusher{ctx: context.WithoutCancel(ctx), log: v.log, record: v.record, done: v.recorded}
	f.cond = sync.NewCond(&f.mu)
	for i := range flushers {
		f.writers.Go(func() { f.write(intents + 1 + int16(i)) })
	}
	return f
}

// add has a result written, which must not change from now on.
func (f *flusher) add(r *result) {
	f.mu.Lock()
	f.pending = append(f.pending, r)
	f.mu.Unlock()
	f.cond.Signal()
}

// stop writes what is left. It fails when ctx ends first.
func (f *flusher) stop(ctx context.Context) error {
	stop := context.AfterFunc(ctx, f.cond.Broadcast)
	defer stop()
	f.mu.Lock()
	for len(f.pending)+f.writing > 0 && ctx.Err() == nil {
		f.cond.Wait()
	}
	left := len(f.pending) + f.writing
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
	for {
		rs := f.take()
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
			time.Sleep(flushGap)
		}
	}
}

func (f *flusher) try(writer int16, rs []*result) (mark int64, err error) {
	ctx, cancel := context.WithTimeout(f.ctx, roundTrip)
	defer cancel()
	return f.record(ctx, writer, rs)
}

// take waits for results; nil means stop.
func (f *flusher) take() []*result {
	f.mu.Lock()
	defer f.mu.Unlock()
	for len(f.pending) == 0 || (len(f.pending) < minFlush && f.writing > 0) {
		if f.closed && len(f.pending) == 0 {
			return nil
		}
		f.cond.Wait()
	}
	n := min(len(f.pending), maxFlush)
	rs := f.pending[:n:n]
	f.pending = f.pending[n:]
	f.writing += n
	return rs
}
