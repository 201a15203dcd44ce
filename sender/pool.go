package sender

import (
	"context"
	"slices"
	"sync"
	"time"

	"enotify/queue"
	"enotify/sender/throttle"
	"enotify/spfguard/dns"
)

// fairShare is how many messages a connection carries before it ends for the
// sake of other sites, when all connections that there may be are taken.
const fairShare = 20

// A pool keeps the connections. They belong to a site, which may have as many
// as its throttle says, and all sites together have no more than limit. A
// message takes an idle connection, or a place to open one, or waits for the
// first of either. The lock is never held while the network is used.
type pool struct {
	throttle *throttle.Throttle
	limit    int           // connections to all sites
	idleTime time.Duration // after which an idle connection is closed
	dead     *deadHosts

	mu      sync.Mutex
	sites   map[string]*siteConns
	taken   int          // places: connections open or being opened
	crowded []*siteConns // sites with waiters that found limit reached, the first first
	expiry  *time.Timer
	quits   sync.WaitGroup
}

// siteConns are the connections of one site.
type siteConns struct {
	name    string
	idle    []*conn // the one used last at the end
	waiters []*waiter
	hosts   map[string]int // connections open, by host
	crowded bool           // in pool.crowded
}

// A waiter is a message that waits for a connection or a place.
type waiter struct {
	route route
	grant chan grant // of one
}

// A grant is one of its fields: a connection, or the place to open one, or the
// time until which the site is closed.
type grant struct {
	conn        *conn
	place       bool
	closedUntil time.Time
}

// take waits until there is a grant for a message that goes by r. It returns
// the zero grant when ctx ends first.
func (p *pool) take(ctx context.Context, r route) grant {
	w := &waiter{route: r, grant: make(chan grant, 1)}
	p.mu.Lock()
	s := p.site(r.site)
	if c := p.pickIdle(s, r); c != nil {
		p.mu.Unlock()
		return grant{conn: c}
	}
	s.waiters = append(s.waiters, w)
	p.serve(s)
	p.mu.Unlock()
	select {
	case g := <-w.grant:
		return g
	case <-ctx.Done():
		return p.giveUp(s, w)
	}
}

// giveUp takes w off the list. If it has its grant already, that stands: what
// then fails for want of time gives it back as any failure does.
func (p *pool) giveUp(s *siteConns, w *waiter) grant {
	p.mu.Lock()
	defer p.mu.Unlock()
	i := slices.Index(s.waiters, w)
	if i < 0 {
		return <-w.grant
	}
	s.waiters = slices.Delete(s.waiters, i, i+1)
	p.forget(s)
	return grant{}
}

// opened counts a connection that took a place.
func (p *pool) opened(c *conn) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.site(c.site).hosts[c.host]++
}

// openTo is the number of connections open to a host of a site.
func (p *pool) openTo(site, host string) int {
	p.mu.Lock()
	defer p.mu.Unlock()
	if s := p.sites[site]; s != nil {
		return s.hosts[host]
	}
	return 0
}

// failed gives back the place of a connection that could not be opened.
func (p *pool) failed(site string) {
	p.throttle.Closed(site, time.Now())
	p.mu.Lock()
	defer p.mu.Unlock()
	p.vacate(p.site(site))
}

// refused gives back the place of a connection that the site turned away. The
// time is that until which the site is closed, zero when others are open.
func (p *pool) refused(site string, r queue.Reply) (closedUntil time.Time) {
	closedUntil = p.throttle.Refused(site, r, time.Now())
	p.mu.Lock()
	defer p.mu.Unlock()
	p.vacate(p.site(site))
	return closedUntil
}

// release hands on a connection that has carried a message to domain.
func (p *pool) release(c *conn, domain string) {
	reuse := !c.broken && p.throttle.Held(c.site, c.egress, time.Now()).IsZero() && p.throttle.Reuse(c.site, domain, c.carried, time.Now())
	p.mu.Lock()
	defer p.mu.Unlock()
	s := p.site(c.site)
	if !reuse || len(p.crowded) > 0 && c.carried >= fairShare {
		p.retire(s, c)
		return
	}
	p.offer(s, c)
}

// close ends the idle connections, which are all there are when no message is
// under way, and waits until they are closed.
func (p *pool) close() {
	p.mu.Lock()
	p.expireBefore(time.Now())
	p.mu.Unlock()
	p.quits.Wait()
}

// offer gives c to the first waiter who would go to its host, or makes it
// idle. Waiters who would go elsewhere get its place instead.
func (p *pool) offer(s *siteConns, c *conn) {
	for i, w := range s.waiters {
		if p.suits(w.route, c) {
			s.waiters = slices.Delete(s.waiters, i, i+1)
			w.grant <- grant{conn: c}
			p.serve(s) // the site may bear more connections by now
			return
		}
	}
	if len(s.waiters) > 0 || len(p.crowded) > 0 {
		p.retire(s, c)
		return
	}
	c.idleAt = time.Now()
	s.idle = append(s.idle, c)
	if p.expiry == nil {
		p.expiry = time.AfterFunc(p.idleTime, p.expire)
	}
}

