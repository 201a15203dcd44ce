package throttle

import (
	"math/rand/v2"
	"strings"
	"time"

	"enotify/queue"
	"enotify/sender/bounce"
)

const (
	// A domain that nobody asked for is forgotten. Its next bucket starts empty,
	// so that forgetting never gives it a token early.
	forgetDomain = 10 * time.Minute
	// What was learned of a site outlives its longest wait.
	forgetSite = 2 * maxProbe

	sweepEvery = time.Minute
)

// A site is all domains served by the same mail servers.
type site struct {
	name     string
	pace     Pace
	open     int // connections that are open, or being opened
	inflight int // messages admitted, and not done
	settling int // messages that were under way when it was last slowed down
	domains  int
	used     time.Time
}

// learn draws the lesson of one attempt. All messages under way when a site
// was slowed down tell the same story, which counts once.
func (s *site) learn(o queue.Outcome, limit int, now time.Time) {
	s.used = now
	settling := s.settling > 0
	s.settling = max(0, s.settling-1)
	switch {
	case o.Reply.Code == 0 || now.Before(s.pace.ClosedUntil):
	case o.Class == queue.Throttled && !greylisted(o.Reply, s.name):
		if !settling {
			s.pace = s.pace.Slow(s.open, jitter(), now)
			s.settling = s.inflight
		}
	default:
		s.pace = s.pace.Succeed(s.open >= s.pace.Connections(limit, now), limit, now)
	}
}

// greylisted reports whether the receiver wants this one message later (RFC
// 6647 §2), which is no reason to send it fewer of the others.
func greylisted(r queue.Reply, site string) bool {
	return r.Code != 421 && strings.HasSuffix(bounce.Classify(r, site).Rule, "greylist")
}

// Connect reserves a place for one more connection to a site, and reports
// whether there was one. The place is given back by Refused or Closed. There is
// none when the site has all the connections it may have, or when it is closed
// to us until a time, which is zero otherwise.
func (t *Throttle) Connect(name string, now time.Time) (ok bool, closedUntil time.Time) {
	t.mu.Lock()
	defer t.mu.Unlock()
	s := t.site(name, now)
	if now.Before(s.pace.ClosedUntil) {
		return false, s.pace.ClosedUntil
	}
	if s.open >= s.pace.Connections(t.policy(name).Connections, now) {
		return false, time.Time{}
	}
	s.open++
	return true, time.Time{}
}

// Refused gives back the place of a connection that the site turned away
// because there are too many, and learns from it. It returns until when the
// site is closed to us; the zero time when other connections are open.
func (t *Throttle) Refused(name string, now time.Time) (closedUntil time.Time) {
	t.mu.Lock()
	defer t.mu.Unlock()
	s := t.site(name, now)
	s.open--
	s.pace = s.pace.Refuse(s.open, jitter(), now)
	return s.pace.ClosedUntil
}

// Closed gives back the place of a connection that has ended.
func (t *Throttle) Closed(name string, now time.Time) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.site(name, now).open--
}

// Reuse reports whether a connection to a site that has carried so many
// messages, the latest to domain, may carry another one.
func (t *Throttle) Reuse(name, domain string, carried int, now time.Time) bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	limit := t.policy(name)
	s := t.site(name, now)
	most := limit.PerConnection
	if own := t.policies[domain].PerConnection; own > 0 {
		most = min(most, own)
	}
	return carried < most && s.open <= max(1, s.pace.Connections(limit.Connections, now))
}

// Pace is what was learned of a site.
func (t *Throttle) Pace(name string) Pace {
	t.mu.Lock()
	defer t.mu.Unlock()
	if s := t.sites[name]; s != nil {
		return s.pace
	}
	return Pace{}
}

func (t *Throttle) site(name string, now time.Time) *site {
	s := t.sites[name]
	if s == nil {
		if t.sites == nil {
			t.sites = make(map[string]*site)
		}
		s = &site{name: name}
		t.sites[name] = s
	}
	s.used = now
	return s
}

// sweep forgets, now and then, what is out of use.
func (t *Throttle) sweep(now time.Time) {
	if now.Sub(t.swept) < sweepEvery {
		return
	}
	t.swept = now
	for name, d := range t.domains {
		if d.inflight == 0 && now.Sub(d.used) > forgetDomain {
			if d.site != nil {
				d.site.domains--
			}
			delete(t.domains, name)
		}
	}
	for name, s := range t.sites {
		if s.domains == 0 && s.open == 0 && now.Sub(s.used) > forgetSite {
			delete(t.sites, name)
		}
	}
}

// jitter is drawn from [-1, 1).
func jitter() float64 { return 2*rand.Float64() - 1 }
