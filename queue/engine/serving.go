package engine

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"slices"
	"sync"
	"sync/atomic"
	"time"
)

// serving is one call of Serve. The goroutine of run is its loop; what other
// goroutines may use says so.
type serving struct {
	*Server
	store    *store
	node     node
	log      *slog.Logger
	capacity int // messages in flight

	phase  phase
	leases *leases
	egress *egresses
	// since when another node has the address for mail of a group, and we for other mail of it
	contested map[int16]time.Time
	emptied   []string // pools without an address, as the last heartbeat found them; nil: it is not known
	batches   *batches
	contents  *contents // for any goroutine
	lanes     *lanes
	full      bool // nothing that is not urgent may begin before a place is free
	deferrals deferrals
	flights   *flights
	surveys   surveys
	faults    faults
	progress  progress
	smalls    smalls
	strangers strangers
	relay     *relay
	pipeline  *pipeline
	found     atomic.Bool // a survey found something
	swept     time.Time   // when old drafts were ended last
	beaten    time.Time   // when the last heartbeat ended
	rests     time.Time   // until then, see pause
	renewed   time.Time   // when the last one ended that renewed the leases
	refreshed time.Time   // when the last one ended that read the addresses and what was learned
	mark      int64       // of what the last question for news saw, see newsSQL; 0: there was none since a look
	restored  time.Time   // up to when, by the database's clock, Memory has what is kept; zero: all must be read

	handlers sync.WaitGroup
	crew     crew                  // for any goroutine
	work     context.Context       // of the handlers; ends when Grace has run out
	flush    *flusher              // for any goroutine
	clock    atomic.Pointer[clock] // the database's
	journal  *journal              // for any goroutine; nil: none is kept
	marks    marks                 // for any goroutine
	reach    reach
	watchdog watchdog
}

func newServing(s *Server, db *store, node node, kept *journal, log *slog.Logger) *serving {
	v := &serving{
		Server: s, store: db, node: node, journal: kept, log: log, capacity: s.MaxInFlight,
		leases: newLeases(), egress: newEgresses(node.ID), contested: map[int16]time.Time{}, batches: newBatches(),
		contents: newContents(s.DB, s.MaxContents), lanes: newLanes(), flights: newFlights(),
		surveys: surveys{priority: map[int64]int{}},
	}
	if v.capacity <= 0 {
		v.capacity = 2000
	}
	v.relay = newRelay(v.start)
	v.pipeline = newPipeline(v.write)
	return v
}

func (v *serving) run(ctx context.Context) error {
	work, cut := context.WithCancel(context.WithoutCancel(ctx))
	defer cut()
	v.work = work
	v.flush = startFlusher(work, v)
	v.current.Store(v)

	var end context.CancelFunc
	v.surveys.ctx, end = context.WithCancel(ctx)
	err := v.replay(ctx)
	if err == nil {
		go v.pipeline.run()
		err = v.loop(ctx)
		v.batches.halt()
		v.settle()
		close(v.pipeline.todo)
	} else if ctx.Err() != nil {
		err = nil
	}
	end()
	v.surveys.running.Wait()

	v.relay.stop()
	v.crew.dismiss()
	grace := v.Grace
	if grace <= 0 {
		grace = 30 * time.Second
	}
	v.log.Info("stopping", "under_way", v.flights.count(), "grace", grace) // some of them will not begin
	timer := time.AfterFunc(grace, cut)
	defer timer.Stop()
	ended := make(chan struct{})
	go func() {
		v.handlers.Wait()
		close(ended)
	}()
	select {
	case <-ended:
	case <-time.After(grace + handlerGrace):
		err = errors.Join(err, v.abandon(ctx))
		v.journal.close()
		return err
	}
	if left := v.leave(ctx); left != nil {
		v.journal.close() // the next node of this host replays it
		return errors.Join(err, left)
	}
	v.journal.finish()
	return err
}

// abandon records what has ended when a handler does not return though its context has
// ended. The leases are not given back: the node that takes them when they run out
// settles what is in doubt.
func (v *serving) abandon(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), 10*time.Second)
	defer cancel()
	defer context.AfterFunc(v.DB.Life(), cancel)()
	err := v.flush.stop(ctx)
	return errors.Join(err, fmt.Errorf("%d messages had not ended when the grace was over: their recipients are in doubt until another node settles that, or this host's next one reads the journal", v.flights.count()))
}

// leave records what is left and gives the leases back.
func (v *serving) leave(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), 10*time.Second)
	defer cancel()
	defer context.AfterFunc(v.DB.Life(), cancel)() // nothing can be recorded any more
	if err := v.flush.stop(ctx); err != nil {
		return err // what is not recorded is in doubt: the node that takes the leases settles it
	}
	if err := v.reclaim(ctx); err != nil {
		return err // the same
	}
	if err := v.remember(ctx); err != nil {
		return err
	}
	if err := keepTally(ctx, v.store.pool, v.egress.counts.take()); err != nil {
		return err
	}
	moves, _, err := v.store.advance(ctx, &v.strangers)
	if err != nil {
		return err
	}
	v.logMoves(moves)
	return v.store.leave(ctx, v.node.ID, slices.Collect(maps.Keys(v.leases.held)))
}

