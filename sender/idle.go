package sender

import (
	"container/list"
	"slices"
	"time"

	"enotify/queue"
	"enotify/spfguard/dns"
)

func (p *pool) retireIdle(s *siteConns, i int) {
	p.retire(s, p.takeIdle(s, i))
}

func (p *pool) takeIdle(s *siteConns, i int) *conn {
	c := s.idle[i]
	s.idle = slices.Delete(s.idle, i, i+1)
	p.idle.Remove(c.at)
	return c
}

// pickIdle takes the idle connection used last to a host where r would go.
func (p *pool) pickIdle(s *siteConns, r *route) *conn {
	for i := len(s.idle) - 1; i >= 0; i-- {
		if p.suits(r, s.idle[i]) {
			return p.takeIdle(s, i)
		}
	}
	return nil
}

// suits reports whether c goes to where r does, encrypted as r wants it, and
// comes from an address that r may leave from and that is not held.
func (p *pool) suits(r *route, c *conn) bool {
	if len(r.egress) > 0 && !slices.ContainsFunc(r.egress, func(e queue.Egress) bool { return e.Addr == c.from }) {
		return false
	}
	return c.meets(r.need(c.host)) && p.prefers(r, c.host) && p.throttle.Held(c.site, c.egress, time.Now()).IsZero()
}

// prefers reports whether host is among the best hosts of r that are not dead.
func (p *pool) prefers(r *route, host string) bool {
	now := time.Now()
	for i, mx := range r.mxs {
		if mx.Host == host {
			return true
		}
		better := i+1 < len(r.mxs) && r.mxs[i+1].Pref > mx.Pref
		if better && slices.ContainsFunc(r.mxs[:i+1],
			func(mx dns.MX) bool { return p.dead.why(mx.Host, r.need(mx.Host).tls, now) == nil }) {
			return false
		}
	}
	return false
}

// evict ends the connection that has been idle for longest, of a site without mail
// unless an urgent message needs its place. It reports whether there was one.
func (p *pool) evict(of class, now time.Time) bool {
	const look = 16 // the first ones are the most likely
	n := 0
	for e := p.idle.Front(); e != nil && n < look; e = e.Next() {
		if c := e.Value.(*conn); of == urgent || !p.throttle.Busy(c.site, now) {
			s := p.site(c.site)
			p.retireIdle(s, slices.Index(s.idle, c))
			return true
		}
		n++
	}
	return false
}

// leave ends the idle connections to the sites of groups that another node sends to from now
// on: a site sees no more connections than it bears.
func (p *pool) leave(groups []int16) {
	p.mu.Lock()
	defer p.mu.Unlock()
	var next *list.Element
	for e := p.idle.Front(); e != nil; e = next {
		next = e.Next()
		if c := e.Value.(*conn); slices.Contains(groups, int16(c.group.Load())) {
			s := p.site(c.site)
			p.retireIdle(s, slices.Index(s.idle, c))
		}
	}
}

// expire ends the connections that were idle for too long.
func (p *pool) expire() {
	p.mu.Lock()
	defer p.mu.Unlock()
	if next := p.expireBefore(time.Now().Add(-p.idleTime)); next.IsZero() {
		p.expiry = nil
	} else {
		p.expiry.Reset(time.Until(next.Add(p.idleTime)))
	}
}

// expireBefore ends the connections idle since t or before, and returns since
// when the oldest of the others is.
func (p *pool) expireBefore(t time.Time) (next time.Time) {
	for e := p.idle.Front(); e != nil; e = p.idle.Front() {
		c := e.Value.(*conn)
		if c.idleAt.After(t) {
			return c.idleAt
		}
		s := p.site(c.site)
		p.retireIdle(s, slices.Index(s.idle, c))
	}
	return time.Time{}
}
