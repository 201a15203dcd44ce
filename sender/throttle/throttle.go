package throttle

import (
	"sync"
	"time"

	"enotify/queue"
)

const (
	// maxGrant is how many messages one call of Admit admits at most, so that
	// no domain fills a round of the dispatcher.
	maxGrant = 50

	// maxWait is how far ahead Admit says to ask again, so that a change of
	// policy is felt within it.
	maxWait = time.Second / 2

	// step is how much a bucket should fill between two calls of Admit that it
	// turns away, so that quick domains are not asked for every single token.
	step = 100 * time.Millisecond

	// lookup is when to ask again while the first MX look-up of a domain is
	// under way, which tells its site.
	lookup = 50 * time.Millisecond
)

// A Throttle holds the pace of all destinations of one process. The zero value
// is ready to use, and all methods are safe for concurrent use.
type Throttle struct {
	mu       sync.Mutex
	policies map[string]Policy
	edition  int // of policies
	domains  map[string]*domain
	sites    map[string]*site
	swept    time.Time
	turns    turns

	changed map[*memory]remembered // what is not kept as it is
	spent   map[*memory]remembered // the memories from whose slow bucket messages are about to begin
}

// A domain is a recipient domain.
type domain struct {
	memory
	bucket      bucket
	connections int // own limit of messages under way; 0 is none
	edition     int // of the policies that these two are from

	site     *site     // nil until its MX are known
	inflight int       // admitted, and not done
	left     int       // messages that could not begin when they were last asked for
	dead     unreached // until its site moves
	used     time.Time
}

// Admit reserves the right to begin up to want messages to domain, and grants
// n of them: as many as the rate of the domain allows, and the rate of its site
// over all its domains. With n < want, w says when to ask again: at w.Until,
// or, where w.Site is set, as soon as a message of that site is done. Until is
// set even then, since the domain may move to another site meanwhile.
//
// A domain whose site is not known yet, and a site that has not answered yet, get one
// message. After that a site may have, over all its domains, two messages for each
// connection that it may have now, one in it and one that waits behind it, and as many more
// as it took lately within 20 ms. A slow site may have one for each connection, and a site
// that gives no answer gets none beside those under way. The fewer are under way, the fewer
// are in doubt after a crash.
//
// Sites with a connection go first: to one without, nothing is admitted while
// all connections there may be belong to sites with messages. But while such sites
// wait, those that answer make do with the connections that they have.
func (t *Throttle) Admit(name string, want int, now time.Time) (n int, w queue.Wait) {
	return t.admit(name, want, false, now)
}

// AdmitUrgent is Admit for messages that go before others: for them there is
// always room to open a connection.
func (t *Throttle) AdmitUrgent(name string, want int, now time.Time) (n int, w queue.Wait) {
	return t.admit(name, want, true, now)
}

func (t *Throttle) admit(name string, want int, urgent bool, now time.Time) (n int, w queue.Wait) {
	t.mu.Lock()
	defer t.mu.Unlock()
	d := t.domain(name, now)
	if d.site != nil && !urgent && !t.turns.has(d.site, now) {
		t.turns.turn(d.site, now)
		return 0, queue.Wait{Until: t.turns.again(len(t.domains), now)}
	}
	n = min(want, maxGrant)
	room, until, site := t.room(d, urgent, now)
	if room < n {
		n, w = max(0, room), queue.Wait{Until: until, Site: site}
	}
	if granted, until := d.bucket.grant(n, now); granted < n {
		n, w = granted, queue.Wait{Until: until}
	}
	if d.site != nil {
		if granted, until := d.site.bucket.grant(n, now); granted < n {
			n, w = granted, queue.Wait{Until: until}
		}
		d.site.asked(d, want, n, now)
	}
	t.begin(d, n, now)
	return n, w
}

// wholeRoom is how many messages AdmitAll lets be under way to a site that answers
// well, though that is more than two per connection: the rest waits for a connection
// in the sender. Else few recipients at a site with few connections would be too many.
const wholeRoom = 50

