package forecast

import (
	"math"
	"slices"
	"time"

	"golang.org/x/time/rate"

	"enotify/sender/throttle"
)

// A Reason is why a site goes no faster.
type Reason int

const (
	byNothing Reason = iota
	byDomains
	byRate
	byLearnedRate
	byConnections
	byLearned
	byClosed
	byCap
	byEgress
	reasons // how many there are
)

// String is the reason in words; "" for none.
func (r Reason) String() string {
	return [reasons]string{"", "the rate of its domains", "the rate of the site", "a rate that was learned",
		"its connections", "connections that were learned", "it is closed to us for now", putOffFor,
		"the rate of our addresses"}[r]
}

// A site is all domains served by the same mail hosts.
type site struct {
	name   string
	policy throttle.Policy
	pace   throttle.Pace
	open   int           // connections that it may have once it is not closed
	closed time.Duration // until when nothing begins
	rate   float64       // messages a second; +Inf: no limit
	heeds  bool          // a good reply may change its pace
	grows  bool          // one while it is busy may
	tokens float64       // in its bucket
	filled time.Duration
	good   float64 // part of a reply that was not told to the pace yet
	parts  []*part // that are active
}

// A bucket is the token bucket of a recipient domain.
type bucket struct {
	tokens      float64
	filled      time.Duration
	rate, burst float64
	connections int // its own limit; 0 is none
	taken       float64
	putOff      *part // that goes before other batches: see goesBefore
}

func (s *simulation) site(name string) *site {
	of := s.sites[name]
	if of == nil {
		of = &site{name: name, policy: s.Limits.SitePolicy(name)}
		s.learn(of, s.Limits.Pace(name))
		s.sites[name] = of
	}
	return of
}

// learn gives a site a pace. What follows from it is worked out once, and not at each step.
func (s *simulation) learn(of *site, p throttle.Pace) {
	of.pace, of.closed = p, 0
	if !p.ClosedUntil.IsZero() {
		of.closed = p.ClosedUntil.Sub(s.Start)
	}
	of.open = p.Connections(of.policy.Connections, p.ClosedUntil)
	of.rate = float64(p.Limit(of.policy.Rate))
	if of.rate >= float64(rate.Inf) {
		of.rate = math.Inf(1)
	}
	of.heeds = p.Rate > 0 || p.Refusals > 0 || !p.RefusedSince.IsZero() || !p.ClosedUntil.IsZero()
	of.grows = of.heeds || p.Ceiling > 0 || p.Allowed < of.policy.Connections
}

func (s *simulation) bucket(domain, site string) *bucket {
	b := s.buckets[domain]
	if b == nil {
		p := s.Limits.Policy(domain)
		b = &bucket{rate: float64(p.Rate), burst: float64(p.Burst)}
		if domain != site && p.Connections < s.site(site).policy.Connections {
			b.connections = p.Connections
		}
		s.buckets[domain] = b
	}
	return b
}

// fill is how many tokens a bucket has that was not looked at for a while, with those
// of the step that begins now.
func fill(tokens, limit, burst float64, since, dt time.Duration) float64 {
	return min(tokens+limit*since.Seconds(), burst) + limit*dt.Seconds()
}

// offer works out how many messages of each part can leave within dt. Deferred
// recipients, which stand first, are asked first.
func (s *simulation) offer(of *site, dt time.Duration) {
	parts := of.parts
	seconds, end := dt.Seconds(), s.at+dt
	connections := of.open
	if s.at < of.closed {
		connections = 0
	}
	per := s.message.Seconds()
	capacity := float64(connections) * seconds / per
	demand := 0.0
	for _, p := range parts {
		p.b.taken, p.b.putOff = 0, nil
	}
	for _, p := range parts {
		if p.first && p.aside && (p.b.putOff == nil || p.goesBefore(p.b.putOff)) {
			p.b.putOff = p
		}
	}
	for _, p := range parts {
		b := p.b
		if b.filled < end {
			b.tokens = fill(b.tokens, b.rate, b.burst, s.at-min(b.filled, s.at), dt)
			b.filled = end
		}
		p.offer = min(p.left, max(0, b.tokens-b.taken))
		if p.first && b.putOff != nil && b.putOff.load != p.load && !p.goesBefore(b.putOff) {
			p.offer = 0
		}
		if b.connections > 0 {
			p.offer = min(p.offer, max(0, float64(b.connections)*seconds/per-b.taken))
		}
		b.taken += p.offer
		demand += p.offer
	}
	offer, why := demand, byDomains
	if !math.IsInf(of.rate, 0) {
		if of.filled < end {
			of.tokens = fill(of.tokens, of.rate, float64(of.policy.Burst), s.at-min(of.filled, s.at), dt)
			of.filled = end
		}
		if of.tokens < offer {
			offer, why = max(0, of.tokens), byRate
			if of.pace.Rate > 0 && of.pace.Rate < of.policy.Rate {
				why = byLearnedRate
			}
		}
	}
	if capacity < offer {
		offer, why = capacity, byConnections
		switch {
		case connections == 0:
			why = byClosed
		case of.pace.Ceiling > 0:
			why = byLearned
		}
	}
	s.reply(of, offer, offer > 0 && offer >= capacity)
	for _, p := range parts {
		p.why = why
	}
	divide(parts, offer, demand)
}

