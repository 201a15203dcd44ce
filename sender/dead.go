package sender

import (
	"sync"
	"time"
)

// A graveyard remembers hosts that could not be reached, and why, so that not
// every message for them waits for a time-out of its own.
type graveyard struct {
	mu    sync.Mutex
	hosts map[string]dead
}

type dead struct {
	until time.Time
	why   *failure
	least TLSPolicy // the mail that it is dead for; 0: all
}

// bury remembers the host of a failure for d, for mail that needs encryption by
// least or more.
func (g *graveyard) bury(why *failure, least TLSPolicy, d time.Duration, now time.Time) {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.hosts == nil {
		g.hosts = make(map[string]dead)
	}
	for host, d := range g.hosts {
		if !now.Before(d.until) {
			delete(g.hosts, host)
		}
	}
	if known, ok := g.hosts[why.host]; ok && known.least < least {
		return
	}
	g.hosts[why.host] = dead{now.Add(d), why, least}
}

// why is the reason why a host is passed over now by mail with a policy, nil
// when it is not.
func (g *graveyard) why(host string, policy TLSPolicy, now time.Time) *failure {
	g.mu.Lock()
	defer g.mu.Unlock()
	if d, ok := g.hosts[host]; ok && now.Before(d.until) && d.least <= policy {
		return d.why
	}
	return nil
}
