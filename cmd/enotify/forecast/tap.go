package forecast

import (
	"net/netip"
	"time"

	"enotify/queue"
)

// A tap is the rate of one of our addresses, to all sites together or to one.
type tap struct {
	addr        netip.Addr
	site        string // "": all
	rate, burst float64
	tokens      float64
	filled      time.Duration
	wants       float64 // messages of a step
	share       float64 // of them that may leave
}

// tap has as large a burst as the engine's: the messages of a second, or one. How many of
// them are left at the start is not known.
func (s *simulation) tap(addr netip.Addr, site string, r queue.Rate) *tap {
	for _, t := range s.taps {
		if t.addr == addr && t.site == site {
			return t
		}
	}
	perSecond := float64(r.Messages) / r.Per.Seconds()
	t := &tap{addr: addr, site: site, rate: perSecond, burst: max(1, perSecond), tokens: 1}
	s.taps = append(s.taps, t)
	return t
}

// fill adds what a step of dt allows that begins at a time.
func (t *tap) fill(at, dt time.Duration) {
	t.tokens = fill(t.tokens, t.rate, t.burst, at-min(t.filled, at), dt)
	t.filled = at + dt
}
