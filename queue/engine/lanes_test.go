package engine_test

import (
	"context"
	"sync"
	"testing"
	"time"

	"enotify/queue"
	"enotify/queue/queuetest"
)

// A siteRate lets one message begin each millisecond, over all domains, once it was asked
// for so many of them.
type siteRate struct {
	queuetest.Unlimited
	domains int
	mu      sync.Mutex
	asked   map[string]bool
	next    time.Time
}

func (r *siteRate) Admit(domain string, _ int, now time.Time) (int, queue.Wait) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.asked[domain] = true
	if len(r.asked) < r.domains {
		return 0, queue.Wait{Until: now.Add(time.Millisecond)}
	}
	if now.Before(r.next) {
		return 0, queue.Wait{Until: r.next}
	}
	r.next = now.Add(time.Millisecond)
	return 1, queue.Wait{Until: r.next}
}

// The domains of a site whose rate lets one message begin at a time take turns, those of
// deferred recipients among them: none waits until all of another is sent.
func TestDomainsOfASlowSiteTakeTurns(t *testing.T) {
	t.Parallel()
	f := queuetest.NewFixture(t)
	domains := []string{"a.example", "b.example", "c.example", "d.example", "e.example"}
	f.Enqueue("first", 60, "retried.example")
	f.ServeUntil(f.Server("n1", func(context.Context, queue.Message) queue.Outcome {
		return queue.Outcome{State: queue.Deferred, Class: queue.Offline, After: time.Hour}
	}), `SELECT state = 'retrying' FROM enotify.batch`)
	f.Exec(`UPDATE enotify.retry SET due_at = now()`)
	f.Enqueue("menu", 300, domains...)
	var mu sync.Mutex
	var order []string
	s := f.Server("n2", func(ctx context.Context, m queue.Message) queue.Outcome {
		mu.Lock()
		order = append(order, m.Domain)
		mu.Unlock()
		return queuetest.Deliver(ctx, m)
	})
	s.Admission = &siteRate{domains: len(domains) + 1, asked: map[string]bool{}}
	f.Serve(s)
	mu.Lock()
	defer mu.Unlock()
	got := map[string]int{}
	for _, d := range order[:len(order)/3] {
		got[d]++
	}
	for _, d := range append(domains, "retried.example") {
		if got[d] < 8 {
			t.Errorf("of the first 120 messages, to %s: got %d, want about 20: %v", d, got[d], got)
		}
	}
}
