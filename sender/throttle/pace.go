package throttle

import "time"

const (
	startConnections = 2 // to a site that is new to us
	growAfter        = 4 // good replies for each connection allowed, before one more is

	firstBackoff = time.Second
	maxBackoff   = time.Minute
	spread       = 0.2 // of a backoff, either way

	firstProbe = time.Minute
	maxProbe   = time.Hour
)

// A Pace is what was learned of a site: how many connections it bears, and
// whether it is closed to us just now. It is a plain value, to be kept as long
// as wanted; its methods are pure and return the next one.
//
// Connections grow by one while replies are good. A refusal is a fact worth
// remembering: it sets a ceiling, which is tried again only after a while that
// doubles each time it holds. A scheme that forgets the ceiling (halve, grow,
// hit it again) costs about twenty times as many refusals.
type Pace struct {
	Allowed int // connections at once; 0 is the start
	Good    int // good replies since Allowed last changed

	Ceiling   int           // connections it is known to bear; 0 when it has refused none
	ProbeAt   time.Time     // when one more than Ceiling may be tried
	ProbeWait time.Duration // from the last refusal to ProbeAt

	Refusals    int       // in a row, while no connection was open
	ClosedUntil time.Time // no connection before; then one, to see
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

// Succeed counts a good reply. A site is allowed more only when it is busy,
// that is, when it has all the connections that it may have.
func (p Pace) Succeed(busy bool, limit int, now time.Time) Pace {
	p.Refusals, p.ClosedUntil = 0, time.Time{}
	if !busy {
		return p
	}
	if p.Good++; p.Good < growAfter*p.allowed() {
		return p
	}
	p.Good = 0
	p.Allowed = p.allowed()
	if p.Ceiling > 0 && p.Allowed > p.Ceiling { // the probe went well
		p.Ceiling, p.ProbeWait = 0, 0
	}
	if p.Ceiling > 0 && now.Before(p.ProbeAt) {
		limit = min(limit, p.Ceiling)
	}
	p.Allowed = max(1, min(p.Allowed+1, limit))
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
	p.Refusals++
	p.Allowed, p.Good = 1, 0
	p.ClosedUntil = now.Add(backoff(p.Refusals, jitter))
	return p
}

// Slow notes a reply that asks us to slow down while open connections were
// there: half of them go. A site that says so on its only one is closed to us,
// as by Refuse.
func (p Pace) Slow(open int, jitter float64, now time.Time) Pace {
	if p.allowed() == 1 {
		return p.Refuse(0, jitter, now)
	}
	p = p.lower(open-1, now)
	p.Allowed = max(1, p.allowed()/2)
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
func backoff(n int, jitter float64) time.Duration {
	wait := maxBackoff
	if n < 7 {
		wait = min(firstBackoff<<(n-1), maxBackoff)
	}
	return wait + time.Duration(spread*jitter*float64(wait))
}
