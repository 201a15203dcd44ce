package engine

import (
	"cmp"
	"container/heap"
	"slices"
	"time"

	"enotify/queue"
)

// lanes are all lanes of the node. A lane is ready, or parked until a time or
// until a message of a site is done, whichever is first. A parked lane costs
// nothing and delays no other.
type lanes struct {
	known  map[laneKey]*lane
	at     map[string][]*lane // lanes that are exclusive, per domain
	of     map[int64]int      // lanes with first tries, per batch
	urgent []*lane            // ready, and go before the others
	ready  []*lane
	line   tickets  // in the order of their times: most are parked for as long, so they join at its end
	timed  laneHeap // those that may not join there
	sites  map[string]*tickets
	served int // how often a lane was served
}

type laneKey struct {
	batch  int64
	domain int32
	retry  bool
	putOff bool
}

func (l *lane) key() laneKey { return laneKey{l.batch, l.domainID, l.retry, l.putOff} }

func newLanes() *lanes {
	return &lanes{known: map[laneKey]*lane{}, at: map[string][]*lane{}, of: map[int64]int{},
		sites: map[string]*tickets{}}
}

// put adds a lane, or updates the one that is there.
func (ls *lanes) put(l lane) {
	if old := ls.known[l.key()]; old != nil {
		old.waiting, old.grp, old.site = l.waiting, l.grp, l.site
		return
	}
	ls.known[l.key()] = &l
	if l.exclusive() {
		ls.at[l.domain] = append(ls.at[l.domain], &l)
	}
	if !l.retry {
		ls.of[l.batch]++
	}
	ls.makeReady(&l)
}

func (ls *lanes) makeReady(l *lane) {
	if l.urgent() {
		ls.urgent = append(ls.urgent, l)
	} else {
		ls.ready = append(ls.ready, l)
	}
}

// retain drops every lane for which f is false.
func (ls *lanes) retain(f func(*lane) bool) {
	for key, l := range ls.known {
		if !f(l) {
			l.waiting = 0 // pop and park drop it when they meet it
			ls.remove(key)
		}
	}
}

// ripen makes those lanes ready that were parked until now. The lanes of a site whose
// rate lets one message begin wait for the same moment: they take turns.
func (ls *lanes) ripen(now time.Time) {
	var ripe []parked
	for until := ls.next(); !until.IsZero() && !until.After(now); until = ls.next() {
		ripe = append(ripe, ls.take())
	}
	slices.SortStableFunc(ripe, func(a, b parked) int { return cmp.Compare(a.lane.served, b.lane.served) })
	for _, p := range ripe {
		ls.unpark(p)
	}
}

// serve notes that messages of a lane begin.
func (ls *lanes) serve(l *lane) {
	ls.served++
	l.served = ls.served
}

// pop takes the next lane that is ready; nil when none is. With onlyUrgent it
// passes over the others.
func (ls *lanes) pop(onlyUrgent bool) *lane {
	for _, queue := range []*[]*lane{&ls.urgent, &ls.ready} {
		if onlyUrgent && queue == &ls.ready {
			break
		}
		for len(*queue) > 0 {
			l := (*queue)[0]
			*queue = (*queue)[1:]
			if l.waiting > 0 {
				return l
			}
			ls.forget(l)
		}
	}
	return nil
}

// park puts a lane back that pop gave out.
func (ls *lanes) park(l *lane, w queue.Wait) {
	if l.waiting == 0 {
		ls.forget(l)
		return
	}
	if w == (queue.Wait{}) {
		ls.makeReady(l)
		return
	}
	l.parkings++
	ticket := parked{w.Until, l, l.parkings}
	if w.Site != "" {
		waiting := ls.sites[w.Site]
		if waiting == nil {
			waiting = &tickets{}
			ls.sites[w.Site] = waiting
		}
		if waiting.len() > 2*len(ls.known) { // most are void
			waiting.all = slices.DeleteFunc(waiting.all[waiting.from:], parked.void)
			waiting.from = 0
		}
		waiting.push(ticket)
	}
	switch n := len(ls.line.all); {
	case w.Until.IsZero():
	case ls.line.len() == 0 || !w.Until.Before(ls.line.all[n-1].until):
		ls.line.push(ticket)
	default:
		heap.Push(&ls.timed, ticket)
	}
}

