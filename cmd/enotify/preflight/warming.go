package preflight

import (
	"fmt"
	"net/netip"
	"time"

	"enotify/cmd/enotify/figures"
)

// A Warming is an address of the batch's pool that is warming up: a part of the batch
// waits for the next days once the limit of today is used up.
type Warming struct {
	Address     netip.Addr
	Step, Steps int           // the day of the plan, from 0, and how many there are
	Share       float64       // of the batch that leaves from it
	Left        int           // messages that may leave from it today
	Next        []int         // and on each day after; then there is no limit
	Ends        time.Duration // until its next day begins
	Spills      bool          // what is above leaves from warm addresses of the pool
}

// nights is how many times the plan's day has to end before n messages have left.
func (w Warming) nights(n int) int {
	if w.Spills || n <= w.Left {
		return 0
	}
	n -= w.Left
	for i, limit := range w.Next {
		if n <= limit {
			return i + 1
		}
		n -= limit
	}
	return len(w.Next) + 1
}

// part is how many messages of the batch leave from it.
func (w Warming) part(n int) int { return int(float64(n)*w.Share + 0.5) }

// warmingUntil is when the limits of addresses that are warming up let the last message
// of the batch leave, and what to say of each; zero when they hold nothing up.
func (in *Input) warmingUntil() (until time.Duration, said []string) {
	for _, w := range in.Warming {
		n := w.part(in.sendable())
		text := fmt.Sprintf("%s is warming up, day %d of %d: %s more today, for about %s of this batch", w.Address,
			w.Step+1, w.Steps, figures.Some(w.Left, "message"), figures.Count(n))
		switch nights := w.nights(n); {
		case w.Spills:
			text += "; the others leave from warm addresses of the pool"
		case nights > 0:
			until = max(until, w.Ends+time.Duration(nights-1)*24*time.Hour)
			text += fmt.Sprintf("; the others wait for the next %s", figures.Some(nights, "day"))
		}
		said = append(said, text)
	}
	return until, said
}
