package engine_test

import (
	"context"
	"fmt"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"enotify/queue"
	"enotify/queue/engine"
	"enotify/queue/queuetest"
)

// many submits small batches to the domains, and returns their numbers in the order
// of their turns.
func many(f *queuetest.Fixture, n int, names ...string) (batches []int64) {
	f.Helper()
	for i := range n {
		batches = append(batches, f.Enqueue(fmt.Sprintf("small%d", i), len(names), names...))
	}
	return batches
}

// inOrder is the length of the longest rising sequence in numbers: about 26 for 200 in
// no order.
func inOrder(numbers []int64) int {
	var lowest []int64 // last number of a sequence of each length
	for _, n := range numbers {
		at, _ := slices.BinarySearch(lowest, n)
		lowest = append(lowest[:at], append([]int64{n}, lowest[min(at+1, len(lowest)):]...)...)
	}
	return len(lowest)
}

// Small batches take their turns in a few transactions, in their order, and come up
// one after the other: no domain serves two at once, though all have the same.
func TestSmallBatchesShareTransactions(t *testing.T) {
	t.Parallel()
	f := queuetest.NewFixture(t)
	var c crossing
	var mu sync.Mutex
	var order []int64
	s := f.Server("n1", c.watch(func(ctx context.Context, m queue.Message) queue.Outcome {
		mu.Lock()
		if !slices.Contains(order, m.Batch.ID) {
			order = append(order, m.Batch.ID)
		}
		mu.Unlock()
		return queuetest.Deliver(ctx, m)
	}))
	s.Admission = whole{}
	batches := many(f, 200, "a.example", "b.example", "c.example")
	f.Serve(s)

	// A node that stands still for most of a lease puts off what it was about to begin:
	// those batches come later. All the others keep the order of the turns.
	if got := inOrder(order); len(order) != len(batches) || got < 150 {
		t.Errorf("first messages in the order of the turns: got %d of %d, want 150 of 200 at least: %v", got, len(order), order)
	}
	if got := queuetest.Query[[]int64](f, `SELECT array_agg(id ORDER BY started_at, id) FROM enotify.batch`); !cmp.Equal(got, batches) {
		t.Errorf("order of the turns: got %v, want that of submission", got)
	}
	if len(c.met) > 0 {
		t.Errorf("domains that served two batches at once: %d times, as %s", len(c.met), c.met[0])
	}
	if got := queuetest.Query[int](f, `SELECT count(DISTINCT started_at)::int FROM enotify.batch`); got > 20 {
		t.Errorf("transactions in which 200 batches took the turn: got %d, want at most 20", got)
	}
	if got := queuetest.Query[int](f, `SELECT count(*)::int FROM enotify.batch_log WHERE to_state = 'sending'`); got != 200 {
		t.Errorf("turns in the log: got %d, want 200", got)
	}
	if got := queuetest.Query[int](f, `SELECT count(*)::int FROM enotify.outcome WHERE state = 'delivered'`); got != 600 {
		t.Errorf("delivered: got %d, want 600", got)
	}
	f.Balances()
}

// What a node puts off before it begins, as after it has stood still for most of a lease,
// is due as retries are. It still shares its domain with no other batch: neither with what
// was put off of another one, nor with first tries. Ordinary retries wait for nobody.
func TestPutOffMessagesAreAloneInTheirDomain(t *testing.T) {
	t.Parallel()
	f := queuetest.NewFixture(t)
	var c crossing
	var mu sync.Mutex
	stopped := map[int64]bool{} // batches that were put off
	began, release := make(chan struct{}), make(chan struct{})
	var once sync.Once
	s := f.Server("n1", c.watch(func(ctx context.Context, m queue.Message) queue.Outcome {
		mu.Lock()
		again := stopped[m.Batch.ID]
		stopped[m.Batch.ID] = true
		mu.Unlock()
		switch {
		case m.Batch.ID > 2:
		case !again: // as after the fence has stopped it
			return queue.Outcome{State: queue.Deferred, Class: queue.NotBegun, After: time.Hour}
		default:
			once.Do(func() { close(began) })
			<-release
		}
		return queuetest.Deliver(ctx, m)
	}))
	s.Admission = whole{}
	f.Enqueue("first", 1, "a.example")
	f.Enqueue("second", 1, "a.example")
	node(f, s)
	await(f, `SELECT count(*) = 2 FROM enotify.retry WHERE intent_at IS NULL`)
	f.Exec(`UPDATE enotify.retry SET due_at = now()`) // the node finds both at once
	select {
	case <-began:
	case <-time.After(time.Minute):
		t.Fatal("after a minute nothing that was put off is tried again")
	}
	f.Enqueue("third", 1, "a.example")
	other := f.Enqueue("other", 2, "b.example", "c.example")
	await(f, `SELECT state = 'done' FROM enotify.batch WHERE id = $1`, other) // the node has looked again
	if got := queuetest.Query[int](f, `SELECT count(*)::int FROM enotify.batch WHERE state = 'done'`); got != 1 {
		t.Errorf("batches that are through while one has the domain: got %d, want 1, at other domains", got)
	}
	close(release)
	await(f, `SELECT bool_and(state = 'done') FROM enotify.batch`)
	if len(c.met) > 0 {
		t.Errorf("domains that served two batches at once: %d times, as %s", len(c.met), c.met[0])
	}
	f.Balances()
}

// holding is a server that does not answer for these messages until release is closed.
func holding(f *queuetest.Fixture, these func(m queue.Message) bool) (s *engine.Server, release chan struct{}) {
	release = make(chan struct{})
	return f.Server("n1", func(ctx context.Context, m queue.Message) queue.Outcome {
		if these(m) {
			<-release
		}
		return queuetest.Deliver(ctx, m)
	}), release
}

