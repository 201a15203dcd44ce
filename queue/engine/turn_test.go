package engine_test

import (
	"context"
	"slices"
	"sync"
	"testing"

	"github.com/google/go-cmp/cmp"

	"enotify/queue"
	"enotify/queue/queuetest"
)

// Batches take the turn by priority, and then in the order in which they were submitted;
// one whose time has not come is left alone, and run --until-idle does not wait for it.
func TestOneBatchAtATimeInOrder(t *testing.T) {
	t.Parallel()
	f := queuetest.NewFixture(t)
	var order []int64
	var mu sync.Mutex
	s := f.Server("n1", func(ctx context.Context, m queue.Message) queue.Outcome {
		mu.Lock()
		defer mu.Unlock()
		if len(order) == 0 || order[len(order)-1] != m.Batch.ID {
			order = append(order, m.Batch.ID)
		}
		return queuetest.Deliver(ctx, m)
	})
	s.MaxInFlight = 10
	want := []int64{f.Enqueue("first", 50, "a.example"), f.Enqueue("second", 50, "a.example", "b.example"),
		f.Enqueue("third", 50, "b.example")}
	urgent := queuetest.Query[int64](f, `SELECT enotify.enqueue('urgent', 'info@town.example', 'Flood', 'Leave now.',
		'{x@a.example,y@b.example}', priority => 5)`)
	later := queuetest.Query[int64](f, `SELECT enotify.enqueue('later', 'info@town.example', 'Menu', 'Soup.',
		'{x@a.example}', not_before => now() + interval '1 hour', priority => 6)`)
	want = slices.Insert(want, 0, urgent)
	f.Serve(s) // until nothing is due
	if got, want := f.States(later), map[string]int{"pending": 1}; !cmp.Equal(got, want) {
		t.Errorf("the batch whose time has not come: got %v, want %v", got, want)
	}
	if !cmp.Equal(order, want) {
		t.Errorf("order of batches: got %v, want %v", order, want)
	}
}

// An urgent batch takes the turn while a newsletter is under way; the
// newsletter goes on afterwards, and nobody gets it twice.
func TestHigherPriorityTakesTheTurn(t *testing.T) {
	t.Parallel()
	f := queuetest.NewFixture(t)
	newsletter := f.Enqueue("newsletter", 400, "a.example", "b.example")
	var urgent int64
	var mu sync.Mutex
	var order []int64
	enqueue := sync.OnceFunc(func() {
		conn := queuetest.Connect(t, f.URL)
		err := conn.QueryRow(t.Context(),
			`SELECT enotify.enqueue('urgent', 'info@town.example', 'Flood', 'Leave now.', '{x@a.example,y@b.example}', priority => 10)`).Scan(&urgent)
		if err != nil {
			t.Error(err)
		}
	})
	s := f.Server("n1", func(ctx context.Context, m queue.Message) queue.Outcome {
		mu.Lock()
		defer mu.Unlock()
		order = append(order, m.Batch.ID)
		if len(order) == 100 {
			enqueue()
		}
		return queuetest.Deliver(ctx, m)
	})
	s.MaxInFlight = 5
	f.Serve(s)

	first, last := slices.Index(order, urgent), len(order)-1
	if first < 0 || first > 300 || order[last] != newsletter {
		t.Errorf("urgent batch began as number %d of %d, and the last was of batch %d; want it soon after 100, and the newsletter to go on", first, len(order), order[last])
	}
	for _, batch := range []int64{newsletter, urgent} {
		if got := f.States(batch); len(got) != 1 || got["delivered"] == 0 {
			t.Errorf("states of batch %d: got %v, want all delivered", batch, got)
		}
	}
	f.SentOnce(402)
}
