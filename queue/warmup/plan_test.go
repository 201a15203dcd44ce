package warmup_test

import (
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"enotify/queue/warmup"
)

// Thirty days of a plan: each day sends all that is wanted and allowed, some days are
// refused, complained about, or quiet. What is sent never exceeds the cap of the day.
func TestThirtyDays(t *testing.T) {
	t.Parallel()
	plan := warmup.Plan{50, 100, 200, 400, 800, 1600, 3200, 6400}
	type weather struct{ wanted, refused, complaints int }
	days := map[int]weather{
		3:  {wanted: 10_000, refused: 40},     // of 400: one in ten
		5:  {wanted: 10_000, refused: 10},     // of 400: 2.5 %
		8:  {wanted: 10},                      // less than half
		9:  {},                                // a quiet day
		11: {wanted: 10_000, complaints: 4},   // of 3200: 0.125 %
		13: {wanted: 10_000, complaints: 20},  // of 6400: 0.31 %
		17: {wanted: 10_000, complaints: 100}, // no cap comes back for it
	}
	step, caps := 0, []int{}
	for no := range 30 {
		w, special := days[no]
		if !special {
			w.wanted = 10_000
		}
		limit, capped := plan.Cap(step, warmup.Day{})
		if !capped {
			limit = 0
		}
		caps = append(caps, limit)
		sent := w.wanted
		if capped {
			sent = min(sent, limit)
		}
		step, _ = plan.Next(step, warmup.Day{Begun: sent, Accepted: sent - w.refused, Refused: w.refused,
			Complaints: w.complaints})
	}
	want := []int{50, 100, 200, 400, 200, 400, 400, 800, 1600, 1600, 1600, 3200, 3200, 6400, 3200, 6400}
	for len(want) < 30 {
		want = append(want, 0)
	}
	if diff := cmp.Diff(want, caps); diff != "" {
		t.Errorf("caps of 30 days (-want +got):\n%s", diff)
	}
}

func TestAnnoyedWithinTheDay(t *testing.T) {
	t.Parallel()
	plan := warmup.Plan{50, 100, 200}
	for _, c := range []struct {
		step int
		day  warmup.Day
		want int
	}{
		{1, warmup.Day{Begun: 20, Refused: 2}, 100}, // two say nothing
		{1, warmup.Day{Begun: 20, Refused: 3}, 50},
		{0, warmup.Day{Begun: 20, Refused: 20}, 50},
		{2, warmup.Day{Begun: 200, Accepted: 200, Complaints: 2}, 100},
	} {
		if got, _ := plan.Cap(c.step, c.day); got != c.want {
			t.Errorf("cap at step %d of a day with %+v: got %d, want %d", c.step, c.day, got, c.want)
		}
	}
}

func TestCheck(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		plan warmup.Plan
		want string
	}{
		{warmup.Plan{50, 100, 80}, "the plan falls: day 2 allows 100 messages, and day 3 only 80"},
		{warmup.Plan{}, "has 0"},
		{warmup.Plan{0, 1}, "day 1 allows 0 messages: want 1 or more"},
		{make(warmup.Plan, 366), "1 to 365 days"},
		{warmup.Plan{50, 50}, ""},
	} {
		got := ""
		if err := c.plan.Check(); err != nil {
			got = err.Error()
		}
		if !strings.Contains(got, c.want) || (c.want == "") != (got == "") {
			t.Errorf("Check of %v: got %q, want %q", c.plan, got, c.want)
		}
	}
}

func TestRamp(t *testing.T) {
	t.Parallel()
	for _, c := range []struct{ days, from, to int }{{30, 50, 100_000}, {1, 50, 50}, {365, 1, 1_000_000}, {3, 7, 7}} {
		p, err := warmup.Ramp(c.days, c.from, c.to)
		if err != nil || len(p) != c.days || p[c.days-1] != c.to {
			t.Errorf("Ramp(%d, %d, %d): got %v, %v; want it to end with %d", c.days, c.from, c.to, p, err, c.to)
		}
		if err := p.Check(); err != nil {
			t.Errorf("Ramp(%d, %d, %d): got %v, want a plan", c.days, c.from, c.to, err)
		}
	}
	if _, err := warmup.Ramp(30, 50, 10); err == nil {
		t.Error("Ramp(30, 50, 10): got a plan, want an error")
	}
}

// A day with a change to summer time has 23 hours.
func TestToday(t *testing.T) {
	t.Parallel()
	berlin, err := time.LoadLocation("Europe/Berlin")
	if err != nil {
		t.Fatal(err)
	}
	day, ends := warmup.Today(berlin, time.Date(2026, 3, 28, 23, 30, 0, 0, time.UTC)) // 00:30 on the 29th
	if got, want := day, time.Date(2026, 3, 29, 0, 0, 0, 0, time.UTC); !got.Equal(want) {
		t.Errorf("day: got %v, want %v", got, want)
	}
	if got, want := ends, time.Date(2026, 3, 29, 22, 0, 0, 0, time.UTC); !got.Equal(want) {
		t.Errorf("end: got %v, want %v", got, want)
	}
}