// AdmitAll admits so many messages to each of several domains, or none of them:
// what is admitted in part, and given back, would cost a slow domain its rate.
func (t *Throttle) AdmitAll(want map[string]int, urgent bool, now time.Time) bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	sites := make(map[*site]int, len(want))
	for name, n := range want {
		d := t.domain(name, now)
		room, _, _ := t.room(d, urgent, now)
		if d.site != nil {
			if !urgent && !t.turns.has(d.site, now) {
				t.turns.turn(d.site, now)
				return false
			}
			if d.connections == 0 && d.site.answers(now) {
				room = max(room, wholeRoom-d.site.inflight)
			}
			room -= sites[d.site]
			sites[d.site] += n
		}
		if n > room || d.bucket.tokens(now) < float64(n) {
			return false
		}
	}
	for s, n := range sites {
		if s.bucket.tokens(now) < float64(n) {
			return false
		}
	}
	for name, n := range want {
		t.begin(t.domain(name, now), n, now)
	}
	return true
}

// Done is told of every admitted message when its attempt has ended. It frees the place,
// learns from the outcome, and returns the site that has a free place now; "" if the domain
// has no site yet.
func (t *Throttle) Done(name string, o queue.Outcome, now time.Time) (site string) {
	t.mu.Lock()
	defer t.mu.Unlock()
	d := t.domains[name]
	if d == nil || d.inflight == 0 {
		return ""
	}
	d.inflight--
	if d.site == nil {
		return ""
	}
	s := d.site
	t.turns.flow(s, -1, now)
	before, bore := s.kept(), s.pace.bears()
	s.learn(o, now)
	if s.kept() != before || s.pace.bears() != bore {
		t.change(s)
	}
	return s.name
}

// Assign says which site serves a domain. Messages under way to the domain then count at the
// site.
func (t *Throttle) Assign(name, siteName string, now time.Time) {
	t.mu.Lock()
	defer t.mu.Unlock()
	d := t.domain(name, now)
	if d.site != nil {
		if d.site.name == siteName {
			return
		}
		t.turns.flow(d.site, -d.inflight, now)
		d.site.lose(d)
	}
	d.site = t.site(siteName, now)
	d.site.domain = name
	d.site.left += d.left
	t.turns.flow(d.site, d.inflight, now)
	d.site.bucket.take(d.inflight, now)
	d.site.domains++
}

// room is how many more messages of d may be under way, and when to ask again
// if that is too few.
func (t *Throttle) room(d *domain, urgent bool, now time.Time) (n int, until time.Time, site string) {
	if d.site == nil {
		return 1 - d.inflight, now.Add(lookup), ""
	}
	s := t.site(d.site.name, now)
	if until := s.closed(); now.Before(until) {
		return 0, earlier(until, now.Add(maxWait)), ""
	}
	if d.isDead(now) {
		return 0, earlier(d.dead.until, now.Add(maxWait)), ""
	}
	n = s.most(!urgent && t.turns.yields(s, now), now) - s.inflight
	if d.connections > 0 {
		n = min(n, d.connections-d.inflight)
	}
	return n, now.Add(maxWait), s.name
}

func (t *Throttle) begin(d *domain, n int, now time.Time) {
	if n == 0 {
		return
	}
	d.inflight += n
	d.bucket.take(n, now)
	if d.bucket.slow() {
		t.spend(d)
	}
	s := d.site
	if s == nil {
		return
	}
	s.domain = d.name
	t.turns.flow(s, n, now)
	s.bucket.take(n, now)
	if s.bucket.slow() {
		t.spend(s)
	}
}

// domain finds or makes a domain, with the policies that hold now.
func (t *Throttle) domain(name string, now time.Time) *domain {
	d := t.domains[name]
	if d == nil {
		t.sweep(now)
		if t.domains == nil {
			t.domains = make(map[string]*domain)
		}
		d = &domain{memory: memory{kind: queue.Domain, name: name}, edition: t.edition - 1}
		t.domains[name] = d
	}
	d.used = now
	if d.edition == t.edition {
		return d
	}
	p := t.policy(name)
	slow := d.bucket.slow()
	d.bucket.set(p.Rate, p.Burst, now)
	d.connections = t.policies[name].Connections
	d.edition = t.edition
	if d.bucket.slow() && !slow {
		t.change(d) // how full it is, is worth keeping from now on
	}
	return d
}

func earlier(a, b time.Time) time.Time {
	if a.Before(b) {
		return a
	}
	return b
}
