package engine

import (
	"context"
	"errors"
	"log/slog"
	"math/rand/v2"
	"sync"
	"sync/atomic"
	"time"

	"enotify/queue"
)

// serving is one call of Serve. Its fields belong to the goroutine of run, but
// for those behind mu and the atomic ones.
type serving struct {
	*Server
	store    *store
	id       int32
	node     node
	log      *slog.Logger
	capacity int

	order    []int64 // batches whose first tries are under way, in the order of their turns: those that drain, then turn
	waitsFor int64   // turn, if it only waited for slow sites at a moment since the last heartbeat; else 0

	held     map[int16]int64 // epoch of each group whose lease is ours
	giving   map[int16]bool  // groups to be given back once nothing of them is in flight
	expires  atomic.Int64    // when the leases end, in nanoseconds since start
	start    time.Time
	turn     int64          // batch that is in state sending; 0 is none
	runs     map[int64]*run // batches we have lanes or messages of
	lanes    *lanes
	assigned map[int32]string // site that Admission was told of, since the turn changed hands
	active   map[int64]bool   // batches that may be sent from here, when halt last asked
	stale    bool             // the lanes of the turn must be read again
	unsure   bool             // an intent may have been written whose answer was lost
	asides   []aside          // whom pick found to wait for a site that is closed
	aside    int              // how many those are
	barred   bool             // other nodes may send what is due, and this one may not
	orphans  bool             // a dead node's doubts were settled, of which a journal here may know better
	kept     time.Time
	restored time.Time // up to when, by the database's clock, Memory has what is kept; zero: all must be read

	handlers  sync.WaitGroup
	surveys   sync.WaitGroup
	surveyCtx context.Context // of the surveys; ends with the loop
	work      context.Context // of the handlers; ends when Grace has run out
	flush     *flusher
	clock     atomic.Pointer[clock] // the database's
	journal   *journal              // nil: none is kept

	mu        sync.Mutex
	freed     []string                // sites with a place that is free
	inFlight  [groups]int             // messages picked and not recorded
	total     int                     // their sum
	flying    map[flight]struct{}     // each of them
	faults    map[*queue.Batch]string // batches to be blocked, and why
	firsts    map[laneKey]int         // first tries among them
	shared    bool                    // several batches have first tries under way, and may wait for each other's domains
	surveying map[int64]int           // priority of each batch whose domains we look at
	news      chan struct{}           // freed or inFlight changed
}

// A run is a batch for as long as it may be sent.
type run struct {
	batch    *queue.Batch
	halted   atomic.Bool
	mayBegin func() bool // one for all its messages
}

func newServing(s *Server, db *store, node node, kept *journal, log *slog.Logger) *serving {
	v := &serving{
		Server: s, store: db, id: node.ID, node: node, journal: kept, log: log, capacity: s.MaxInFlight,
		held: map[int16]int64{}, giving: map[int16]bool{}, runs: map[int64]*run{}, assigned: map[int32]string{}, lanes: newLanes(), start: time.Now(), news: make(chan struct{}, 1),
		flying: map[flight]struct{}{}, faults: map[*queue.Batch]string{}, firsts: map[laneKey]int{}, surveying: map[int64]int{},
	}
	if v.capacity <= 0 {
		v.capacity = 2000
	}
	return v
}

func (v *serving) run(ctx context.Context) error {
	work, cut := context.WithCancel(context.WithoutCancel(ctx))
	defer cut()
	v.work = work
	v.flush = startFlusher(work, v)

	var end context.CancelFunc
	v.surveyCtx, end = context.WithCancel(ctx)
	err := v.replay(ctx)
	if err == nil {
		err = v.loop(ctx)
	} else if ctx.Err() != nil {
		err = nil
	}
	end()
	v.surveys.Wait()

	for _, r := range v.runs {
		r.halted.Store(true)
	}
	grace := v.Grace
	if grace <= 0 {
		grace = 30 * time.Second
	}
	v.mu.Lock()
	v.log.Info("stopping", "under_way", v.total, "grace", grace) // a count of transactions, and of those about to begin, which do not
	v.mu.Unlock()
	timer := time.AfterFunc(grace, cut)
	defer timer.Stop()
	v.handlers.Wait()
	if left := v.leave(ctx); left != nil {
		v.journal.close() // what it says is for the next one
		return errors.Join(err, left)
	}
	v.journal.remove()
	return err
}

// leave records what is left and gives the leases back.
func (v *serving) leave(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), 10*time.Second)
	defer cancel()
	defer context.AfterFunc(v.DB.Life(), cancel)() // nothing can be recorded any more
	if err := v.flush.stop(ctx); err != nil {
		return err // what is not recorded is in doubt: whoever takes the leases settles it
	}
	if err := v.reclaim(ctx); err != nil {
		return err // the same
	}
	if err := v.remember(ctx); err != nil {
		return err
	}
	moves, err := v.store.advance(ctx)
	if err != nil {
		return err
	}
	v.report(moves)
	grps := make([]int16, 0, len(v.held))
	for grp := range v.held {
		grps = append(grps, grp)
	}
	if err := v.store.release(ctx, v.id, grps); err != nil {
		return err
	}
	return v.store.leave(ctx, v.id)
}

