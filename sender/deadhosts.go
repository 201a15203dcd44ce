package sender

import (
	"cmp"
	"sync"
	"time"

	"enotify/spfguard/dns"
)

// deadHosts remembers hosts and addresses that could not be reached, and why, so that not
// every message for them waits for a time-out of its own. When the time of one is over, one
// connection goes as a probe; each failed probe doubles the time.
type deadHosts struct {
	deadTime time.Duration // the first; 0 is 1 min
	probe    time.Duration // how long one connection may be a probe while the others keep away; 0 is 1 min

	mu    sync.Mutex
	hosts map[string]dead
	swept time.Time
}

type dead struct {
	until  time.Time
	probed time.Time // until when another connection goes as a probe
	times  int       // in a row that it could not be reached
	why    *failure
	least  TLSPolicy // the mail that it is dead for; 0: all
}

const (
	maxDeadTime = time.Hour
	// A host that nobody has tried for so long is new to us.
	forgetDead = 6 * time.Hour
)

// add remembers the host or address of a failure, for mail that needs encryption
// by least or more. One that answered is as dead the next time as the first.
func (g *deadHosts) add(name string, why *failure, least TLSPolicy, now time.Time) {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.sweep(now)
	known, ok := g.hosts[name]
	switch {
	case ok && now.Before(known.until) && known.least < least:
		return
	case ok && now.Before(known.until) && known.least == least && known.times > 0: // tried at the same time
		return
	}
	d := dead{why: why, least: least, times: 1}
	if least > 0 || why.crowded || why.reply.Code != 0 {
		d.times = 0
	} else if ok && known.least == 0 {
		d.times = known.times + 1
	}
	first := cmp.Or(g.deadTime, time.Minute)
	d.until = now.Add(min(first<<min(max(0, d.times-1), 12), max(first, maxDeadTime)))
	g.hosts[name] = d
}

func (g *deadHosts) sweep(now time.Time) {
	if g.hosts == nil {
		g.hosts = make(map[string]dead)
	}
	if now.Sub(g.swept) < time.Minute {
		return
	}
	g.swept = now
	for name, d := range g.hosts {
		if now.Sub(d.until) > forgetDead || d.times == 0 && now.After(d.until) {
			delete(g.hosts, name)
		}
	}
}

// revive forgets a host or address that was reached.
func (g *deadHosts) revive(name string) {
	g.mu.Lock()
	defer g.mu.Unlock()
	if d, ok := g.hosts[name]; ok && d.least == 0 {
		delete(g.hosts, name)
	}
}

// why is the reason why a host or address is passed over now by mail with a policy,
// nil when it is not.
func (g *deadHosts) why(name string, policy TLSPolicy, now time.Time) *failure {
	g.mu.Lock()
	defer g.mu.Unlock()
	d, ok := g.hosts[name]
	if !ok || d.least > policy || !now.Before(d.until) && !now.Before(d.probed) {
		return nil
	}
	return d.why
}

// visit is why for a caller that will go there: where the result is nil, it goes as the
// probe. probe reports that the host was dead before.
func (g *deadHosts) visit(name string, policy TLSPolicy, now time.Time) (why *failure, probe bool) {
	g.mu.Lock()
	defer g.mu.Unlock()
	d, ok := g.hosts[name]
	switch {
	case !ok || d.least > policy:
		return nil, false
	case now.Before(d.until), now.Before(d.probed):
		return d.why, false
	case d.times == 0:
		return nil, false
	}
	d.probed = now.Add(cmp.Or(g.probe, time.Minute))
	g.hosts[name] = d
	return nil, true
}

// unvisit notes that a probe ended before there was an answer.
func (g *deadHosts) unvisit(name string) {
	g.mu.Lock()
	defer g.mu.Unlock()
	if d, ok := g.hosts[name]; ok {
		d.probed = time.Time{}
		g.hosts[name] = d
	}
}

// reachable is when the first of some hosts may be tried that are all dead; the
// zero time when one may be tried now.
func (g *deadHosts) reachable(mxs []dns.MX, now time.Time) (at time.Time) {
	g.mu.Lock()
	defer g.mu.Unlock()
	for _, mx := range mxs {
		d, ok := g.hosts[mx.Host]
		if !ok || d.least > 0 || d.times == 0 || !now.Before(d.until) {
			return time.Time{}
		}
		if at.IsZero() || d.until.Before(at) {
			at = d.until
		}
	}
	return at
}
