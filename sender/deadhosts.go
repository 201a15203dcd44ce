package sender

import (
	"sync"
	"time"
)

// deadHosts remembers hosts that could not be reached, and why, so that not
// every message for them waits for a time-out of its own.
type deadHosts struct {
	mu    sync.Mutex
	hosts map[string]dead
}

type dead struct {
	until time.Time
	why   *failure
	least TLSPolicy // the mail that it is dead for; 0: all
}

// add remembers the host of a failure for a while, for mail that needs
// encryption by least or more.
func (d *deadHosts) add(why *failure, least TLSPolicy, while time.Duration, now time.Time) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.hosts == nil {
		d.hosts = make(map[string]dead)
	}
	for host, known := range d.hosts {
		if !now.Before(known.until) {
			delete(d.hosts, host)
		}
	}
	if known, ok := d.hosts[why.host]; ok && known.least < least {
		return
	}
	d.hosts[why.host] = dead{now.Add(while), why, least}
}

// why is the reason why a host is passed over now by mail with a policy, nil
// when it is not.
func (d *deadHosts) why(host string, policy TLSPolicy, now time.Time) *failure {
	d.mu.Lock()
	defer d.mu.Unlock()
	if known, ok := d.hosts[host]; ok && now.Before(known.until) && known.least <= policy {
		return known.why
	}
	return nil
}