// loop sends until ctx ends, or with UntilIdle until nothing is due.
func (v *serving) loop(ctx context.Context) error {
	timer := time.NewTimer(0)
	defer timer.Stop()
	failures := 0   // round trips in a row, since a heartbeat succeeded
	news := true    // Wake was called
	due := false    // a heartbeat has something to do, or so it is said: anybody may send NOTIFY
	urgent := true  // it has, by what happened here
	moving := false // in the last turn of the loop something began
	settle := func() {
		if !v.settle() {
			failures = 1
		}
	}
	for ctx.Err() == nil {
		v.turns.Add(1)
		now := time.Now()
		found := v.found.Swap(false)
		news = news || found
		due = due || news
		if v.stirs(news, now) {
			settle()
		}
		sent, err := v.sendSmall(ctx, news, now)
		if err != nil && ctx.Err() == nil {
			v.log.Warn("small batches could not take their turns; sending waits", "error", err)
			v.phase.worsen(unsure)
			failures = 1
		}
		if v.smalls.gave {
			due, v.smalls.gave = true, false
		}
		urgent = urgent || found && (v.smalls.behind || !v.mayLook())
		news = news && v.mayLook() && !v.smalls.looked.Equal(now) // too soon after the last look
		if sent {
			v.smalls.sent = now
		}
		if urgent || (due || v.vacant.Load()) && now.Sub(v.beaten) >= v.gap(moving, now) || v.overdue(now) {
			settle()
			idle, err := v.heartbeat(ctx, urgent || due)
			switch {
			case ctx.Err() != nil:
				return nil
			case err != nil:
				failures++
				v.phase.worsen(halted)
				v.log.Warn("the heartbeat failed; sending waits until it succeeds", "error", err, "failures", failures)
			case idle && v.UntilIdle:
				return nil
			default:
				failures = 0
			}
			v.beaten = time.Now()
			due, urgent = false, false
		}
		v.reap()
		now = time.Now()
		moving = sent
		able := v.phase < halted && !v.journal.failed() && !v.flush.failing.Load() // else it could not be recorded
		pause := v.pause(now)
		switch {
		case !able:
			v.progress.reset(now)
		case pause == 0:
			picks := v.pick(now)
			if count(picks) >= fewPicks {
				v.deferrals.began(now)
			}
			if v.deferrals.ripe(now) {
				settle()
				if err := v.deferClosed(ctx); err != nil {
					v.log.Warn("recipients at sites that are closed to us could not be deferred; sending waits", "error",
						err)
					v.phase.worsen(halted)
					failures = 1
				}
			}
			if len(picks) > 0 {
				if !v.begin(ctx, picks) {
					failures = 1
				}
				moving = true
			}
		}
		if moving {
			news = news || v.woken()
			continue
		}
		wait := v.wait(now, due, failures, able, pause)
		if news {
			wait = min(wait, max(time.Millisecond, v.smalls.looks.next().Sub(now)))
		}
		landed := v.flights.news
		if pause > 0 {
			landed = nil
		}
		timer.Reset(max(0, wait))
		select {
		case <-ctx.Done():
		case <-v.wake:
			news = true
		case in := <-v.pipeline.done:
			if !v.handOut(in) {
				failures = 1
			}
			moving = true
		case <-landed:
			urgent = v.ended()
		case <-timer.C:
			urgent = failures > 0
		}
	}
	return nil
}

// pause is how long a busy node that began few messages waits before it begins more:
// what is done meanwhile makes room for more in the same round trip. Urgent messages do
// not wait.
func (v *serving) pause(now time.Time) time.Duration {
	if len(v.lanes.urgent) > 0 || v.flights.count() < busyFrom {
		return 0
	}
	return max(0, v.rests.Sub(now))
}

// gap is the time from one heartbeat to the next that Wake asks for. While messages begin, or
// small batches have their turns, it is longer, unless something waits for it: each heartbeat
// delays the next batch.
func (v *serving) gap(moving bool, now time.Time) time.Duration {
	if (moving || now.Sub(v.smalls.sent) < breath) && !v.smalls.behind {
		return breath
	}
	return wakeGap
}

// ended reports whether a batch that has, or had, the turn may have come to its end, or with
// UntilIdle the node to its own. While first tries wait for their site, neither has.
func (v *serving) ended() bool {
	batches, none := v.flights.over()
	none = none && len(v.lanes.of) == 0 && len(v.pipeline.open) == 0
	return none && v.UntilIdle || slices.ContainsFunc(batches, func(id int64) bool {
		return slices.Contains(v.batches.order, id) && !v.lanes.waiting(id)
	})
}

// overdue reports whether a heartbeat is due whatever happened.
func (v *serving) overdue(now time.Time) bool {
	stall := v.progress.next()
	return now.Sub(v.beaten) >= poll || !stall.IsZero() && !stall.After(now)
}

// wait is how long the loop may wait for something to happen. During a pause nothing is
// picked: a lane whose time has come waits for its end.
func (v *serving) wait(now time.Time, due bool, failures int, able bool, pause time.Duration) time.Duration {
	if failures > 0 {
		return min(time.Duration(failures)*poll/2, 10*time.Second)
	}
	next := v.beaten.Add(poll)
	if due || v.vacant.Load() {
		next = v.beaten.Add(v.gap(false, now))
	}
	if able {
		times := []time.Time{v.progress.next(), v.smalls.again}
		switch {
		case pause > 0:
			times = append(times, now.Add(pause))
		case v.full:
			times = append(times, v.lanes.next(), v.deferrals.due, v.flights.nextSlow())
		default:
			times = append(times, v.lanes.next(), v.deferrals.due)
		}
		for _, t := range times {
			if !t.IsZero() && t.Before(next) {
				next = t
			}
		}
	}
	return next.Sub(now)
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
