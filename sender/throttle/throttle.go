package throttle

import (
	"math"
	"sync"
	"time"

	"enotify/queue"

	"golang.org/x/time/rate"
)

const (
	// maxGrant is how many messages one call of Admit admits at most, so that
	// no domain fills a round of the dispatcher.
	maxGrant = 50

	// maxWait is how far ahead Admit says to ask again, so that a change of
	// policy is felt within it.
	maxWait = time.Second

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
}

// A domain is a recipient domain.
type domain struct {
	limiter     *rate.Limiter // messages that begin
	connections int           // own limit of messages under way; 0 is none
	edition     int           // of the policies that these two are from

	site     *site // nil until its MX are known
	inflight int   // admitted, and not done
	used     time.Time
}

// Admit reserves the right to begin up to want messages to domain, and grants
// n of them. With n < want, w says when to ask again: at w.Until, or, where
// w.Site is set, as soon as a message of that site is done. Until is set even
// then, since the domain may move to another site meanwhile.
//
// Of a domain whose site is not known yet, one message is admitted. Then it is
// twice the connections that its site may have now, over all its domains: one
// message in each connection, and one that waits behind it for the time that
// the next takes to come. The fewer are under way, the fewer are in doubt after
// a crash.
func (t *Throttle) Admit(name string, want int, now time.Time) (n int, w queue.Wait) {
	t.mu.Lock()
	defer t.mu.Unlock()
	d := t.domain(name, now)
	n = min(want, maxGrant)
	room, until, site := t.room(d, now)
	if room < n {
		n, w = max(0, room), queue.Wait{Until: until, Site: site}
	}
	if d.limiter.Limit() == rate.Inf {
		t.begin(d, n)
		return n, w
	}
	tokens := d.limiter.TokensAt(now)
	if int(tokens) < n {
		n = max(0, int(tokens))
		w = queue.Wait{Until: now.Add(refill(d.limiter, tokens-float64(n)))}
	}
	d.limiter.AllowN(now, n)
	t.begin(d, n)
	return n, w
}

// Done is told of every admitted message when its attempt has ended. It gives
// the place free, learns, and returns the site that has a free place now, ""
// if the domain has no site yet.
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
	d.site.inflight--
	d.site.learn(o, t.policy(d.site.name).Connections, now)
	return d.site.name
}

// Assign tells which site serves a domain.
func (t *Throttle) Assign(name, siteName string, now time.Time) {
	t.mu.Lock()
	defer t.mu.Unlock()
	d := t.domain(name, now)
	if d.site != nil {
		if d.site.name == siteName {
			return
		}
		d.site.inflight -= d.inflight
		d.site.domains--
	}
	d.site = t.site(siteName, now)
	d.site.inflight += d.inflight
	d.site.domains++
}

// room is how many more messages of d may be under way, and when to ask again
// if that is too few.
func (t *Throttle) room(d *domain, now time.Time) (n int, until time.Time, site string) {
	if d.site == nil {
		return 1 - d.inflight, now.Add(lookup), ""
	}
	s := d.site
	connections := s.pace.Connections(t.policy(s.name).Connections, now)
	switch {
	case connections == 0:
		return 0, earlier(s.pace.ClosedUntil, now.Add(maxWait)), ""
	case s.pace.Refusals > 0:
		n = 1 - s.inflight
	default:
		n = 2*connections - s.inflight
	}
	if d.connections > 0 {
		n = min(n, d.connections-d.inflight)
	}
	return n, now.Add(maxWait), s.name
}

func (t *Throttle) begin(d *domain, n int) {
	d.inflight += n
	if d.site != nil {
		d.site.inflight += n
	}
}

// domain finds or makes it, with the policies that hold now.
func (t *Throttle) domain(name string, now time.Time) *domain {
	d := t.domains[name]
	if d == nil {
		t.sweep(now)
		if t.domains == nil {
			t.domains = make(map[string]*domain)
		}
		d = &domain{edition: t.edition - 1}
		t.domains[name] = d
	}
	d.used = now
	if d.edition == t.edition {
		return d
	}
	p := t.policy(name)
	if d.limiter == nil || d.limiter.Limit() == rate.Inf || p.Rate == rate.Inf {
		d.limiter = emptyBucket(p, now)
	} else {
		d.limiter.SetLimitAt(now, p.Rate)
		d.limiter.SetBurstAt(now, p.Burst)
	}
	d.connections = t.policies[name].Connections
	d.edition = t.edition
	return d
}

// emptyBucket is a limiter without a token: after a restart a full one would
// come on top of what the last process sent.
func emptyBucket(p Policy, now time.Time) *rate.Limiter {
	l := rate.NewLimiter(p.Rate, p.Burst)
	l.AllowN(now, p.Burst)
	return l
}

// refill is how long a bucket with so many tokens left needs until it is worth
// asking again.
func refill(l *rate.Limiter, tokens float64) time.Duration {
	worth := math.Floor(min(float64(l.Limit())*step.Seconds(), float64(l.Burst())))
	seconds := (max(1, worth) - tokens) / float64(l.Limit())
	if seconds > maxWait.Seconds() {
		return maxWait
	}
	return time.Duration(seconds*float64(time.Second)) + time.Microsecond // rounded up
}

func earlier(a, b time.Time) time.Time {
	if a.Before(b) {
		return a
	}
	return b
}
