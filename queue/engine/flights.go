package engine

import (
	"sync"
	"time"

	"enotify/queue"
)

// A result is an outcome on its way to the database, with what the engine
// knows of the recipient.
type result struct {
	queue.Result
	domain string
	made   int64 // when the batch was created, in microseconds since 1970
	grp    int16
	first  bool // a first try of the batch, not of those that wait in retry
	alone  bool // see lane.exclusive
	site   string
	costs  []cost // of the caps and rates of the addresses that it may leave from
	begun  time.Time

	// guarded by flights.mu
	slow         bool
	older, newer *result // in the list of flights
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

	mu      sync.Mutex
	n       int
	oldest  *result        // of all, which are a list in the order in which they began
	young   *result        // the oldest of them that is not slow yet; all newer ones are not
	newest  *result        // of all
	slow    map[string]int // of them, per recipient domain
	slows   int            // the sum
	groups  [groups]int    // how many of them per lease group
	visits  map[visit]int  // of those that are alone
	domains map[string]int // the same per recipient domain
	tries   map[int64]int  // first tries among them per batch
	through []int64        // batches that have none any more, since the last call of over
	// sites with a place that is free, and domains that are no other batch's any more: see through
	freed []string
}

// slowAfter is when a message counts as slow: its site does not move, or hardly,
// and it must not keep others out.
const slowAfter = time.Second

// A visit is a batch in a recipient domain. It goes by the name: a domain may have
// several numbers, see domain.twin.
type visit struct {
	batch  int64
	domain string
}

func newFlights() *flights {
	return &flights{news: make(chan struct{}, 1), visits: map[visit]int{},
		tries: map[int64]int{}, domains: map[string]int{}, slow: map[string]int{}}
}

// begin adds messages of one lane.
func (f *flights) begin(rs []*result) {
	f.mu.Lock()
	defer f.mu.Unlock()
	for _, r := range rs {
		r.older = f.newest
		if f.newest != nil {
			f.newest.newer = r
		} else {
			f.oldest = r
		}
		f.newest = r
	}
	f.n += len(rs)
	if f.young == nil {
		f.young = rs[0]
	}
	r, n := rs[0], len(rs)
	f.groups[r.grp] += n
	if r.first {
		f.tries[r.Batch] += n
	}
	if r.alone {
		f.domains[r.domain] += n
		f.visits[visit{r.Batch, r.domain}] += n
	}
}

// remove takes a message out of the list.
func (f *flights) remove(r *result) {
	if f.young == r {
		f.young = r.newer
	}
	if r.older != nil {
		r.older.newer = r.newer
	} else {
		f.oldest = r.newer
	}
	if r.newer != nil {
		r.newer.older = r.older
	} else {
		f.newest = r.older
	}
	r.older, r.newer = nil, nil
	f.n--
}

// recorded removes the flights whose results are in the database.
func (f *flights) recorded(rs []*result) {
	f.mu.Lock()
	for _, r := range rs {
		f.remove(r)
		if r.slow {
			f.slows--
			if f.slow[r.domain]--; f.slow[r.domain] == 0 {
				delete(f.slow, r.domain)
			}
		}
		f.groups[r.grp]--
		if r.first {
			if f.tries[r.Batch]--; f.tries[r.Batch] == 0 {
				delete(f.tries, r.Batch)
				f.through = append(f.through, r.Batch)
			}
		}
		if !r.alone {
			continue
		}
		if f.domains[r.domain]--; f.domains[r.domain] == 0 {
			delete(f.domains, r.domain)
		}
		key := visit{r.Batch, r.domain}
		if f.visits[key]--; f.visits[key] > 0 {
			continue
		}
		delete(f.visits, key)
		f.freed = append(f.freed, through(r.domain))
	}
	f.mu.Unlock()
	f.tell()
}

// over lists the batches whose last first try here was recorded since the last call,
// and reports whether nothing is under way.
func (f *flights) over() (batches []int64, none bool) {
	f.mu.Lock()
	defer f.mu.Unlock()
	batches, f.through = f.through, nil
	return batches, f.n == 0
}

// count is the number of messages under way.
func (f *flights) count() int {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.n
}

// list names all of them.
func (f *flights) list() []flight {
	f.mu.Lock()
	defer f.mu.Unlock()
	all := make([]flight, 0, f.n)
	for r := f.oldest; r != nil; r = r.newer {
		all = append(all, r.flight())
	}
	return all
}

// landed picks the groups that have nothing under way.
func (f *flights) landed(grps map[int16]int32) (landed []int16) {
	f.mu.Lock()
	defer f.mu.Unlock()
	for grp := range grps {
		if f.groups[grp] == 0 {
			landed = append(landed, grp)
		}
	}
	return landed
}

// taken returns how many messages are under way, and how many places they take. Slow
// messages have places of their own, and take others only when those are full.
func (f *flights) taken(own int, now time.Time) (all, places int) {
	f.mu.Lock()
	defer f.mu.Unlock()
	for ; f.young != nil && now.Sub(f.young.begun) >= slowAfter; f.young = f.young.newer {
		f.young.slow = true
		f.slows++
		f.slow[f.young.domain]++
	}
	return f.n, f.n - min(f.slows, own)
}

// nextSlow is when the next message will be slow; the zero time when there is none.
func (f *flights) nextSlow() time.Time {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.young == nil {
		return time.Time{}
	}
	return f.young.begun.Add(slowAfter)
}

// slowAt reports whether a message to a domain is slow.
func (f *flights) slowAt(domain string) bool {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.slow[domain] > 0
}

// others reports whether messages of another batch that are alone in a domain are under way.
func (f *flights) others(domain string, batch int64) bool {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.domains[domain] > f.visits[visit{batch, domain}]
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
