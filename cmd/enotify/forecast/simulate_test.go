package forecast_test

import (
	"fmt"
	"testing"
	"time"

	"golang.org/x/time/rate"

	"enotify/cmd/enotify/forecast"
	"enotify/sender/throttle"
)

var at = time.Date(2026, 11, 26, 9, 0, 0, 0, time.UTC) // a Thursday

func limits(policies map[string]throttle.Policy) *throttle.Throttle {
	t := &throttle.Throttle{}
	t.SetPolicies(policies)
	return t
}

// Times that can be worked out by hand.
func TestSimulate(t *testing.T) {
	t.Parallel()
	many := func(site string, domains, each int) (l forecast.Load) {
		for i := range domains {
			l.Domains = append(l.Domains, forecast.Waiting{Domain: fmt.Sprintf("d%d.%s", i, site), Site: site, N: each})
		}
		return l
	}
	wide := throttle.Policy{Rate: rate.Inf, Connections: 50, Burst: 100}
	for _, c := range []struct {
		name  string
		plan  forecast.Plan
		begin time.Duration
		end   time.Duration
		held  string
	}{
		{"rate of a domain", forecast.Plan{Own: many("a.test", 1, 600),
			Limits: limits(map[string]throttle.Policy{"*": {Rate: 10, Burst: 5, Connections: 50}})}, 0,
			60 * time.Second, "the rate of its domains"},
		{"the largest domain", forecast.Plan{Own: forecast.Load{Domains: []forecast.Waiting{{Domain: "a.test",
			Site: "a", N: 100}, {Domain: "b.test", Site: "b", N: 900}}},
			Limits: limits(map[string]throttle.Policy{"*": {Rate: 10, Burst: 5, Connections: 50}})}, 0,
			90 * time.Second, "the rate of its domains"},
		{"rate of the site", forecast.Plan{Own: many("a.test", 20, 100),
			Limits: limits(map[string]throttle.Policy{"*": wide, "a.test": {Rate: 20, Burst: 5, Connections: 50}})}, 0,
			100 * time.Second, "the rate of the site"},
		// 2 connections from the start, and no more allowed.
		{"connections", forecast.Plan{Own: many("a.test", 1, 2000), Message: 100 * time.Millisecond,
			Limits: limits(map[string]throttle.Policy{"*": {Rate: rate.Inf, Connections: 2}})}, 0, 100 * time.Second,
			"its connections"},
		{"after another batch", forecast.Plan{Ahead: []forecast.Load{many("a.test", 1, 300)},
			Own:    many("b.test", 1, 300),
			Limits: limits(map[string]throttle.Policy{"*": {Rate: 10, Burst: 5, Connections: 50}})},
			30 * time.Second, 60 * time.Second, "the rate of its domains"},
		{"not before", forecast.Plan{Own: forecast.Load{NotBefore: at.Add(time.Hour),
			Domains: many("b.test", 1, 300).Domains},
			Limits: limits(map[string]throttle.Policy{"*": {Rate: 10, Burst: 5, Connections: 50}})},
			time.Hour, time.Hour + 30*time.Second, "the rate of its domains"},
		{"what all nodes get through", forecast.Plan{Own: many("a.test", 100, 1000), Most: 1000,
			Message: time.Millisecond, Limits: limits(map[string]throttle.Policy{"*": wide})}, 0, 100 * time.Second,
			""},
		// Connections grow from 2 to 10, one after 4 good replies for each: soon.
		{"connections grow", forecast.Plan{Own: many("a.test", 1, 10_000), Message: 100 * time.Millisecond,
			Limits: limits(map[string]throttle.Policy{"*": {Rate: rate.Inf, Connections: 10}})}, 0, 102 * time.Second,
			"its connections"},
		{"connections grow one by one", forecast.Plan{Own: many("a.test", 1, 3000), Message: 100 * time.Millisecond,
			Limits: limits(map[string]throttle.Policy{"*": {Rate: rate.Inf, Connections: 50}})}, 0, 15 * time.Second,
			"its connections"},
	} {
		c.plan.Start = at
		f := forecast.Simulate(c.plan)
		if got := f.Begin; got != c.begin && (got-c.begin).Abs() > c.begin/50 {
			t.Errorf("%s: begins after %v, want %v", c.name, got, c.begin)
		}
		if got, want := f.End-f.Begin, c.end-c.begin; (got - want).Abs() > want/33 {
			t.Errorf("%s: takes %v, want %v", c.name, got, want)
		}
		if c.held != "" && f.Sites[0].Held.String() != c.held {
			t.Errorf("%s: held back by %q, want %q", c.name, f.Sites[0].Held, c.held)
		}
		last := f.Points[len(f.Points)-1]
		total := 0
		for _, d := range c.plan.Own.Domains {
			total += d.N
		}
		if last.At != f.End || int(last.Sent+0.5) != total {
			t.Errorf("%s: the curve ends with %v, want %d at %v", c.name, last, total, f.End)
		}
	}
}

// What was learned counts, and a plan that takes for ever ends.
func TestSimulateLearned(t *testing.T) {
	t.Parallel()
	pace := paces{limits(map[string]throttle.Policy{"*": {Rate: rate.Inf, Connections: 10}}), throttle.Pace{
		Allowed: 1, Ceiling: 1, ProbeAt: at.Add(24 * time.Hour), ProbeWait: time.Hour, ClosedUntil: at.Add(time.Minute),
		Refusals: 1,
	}}
	p := forecast.Plan{Start: at, Limits: pace, Message: 100 * time.Millisecond,
		Own: forecast.Load{Domains: []forecast.Waiting{{Domain: "a.test", Site: "a", N: 1000}}}}
	if got := forecast.Simulate(p).End; got < 158*time.Second || got > 164*time.Second {
		t.Errorf("closed for a minute, then one connection: takes %v, want 2 min 40 s", got)
	}
	p.Limits = limits(map[string]throttle.Policy{"*": {Rate: 1.0 / 86400, Burst: 1}})
	if f := forecast.Simulate(p); !f.Late {
		t.Errorf("1000 messages at one a day: ends after %v", f.End)
	}
}

type paces struct {
	*throttle.Throttle
	pace throttle.Pace
}

func (p paces) Pace(string) throttle.Pace { return p.pace }
