package engine

import (
	"context"
	"errors"
	"time"

	"enotify/queue"
)

// A pipeline writes intents one after the other. While one is in the database, the loop
// hands out the messages of the one before it, and picks those of the next, which waits
// here. No intent is written while the answer to another is outstanding, nor one that was
// picked before the loop knew that another had failed.
//
// The loop settles the pipeline before it does anything else with what an intent rests on or
// changes: leases, turns, the lanes in the database.
type pipeline struct {
	write func(*intent)
	todo  chan *intent
	done  chan *intent
	open  []*intent // whose answers the loop has not taken, in order; belongs to the loop
}

// pipelined is how many intents are open at once.
const pipelined = 2

// An intent is a number of picks that are written in one transaction.
type intent struct {
	picks   []pick
	n       int // messages
	before  []int64
	limited bool
	behind  bool // another one was open when it was picked
	domains map[string]bool

	got []picked
	err error
}

var (
	errWentBack = errors.New("the database went back")
	errBehind   = errors.New("the intent before it failed")
)

func newPipeline(write func(*intent)) *pipeline {
	return &pipeline{write: write, todo: make(chan *intent, pipelined), done: make(chan *intent, pipelined)}
}

// run writes what is sent until todo is closed.
func (p *pipeline) run() {
	failed := false
	for in := range p.todo {
		if failed = failed && in.behind; failed {
			in.err = errBehind
		} else {
			p.write(in)
			failed = in.err != nil
		}
		p.done <- in
	}
}

// send has an intent written.
func (p *pipeline) send(in *intent) {
	in.behind = len(p.open) > 0
	p.open = append(p.open, in)
	p.todo <- in
}

// messages is how many of them are in open intents.
func (p *pipeline) messages() (n int) {
	for _, in := range p.open {
		n += in.n
	}
	return n
}

// others reports whether an open intent has messages of another batch that are alone in
// the domain of a lane.
func (p *pipeline) others(l *lane) bool {
	for _, in := range p.open {
		first := &in.picks[0]
		if !first.exclusive() || !first.retry && first.batch == l.batch { // first tries are all of one batch
			continue
		}
		if in.domains == nil {
			in.domains = make(map[string]bool, len(in.picks))
			for i := range in.picks {
				in.domains[in.picks[i].domain] = true
			}
		}
		if in.domains[l.domain] {
			return true
		}
	}
	return false
}

// begin has the intents of the picks written. It reports false when one failed.
func (v *serving) begin(ctx context.Context, picks []pick) bool {
	in := &intent{picks: picks, n: count(picks), before: v.batches.ahead(picks[0].batch),
		limited: v.batches.limited(picks[0].batch)}
	if v.phase == unsure {
		v.stopped(in)
		return false
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), roundTrip)
	defer cancel()
	if err := v.keepSpent(ctx); err != nil {
		v.stopped(in)
		v.unwritten(err)
		return false
	}
	v.pipeline.send(in)
	v.rest(in)
	return len(v.pipeline.open) < pipelined || v.handOut(<-v.pipeline.done)
}

// write writes an intent. It is called by the goroutine of the pipeline.
func (v *serving) write(in *intent) {
	ctx, cancel := context.WithTimeout(context.Background(), roundTrip) // an intent that is cut off is in doubt
	defer cancel()
	var mark int64
	in.got, mark, in.err = v.store.intend(ctx, v.node.ID, in.picks, in.before, in.limited)
	if in.err == nil && v.marks.note(intents, mark) {
		in.got, in.err = nil, errWentBack
	}
}

// settle hands out what is in the pipeline, and reports false when an intent failed.
func (v *serving) settle() (ok bool) {
	ok = true
	for len(v.pipeline.open) > 0 {
		ok = v.handOut(<-v.pipeline.done) && ok
	}
	return ok
}

// handOut hands out the messages of an intent that was written, and reports false when it
// failed.
func (v *serving) handOut(in *intent) bool {
	v.pipeline.open = v.pipeline.open[1:]
	v.rest(in)
	byLane := make(map[laneKey]*pick, len(in.picks))
	for i := range in.picks {
		byLane[in.picks[i].key()] = &in.picks[i]
	}
	for got := in.got; len(got) > 0; {
		one, n := got[0], 1
		for n < len(got) && got[n].batch == one.batch && got[n].domainID == one.domainID {
			n++
		}
		from := byLane[laneKey{one.batch, one.domainID, in.picks[0].retry, in.picks[0].putOff}]
		from.n -= n
		v.hand(got[:n], from)
		got = got[n:]
	}
	v.stopped(in)
	if in.err != nil {
		v.unwritten(in.err)
	}
	return in.err == nil
}

// rest has a busy node rest after an intent of few messages, see pause.
func (v *serving) rest(in *intent) {
	v.rests = time.Time{}
	if in.n < fewPicks {
		v.rests = time.Now().Add(beginGap)
	}
}

// stopped gives back what was admitted of an intent and was not handed out: a fence stopped
// it, or the round trip failed.
func (v *serving) stopped(in *intent) {
	now := time.Now()
	for _, p := range in.picks {
		if len(in.got) > 0 { // else it may be that nothing was counted: no cap had room
			v.egress.counts.giveBack(p.costs, p.n)
		}
		for ; p.n > 0; p.n-- {
			v.phase.worsen(stale)
			v.flights.free(v.Admission.Done(p.domain, queue.Outcome{State: queue.Deferred, Class: queue.NotBegun}, now))
		}
	}
}

// unwritten notes that an intent failed: it may have been written although no answer came.
func (v *serving) unwritten(err error) {
	v.phase.worsen(unsure)
	if !errors.Is(err, errBehind) {
		v.log.Warn("no intent could be written; sending waits", "error", err)
	}
}
