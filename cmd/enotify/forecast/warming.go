package forecast

import (
	"cmp"
	"math"
	"net/netip"
	"slices"
	"time"

	"enotify/queue"
	"enotify/queue/warmup"
)

// An Address is one of ours that mail leaves from.
type Address struct {
	Addr   netip.Addr
	Pool   string
	Weight int
	Plans  []Warming // of warm-up; none: it is warm

	Rate, SiteRate *queue.Rate // to all sites together, and to each; nil is no limit
}

// limits reports whether it holds anything back.
func (a Address) limits() bool { return len(a.Plans) > 0 || a.Rate != nil || a.SiteRate != nil }

// A Warming is a plan of warm-up, as it stands at the start of a forecast.
type Warming struct {
	Site   string // whose mail counts; "*": that of all sites
	Plan   warmup.Plan
	Step   int        // which of its caps holds today
	Today  warmup.Day // what left so far
	Zone   *time.Location
	Spills bool // what is above the cap leaves from warm addresses of the pool
}

// A WarmingForecast is what the warm-up of an address means for a batch.
type WarmingForecast struct {
	Address     netip.Addr
	Site        string // "*": all
	Step, Steps int    // of today, from 0, and how many there are
	Left        int    // messages that may leave today
	N           int    // of the batch, that would leave from the address
	Spills      bool
	Nights      int           // until the last of them leaves; 0: all may leave today
	End         time.Duration // when it leaves; zero with no Nights
}

// putOffFor is what a batch waits for whose recipients a warm-up puts off.
const putOffFor = "the warm-up of our addresses"

// A capped address is one that warms up, in a simulation.
type capped struct {
	addr netip.Addr
	Warming
	start time.Time
	day   time.Time // today, where the plan counts its days, as midnight UTC
	ends  time.Time // when it is over
	sent  float64   // today
	first Warming   // as it was at the start
	wants float64   // messages of a step
	share float64   // of them that may leave
}

func newCapped(addr netip.Addr, w Warming, start time.Time) *capped {
	if w.Zone == nil {
		w.Zone = time.UTC
	}
	c := &capped{addr: addr, Warming: w, start: start, first: w, sent: float64(w.Today.Begun)}
	c.day, c.ends = warmup.Today(w.Zone, start)
	return c
}

// left is how many messages may leave now. On days that have passed the plan went on
// by its own rules: a day with few messages leaves the cap as it is.
func (c *capped) left(now time.Time) float64 {
	for !now.Before(c.ends) {
		c.Today.Begun = int(c.sent + 0.5)
		c.Step, _ = c.Plan.Next(c.Step, c.Today)
		c.Today, c.sent = warmup.Day{}, 0
		c.day, c.ends = warmup.Today(c.Zone, c.ends)
	}
	limit, on := c.Plan.Cap(c.Step, c.Today)
	if !on {
		return math.Inf(1)
	}
	return max(0, float64(limit)-c.sent)
}

func (c *capped) nights(now time.Time) int {
	first, _ := warmup.Today(c.Zone, c.start)
	day, _ := warmup.Today(c.Zone, now)
	return int(day.Sub(first) / (24 * time.Hour))
}

// A way is an address that a site's mail may leave from, with the caps and rates that hold
// there.
type way struct {
	caps []*capped
	taps []*tap
}

// full is a cap of the way that is used up; nil when there is none.
func (w way) full(now time.Time) *capped {
	for _, c := range w.caps {
		if c.left(now) < least {
			return c
		}
	}
	return nil
}

// ways lists the addresses of a pool in the order in which a site uses them, as the
// engine does: those of IPv4, where the pool has any.
func (s *simulation) ways(pool, site string) []way {
	key := [2]string{pool, site}
	if found, known := s.routes[key]; known {
		return found
	}
	var of []Address
	for _, a := range s.Addresses {
		if a.Pool == pool {
			of = append(of, a)
		}
	}
	if slices.ContainsFunc(of, func(a Address) bool { return a.Addr.Is4() }) {
		of = slices.DeleteFunc(of, func(a Address) bool { return !a.Addr.Is4() })
	}
	score := func(a Address) float64 { return queue.EgressScore(a.Addr, max(1, a.Weight), s.Groups[site]) }
	slices.SortStableFunc(of, func(a, b Address) int {
		return cmp.Or(cmp.Compare(score(b), score(a)), a.Addr.Compare(b.Addr))
	})
	var found []way
	for _, a := range of {
		var w way
		for _, p := range a.Plans {
			if (p.Site == "*" || p.Site == site) && !p.Plan.Warm(p.Step) {
				w.caps = append(w.caps, s.capped(a.Addr, p))
			}
		}
		if a.Rate != nil && a.Rate.Messages > 0 {
			w.taps = append(w.taps, s.tap(a.Addr, "", *a.Rate))
		}
		if a.SiteRate != nil && a.SiteRate.Messages > 0 {
			w.taps = append(w.taps, s.tap(a.Addr, site, *a.SiteRate))
		}
		found = append(found, w)
	}
	s.routes[key] = found
	return found
}

