package engine_test

import (
	"testing"
	"time"

	"enotify/queue/engine"
)

// A batch that comes after a rest is looked at at once, and so are three more; then there are
// at most a hundred looks a second, and they take half of the time at most.
func TestLooksAtSmallBatches(t *testing.T) {
	t.Parallel()
	start := time.Unix(1000, 0)
	const n = 200
	at := engine.Looks(start, n, 0)
	if got := at[3].Sub(start); got != 0 {
		t.Errorf("the fourth look: got it after %s, want it at once", got)
	}
	if got, want := at[n-1].Sub(start), (n-4)*10*time.Millisecond; got != want {
		t.Errorf("%d looks that take no time: got the last after %s, want %s", n, got, want)
	}
	const took = 40 * time.Millisecond
	at = engine.Looks(start, n, took)
	if got, least := at[n-1].Sub(start), (n-2)*2*took; got < least {
		t.Errorf("%d looks that take %s: got the last after %s, want %s at least", n, took, got, least)
	}
}
