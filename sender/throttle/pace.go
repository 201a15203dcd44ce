package throttle

import (
	"time"

	"golang.org/x/time/rate"
)

const (
	startConnections = 2 // to a site that is new to us
	growAfter        = 4 // good replies for each connection allowed, before one more is

	// A site that has never asked for less, and gives those replies within nearReplies, is near: no
	// message crosses the Internet so fast. It is allowed twice as many connections, at most leap more.
	nearReplies = 20 * time.Millisecond
	leap        = 8

	slowTo   = 0.8      // of the rate that a site was seen to bear, when it asks us to slow down
	raiseBy  = 1.25     // of a rate that went well for a while; slowTo takes it back
	leastOf  = 1.0 / 60 // messages a second: no site is slowed down to less
	enoughOf = 100      // messages a second: a learned rate that has grown to it is none any more

	firstBackoff = time.Second
	maxBackoff   = time.Minute
	spread       = 0.2 // of a backoff, either way

	firstProbe = time.Minute
	maxProbe   = time.Hour
)

// A Pace is what was learned of a site: how many connections it bears, how many
// messages a second, and whether it is closed to us just now. It is a plain
// value, to be kept as long as wanted; its methods are pure and return the next
// one.
//
//	open --"too many connections"--> a ceiling of connections, tried again after a while
//	open --"too fast"--> slow: a lower rate --again--> closed: backoff --> one probe --good--> open
//
// Connections grow by one while replies are good, and by more while they are quick
// too. A refusal is a fact worth remembering: it sets a ceiling, which is tried again
// only after a while that doubles each time it holds. A scheme that forgets the ceiling (halve, grow,
// hit it again) costs about twenty times as many refusals. A rate is found in
// the same way: there is none until the site asks for one.
type Pace struct {
	Allowed int // connections at once; 0 is the start, see also State.Bears
	Good    int // good replies since Allowed last changed

	GoodSince time.Time `json:"-"` // when the first of them was

	Ceiling   int           // connections it is known to bear; 0 when it has refused none
	ProbeAt   time.Time     // when one more than Ceiling may be tried
	ProbeWait time.Duration // from the last refusal to ProbeAt

	Rate          rate.Limit    // messages a second; 0 while it has not asked for fewer
	RateCeiling   rate.Limit    // at which it asked
	RateProbeAt   time.Time     // when a higher Rate is tried
	RateProbeWait time.Duration // between two such steps

	Refusals     int       // in a row; while there are any, one message at a time goes as a probe
	RefusedSince time.Time // when the first of them was
	ClosedUntil  time.Time // nothing begins before

	Why   string    // the reply that slowed it down last
	WhyAt time.Time // when that was
}

// Learned reports whether there is anything to remember.
func (p Pace) Learned() bool { return p.Ceiling > 0 || p.Rate > 0 || p.Refusals > 0 }

// bears is how many connections the site has taken and answered well, where that is
// more than those of a new one; 0 where it is not.
func (p Pace) bears() int {
	if p.Allowed <= startConnections {
		return 0
	}
	return p.Allowed
}

// Connections is how many the site may have now, 0 while it is closed; limit
// is the policy's.
func (p Pace) Connections(limit int, now time.Time) int {
	switch {
	case now.Before(p.ClosedUntil):
		return 0
	case p.Refusals > 0:
		return 1
	}
	return min(p.allowed(), limit)
}

func (p Pace) allowed() int {
	if p.Allowed == 0 {
		return startConnections
	}
	return p.Allowed
}

// Limit is how many messages a second may begin; policy is what the operator allows.
func (p Pace) Limit(policy rate.Limit) rate.Limit {
	if p.Rate > 0 {
		return min(p.Rate, policy)
	}
	return policy
}

