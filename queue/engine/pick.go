package engine

import (
	"slices"
	"time"

	"enotify/queue"
)

// reap makes lanes ready whose site has a free place.
func (v *serving) reap() {
	for _, site := range v.flights.takeFreed() {
		v.lanes.free(site, 2) // its limit may have grown by one
	}
}

// pick asks for as many messages as may begin now and fit into one round trip:
// either first tries of one batch, or what was put off of one, or retries. Urgent lanes
// go first, and have places that no other lane may take.
func (v *serving) pick(now time.Time) []pick {
	v.lanes.ripen(now)
	reserved := v.capacity / urgentShare
	all, taken := v.flights.taken(slowShare*v.capacity, now)
	all, taken = all+v.pipeline.messages(), taken+v.pipeline.messages()
	free := v.capacity + reserved - taken
	v.full = free-reserved < v.enough() // first more must be recorded
	if v.full && free < max(1, min(minTick, reserved)) {
		return nil
	}
	tick := maxTick
	var picks []pick
	var other []*lane
	at := map[*lane]int{} // place in picks
	for tick > 0 && free > 0 {
		l := v.lanes.pop(v.full || free <= reserved)
		if l == nil {
			break
		}
		room := min(tick, free)
		if !l.urgent() {
			room = min(tick, free-reserved)
		}
		if v.flights.slowAt(l.domain) { // no place of slow messages is for more of the same
			room = min(room, v.capacity-all)
			if room <= 0 {
				v.lanes.park(l, queue.Wait{Until: now.Add(slowAfter), Site: through(l.domain)})
				continue
			}
		}
		epoch, ours := v.leases.epoch(l.grp)
		if b, may := v.batches.active[l.batch]; ours && may && !b.here {
			v.lanes.park(l, queue.Wait{Until: now.Add(poll)}) // see direct
			continue
		}
		r := v.batches.runs[l.batch]
		if !ours || r == nil || r.halted.Load() {
			l.waiting = 0
			v.lanes.park(l, queue.Wait{})
			continue
		}
		if len(picks) > 0 && (picks[0].retry != l.retry || picks[0].putOff != l.putOff ||
			l.exclusive() && picks[0].batch != l.batch) {
			other = append(other, l)
			continue
		}
		if v.behind(l) {
			v.lanes.park(l, queue.Wait{Until: now.Add(poll), Site: through(l.domain)})
			continue
		}
		c := v.choose(l, now)
		if c.from == nil {
			v.waits(l, c, epoch, now)
			continue
		}
		i, again := at[l] // no other lane was ready
		if again && !slices.Equal(picks[i].from, c.from) {
			other = append(other, l)
			continue
		}
		want := min(l.waiting, room, maxLane, c.room)
		if !l.retry {
			if want = v.batches.allowed(l.batch, want); want == 0 { // the next heartbeat has the batch give the turn on
				v.lanes.park(l, queue.Wait{Until: now.Add(poll)})
				continue
			}
		}
		n, w := v.admit(l, want, now)
		if n > 0 {
			costs := v.egress.spend(c, siteOf(l), n, v.clock.Load().at(now))
			if again {
				picks[i].n += n
			} else {
				at[l] = len(picks)
				picks = append(picks, newPick(l, n, epoch, c, costs))
			}
			if !l.retry {
				v.batches.spend(l.batch, n)
			}
			v.lanes.serve(l)
			l.waiting -= n
			tick -= n
			free -= n
			all += n
		}
		if n == 0 && (l.retry || !v.batches.limited(l.batch)) { // what is limited is counted when it is tried
			v.shut(l, epoch, now)
		}
		if n == want {
			w = queue.Wait{}
		}
		v.lanes.park(l, w)
	}
	for _, l := range other {
		v.lanes.park(l, queue.Wait{})
	}
	if len(picks) == 0 && v.phase == steady && !v.full && len(v.pipeline.open) == 0 {
		v.batches.waitsFor = v.batches.turn
	}
	return picks
}

// enough is how many places must be free before messages begin that are not urgent: few at
// a time would each cost a round trip.
func (v *serving) enough() int {
	return min(max(minTick, v.capacity/urgentShare), fewPicks, v.capacity)
}

// count is the number of messages of the picks.
func count(picks []pick) (n int) {
	for i := range picks {
		n += picks[i].n
	}
	return n
}