// goesBefore reports whether a part goes before one of another batch that was put off, at
// the same recipient domain, as in the engine: nothing else of another batch is sent there
// meanwhile, so that what was put off first ends first.
func (p *part) goesBefore(other *part) bool {
	if p.load.Priority != other.load.Priority {
		return p.load.Priority > other.load.Priority
	}
	return p.aside && other.load.Batch != 0 && p.load.Batch != 0 && p.load.Batch < other.load.Batch
}

// divide gives the parts what their site lets through. The engine asks the domains of
// batches and of deferred recipients in turn: each of them gets the same, up to what it
// has.
func divide(parts []*part, offer, demand float64) {
	if demand <= offer || demand == 0 {
		return
	}
	level := 0.0
	for left, n := offer, len(parts); n > 0; {
		next := left / float64(n) // for each that has more
		if next <= level {
			break
		}
		level, left, n = next, offer, 0
		for _, p := range parts {
			if p.offer <= level {
				left -= p.offer
			} else {
				n++
			}
		}
	}
	for _, p := range parts {
		p.offer = min(p.offer, level)
	}
}

// reply tells the pace of a site that it accepts so many messages; busy is whether it has
// all the connections that it may.
func (s *simulation) reply(of *site, n float64, busy bool) {
	switch {
	case !busy:
		of.good = 0
		if n > 0 && of.heeds {
			s.learn(of, of.pace.Succeed(false, of.policy.Connections, s.Start.Add(s.at)))
		}
	case of.grows:
		p, now := of.pace, s.Start.Add(s.at)
		for of.good += n; of.good >= 1; of.good-- {
			p = p.Succeed(true, of.policy.Connections, now)
			now = now.Add(s.message / time.Duration(max(1, p.Connections(of.policy.Connections, now))))
		}
		s.learn(of, p)
	}
}

// send sends what was offered: a share of it, and of the load that has the turn its
// own share.
func (of *site) send(turn *load, share, own float64, start time.Time, at time.Duration) {
	sum, over := 0.0, false
	for _, p := range of.parts {
		n := p.offer * share
		if p.first && !p.aside && p.load == turn {
			n = p.offer * own
		}
		p.left -= n
		p.b.tokens -= n
		sum += n
		over = over || p.left < least
		for _, c := range p.way.caps {
			c.sent += n
		}
		for _, t := range p.way.taps {
			t.tokens -= n
		}
		if !p.first {
			continue
		}
		l := p.load
		if p.aside && len(p.ways) > 0 {
			l.late(p, start, at)
		}
		if p.left < least {
			p.offer = 0
			if !p.aside {
				l.holds--
			}
			if l.untried--; l.untried == 0 {
				l.end = at
			}
		}
		l.sent += n
		here := p.here
		here.sent += n
		if here.left -= n; here.left < least*float64(here.domains) && here.end == 0 {
			here.end = at
			here.points = append(here.points, Point{at, here.sent})
		} else if last := len(here.points) - 1; last < 0 || at >= here.points[last].At*41/40 {
			here.points = append(here.points, Point{at, here.sent})
		}
	}
	if over {
		of.parts = slices.DeleteFunc(of.parts, func(p *part) bool { return p.left < least })
	}
	of.tokens -= sum
}
