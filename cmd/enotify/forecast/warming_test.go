package forecast_test

import (
	"net/netip"
	"testing"
	"time"

	"enotify/cmd/enotify/forecast"
	"enotify/queue/warmup"
	"enotify/sender/throttle"
)

// Addresses that warm up hold a batch back as they do in truth: by their own caps, for
// all sites together, and a batch that they put off lets others have the turn.
func TestSimulateWarmup(t *testing.T) {
	t.Parallel()
	const midnight = 15 * time.Hour // from the start
	address := func(pool string, last byte, spills bool, plan ...int) forecast.Address {
		a := forecast.Address{Addr: netip.AddrFrom4([4]byte{192, 0, 2, last}), Pool: pool, Weight: 1}
		if len(plan) > 0 {
			a.Plans = []forecast.Warming{{Site: "*", Plan: plan, Zone: time.UTC, Spills: spills}}
		}
		return a
	}
	three := []forecast.Waiting{{Domain: "a.test", Site: "a.test", N: 100}, {Domain: "b.test", Site: "b.test", N: 100},
		{Domain: "c.test", Site: "c.test", N: 100}}
	for _, c := range []struct {
		name   string
		plan   forecast.Plan
		begin  time.Duration
		end    time.Duration
		nights int
		paused string
	}{
		{"one cap for all sites", forecast.Plan{Own: forecast.Load{Domains: three},
			Addresses: []forecast.Address{address("", 1, false, 100, 100)}}, 0, midnight + 24*time.Hour, 2,
			"the warm-up of our addresses"},
		{"a day that sends little leaves the cap as it is", forecast.Plan{Own: forecast.Load{
			NotBefore: at.Add(midnight + time.Minute), Domains: three},
			Addresses: []forecast.Address{address("", 1, false, 100, 300)}}, midnight + time.Minute,
			midnight + 24*time.Hour, 2, "the warm-up of our addresses"},
		{"the rest leaves from a warm address", forecast.Plan{Own: forecast.Load{Domains: three},
			Addresses: []forecast.Address{address("", 1, true, 30), address("", 2, true)}}, 0, 10 * time.Second, 0, ""},
		{"another pool warms up", forecast.Plan{Own: forecast.Load{Domains: three, Pool: "old"},
			Addresses: []forecast.Address{address("new", 1, false, 30), address("old", 2, false)}}, 0,
			10 * time.Second, 0, ""},
		{"a batch that is put off gives the turn on", forecast.Plan{
			Ahead: []forecast.Load{{Pool: "new", Domains: three}}, Own: forecast.Load{Pool: "old", Domains: three},
			Addresses: []forecast.Address{address("new", 1, false, 150, 150), address("old", 2, false)}}, 5 * time.Second,
			15 * time.Second, 0, ""},
		{"recipients that were put off before", forecast.Plan{Own: forecast.Load{Beside: true,
			Domains: []forecast.Waiting{{Domain: "a.test", Site: "a.test", N: 100, At: at}}},
			Addresses: []forecast.Address{address("", 1, false, 100, 300)}}, 0, 10 * time.Second, 0, ""},
		{"what was put off first goes first", forecast.Plan{
			Ahead: []forecast.Load{{Batch: 2, Beside: true, Domains: []forecast.Waiting{{Domain: "a.test", Site: "a.test",
				N: 100, At: at.Add(midnight)}}}},
			Own: forecast.Load{Batch: 1, Beside: true, Domains: []forecast.Waiting{{Domain: "a.test", Site: "a.test", N: 100,
				At: at.Add(midnight)}}},
			Addresses: []forecast.Address{address("", 1, false, 100, 200)}}, 0, midnight + 10*time.Second, 1, ""},
	} {
		c.plan.Start, c.plan.Message = at, 50*time.Millisecond
		c.plan.Groups = map[string]int16{"a.test": 1, "b.test": 2, "c.test": 3}
		c.plan.Limits = limits(map[string]throttle.Policy{"*": {Rate: 10, Burst: 1, Connections: 50}})
		f := forecast.Simulate(c.plan)
		if (f.Begin-c.begin).Abs() > c.begin/20 || f.End < c.end-c.end/20 || f.End > c.end+c.end/20+11*time.Second {
			t.Errorf("%s: begins after %v and ends after %v, want %v and %v", c.name, f.Begin, f.End, c.begin, c.end)
		}
		nights := 0
		for _, w := range f.Warming {
			nights = max(nights, w.Nights)
		}
		if nights != c.nights || f.Paused != c.paused {
			t.Errorf("%s: waits %d nights for %q, want %d for %q", c.name, nights, f.Paused, c.nights, c.paused)
		}
		if last := f.Points[len(f.Points)-1]; last.At != f.End {
			t.Errorf("%s: the curve ends at %v, want %v", c.name, last.At, f.End)
		}
	}
}

// A plan of warm-up that has used up today's cap already says how many are left.
func TestWarmingLeft(t *testing.T) {
	t.Parallel()
	p := forecast.Plan{Start: at, Limits: limits(nil), Own: forecast.Load{Domains: to(500, "a.test")},
		Addresses: []forecast.Address{{Addr: netip.MustParseAddr("192.0.2.1"), Plans: []forecast.Warming{{Site: "*",
			Plan: warmup.Plan{50, 100, 200}, Step: 1, Today: warmup.Day{Begun: 40}, Zone: time.UTC}}}}}
	want := forecast.WarmingForecast{Address: netip.MustParseAddr("192.0.2.1"), Site: "*", Step: 1, Steps: 3, Left: 60,
		N: 500, Nights: 2}
	got := forecast.Simulate(p).Warming
	if len(got) != 1 {
		t.Fatalf("got %+v, want one address", got)
	}
	end := got[0].End
	got[0].End = 0
	if got[0] != want || end < 39*time.Hour || end > 39*time.Hour+time.Minute {
		t.Errorf("got %+v, ending after %v; want %+v, ending after 39 h", got[0], end, want)
	}
}