// serve grants places to the waiters of s as long as there are any.
func (p *pool) serve(s *siteConns) {
	for len(s.waiters) > 0 {
		if p.taken >= p.limit {
			if !s.crowded {
				s.crowded = true
				p.crowded = append(p.crowded, s)
			}
			p.evict()
			return
		}
		ok, closedUntil := p.throttle.Connect(s.name, time.Now())
		switch {
		case ok:
			p.taken++
			p.first(s).grant <- grant{place: true}
		case !closedUntil.IsZero():
			for len(s.waiters) > 0 {
				p.first(s).grant <- grant{closedUntil: closedUntil}
			}
		default:
			if len(s.idle) > 0 { // to hosts where none of the waiters goes
				p.retireIdle(s, 0)
			}
			return
		}
	}
	p.forget(s)
}

func (p *pool) first(s *siteConns) *waiter {
	w := s.waiters[0]
	s.waiters = slices.Delete(s.waiters, 0, 1)
	return w
}

// vacate makes a place free, and serves those who wait for one: other sites
// in their order first, since this one has had its turn.
func (p *pool) vacate(s *siteConns) {
	p.taken--
	for len(p.crowded) > 0 && p.taken < p.limit {
		next := p.crowded[0]
		p.crowded = slices.Delete(p.crowded, 0, 1)
		next.crowded = false
		p.serve(next)
	}
	p.serve(s)
}

// retire ends a connection. Its place is free only when it is closed, or the
// site would see one too many.
func (p *pool) retire(s *siteConns, c *conn) {
	p.quits.Go(func() {
		c.quit()
		p.throttle.Closed(s.name, time.Now())
		p.mu.Lock()
		defer p.mu.Unlock()
		if s.hosts[c.host]--; s.hosts[c.host] == 0 {
			delete(s.hosts, c.host)
		}
		p.vacate(s)
	})
}

func (p *pool) retireIdle(s *siteConns, i int) {
	c := s.idle[i]
	s.idle = slices.Delete(s.idle, i, i+1)
	p.retire(s, c)
}

// pickIdle takes the idle connection used last to a host where r would go.
func (p *pool) pickIdle(s *siteConns, r route) *conn {
	for i := len(s.idle) - 1; i >= 0; i-- {
		if c := s.idle[i]; p.suits(r, c) {
			s.idle = slices.Delete(s.idle, i, i+1)
			return c
		}
	}
	return nil
}

// suits reports whether c goes to where r does, encrypted as r wants it, and
// comes from an address that is not held.
func (p *pool) suits(r route, c *conn) bool {
	return c.secured >= r.tls && p.prefers(r, c.host) && p.throttle.Held(c.site, c.egress, time.Now()).IsZero()
}

// prefers reports whether host is among the best hosts of r that are not dead.
func (p *pool) prefers(r route, host string) bool {
	now := time.Now()
	for i, mx := range r.mxs {
		if mx.Host == host {
			return true
		}
		better := i+1 < len(r.mxs) && r.mxs[i+1].Pref > mx.Pref
		if better && slices.ContainsFunc(r.mxs[:i+1], func(mx dns.MX) bool { return p.dead.why(mx.Host, r.tls, now) == nil }) {
			return false
		}
	}
	return false
}

// evict ends the connection that has been idle for longest.
func (p *pool) evict() {
	var oldest *siteConns
	for _, s := range p.sites {
		if len(s.idle) > 0 && (oldest == nil || s.idle[0].idleAt.Before(oldest.idle[0].idleAt)) {
			oldest = s
		}
	}
	if oldest != nil {
		p.retireIdle(oldest, 0)
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
	for _, s := range p.sites {
		for len(s.idle) > 0 && !s.idle[0].idleAt.After(t) {
			p.retireIdle(s, 0)
		}
		if len(s.idle) > 0 && (next.IsZero() || s.idle[0].idleAt.Before(next)) {
			next = s.idle[0].idleAt
		}
	}
	return next
}

func (p *pool) site(name string) *siteConns {
	s := p.sites[name]
	if s == nil {
		s = &siteConns{name: name, hosts: make(map[string]int)}
		p.sites[name] = s
	}
	return s
}

// forget drops a site without connections and waiters.
func (p *pool) forget(s *siteConns) {
	if len(s.waiters) == 0 && len(s.idle) == 0 && len(s.hosts) == 0 && !s.crowded {
		delete(p.sites, s.name)
	}
}
