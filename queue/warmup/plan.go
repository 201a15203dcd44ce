package warmup

import (
	"fmt"
	"math"
	"time"
)

// MaxSteps is how many caps a plan may have.
const MaxSteps = 365

// Receivers look at shares. Gmail and Yahoo ask senders to stay under 0.1 % of
// complaints and never to reach 0.3 % (support.google.com/a/answer/81126,
// senders.yahooinc.com/best-practices). Refusals of a new address are common; more
// than one in twenty says that it grew too fast.
const (
	StayRefused    = 0.02  // share of messages refused for the address, from which the plan stays where it is
	BackRefused    = 0.05  // and from which it goes back
	StayComplaints = 0.001 // complaints per message taken, from which the plan stays
	BackComplaints = 0.003 // and from which it goes back

	leastRefused    = 3 // refusals in a day that say anything
	leastComplaints = 2
)

// A Day is what left from an address on a day.
type Day struct {
	Begun      int // messages that were let begin
	Accepted   int // messages that receivers took: on the day, or on a better one of the six before it
	Refused    int // replies that distrust the address, or call it too fast
	Complaints int // readers who called the mail spam
}

// A Mood is what receivers think of a day.
type Mood int

// The moods, the better ones first.
const (
	Content Mood = iota
	Wary         // the plan stays where it is
	Annoyed      // the plan goes back
)

// Mood judges a day, and says why; "" when receivers are content.
func (d Day) Mood() (m Mood, why string) {
	if d.Refused >= leastRefused {
		if share := float64(d.Refused) / float64(max(1, d.Begun)); share >= StayRefused {
			m, why = Wary, fmt.Sprintf("receivers refused %d of %d messages (%.1f %%)", d.Refused, d.Begun, 100*share)
			if share >= BackRefused {
				m = Annoyed
			}
		}
	}
	if d.Complaints < leastComplaints || m == Annoyed {
		return m, why
	}
	if share := float64(d.Complaints) / float64(max(1, d.Accepted)); share >= StayComplaints {
		why = fmt.Sprintf("readers called %d of %d messages spam (%.2f %%)", d.Complaints, d.Accepted, 100*share)
		m = Wary
		if share >= BackComplaints {
			m = Annoyed
		}
	}
	return m, why
}

// A Plan is the caps of its steps.
type Plan []int

// Check reports what is wrong with a plan.
func (p Plan) Check() error {
	if len(p) == 0 || len(p) > MaxSteps {
		return fmt.Errorf("a plan has 1 to %d days, and this one has %d", MaxSteps, len(p))
	}
	for i, n := range p {
		switch {
		case n < 1 || n > math.MaxInt32:
			return fmt.Errorf("day %d allows %d messages: want 1 or more", i+1, n)
		case i > 0 && n < p[i-1]:
			return fmt.Errorf("the plan falls: day %d allows %d messages, and day %d only %d", i, p[i-1], i+1, n)
		}
	}
	return nil
}

// Warm reports whether the plan is over.
func (p Plan) Warm(step int) bool { return step >= len(p) }

// Cap is how many messages may leave on a day at a step; today has what is known of the
// day so far. Once receivers are annoyed, it is the cap of the step before. A plan that
// is over has no cap: capped is false.
func (p Plan) Cap(step int, today Day) (n int, capped bool) {
	if p.Warm(step) {
		return 0, false
	}
	if m, _ := today.Mood(); m == Annoyed && step > 0 {
		step--
	}
	return p[step], true
}

// Next is the step after a day, and why it does not grow; "" when it does. A day
// with less than half of its cap leaves the step as it is: receivers learn to know
// an address by its mail, and not by the calendar.
func (p Plan) Next(step int, d Day) (next int, why string) {
	if p.Warm(step) {
		return step, ""
	}
	switch m, why := d.Mood(); {
	case m == Annoyed:
		return max(0, step-1), why
	case m == Wary:
		return step, why
	case 2*d.Begun < p[step]:
		return step, fmt.Sprintf("%d of %d messages were sent, which is less than half", d.Begun, p[step])
	}
	return step + 1, ""
}

// Ramp is a plan that grows by the same factor each day, from its first cap to its
// last, in figures of two digits.
func Ramp(days, from, to int) (Plan, error) {
	switch {
	case days < 1 || days > MaxSteps:
		return nil, fmt.Errorf("a plan has 1 to %d days, and not %d", MaxSteps, days)
	case from < 1 || to < from:
		return nil, fmt.Errorf("the plan falls: it begins with %d messages a day and ends with %d", from, to)
	}
	p := make(Plan, days)
	for i := range p {
		share := 1.0
		if days > 1 {
			share = float64(i) / float64(days-1)
		}
		p[i] = round(float64(from) * math.Pow(float64(to)/float64(from), share))
	}
	p[0], p[days-1] = min(from, to), to
	return p, nil
}

// round keeps two digits.
func round(x float64) int {
	unit := math.Pow(10, max(0, math.Floor(math.Log10(x))-1))
	return int(math.Round(x/unit) * unit)
}

// Today is the date in a time zone at a moment, as midnight UTC, and when it ends.
func Today(zone *time.Location, now time.Time) (day, ends time.Time) {
	y, m, d := now.In(zone).Date()
	return time.Date(y, m, d, 0, 0, 0, 0, time.UTC), time.Date(y, m, d+1, 0, 0, 0, 0, zone)
}
