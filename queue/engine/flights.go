package engine

import (
	"slices"
	"sync"

	"enotify/queue"
)

// A result is an outcome on its way to the database, with what the engine
// knows of the recipient.
type result struct {
	queue.Result
	domain string
	grp    int16
	first  bool // a first try of the batch, not of those that wait in retry
}

// A flight names a try that is under way or not recorded yet. One recipient may
// have two: a try that was requeued while its result was written again.
type flight struct {
	batch int64
	seq   int32
	try   int32
}

func (r *result) flight() flight { return flight{r.Batch, r.Seq, int32(r.Try)} }

// flights are the messages that were handed out and are not recorded. It is
// used by the loop, the handlers and the writers of outcomes.
type flights struct {
	news chan struct{} // something below has changed

	mu     sync.Mutex
	open   map[flight]struct{}
	groups [groups]int     // how many of them per lease group
	firsts map[laneKey]int // first tries among them
	shared bool            // several batches have first tries under way, and may wait for each other's domains
	freed  []string        // sites with a place that is free, and domains that are no other batch's any more: see through
}

func newFlights() *flights {
	return &flights{news: make(chan struct{}, 1), open: map[flight]struct{}{}, firsts: map[laneKey]int{}}
}

// begin adds one.
func (f *flights) begin(r *result) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.open[r.flight()] = struct{}{}
	f.groups[r.grp]++
	if r.first {
		f.firsts[laneKey{r.Batch, r.DomainID, false}]++
	}
}

// recorded removes those whose results are in the database, and reports whether
// none is left.
func (f *flights) recorded(rs []result) (none bool) {
	f.mu.Lock()
	for i := range rs {
		r := &rs[i]
		delete(f.open, r.flight())
		f.groups[r.grp]--
		if !r.first {
			continue
		}
		key := laneKey{r.Batch, r.DomainID, false}
		if f.firsts[key]--; f.firsts[key] > 0 {
			continue
		}
		delete(f.firsts, key)
		if f.shared {
			f.freed = append(f.freed, through(r.domain))
		}
	}
	none = len(f.open) == 0
	f.mu.Unlock()
	f.tell()
	return none
}

// count is how many there are.
func (f *flights) count() int {
	f.mu.Lock()
	defer f.mu.Unlock()
	return len(f.open)
}

// list names all of them.
func (f *flights) list() []flight {
	f.mu.Lock()
	defer f.mu.Unlock()
	all := make([]flight, 0, len(f.open))
	for one := range f.open {
		all = append(all, one)
	}
	return slices.Clip(all)
}

// landed picks the groups of which nothing is under way.
func (f *flights) landed(grps map[int16]bool) (landed []int16) {
	f.mu.Lock()
	defer f.mu.Unlock()
	for grp := range grps {
		if f.groups[grp] == 0 {
			landed = append(landed, grp)
		}
	}
	return landed
}

// share says whether several batches have first tries under way.
func (f *flights) share(shared bool) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.shared = shared
}

// tries is how many first tries of a lane are under way.
func (f *flights) tries(of laneKey) int {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.firsts[of]
}

// free notes that a site has a free place; "" is no site.
func (f *flights) free(site string) {
	if site == "" {
		return
	}
	f.mu.Lock()
	f.freed = append(f.freed, site)
	f.mu.Unlock()
	f.tell()
}

// takeFreed returns what was freed since the last call.
func (f *flights) takeFreed() []string {
	f.mu.Lock()
	defer f.mu.Unlock()
	freed := f.freed
	f.freed = nil
	return freed
}

func (f *flights) tell() {
	select {
	case f.news <- struct{}{}:
	default:
	}
}
