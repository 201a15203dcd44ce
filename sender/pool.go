package sender

import (
	"container/list"
	"context"
	"slices"
	"sync"
	"time"

	"enotify/queue"
	"enotify/sender/throttle"
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
	idleTime time.Duration // after which an idle connection is closed
	dead     *deadHosts

	mu      sync.Mutex
	sites   map[string]*siteConns
	idle    list.List // connections that are idle, the one used last at the end
	places  places
	crowded crowds
	expiry  *time.Timer
	quits   sync.WaitGroup
}

func newPool(t *throttle.Throttle, limit, slow int, idleTime time.Duration, dead *deadHosts) *pool {
	p := &pool{throttle: t, idleTime: idleTime, dead: dead, sites: make(map[string]*siteConns),
		places: places{limit: limit, most: slow}}
	p.places.ripened, p.places.changed = p.ripened, t.Room
	p.places.tell()
	return p
}

// siteConns are the connections of one site.
type siteConns struct {
	name string
	idle []*conn // the one used last at the end
	// following are connections that a message may be written to behind others that
	// are not answered yet.
	following []*conn
	waiters   []*waiter      // urgent ones first
	hosts     map[string]int // connections open, by host
	crowded   [classes]int   // its number in pool.crowded; 0: it is not there
	opening   time.Duration  // that it took lately to open a connection; 0: none is open yet
	takes     time.Duration  // that a message took lately on a connection; 0: none was taken yet
	looks     bool           // serve is called again soon, see lookAtGrowth
}

// A waiter is a message that waits for a connection or a place.
type waiter struct {
	route  *route
	urgent bool
	ctx    context.Context
	grant  chan grant  // of one
	stuck  *time.Timer // runs while it waits
}

// A grant is a connection, or the place to open one, or the time until which the site
// is closed.
type grant struct {
	conn        *conn
	turn        int // with conn: see conn.turn
	place       *place
	opening     context.Context // for as long as place may be opened
	closedUntil time.Time
}

// siteWait is how long a message waits for a connection of a site that does not
// move, before it is put aside for stuckWait at no cost to it.
const (
	siteWait  = 5 * time.Second
	stuckWait = time.Minute
)

// take waits until there is a grant for a message that goes by r. It returns
// the zero grant when ctx ends first, and when the site does not move.
func (p *pool) take(ctx context.Context, r *route, urgent bool) grant {
	p.mu.Lock()
	s := p.site(r.site)
	if c := p.pickIdle(s, r); c != nil {
		g := p.hold(c)
		p.mu.Unlock()
		return g
	}
	w := waiters.Get().(*waiter)
	w.route, w.urgent, w.ctx = r, urgent, ctx
	s.add(w)
	p.serve(s)
	p.ride(s)
	p.mu.Unlock()
	select {
	case g := <-w.grant: // without a timer
		w.done()
		return g
	default:
	}
	w.stuck.Reset(siteWait)
	for {
		select {
		case g := <-w.grant:
			w.done()
			return g
		case <-ctx.Done():
			return p.giveUp(s, w)
		case <-w.stuck.C:
			if p.throttle.Stuck(s.name, time.Now()) {
				return p.giveUp(s, w)
			}
			w.stuck.Reset(siteWait)
		}
	}
}

// waiters that have their grant serve other messages.
var waiters = sync.Pool{New: func() any {
	w := &waiter{grant: make(chan grant, 1), stuck: time.NewTimer(siteWait)}
	w.stuck.Stop()
	return w
}}

// done returns a waiter that has had its grant, and that nothing else refers to, for reuse.
func (w *waiter) done() {
	w.stuck.Stop()
	w.route, w.ctx = nil, nil
	waiters.Put(w)
}

// add has w wait: an urgent one behind the other urgent ones.
func (s *siteConns) add(w *waiter) {
	i := len(s.waiters)
	if w.urgent {
		if i = slices.IndexFunc(s.waiters, func(w *waiter) bool { return !w.urgent }); i < 0 {
			i = len(s.waiters)
		}
	}
	s.waiters = slices.Insert(s.waiters, i, w)
}

