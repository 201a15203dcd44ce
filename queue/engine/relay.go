package engine

import (
	"sync"
	"time"

	"enotify/queue"
)

// relayAfter is how long a small batch waits for the messages of the one before it
// to begin: its sites may take long to answer.
const relayAfter = 100 * time.Millisecond

// A relay hands out the messages of small batches in the order of their turns. A
// batch comes up when nothing of the one before it is left to begin. A message
// waits while messages of another batch that are alone in its domain are under way: no
// domain serves two batches at once. It is used by the loop and the handlers.
type relay struct {
	start func(*attempt)

	mu    sync.Mutex
	legs  []*leg         // with messages that have not begun
	held  int            // messages that were not handed out
	air   map[string]int // under way and alone there, per domain
	airOf map[visit]int
	timer *time.Timer
}

// A leg is a small batch whose messages have not all begun.
type leg struct {
	held []*attempt // not handed out
	left int        // messages that have neither begun nor ended
	up   time.Time  // when it came up; zero: it has not
}

func newRelay(start func(*attempt)) *relay {
	r := &relay{start: start, air: map[string]int{}, airOf: map[visit]int{}}
	r.timer = time.AfterFunc(time.Hour, r.next)
	return r
}

// add takes the messages of a batch.
func (r *relay) add(of []*attempt) {
	if len(of) == 0 {
		return
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	l := &leg{held: of, left: len(of)}
	for _, a := range of {
		a.leg = l
	}
	r.legs = append(r.legs, l)
	r.held += len(of)
	r.step()
}

// waiting is how many messages were not handed out.
func (r *relay) waiting() int {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.held
}

// began notes that the transaction of a message begins, or that it never will.
func (r *relay) began(a *attempt) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.left(a)
}

// left counts a message that is not left to begin.
func (r *relay) left(a *attempt) {
	if a.leg == nil {
		return
	}
	l := a.leg
	a.leg = nil
	if l.left--; l.left == 0 {
		r.step()
	}
}

// takeOff notes that messages are handed out that are alone in their domain.
func (r *relay) takeOff(v visit, n int) {
	if n == 0 {
		return
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	r.fly(v, n)
}

func (r *relay) fly(v visit, n int) {
	r.air[v.domain] += n
	r.airOf[v] += n
}

// land notes that a message that was alone in its domain has ended.
func (r *relay) land(a *attempt) {
	v := a.visit()
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.air[v.domain]--; r.air[v.domain] == 0 {
		delete(r.air, v.domain)
	}
	if r.airOf[v]--; r.airOf[v] == 0 {
		delete(r.airOf, v)
		if r.held > 0 {
			r.step()
		}
	}
	r.left(a)
}

// next looks again after relayAfter.
func (r *relay) next() {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.step()
}

// step hands out what may go now. It needs mu.
func (r *relay) step() {
	now := time.Now()
	taken := map[string]bool{} // by a batch before
	rest := r.legs[:0]
	blocked := false
	for i, l := range r.legs {
		if blocked {
			rest = append(rest, r.legs[i:]...)
			break
		}
		if l.up.IsZero() {
			l.up = now
		}
		kept := l.held[:0]
		for _, a := range l.held {
			v := a.visit()
			if taken[v.domain] || r.air[v.domain] > r.airOf[v] {
				kept = append(kept, a)
				continue
			}
			r.held--
			r.fly(v, 1)
			r.start(a)
		}
		clear(l.held[len(kept):])
		l.held = kept
		for _, a := range kept {
			taken[a.message.Domain] = true
		}
		if l.left == 0 {
			continue
		}
		rest = append(rest, l)
		if wait := relayAfter - now.Sub(l.up); wait > 0 {
			r.timer.Reset(wait)
			blocked = true
		}
	}
	clear(r.legs[len(rest):])
	r.legs = rest
}

// stop hands out everything: runs have halted, so that none of it is sent.
func (r *relay) stop() {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.timer.Stop()
	for _, l := range r.legs {
		for _, a := range l.held {
			r.fly(a.visit(), 1)
			r.start(a)
		}
		l.held = nil
	}
	r.legs, r.held = nil, 0
}

// An attempt is a recipient whose intent is written, on the way to the handler.
type attempt struct {
	run     *run
	message queue.Message
	result  result
	leg     *leg // of a small batch, until its transaction begins; guarded by relay.mu
	relayed bool
}

func (a *attempt) visit() visit { return visit{a.result.Batch, a.result.domain} }
