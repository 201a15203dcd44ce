package throttle

import (
	"math"
	"time"

	"golang.org/x/time/rate"
)

// slow is the rate below which the level of a bucket is kept over restarts: to start it
// empty would cost more than ten seconds each time, and a node that starts every hour would
// never send at 10/day. Quicker buckets start empty.
const slow rate.Limit = 0.1

// A bucket lets messages begin at a rate. The zero value has no limit.
type bucket struct {
	limiter *rate.Limiter // nil: no limit
}

// set changes the limit. A bucket that had none starts empty: what began before
// was not counted.
func (b *bucket) set(limit rate.Limit, burst int, now time.Time) {
	switch {
	case limit == rate.Inf:
		b.limiter = nil
	case b.limiter == nil:
		b.limiter = rate.NewLimiter(limit, burst)
		b.fill(0, now)
	default:
		if b.limiter.Limit() != limit {
			b.limiter.SetLimitAt(now, limit)
		}
		if b.limiter.Burst() != burst {
			b.limiter.SetBurstAt(now, burst)
		}
	}
}

// fill makes the bucket hold so many tokens now, or a full burst if that is less.
func (b *bucket) fill(tokens float64, now time.Time) {
	limit, burst := b.limiter.Limit(), b.limiter.Burst()
	ago := min(max(0, tokens)/float64(limit), (365 * 24 * time.Hour).Seconds())
	b.limiter = rate.NewLimiter(limit, burst)
	b.limiter.AllowN(now.Add(-time.Duration(ago*float64(time.Second))), burst) // empty then
}

// slow reports whether the level is worth keeping.
func (b *bucket) slow() bool { return b.limiter != nil && b.limiter.Limit() < slow }

// tokens is how many messages may begin now; less than 0 when some began
// before their time.
func (b *bucket) tokens(now time.Time) float64 {
	if b.limiter == nil {
		return math.Inf(1)
	}
	return b.limiter.TokensAt(now)
}

// take counts n messages that begin, whether there are tokens or not.
func (b *bucket) take(n int, now time.Time) {
	if b.limiter == nil || b.limiter.AllowN(now, n) {
		return
	}
	for range n {
		b.limiter.ReserveN(now, 1)
	}
}

// grant is how many of n messages may begin now, and when to ask again for the others.
func (b *bucket) grant(n int, now time.Time) (granted int, until time.Time) {
	tokens := b.tokens(now)
	if tokens >= float64(n) {
		return n, time.Time{}
	}
	granted = max(0, int(tokens))
	return granted, now.Add(refill(b.limiter, tokens-float64(granted)))
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

// A meter tells how many messages a second went well lately. The count of the
// last whole second or more is worth more than the rate of a moment: what a burst
// got through says nothing about what a site bears.
type meter struct {
	since time.Time
	n     int
	last  rate.Limit // of the time before since
}

func (m *meter) count(now time.Time) {
	if elapsed := now.Sub(m.since); elapsed >= time.Second {
		m.last = rate.Limit(float64(m.n) / elapsed.Seconds())
		m.since, m.n = now, 0
	}
	m.n++
}

func (m *meter) rate(now time.Time) rate.Limit {
	elapsed := max(now.Sub(m.since), time.Second)
	return max(m.last, rate.Limit(float64(m.n)/elapsed.Seconds()))
}
