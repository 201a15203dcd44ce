package queue

import (
	"container/heap"
	"time"
)

// lanes holds every lane in one of three places: ready to be asked for, or
// parked until a time, or parked until a message of a site is done. A lane
// that waits costs nothing and holds up no other.
type lanes struct {
	known map[laneKey]*lane
	ready []*lane
	timed laneHeap
	sites map[string][]*lane
}

type laneKey struct {
	batch  int64
	domain int32
	retry  bool
}

func (l *lane) key() laneKey { return laneKey{l.batch, l.domainID, l.retry} }

func newLanes() *lanes {
	return &lanes{known: map[laneKey]*lane{}, sites: map[string][]*lane{}}
}

// put adds a lane, or brings the one that is there up to date.
func (ls *lanes) put(l lane) {
	if old := ls.known[l.key()]; old != nil {
		old.waiting = l.waiting
		return
	}
	ls.known[l.key()] = &l
	ls.ready = append(ls.ready, &l)
}

// keep drops every lane for which f is false.
func (ls *lanes) keep(f func(*lane) bool) {
	for key, l := range ls.known {
		if !f(l) {
			l.waiting = 0 // taken out of its place when it is next met there
			delete(ls.known, key)
		}
	}
}

// pop takes the lane whose turn it is, nil when none is ready.
func (ls *lanes) pop(now time.Time) *lane {
	for len(ls.timed) > 0 && !ls.timed[0].until.After(now) {
		ls.ready = append(ls.ready, heap.Pop(&ls.timed).(parked).lane)
	}
	for len(ls.ready) > 0 {
		l := ls.ready[0]
		ls.ready = ls.ready[1:]
		if l.waiting > 0 {
			return l
		}
		ls.forget(l)
	}
	return nil
}

// park puts a lane back that pop gave out.
func (ls *lanes) park(l *lane, w Wait) {
	switch {
	case l.waiting == 0:
		ls.forget(l)
	case w.Site != "":
		ls.sites[w.Site] = append(ls.sites[w.Site], l)
	case w.Until.IsZero():
		ls.ready = append(ls.ready, l)
	default:
		heap.Push(&ls.timed, parked{w.Until, l})
	}
}

// free makes up to n lanes ready that wait for the site.
func (ls *lanes) free(site string, n int) {
	waiting := ls.sites[site]
	n = min(n, len(waiting))
	ls.ready = append(ls.ready, waiting[:n]...)
	if n == len(waiting) {
		delete(ls.sites, site)
	} else {
		ls.sites[site] = waiting[n:]
	}
}

// next is when the first parked lane ripens; the zero time when none will by itself.
func (ls *lanes) next() time.Time {
	if len(ls.timed) == 0 {
		return time.Time{}
	}
	return ls.timed[0].until
}

func (ls *lanes) forget(l *lane) {
	if ls.known[l.key()] == l {
		delete(ls.known, l.key())
	}
}

type parked struct {
	until time.Time
	lane  *lane
}

type laneHeap []parked

func (h laneHeap) Len() int           { return len(h) }
func (h laneHeap) Less(i, j int) bool { return h[i].until.Before(h[j].until) }
func (h laneHeap) Swap(i, j int)      { h[i], h[j] = h[j], h[i] }
func (h *laneHeap) Push(x any)        { *h = append(*h, x.(parked)) }
func (h *laneHeap) Pop() any {
	old := *h
	last := old[len(old)-1]
	old[len(old)-1] = parked{}
	*h = old[:len(old)-1]
	return last
}
