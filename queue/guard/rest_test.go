package guard_test

import (
	"testing"
	"time"

	"enotify/queue/guard"
)

// Where it takes long to find out who must be checked, the guard asks more rarely, and once a second all the same.
func TestRest(t *testing.T) {
	t.Parallel()
	for took, want := range map[time.Duration]time.Duration{time.Millisecond: 50 * time.Millisecond,
		100 * time.Millisecond: 300 * time.Millisecond, 5 * time.Second: time.Second} {
		if got := guard.Rest(took); got != want {
			t.Errorf("after a look of %v: got a rest of %v, want %v", took, got, want)
		}
	}
}