// An urgentAdmission tells urgent messages from others.
type urgentAdmission interface {
	// AdmitUrgent is Admit for messages of a batch with a priority above 0.
	AdmitUrgent(domain string, want int, now time.Time) (n int, w queue.Wait)
}

func (v *serving) admit(l *lane, want int, now time.Time) (n int, w queue.Wait) {
	if a, ok := v.Admission.(urgentAdmission); ok && l.urgent() {
		return a.AdmitUrgent(l.domain, want, now)
	}
	return v.Admission.Admit(l.domain, want, now)
}

// hand begins attempts at recipients of one pick.
func (v *serving) hand(got []picked, from *pick) {
	as := v.attempts(got, from)
	if from.exclusive() {
		v.relay.takeOff(visit{from.batch, from.domain}, len(as))
	}
	for _, a := range as {
		v.start(a)
	}
}

// fewAttempts is how many attempts have their memory together: that is cheaper, but one that
// takes long keeps the memory of all of them.
const fewAttempts = 8

// attempts notes that recipients of one pick are under way, and returns them without those
// that are suppressed.
func (v *serving) attempts(got []picked, from *pick) []*attempt {
	r := v.batches.runs[from.batch]
	made, now, ends := r.batch.CreatedAt.UnixMicro(), time.Now(), dayEnds(from.costs)
	as, results := make([]*attempt, len(got)), make([]*result, len(got))
	var some []attempt
	low, high := got[0].seq, got[0].seq
	for i := range got {
		p := &got[i]
		low, high = min(low, p.seq), max(high, p.seq)
		if i%fewAttempts == 0 {
			some = make([]attempt, min(fewAttempts, len(got)-i))
		}
		a := &some[i%fewAttempts]
		*a = attempt{run: r, message: queue.Message{
			Batch: r.batch, Egress: from.leave, Seq: p.seq, Address: p.address, Domain: from.domain, Data: p.data,
			Attempt: p.attempts + 1, Group: from.grp, MayBegin: r.mayBegin, MayEnd: alwaysTrue,
		}, result: result{
			Result: queue.Result{Batch: p.batch, Seq: p.seq, DomainID: p.domainID, Try: p.tries + 1,
				Attempts: p.attempts, Counted: p.counted},
			domain: from.domain, made: made, grp: from.grp, first: !from.retry, alone: from.exclusive(),
			site: siteOf(from.lane), costs: from.costs, begun: now,
		}}
		if v.journal != nil {
			a.message.MayBegin = func() bool { return r.mayBegin() && !v.journal.failed() }
			a.message.MayEnd = func() bool { return v.journal.ending(&a.result) }
		}
		if !ends.IsZero() {
			may := a.message.MayBegin
			a.message.MayBegin = func() bool { return may() && v.clock.Load().at(time.Now()).Before(ends) }
		}
		as[i], results[i] = a, &a.result
	}
	v.flights.begin(results)
	if !from.retry {
		v.reach.note(from.key(), low, high, made, now)
	}
	begins := as[:0]
	for i, a := range as {
		if got[i].suppressed == nil {
			begins = append(begins, a)
			continue
		}
		a.result.Outcome = queue.Outcome{State: queue.Suppressed, Reply: queue.Reply{Text: *got[i].suppressed}}
		if got[i].class != nil {
			a.result.Class = *got[i].class
		}
		v.finish(a)
	}
	return begins
}

func alwaysTrue() bool { return true }

// start calls the handler. It may be called by any goroutine.
func (v *serving) start(a *attempt) {
	if v.crew.give(a) {
		return
	}
	v.handlers.Go(func() {
		next := make(chan *attempt, 1)
		for a := a; a != nil; a = v.crew.wait(next) {
			v.handle(a)
		}
	})
}

// handle calls the handler, and takes its outcome.
func (v *serving) handle(a *attempt) {
	if a.relayed && !a.run.mayBegin() { // it has waited
		a.result.Outcome = queue.Outcome{State: queue.Deferred, Class: queue.NotBegun}
	} else {
		a.result.Outcome = v.Handler(v.work, a.message)
	}
	if a.result.Fault != "" {
		v.fault(a.run, a.result.Fault)
	}
	v.finish(a)
	if a.result.alone {
		v.relay.land(a)
	}
}
