package engine

import (
	"slices"
	"sync"
	"time"

	"enotify/queue"
)

// stallAfter is how long a batch may stand still before others take the turn.
const stallAfter = 1500 * time.Millisecond

// progress notes when a first try of each batch that holds the turn last ended.
// It is used by the loop and the handlers.
type progress struct {
	mu    sync.Mutex
	moved map[int64]time.Time
	told  map[int64]bool // those that stuck has returned
}

// follow keeps exactly these batches. A new one moves now.
func (p *progress) follow(batches []int64, now time.Time) {
	p.mu.Lock()
	defer p.mu.Unlock()
	moved := make(map[int64]time.Time, len(batches))
	for _, id := range batches {
		last, known := p.moved[id]
		if !known {
			last = now
			delete(p.told, id)
		}
		moved[id] = last
	}
	p.moved = moved
}

// move notes that a first try of a batch has ended, with what outcome. An attempt
// that reached nobody, or was put off, is no progress.
func (p *progress) move(batch int64, o queue.Outcome, now time.Time) {
	switch {
	case o.State == queue.Unknown:
		return
	case o.State == queue.Deferred && o.Class.Treatment().StandsStill: // also where a rule's mark spares the site
		return
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	if _, known := p.moved[batch]; known {
		p.moved[batch] = now
		delete(p.told, batch)
	}
}

// reset has all batches move now: that they stood still was not for their sites.
func (p *progress) reset(now time.Time) {
	p.mu.Lock()
	defer p.mu.Unlock()
	for id := range p.moved {
		p.moved[id] = now
	}
	clear(p.told)
}

// stuck lists the batches that have not moved for stallAfter.
func (p *progress) stuck(now time.Time) []int64 {
	p.mu.Lock()
	defer p.mu.Unlock()
	stuck := []int64{}
	for id, last := range p.moved {
		if now.Sub(last) >= stallAfter {
			stuck = append(stuck, id)
			if p.told == nil {
				p.told = map[int64]bool{}
			}
			p.told[id] = true
		}
	}
	slices.Sort(stuck)
	return stuck
}

// next is when the next batch will be stuck that stuck has not returned; the
// zero time when there is none.
func (p *progress) next() (next time.Time) {
	p.mu.Lock()
	defer p.mu.Unlock()
	for id, last := range p.moved {
		if at := last.Add(stallAfter); !p.told[id] && (next.IsZero() || at.Before(next)) {
			next = at
		}
	}
	return next
}
