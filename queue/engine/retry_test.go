package engine_test

import (
	"context"
	"testing"
	"time"

	"enotify/queue"
	"enotify/queue/engine"
	"enotify/queue/queuetest"
)

func TestBackoff(t *testing.T) {
	t.Parallel()
	var s engine.Schedule
	want := 5 * time.Minute
	for attempts := 1; attempts < 20; attempts++ {
		low, middle, high := s.Backoff(attempts, 0), s.Backoff(attempts, 0.5), s.Backoff(attempts, 1)
		if middle != want || low != want*8/10 || high != want*12/10 {
			t.Errorf("after %d tries: got %v, %v to %v, want %v ± 20 %%", attempts, middle, low, high, want)
		}
		want = min(2*want, 4*time.Hour)
	}
	if want != 4*time.Hour {
		t.Errorf("the longest wait: got %v, want 4h", want)
	}
}

// What was deferred is tried again 5 min later, then 10, then 20. Being
// throttled costs no attempt, and what a greylist asks for is waited for in
// full. A batch that says nothing else is given three days.
func TestRetries(t *testing.T) {
	t.Parallel()
	f := queuetest.NewFixture(t)
	batch := f.Enqueue("menu", 40, "down.example", "greylist.example")
	if days := queuetest.Query[float64](f,
		`SELECT extract(epoch FROM expires_at - created_at)::float8 / 86400 FROM enotify.batch`); days != 3 {
		t.Errorf("a batch expires after %v days, want 3", days)
	}
	handle := func(_ context.Context, m queue.Message) queue.Outcome {
		if m.Domain == "down.example" {
			return queue.Outcome{State: queue.Deferred, Class: queue.Offline, Reply: queue.Reply{Text: "no answer"}}
		}
		return queue.Outcome{State: queue.Deferred, Class: queue.Throttled,
			Reply: queue.Reply{Code: 451, Enhanced: "4.7.1", Text: "Greylisted"}}
	}
	for try, minutes := range []float64{5, 10, 20} {
		began := queuetest.Query[time.Time](f, `SELECT clock_timestamp()`)
		f.Exec(`UPDATE enotify.retry SET due_at = now()`)
		s := f.Server("n1", handle)
		s.Schedule = engine.Schedule{}
		f.Serve(s)
		for domain, want := range map[string]struct {
			low, high float64 // minutes
			attempts  int
		}{
			"down.example":     {0.8 * minutes, 1.2 * minutes, try + 1},
			"greylist.example": {5, 6, 0},
		} {
			low := queuetest.Query[float64](f,
				`SELECT extract(epoch FROM min(next_try_at) - $2)::float8 / 60 FROM enotify.delivery WHERE batch_id = $1 AND domain = $3 AND state = 'deferred'`, batch, began, domain)
			high := queuetest.Query[float64](f,
				`SELECT extract(epoch FROM max(next_try_at) - clock_timestamp())::float8 / 60 FROM enotify.delivery WHERE batch_id = $1 AND domain = $2 AND state = 'deferred'`, batch, domain)
			if low < want.low || high > want.high {
				t.Errorf("%s, try %d: the next is due in %.1f to %.1f min, want %.1f to %.1f", domain, try+1, low, high,
					want.low, want.high)
			}
			if got := queuetest.Query[int](f,
				`SELECT max(attempts) FROM enotify.delivery WHERE batch_id = $1 AND domain = $2`, batch,
				domain); got != want.attempts {
				t.Errorf("%s, try %d: got %d attempts counted, want %d", domain, try+1, got, want.attempts)
			}
		}
	}
}