// Succeed counts a good reply. A site is allowed more connections only when it
// is busy, that is, when it has all that it may have.
func (p Pace) Succeed(busy bool, limit int, now time.Time) Pace {
	p.Refusals, p.RefusedSince, p.ClosedUntil = 0, time.Time{}, time.Time{}
	if p.Rate > 0 && !now.Before(p.RateProbeAt) {
		p = p.raise(now)
	}
	if !busy {
		return p
	}
	if p.Good++; p.Good == 1 {
		p.GoodSince = now
	}
	if p.Good < growAfter*p.allowed() {
		return p
	}
	more := 1
	if !p.Learned() && p.WhyAt.IsZero() && now.Sub(p.GoodSince) < nearReplies {
		more = min(p.allowed(), leap)
	}
	p.Good = 0
	p.Allowed = p.allowed()
	if p.Ceiling > 0 && p.Allowed > p.Ceiling { // the probe went well
		p.Ceiling, p.ProbeWait = 0, 0
	}
	if p.Ceiling > 0 && now.Before(p.ProbeAt) {
		limit = min(limit, p.Ceiling)
	}
	p.Allowed = max(1, min(p.Allowed+more, limit))
	return p
}

// raise tries a higher rate after the present one went well for a while.
func (p Pace) raise(now time.Time) Pace {
	if p.Rate > p.RateCeiling { // the probe went well
		p.RateProbeWait = firstProbe
	}
	p.Rate *= raiseBy
	p.RateProbeAt = now.Add(p.RateProbeWait)
	if p.Rate >= enoughOf {
		p.Rate, p.RateCeiling, p.RateProbeAt = 0, 0, time.Time{}
	}
	return p
}

// Refuse notes that the site turned a connection away while others were open.
// With none open it is closed to us for a while, that doubles from one second
// to a minute; jitter is from [-1, 1).
func (p Pace) Refuse(others int, jitter float64, now time.Time) Pace {
	if others > 0 {
		p = p.lower(others, now)
		p.Allowed = min(p.allowed(), p.Ceiling)
		return p
	}
	p = p.refused(now)
	p.Allowed, p.Good = 1, 0
	p.ClosedUntil = now.Add(backoff(p.Refusals, jitter))
	return p
}

// Crowd notes a reply that asks for fewer connections while so many were open:
// half of them go. A site that says so on its only one is closed to us, as by
// Refuse.
func (p Pace) Crowd(open int, jitter float64, now time.Time) Pace {
	if p.allowed() == 1 {
		return p.Refuse(0, jitter, now)
	}
	p = p.lower(open-1, now)
	p.Allowed = max(1, p.allowed()/2)
	return p
}

// Slow notes a reply that asks for fewer messages; bore is how many a second
// the site took lately. The rate goes a little below that. If the site took none
// lately, or complains again before it accepts one, nothing is sent to it for a
// backoff, as by Refuse: its counting window is still running. From the third
// time in a row on, the rate is halved too.
func (p Pace) Slow(bore rate.Limit, jitter float64, now time.Time) Pace {
	if p.Rate > 0 {
		bore = p.Rate // back to what went well before the last step
	}
	p = p.refused(now)
	if p.Refusals == 1 && bore > 0 {
		p.RateCeiling = bore
		p.Rate = max(slowTo*bore, leastOf)
		p.RateProbeWait = min(max(2*p.RateProbeWait, firstProbe), maxProbe)
	} else {
		if p.Rate > 0 && p.Refusals > 2 {
			p.Rate = max(p.Rate/2, leastOf)
		}
		p.ClosedUntil = now.Add(backoff(p.Refusals-1, jitter))
	}
	p.RateProbeAt = now.Add(p.RateProbeWait)
	return p
}

func (p Pace) refused(now time.Time) Pace {
	if p.Refusals++; p.RefusedSince.IsZero() {
		p.RefusedSince = now
	}
	return p
}

// lower remembers that ceiling connections are the most that the site bears.
func (p Pace) lower(ceiling int, now time.Time) Pace {
	p.Ceiling = max(1, ceiling)
	p.ProbeWait = min(max(2*p.ProbeWait, firstProbe), maxProbe)
	p.ProbeAt = now.Add(p.ProbeWait)
	p.Good = 0
	return p
}

// backoff is how long a site stays closed after its nth refusal in a row.
func backoff(n int, jitter float64) time.Duration { return grown(firstBackoff, maxBackoff, n, jitter) }

// grown is the nth of the waits that double from first to last, n from 1, moved
// by up to spread either way; jitter is from [-1, 1).
func grown(first, last time.Duration, n int, jitter float64) time.Duration {
	wait := first
	for ; n > 1 && wait < last; n-- {
		wait *= 2
	}
	wait = min(wait, last)
	return wait + time.Duration(spread*jitter*float64(wait))
}