func (v *serving) loop(ctx context.Context) error {
	timer := time.NewTimer(0)
	defer timer.Stop()
	failures := 0
	for due := true; ctx.Err() == nil; {
		if due || time.Since(v.kept) >= poll {
			idle, err := v.keep(ctx)
			switch {
			case ctx.Err() != nil:
				return nil
			case err != nil:
				failures++
				v.log.Warn("sending waits until this works", "error", err, "failures", failures)
			case idle && v.UntilIdle:
				return nil
			default:
				failures = 0
			}
			v.kept = time.Now()
			due = false
		}
		v.reap()
		now := time.Now()
		able := failures == 0 && !v.journal.failed() && !v.flush.failing.Load() // nothing begins that cannot be recorded
		if able {
			picks := v.pick(now)
			if err := v.putAside(ctx); err != nil {
				v.log.Warn("nobody could be put aside; sending waits", "error", err)
				v.stale, failures = true, 1
			}
			if len(picks) > 0 {
				if err := v.begin(ctx, picks); err != nil {
					v.log.Warn("no intent could be written; sending waits", "error", err)
					v.stale, v.unsure, failures = true, true, 1
				}
				due = time.Since(v.kept) >= breath && v.woken() // an urgent batch does not wait until there is nothing to pick
				continue
			}
		}
		wait := poll - time.Since(v.kept)
		if failures > 0 {
			wait = min(time.Duration(failures)*poll/2, 10*time.Second)
		} else if next := v.lanes.next(); able && !next.IsZero() {
			wait = min(wait, next.Sub(now))
		}
		timer.Reset(max(0, wait))
		select {
		case <-ctx.Done():
		case <-v.wake:
			due = true
		case <-v.news:
		case <-timer.C:
			due = failures > 0
		}
	}
	return nil
}

// woken reports whether Wake was called.
func (v *serving) woken() bool {
	select {
	case <-v.wake:
		return true
	default:
		return false
	}
}

func (v *serving) newRun(batch *queue.Batch) *run {
	r := &run{batch: batch}
	r.mayBegin = func() bool { return !r.halted.Load() && v.leased() }
	return r
}

func (v *serving) leased() bool { return time.Since(v.start).Nanoseconds() < v.expires.Load() }

// finish takes the outcome of a message: it frees its place, decides when a
// deferred one is due, and has it recorded.
func (v *serving) finish(m queue.Message, r result, o queue.Outcome) {
	now := time.Now()
	site := v.Admission.Done(m.Domain, o, now)
	if o.State == queue.Unknown && m.Batch.OnUnknown == queue.Resend {
		o.State, o.Class = queue.Deferred, queue.Other
	}
	r.Outcome, r.At = o, v.clock.Load().at(now)
	if o.State == queue.Deferred {
		switch {
		case o.Class == queue.NotBegun:
			r.Wait = o.After
			if c, wait, closed := v.closed(m.Domain, now); closed {
				r.Class, r.Reply, r.Aside = c.Class, c.Reply, true
				r.Wait = wait + rand.N(v.jitter())
			}
		case !o.Treated().Counts:
			// Not sooner than First: a host that greylists wants to see that we waited.
			r.Wait = max(o.After, v.Schedule.Backoff(1, (1+rand.Float64())/2))
		default:
			r.Attempts++
			r.Wait = max(o.After, v.Schedule.Backoff(r.Attempts, rand.Float64()))
		}
	}
	v.journal.end(&r)
	v.free(site)
	v.flush.add(r)
}

func (v *serving) free(site string) {
	if site == "" {
		return
	}
	v.mu.Lock()
	v.freed = append(v.freed, site)
	v.mu.Unlock()
	v.tell()
}

// recorded is told of results that are in the database.
func (v *serving) recorded(rs []result) {
	v.journal.recorded(rs)
	v.mu.Lock()
	for i := range rs {
		v.inFlight[rs[i].grp]--
		delete(v.flying, rs[i].flight())
		if rs[i].first {
			v.tried(rs[i].Batch, rs[i].DomainID, rs[i].domain)
		}
	}
	v.total -= len(rs)
	drained := v.total == 0
	v.mu.Unlock()
	v.tell()
	if drained {
		v.Wake() // perhaps the end of a batch
	}
}

func (v *serving) alert(alerts []queue.Alert) {
	for _, a := range alerts {
		if v.Alerted != nil {
			v.Alerted(a)
		}
	}
}

func (v *serving) tell() {
	select {
	case v.news <- struct{}{}:
	default:
	}
}