// giveUp takes w off the list. A grant that it already has stands: the message then fails
// for want of time, and gives the grant back as after any failure.
func (p *pool) giveUp(s *siteConns, w *waiter) grant {
	w.stuck.Stop()
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
	p.throttle.Moved(c.site, time.Now())
	p.mu.Lock()
	defer p.mu.Unlock()
	p.places.opened(c.place, time.Now())
	c.holders, c.writer, c.turn = 1, true, 1
	s := p.site(c.site)
	s.hosts[c.host]++
	s.opening = lately(s.opening, time.Since(c.begunAt))
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
func (p *pool) failed(site string, pl *place) {
	p.throttle.Closed(site, time.Now())
	p.mu.Lock()
	defer p.mu.Unlock()
	p.vacate(p.site(site), pl)
}

// refused gives back the place of a connection that the site turned away. The
// time is that until which the site is closed, zero when others are open.
func (p *pool) refused(site string, pl *place, r queue.Reply) (closedUntil time.Time) {
	closedUntil = p.throttle.Refused(site, r, time.Now())
	p.mu.Lock()
	defer p.mu.Unlock()
	p.vacate(p.site(site), pl)
	return closedUntil
}

// hold gives the writing side of a connection to one more message.
func (p *pool) hold(c *conn) grant {
	c.holders++
	c.turn++
	c.writer = true
	p.places.begin(c.place, time.Now())
	return grant{conn: c, turn: c.turn}
}

// release hands on a connection that has carried a message to domain, which got it in
// that turn.
func (p *pool) release(c *conn, turn int, domain string) {
	reuse := p.goesOn(c, domain)
	p.mu.Lock()
	defer p.mu.Unlock()
	if c.place.novel {
		p.places.carried(c.place, time.Now())
		defer p.serveCrowded()
	}
	s := p.site(c.site)
	if took := time.Duration(c.alone.Load()); took > 0 {
		s.takes = lately(s.takes, took)
	}
	if c.turn == turn {
		c.writer = false
	}
	if c.broken.Load() {
		p.unlist(s, c)
	}
	if c.holders--; c.holders > 0 {
		if reuse {
			p.follow(s, c)
		}
		return
	}
	p.unlist(s, c)
	reuse = reuse && (!p.places.quick(c.place, time.Now()) || p.places.rest(c.place))
	if !reuse || p.crowded.need(c.place) && c.begun() >= fairShare {
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
			w.grant <- p.hold(c)
			p.serve(s) // the site may bear more connections by now
			return
		}
	}
	now := time.Now()
	if len(s.waiters) > 0 || p.crowded.has(urgent) || p.crowded.len() > 0 && !p.throttle.Busy(s.name, now) ||
		!p.places.rest(c.place) {
		p.retire(s, c)
		return
	}
	c.idleAt = now
	s.idle = append(s.idle, c)
	c.at = p.idle.PushBack(c)
	if p.expiry == nil {
		p.expiry = time.AfterFunc(p.idleTime, p.expire)
	}
}

// serve grants places to the waiters of s as long as there are any.
func (p *pool) serve(s *siteConns) {
	for len(s.waiters) > 0 {
		now, w := time.Now(), s.waiters[0]
		of := p.class(s, w)
		if of != urgent && (p.throttle.Yields(s.name, now) || p.suffices(s, now)) {
			p.lookAtGrowth(s)
			return // one of its connections will be free
		}
		if !p.places.room(of) {
			p.places.ripen(now)
		}
		if !p.places.room(of) {
			p.crowded.add(s, of)
			p.evict(of, now)
			p.places.await(now)
			return
		}
		ok, closedUntil := p.throttle.Connect(s.name, now)
		switch {
		case ok:
			opening, pl := p.places.take(w.ctx, of, now)
			p.first(s).grant <- grant{place: pl, opening: opening}
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

// class is the class of the first waiter of a site.
func (p *pool) class(s *siteConns, w *waiter) class {
	if w.urgent {
		return urgent
	}
	switch moved, lags := p.throttle.Moves(s.name, time.Now()); {
	case !moved:
		return newcomer
	case lags:
		return laggard
	}
	return ordinary
}

func (p *pool) first(s *siteConns) *waiter {
	w := s.waiters[0]
	s.waiters = slices.Delete(s.waiters, 0, 1)
	return w
}

// vacate makes a place free, and serves the messages that wait for one: other sites
// in their order first, since this one has had its turn.
func (p *pool) vacate(s *siteConns, pl *place) {
	p.places.free(pl)
	p.serveCrowded()
	p.serve(s)
}

// serveCrowded serves the sites that found no room while there is some.
func (p *pool) serveCrowded() {
	for {
		s := p.crowded.next(&p.places)
		if s == nil {
			return
		}
		p.serve(s)
	}
}

// ripened serves the waiters for whom there is room now that other places are slow.
func (p *pool) ripened() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.places.timer = nil
	now := time.Now()
	p.places.ripen(now)
	p.serveCrowded()
	if !p.places.room(ordinary) {
		for n := p.crowded.len(); n > 0 && p.evict(ordinary, now); n-- {
		}
	}
	if p.crowded.len() > 0 {
		p.places.await(now)
	}
}

// retire ends a connection. Its place is free only when it is closed, or the
// site would see one too many.
func (p *pool) retire(s *siteConns, c *conn) {
	p.places.begin(c.place, time.Now())
	p.quits.Go(func() {
		c.quit()
		p.throttle.Closed(s.name, time.Now())
		p.mu.Lock()
		defer p.mu.Unlock()
		if s.hosts[c.host]--; s.hosts[c.host] == 0 {
			delete(s.hosts, c.host)
		}
		p.vacate(s, c.place)
	})
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
	if len(s.waiters) == 0 && len(s.idle) == 0 && len(s.hosts) == 0 && s.crowded == [classes]int{} {
		delete(p.sites, s.name)
	}
}
