package engine_test

import (
	"testing"
	"time"

	"enotify/queue/engine"
)

// A slow answer does not make the clock jump, and the database's clock is followed where
// it is certainly another.
func TestClockFollows(t *testing.T) {
	t.Parallel()
	zero := time.Date(2026, 11, 27, 7, 0, 0, 0, time.UTC)
	s := func(seconds float64) time.Time { return zero.Add(time.Duration(seconds * float64(time.Second))) }
	first := [3]time.Time{s(0), s(0), s(0)}
	tests := map[string]struct {
		answer [3]time.Time // asked, answered, the database's clock
		want   time.Time    // at 20 s
	}{
		"slow, read early":  {[3]time.Time{s(10), s(15), s(10)}, s(20)},
		"slow, read late":   {[3]time.Time{s(10), s(15), s(14.9)}, s(20)},
		"an hour ahead":     {[3]time.Time{s(10), s(11), s(3611)}, s(3620)},
		"an hour behind":    {[3]time.Time{s(10), s(11), s(-3590)}, s(-3580)},
		"ahead by a little": {[3]time.Time{s(10), s(10.5), s(10.75)}, s(20.25)},
	}
	for name, test := range tests {
		if got := engine.FollowClock(s(20), first, test.answer); !got.Equal(test.want) {
			t.Errorf("%s: got %v, want %v", name, got, test.want)
		}
	}
}
