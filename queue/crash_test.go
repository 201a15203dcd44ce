package queue_test

import (
	"context"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"enotify/queue"
)

// hang serves until n messages are with the handler, and then stays as a
// process does that was stopped dead: its database connections are cut, and it
// never records what came of those messages. The function returned ends it.
func (f *fixture) hang(n int) (stop func()) {
	f.Helper()
	ctx, cancel := context.WithCancel(f.Context())
	reached := make(chan struct{})
	var begun atomic.Int32
	db := open(f.T, f.url)
	s := f.server("dead", func(ctx context.Context, m queue.Message) queue.Outcome {
		if begun.Add(1) == int32(n) {
			close(reached)
		}
		<-ctx.Done()
		return queue.Outcome{State: queue.Unknown}
	})
	s.DB, s.MaxInFlight, s.Grace = db, n, time.Millisecond
	var served sync.WaitGroup
	served.Go(func() { _ = f.run(ctx, s, "pass") })
	<-reached
	db.Close() // waits for statements under way, and lets no new one begin
	return func() { cancel(); served.Wait() }
}

// A node dies with messages under way. Its successor holds those in doubt,
// sends the rest, and sends nothing twice.
func TestTakeoverHoldsWhatIsInDoubt(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	batch := f.enqueue("menu", 300, "a.example", "b.example", "c.example")
	stop := f.hang(100)
	defer stop()

	f.serve(f.server("heir", deliver))
	if got, want := f.states(batch), map[string]int{"unknown": 100, "delivered": 200}; !cmp.Equal(got, want) {
		t.Errorf("states: got %v, want %v", got, want)
	}
	for address, n := range f.sent() {
		if n != 1 {
			t.Errorf("%s: got %d tries, want 1", address, n)
		}
	}
	if got := query[string](f, `SELECT state FROM enotify.batch_status WHERE id = $1`, batch); got != "done" {
		t.Errorf("batch: got %s, want done", got)
	}
}

func TestTakeoverResendsWhereTheBatchSaysSo(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	batch := f.enqueue("menu", 300, "a.example", "b.example", "c.example")
	f.exec(`UPDATE enotify.batch SET on_unknown = 'resend'`)
	stop := f.hang(100)
	defer stop()

	f.serve(f.server("heir", deliver))
	if got, want := f.states(batch), map[string]int{"delivered": 300}; !cmp.Equal(got, want) {
		t.Errorf("states: got %v, want %v", got, want)
	}
}

// Two nodes share the groups, and between them send everything once.
func TestNodesShareTheWork(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	domains := make([]string, 200)
	for i := range domains {
		domains[i] = "d" + string(rune('a'+i%26)) + string(rune('a'+i/26)) + ".example"
	}
	var counts [2]atomic.Int32
	shared := make(chan struct{})
	var batch int64
	node := func(i int) *queue.Server {
		return f.server([]string{"n1", "n2"}[i], func(ctx context.Context, m queue.Message) queue.Outcome {
			counts[i].Add(1)
			return deliver(ctx, m)
		})
	}
	ctx, cancel := context.WithCancel(t.Context())
	var nodes sync.WaitGroup
	for i := range 2 {
		s := node(i)
		s.UntilIdle = false
		nodes.Go(func() {
			if err := f.run(ctx, s, "pass"); err != nil {
				t.Error(err)
			}
		})
	}
	go f.until(func() { close(shared) }, `SELECT count(*) = 2 FROM (SELECT FROM enotify.lease WHERE node_id IS NOT NULL GROUP BY node_id HAVING count(*) = 32) n`)
	<-shared
	batch = f.enqueue("menu", 1000, domains...)
	f.until(cancel, `SELECT state = 'done' FROM enotify.batch WHERE id = $1`, batch)
	nodes.Wait()
	if got, want := f.states(batch), map[string]int{"delivered": 1000}; !cmp.Equal(got, want) {
		t.Errorf("states: got %v, want %v", got, want)
	}
	for i := range counts {
		if counts[i].Load() == 0 {
			t.Errorf("node %d sent nothing", i)
		}
	}
	for address, n := range f.sent() {
		if n != 1 {
			t.Errorf("%s: got %d copies, want 1", address, n)
		}
	}
	if got := query[int](f, `SELECT count(*)::int FROM enotify.lease WHERE node_id IS NOT NULL`); got != 0 {
		t.Errorf("leases held after both nodes left: got %d, want 0", got)
	}
}