// unpark makes a lane ready, unless the ticket is void.
func (ls *lanes) unpark(p parked) bool {
	if p.void() {
		return false
	}
	p.lane.parkings++
	ls.makeReady(p.lane)
	return true
}

// free makes up to n lanes ready that wait for a site.
func (ls *lanes) free(site string, n int) {
	waiting := ls.sites[site]
	if waiting == nil {
		return
	}
	for n > 0 && waiting.len() > 0 {
		if ls.unpark(waiting.pop()) {
			n--
		}
	}
	if waiting.len() == 0 {
		delete(ls.sites, site)
	}
}

// next is when the first parked lane becomes ready; zero when all wait for a site.
func (ls *lanes) next() time.Time {
	for ls.line.len() > 0 && ls.line.first().void() {
		ls.line.pop()
	}
	for len(ls.timed) > 0 && ls.timed[0].void() {
		heap.Pop(&ls.timed)
	}
	switch {
	case len(ls.timed) > 0 && (ls.line.len() == 0 || ls.timed[0].until.Before(ls.line.first().until)):
		return ls.timed[0].until
	case ls.line.len() > 0:
		return ls.line.first().until
	}
	return time.Time{}
}

// take takes the ticket of next, which there must be.
func (ls *lanes) take() parked {
	if ls.line.len() == 0 || len(ls.timed) > 0 && ls.timed[0].until.Before(ls.line.first().until) {
		return heap.Pop(&ls.timed).(parked)
	}
	return ls.line.pop()
}

func (ls *lanes) forget(l *lane) {
	if ls.known[l.key()] == l {
		ls.remove(l.key())
	}
}

func (ls *lanes) remove(key laneKey) {
	l := ls.known[key]
	delete(ls.known, key)
	if l == nil || !l.exclusive() {
		return
	}
	if !l.retry {
		if ls.of[l.batch]--; ls.of[l.batch] == 0 {
			delete(ls.of, l.batch)
		}
	}
	rest := slices.DeleteFunc(ls.at[l.domain], func(o *lane) bool { return o == l })
	if len(rest) == 0 {
		delete(ls.at, l.domain)
	} else {
		ls.at[l.domain] = rest
	}
}

// parked is the ticket of a lane that was parked. It is void when the lane has
// become ready since, or was parked again.
type parked struct {
	until   time.Time
	lane    *lane
	parking int
}

func (p parked) void() bool { return p.parking != p.lane.parkings }

// Tickets are taken in the order in which they came. They keep their memory.
type tickets struct {
	all  []parked
	from int // those before it are taken
}

func (t *tickets) len() int       { return len(t.all) - t.from }
func (t *tickets) first() *parked { return &t.all[t.from] }

func (t *tickets) push(p parked) {
	if len(t.all) == cap(t.all) && t.from > len(t.all)/2 {
		n := copy(t.all, t.all[t.from:])
		clear(t.all[n:])
		t.all, t.from = t.all[:n], 0
	}
	t.all = append(t.all, p)
}

func (t *tickets) pop() parked {
	p := t.all[t.from]
	t.all[t.from] = parked{}
	if t.from++; t.from == len(t.all) {
		t.all, t.from = t.all[:0], 0
	}
	return p
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

// waiting reports whether first tries of a batch wait here.
func (ls *lanes) waiting(batch int64) bool { return ls.of[batch] > 0 }

// retries reports whether a retry is due.
func (ls *lanes) retries() bool {
	for _, l := range ls.known {
		if l.retry && l.waiting > 0 {
			return true
		}
	}
	return false
}
