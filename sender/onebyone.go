package sender

import (
	"sync"
	"time"
)

// oneByOne remembers hosts to which commands go one by one although they offer PIPELINING:
// they dropped commands behind the first, or mixed up the replies.
type oneByOne struct {
	mu    sync.Mutex
	until map[string]time.Time // by host
}

// forOneByOne is how long a host is remembered. A connection that broke for another reason
// costs the host's messages two more round trips for as long.
const forOneByOne = 6 * time.Hour

func (o *oneByOne) add(host string, now time.Time) {
	o.mu.Lock()
	defer o.mu.Unlock()
	for known, until := range o.until {
		if !now.Before(until) {
			delete(o.until, known)
		}
	}
	if o.until == nil {
		o.until = make(map[string]time.Time)
	}
	o.until[host] = now.Add(forOneByOne)
}

func (o *oneByOne) has(host string, now time.Time) bool {
	o.mu.Lock()
	defer o.mu.Unlock()
	return now.Before(o.until[host])
}
