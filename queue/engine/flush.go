package engine

import (
	"context"
	"fmt"
	"log/slog"
	"sync"
	"sync/atomic"
	"time"
)

// A flusher writes results as soon as the last write has returned. What came in
// meanwhile goes into one transaction: the slower the database, the more results
// in each. No timer delays a result.
type flusher struct {
	record  func(ctx context.Context, rs []result) error // writes them to the database
	done    func(rs []result)                            // called with results that were written
	log     *slog.Logger
	ctx     context.Context
	mu      sync.Mutex
	cond    *sync.Cond
	pending []result
	writing int
	closed  bool
	writers sync.WaitGroup
	failing atomic.Bool // the last write failed
}

func startFlusher(
	ctx context.Context, log *slog.Logger, record func(context.Context, []result) error, done func([]result),
) *flusher {
	f := &flusher{ctx: context.WithoutCancel(ctx), log: log, record: record, done: done}
	f.cond = sync.NewCond(&f.mu)
	for range flushers {
		f.writers.Go(f.write)
	}
	return f
}

func (f *flusher) add(r result) {
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

func (f *flusher) write() {
	for {
		rs := f.take()
		if rs == nil {
			return
		}
		for failures := 1; ; failures++ {
			err := f.try(rs)
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
		f.done(rs)
		f.mu.Lock()
		f.writing -= len(rs)
		f.mu.Unlock()
		f.cond.Broadcast()
	}
}

func (f *flusher) try(rs []result) error {
	ctx, cancel := context.WithTimeout(f.ctx, roundTrip)
	defer cancel()
	return f.record(ctx, rs)
}

// take waits for results; nil means stop.
func (f *flusher) take() []result {
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
