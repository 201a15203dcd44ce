package dns

import (
	"sync"
	"time"
)

// An entry is what the cache keeps of an answer. Temporary errors are not kept.
type entry struct {
	records any   // []T of the question's type
	err     error // nil, or wraps ErrNXDomain or ErrNoData
	expires time.Time
	secure  bool
}

// A cache is a bounded map of answers.
type cache struct {
	limit int

	mu      sync.Mutex
	entries map[question]entry
	stats   Stats
}

// Stats counts what a Resolver was asked.
type Stats struct {
	Cached  uint64 // questions answered from the cache
	Asked   uint64 // questions that the server was to answer, each once at a time
	Failed  uint64 // of those, without an answer
	Entries int    // answers remembered now
}

// Stats returns the counts since the first question.
func (r *Resolver) Stats() Stats {
	r.cache.mu.Lock()
	defer r.cache.mu.Unlock()
	s := r.cache.stats
	s.Entries = len(r.cache.entries)
	return s
}

// count notes a question that the server was asked.
func (c *cache) count(failed bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.stats.Asked++
	if failed {
		c.stats.Failed++
	}
}

func (c *cache) get(q question, now time.Time) (entry, bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	e, ok := c.entries[q]
	if ok = ok && now.Before(e.expires); ok {
		c.stats.Cached++
	}
	return e, ok
}

// put keeps e while it is fresh. A full cache gives up an entry that has
// expired, if one is found among a few, else any: being asked again costs one
// query, and a list in order of use would cost a lock on every read.
func (c *cache) put(q question, e entry, now time.Time) {
	if !now.Before(e.expires) {
		return
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.entries == nil {
		c.entries = make(map[question]entry)
	}
	if _, known := c.entries[q]; !known && len(c.entries) >= c.limit {
		c.evict(now)
	}
	c.entries[q] = e
}

func (c *cache) evict(now time.Time) {
	const look = 16
	var victim question
	n := 0
	for q, e := range c.entries { // in no particular order
		victim = q
		if n++; n == look || !now.Before(e.expires) {
			break
		}
	}
	delete(c.entries, victim)
}