func notUrgent(m queue.Message) bool { return m.Batch.Priority == 0 }

func theFirst(m queue.Message) bool { return m.Batch.ID == 1 }

// An urgent small batch takes the turn from a large one in one transaction, and
// gives it back: the large one goes on with what it had begun.
func TestUrgentSmallBatchBorrowsTheTurn(t *testing.T) {
	t.Parallel()
	f := queuetest.NewFixture(t)
	s, release := holding(f, notUrgent)
	s.Admission, s.MaxInFlight = whole{}, 100
	large := f.Enqueue("newsletter", 1000, domains(20)...)
	node(f, s)
	await(f, `SELECT sending > 0 FROM enotify.batch_status WHERE id = $1`, large)
	urgent := queuetest.Query[int64](f, `SELECT enotify.enqueue('flood', 'info@town.example', 'Flood', 'Leave.', '{x@near.example}', priority => 10)`)
	await(f, `SELECT state = 'done' FROM enotify.batch WHERE id = $1`, urgent)
	moves := queuetest.Query[string](f, `SELECT string_agg(b.idem_key || ' ' || l.to_state, ', ' ORDER BY l.at) FROM enotify.batch_log l JOIN enotify.batch b ON b.id = l.batch_id
		WHERE l.xmin = (SELECT o.xmin FROM enotify.batch_log o WHERE o.batch_id = $1 AND o.to_state = 'retrying')`, urgent)
	if want := "newsletter queued, flood sending, flood retrying, newsletter sending"; moves != want {
		t.Errorf("moves in the transaction of the turn: got %s, want %s", moves, want)
	}
	close(release)
	await(f, `SELECT state = 'done' FROM enotify.batch WHERE id = $1`, large)
	f.SentOnce(1001)
	f.Balances()
}

// A node whose places are all taken by messages that do not end has some for urgent
// ones: a small batch begins there, whole or one recipient after the other.
func TestUrgentSmallBatchBesideAFullNode(t *testing.T) {
	t.Parallel()
	for name, addresses := range map[string]string{"whole": "{x@near.example}", "in parts": "{x@near.example, y@near.example, z@near.example}"} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			f := queuetest.NewFixture(t)
			s, release := holding(f, notUrgent)
			s.Admission, s.MaxInFlight = whole{}, 8
			large := f.Enqueue("newsletter", 100, domains(100)...)
			node(f, s)
			await(f, `SELECT sending = 24 FROM enotify.batch_status WHERE id = $1`, large) // slow ones have twice as many places
			urgent := queuetest.Query[int64](f, `SELECT enotify.enqueue('flood', 'info@town.example', 'Flood', 'Leave.', $1::text[], priority => 10)`, addresses)
			await(f, `SELECT state = 'done' FROM enotify.batch WHERE id = $1`, urgent)
			close(release)
			await(f, `SELECT state = 'done' FROM enotify.batch WHERE id = $1`, large)
			f.Balances()
		})
	}
}

// A small batch whose messages wait for those of another is paused like any other:
// they are not sent, and go out once when it is resumed.
func TestSmallBatchIsPausedWhileItWaits(t *testing.T) {
	t.Parallel()
	f := queuetest.NewFixture(t)
	release := make(chan struct{})
	s := f.Server("n1", func(ctx context.Context, m queue.Message) queue.Outcome {
		if m.Address == "x@a.example" {
			<-release
		}
		return queuetest.Deliver(ctx, m)
	})
	s.Admission = whole{}
	node(f, s)
	await(f, `SELECT state = 'done' FROM enotify.batch WHERE id = $1`, f.Enqueue("first", 1, "a.example"))
	f.Exec(`SELECT enotify.enqueue('x', 'info@town.example', 's', 't', '{x@a.example}'), enotify.enqueue('y', 'info@town.example', 's', 't', '{y@a.example}')`)
	await(f, `SELECT state = 'retrying' FROM enotify.batch WHERE idem_key = 'y'`)
	f.Exec(`SELECT enotify.pause_batch(id) FROM enotify.batch WHERE idem_key = 'y'`)
	await(f, `SELECT max(at) + interval '1 second' < clock_timestamp() FROM enotify.batch_log WHERE to_state = 'paused'`)
	close(release)
	await(f, `SELECT state = 'done' FROM enotify.batch WHERE idem_key = 'x'`)
	await(f, `SELECT deferred = 1 FROM enotify.batch_status WHERE idem_key = 'y'`)
	if got := f.Sent()["y@a.example"]; got != 0 {
		t.Errorf("messages of the paused batch: got %d, want 0", got)
	}
	f.Exec(`SELECT enotify.resume_batch(id) FROM enotify.batch WHERE idem_key = 'y'`)
	await(f, `SELECT state = 'done' FROM enotify.batch WHERE idem_key = 'y'`)
	f.SentOnce(3)
	f.Balances()
}

// A small batch that does not get room takes the turn like a large one, and holds up
// nobody for longer.
func TestSmallBatchWithoutRoom(t *testing.T) {
	t.Parallel()
	f := queuetest.NewFixture(t)
	s := f.Server("n1", queuetest.Deliver)
	s.Admission = &cramped{}
	batches := many(f, 5, "a.example", "b.example")
	f.Serve(s)
	for _, batch := range batches {
		if got, want := f.States(batch), map[string]int{"delivered": 2}; !cmp.Equal(got, want) {
			t.Errorf("states of batch %d: got %v, want %v", batch, got, want)
		}
	}
}

// cramped has no room for a batch as a whole.
type cramped struct{ queuetest.Unlimited }

func (cramped) AdmitAll(map[string]int, bool, time.Time) bool { return false }
