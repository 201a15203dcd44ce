package engine

import (
	"context"
	"math/rand/v2"
	"time"

	"enotify/queue"
)

// finish takes the outcome of an attempt: it frees its place, decides when a
// deferred one is due, and has it recorded. It is called by the handlers.
func (v *serving) finish(a *attempt) {
	now, r := time.Now(), &a.result
	site := v.Admission.Done(a.message.Domain, r.Outcome, now)
	r.At = v.clock.Load().at(now)
	v.egress.counts.note(r.Outcome, r.site, r.costs, r.At)
	if r.State == queue.Unknown && a.message.Batch.OnUnknown == queue.Resend {
		r.State, r.Class = queue.Deferred, queue.Other
	}
	if r.first {
		v.progress.move(r.Batch, r.Outcome, now)
	}
	r.Warming = capped(r.costs, r.Egress)
	if r.State == queue.Deferred {
		v.putOff(r, a.message.Domain, now)
	}
	v.journal.end(r)
	v.flights.free(site)
	v.flush.add(r)
}

// putOff decides when a deferred message is due.
func (v *serving) putOff(r *result, domain string, now time.Time) {
	switch {
	case r.Class == queue.NotBegun:
		r.Wait = r.After
		if c, wait, closed := v.closed(domain, now); closed {
			r.Class, r.Reply, r.Aside = c.Class, c.Reply, true
			r.Wait = wait + rand.N(v.jitter())
		}
	case !r.Treated().Counts:
		// At least First: a host that greylists checks that we waited.
		r.Wait = max(r.After, v.Schedule.Backoff(1, (1+rand.Float64())/2))
	default:
		r.Attempts++
		r.Wait = max(r.After, v.Schedule.Backoff(r.Attempts, rand.Float64()))
	}
}

// record writes results to the database. It is called by the flusher.
func (v *serving) record(ctx context.Context, writer int16, rs []*result) (mark int64, err error) {
	results := make([]*queue.Result, len(rs))
	for i, r := range rs {
		results[i] = &r.Result
	}
	begun := time.Now()
	v.marks.settling.RLock()
	defer v.marks.settling.RUnlock()
	mark, alerts, err := v.DB.FinishMarked(ctx, queue.Mark{Node: v.node.ID, Writer: writer}, results)
	if err == nil {
		v.alert(alerts)
		v.marks.note(writer, mark)
		if v.Flushed != nil {
			v.Flushed(results, time.Since(begun))
		}
	}
	return mark, err
}

// recorded is told of results that are in the database. It is called by the
// flusher.
func (v *serving) recorded(writer int16, mark int64, rs []*result) {
	v.journal.recorded(writer, mark, rs)
	v.flights.recorded(rs)
}

func (v *serving) alert(alerts []queue.Alert) {
	for _, a := range alerts {
		if v.Alerted != nil {
			v.Alerted(a)
		}
	}
}