func (s *simulation) capped(addr netip.Addr, w Warming) *capped {
	for _, c := range s.caps {
		if c.addr == addr && c.Site == w.Site {
			return c
		}
	}
	c := newCapped(addr, w, s.Start)
	s.caps = append(s.caps, c)
	return c
}

// through is the way that messages of a part leave by now. Where none is open, it
// returns when the first one may be: the next day of a plan.
func (p *part) through(now time.Time) (w way, closed time.Time) {
	spilled := false
	for _, w := range p.ways {
		if full := w.full(now); full != nil {
			if closed.IsZero() || full.ends.Before(closed) {
				closed = full.ends
			}
			if !full.Spills {
				return way{}, closed
			}
			spilled = true
			continue
		}
		if spilled && len(w.caps) > 0 { // an address that warms up is no help for another
			continue
		}
		return w, time.Time{}
	}
	return way{}, closed
}

// putOff takes parts away whose addresses have sent all that they may today: they are
// tried on the next day, and hold no turn until then.
func (s *simulation) putOff() bool {
	if len(s.caps)+len(s.taps) == 0 {
		return false
	}
	now := s.Start.Add(s.at)
	off := map[*load][]*part{}
	for _, of := range s.active {
		of.parts = slices.DeleteFunc(of.parts, func(p *part) bool {
			w, closed := p.through(now)
			if p.way = w; closed.IsZero() {
				return false
			}
			p.due = closed.Sub(s.Start)
			off[p.load] = append(off[p.load], p)
			if p.first {
				p.load.paused = putOffFor
				p.load.sites[of.name].held[byCap] += closed.Sub(now)
				p.load.putAside(p)
			}
			return true
		})
	}
	for l, parts := range off {
		l.retries = slices.DeleteFunc(l.retries, func(p *part) bool { return p.due > s.at })
		l.later = append(l.later, parts...)
		l.sortLater()
	}
	s.active = slices.DeleteFunc(s.active, func(of *site) bool { return len(of.parts) == 0 })
	return len(off) > 0
}

// capOffers holds the offers of a step to what our addresses may send: those that warm
// up, and those that have a rate.
func (s *simulation) capOffers(dt time.Duration) {
	if len(s.caps)+len(s.taps) == 0 {
		return
	}
	now := s.Start.Add(s.at)
	for _, c := range s.caps {
		c.wants, c.share = 0, 1
	}
	for _, t := range s.taps {
		t.wants, t.share = 0, 1
	}
	each := func(f func(p *part)) {
		for _, of := range s.active {
			for _, p := range of.parts {
				f(p)
			}
		}
	}
	each(func(p *part) {
		for _, c := range p.way.caps {
			c.wants += p.offer
		}
		for _, t := range p.way.taps {
			t.wants += p.offer
		}
	})
	for _, c := range s.caps {
		if left := c.left(now); c.wants > left {
			c.share = left / c.wants
		}
	}
	for _, t := range s.taps {
		t.fill(s.at, dt)
		if t.wants > t.tokens {
			t.share = max(0, t.tokens) / t.wants
		}
	}
	each(func(p *part) {
		share := 1.0
		for _, c := range p.way.caps {
			share = min(share, c.share)
		}
		for _, t := range p.way.taps {
			if t.share < share {
				share, p.why = t.share, byEgress
			}
		}
		p.offer *= share
	})
}

// putAside has a part go on without the turn.
func (l *load) putAside(p *part) {
	if !p.aside {
		p.aside = true
		l.holds--
	}
}

// A warming is what a plan of warm-up means for a load.
type warming struct {
	n      int // messages that would leave from its address
	nights int
	end    time.Duration
}

// warm counts the messages of a part that would leave from addresses that warm up.
func (l *load) warm(p *part, n int) {
	if len(p.ways) == 0 {
		return
	}
	for _, c := range p.ways[0].caps {
		if l.warming[c] == nil {
			l.warming[c] = &warming{}
		}
		l.warming[c].n += n
	}
}

// late notes that messages of a part that was put off leave now.
func (l *load) late(p *part, start time.Time, at time.Duration) {
	for _, c := range p.ways[0].caps {
		l.warming[c].nights, l.warming[c].end = c.nights(start.Add(at)), at
	}
}

// warming is what plans of warm-up mean for a load.
func (s *simulation) warming(l *load) (all []WarmingForecast) {
	for _, c := range s.caps {
		of := l.warming[c]
		if of == nil {
			continue
		}
		limit, _ := c.Plan.Cap(c.first.Step, c.first.Today)
		all = append(all, WarmingForecast{Address: c.addr, Site: c.Site, Step: c.first.Step, Steps: len(c.Plan),
			Left: max(0, limit-c.first.Today.Begun), N: of.n, Spills: c.Spills, Nights: of.nights, End: of.end})
	}
	return all
}
