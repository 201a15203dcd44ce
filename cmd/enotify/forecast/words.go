package forecast

import (
	"cmp"
	"fmt"
	"strings"
	"time"

	"enotify/cmd/enotify/figures"
	"enotify/queue"
	"enotify/sender/throttle"
)

// NoNode is said in place of a forecast where nobody sends.
const NoNode = "no node is running; start one: enotify run"

// Line says how long a batch will take, which site is the slowest and what holds it
// back: about 3 min; slow.test is slowest (your limit 60/min).
func (f Forecast) Line(p Plan) string {
	if p.Nodes == 0 {
		return NoNode
	}
	if f.Late {
		return "over two months at these limits"
	}
	said := "about " + figures.Estimate(f.End)
	if f.Paused != "" {
		said += ", waiting for " + f.Paused + " meanwhile"
	}
	if slowest := f.Slowest(p); slowest != "" {
		said += "; " + slowest
	}
	if f.Deferred > 0 {
		said += fmt.Sprintf("; %s may be deferred and tried again %s later", figures.Some(f.Deferred, "recipient"),
			figures.Span(f.Done-f.End))
	}
	return said
}

// Slowest names the site that is done last, and what holds it back; "" where there is
// none.
func (f Forecast) Slowest(p Plan) string {
	if len(f.Sites) == 0 || f.Sites[0].End == 0 {
		return ""
	}
	said := cmp.Or(f.Sites[0].One, f.Sites[0].Name) + " is slowest"
	if held := p.HeldBy(f.Sites[0]); held != "" {
		said += " (" + held + ")"
	}
	return said
}

// Short is the time alone, for a column.
func (f Forecast) Short() string {
	if f.Late {
		return "months"
	}
	return figures.Estimate(f.End)
}

// HeldBy says what holds a site back, with the figure, and whether an operator set it.
func (p Plan) HeldBy(s SiteForecast) string {
	policy, pace := p.Limits.SitePolicy(s.Name), p.Limits.Pace(s.Name)
	switch s.Held {
	case byConnections:
		held := figures.Some(policy.Connections, "connection")
		if p.Message == 0 { // it decides here
			held += fmt.Sprintf("; no node has measured a message yet: taken for %s", DefaultMessage)
		}
		return held
	case byLearned:
		return withReason("learned: "+figures.Some(pace.Ceiling, "connection"), pace)
	case byRate:
		return p.whose(s.Name) + " " + figures.Rate(policy.Rate)
	case byLearnedRate:
		return withReason("learned: "+figures.Rate(pace.Rate), pace)
	case byClosed:
		return withReason("closed until "+figures.TimeOfDay(pace.ClosedUntil), pace)
	case byCap:
		return byCap.String()
	case byEgress:
		return p.ofAddresses()
	case byDomains:
		if s.One != "" {
			return p.whose(s.One) + " " + figures.Rate(p.Limits.Policy(s.One).Rate)
		}
		return "rate per domain"
	}
	return ""
}

// ofAddresses names the address of ours whose rate holds mail back, where only one has any.
func (p Plan) ofAddresses() string {
	var only *Address
	for i, a := range p.Addresses {
		switch {
		case a.Rate == nil && a.SiteRate == nil:
		case only != nil || a.Rate != nil && a.SiteRate != nil:
			return byEgress.String()
		default:
			only = &p.Addresses[i]
		}
	}
	if only == nil {
		return byEgress.String()
	}
	limit, to := only.Rate, ""
	if limit == nil {
		limit, to = only.SiteRate, " to a site"
	}
	return "rate of " + only.Addr.String() + ": " + figures.FormatRate(*limit) + to
}

// whose says who set the limit of a destination.
func (p Plan) whose(name string) string {
	for _, set := range []string{name, throttle.Everyone} {
		if _, ok := p.Set[set]; ok {
			return "your limit"
		}
	}
	return "limit"
}

func withReason(text string, p throttle.Pace) string {
	if p.Why == "" {
		return text
	}
	return text + "; " + strings.TrimSpace(p.Why)
}

// Counts reports whether a recipient of a batch was not tried yet, or is being tried for the
// first time.
func (f Forecast) Counts(s queue.Status) bool { return f.Untried > 0 || s.Pending+s.Sending > 0 }

// Left is how long it takes until everybody was tried, from now on.
func (f Forecast) Left(p Plan, now time.Time) time.Duration { return max(0, f.End-now.Sub(p.Start)) }
