package engine_test

import (
	"context"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"enotify/queue"
	"enotify/queue/queuetest"
)

// A batch whose rest is at sites that do not move gives the turn away, also where
// nodes are strict: it goes on as retrying, and serves its domains before the
// batches that come after it.
func TestTurnPassesFromSitesThatDoNotMove(t *testing.T) {
	t.Parallel()
	var line sync.Mutex // the connection
	for name, site := range map[string]struct {
		n      int // recipients there
		closed bool
		handle func(release chan struct{}) queue.Outcome // before release
	}{
		"closed": {n: 20, closed: true},
		"silent after the dot": {n: 20, handle: func(release chan struct{}) queue.Outcome {
			<-release
			return queue.Outcome{State: queue.Delivered, Reply: queue.Reply{Code: 250, Text: "ok"}}
		}},
		"2 s a message over one connection": {n: 20, handle: func(release chan struct{}) queue.Outcome {
			line.Lock()
			defer line.Unlock()
			select {
			case <-release:
			case <-time.After(2 * time.Second):
			}
			return queue.Outcome{State: queue.Delivered, Reply: queue.Reply{Code: 250, Text: "ok"}}
		}},
		"dead": {n: 5000, handle: func(chan struct{}) queue.Outcome {
			time.Sleep(50 * time.Millisecond) // a host that refuses connections
			return queue.Outcome{State: queue.Deferred, Class: queue.Offline, After: time.Minute}
		}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			f := queuetest.NewFixture(t)
			release := make(chan struct{})
			sites := &gates{closed: map[string]bool{"still.example": site.closed}}
			var c crossing
			s := f.Server("n1", c.watch(func(ctx context.Context, m queue.Message) queue.Outcome {
				select {
				case <-release:
				default:
					if m.Domain == "still.example" && site.handle != nil {
						return site.handle(release)
					}
				}
				return queuetest.Deliver(ctx, m)
			}))
			s.Admission, s.MaxInFlight = sites, 10
			first := f.Enqueue("menu", 20, "quick.example")
			f.Exec(`SELECT enotify.cancel_batch($1)`, first) // its domain is known
			first = f.Enqueue("agenda", site.n, "still.example")
			second := f.Enqueue("minutes", 40, "still.example", "quick.example")
			node(f, s)
			t.Cleanup(func() { close(release) })
			await(f, `SELECT state IN ('sending', 'retrying') FROM enotify.batch WHERE id = $1`, first)
			began := time.Now()
			await(f, `SELECT delivered = 20 FROM enotify.batch_status WHERE id = $1`, second)
			if took := time.Since(began); took > 30*time.Second { // 2 s where nobody else has the machine
				t.Errorf("the batch behind it was through elsewhere after %v, want it within 30 s", took)
			}
			if got, want := queuetest.Query[string](f, `SELECT state::text FROM enotify.batch WHERE id = $1`,
				first), "retrying"; got != want {
				t.Errorf("the first batch: got %s, want %s", got, want)
			}
			if got, want := f.States(second)["pending"], 20; got != want {
				t.Errorf("pending of the second batch where the first still is: got %d, want %d", got, want)
			}
			if len(c.met) > 0 {
				t.Errorf("domains that served two batches at once: %d times, as %s", len(c.met), c.met[0])
			}
		})
	}
}

// After it has given the turn away, such a batch ends like any other once its
// site moves again, and the batch behind it too.
func TestPassedBatchGoesOn(t *testing.T) {
	t.Parallel()
	f := queuetest.NewFixture(t)
	sites := &gates{closed: map[string]bool{"still.example": true}}
	var c crossing
	s := f.Server("n1", c.watch(queuetest.Deliver))
	s.Admission = sites
	first := f.Enqueue("menu", 40, "still.example", "quick.example")
	second := f.Enqueue("agenda", 40, "still.example", "quick.example")
	third := f.Enqueue("minutes", 40, "quick.example")
	node(f, s)
	await(f, `SELECT state = 'done' FROM enotify.batch WHERE id = $1`, third)
	await(f, `SELECT count(*) = 1 FROM enotify.batch WHERE id = $1 AND state = 'retrying' AND passed_at IS NOT NULL`,
		first)
	sites.set("still.example", false)
	await(f, `SELECT bool_and(state = 'done') FROM enotify.batch`)
	for _, batch := range []int64{first, second, third} {
		if got, want := f.States(batch), map[string]int{"delivered": 40}; !cmp.Equal(got, want) {
			t.Errorf("batch %d: got %v, want %v", batch, got, want)
		}
	}
	if len(c.met) > 0 {
		t.Errorf("domains that served two batches at once: %d times, as %s", len(c.met), c.met[0])
	}
	f.Balances()
}

// A batch of higher priority has places of its own: messages at sites that do
// not move take none of them, and do not go before it in a domain.
func TestUrgentBatchHasPlacesOfItsOwn(t *testing.T) {
	t.Parallel()
	f := queuetest.NewFixture(t)
	release := make(chan struct{})
	s := f.Server("n1", func(ctx context.Context, m queue.Message) queue.Outcome {
		if m.Batch.Priority == 0 {
			select {
			case <-release:
			case <-ctx.Done():
			}
		}
		return queuetest.Deliver(ctx, m)
	})
	s.MaxInFlight = 80
	f.Enqueue("menu", 500, domains(100)...)
	node(f, s)
	t.Cleanup(func() { close(release) })
	await(f, `SELECT sending >= 70 FROM enotify.batch_status`)
	urgent := queuetest.Query[int64](f, `SELECT enotify.enqueue('flood', 'info@town.example', 'Flood', 'Leave.', $1, priority => 10)`,
		queuetest.Addresses(100, []string{"near.example", "far.example"}))
	began := time.Now()
	await(f, `SELECT state = 'done' FROM enotify.batch WHERE id = $1`, urgent)
	if took := time.Since(began); took > 30*time.Second { // 2 s where nobody else has the machine
		t.Errorf("an urgent batch behind sites that do not move took %v, want 30 s at most", took)
	}
}

// With all places taken the loop waits: that a lane is due changes nothing.
func TestLoopWaitsWhileAllPlacesAreTaken(t *testing.T) {
	t.Parallel()
	f := queuetest.NewFixture(t)
	release := make(chan struct{})
	s := f.Server("n1", func(ctx context.Context, m queue.Message) queue.Outcome {
		<-release
		return queuetest.Deliver(ctx, m)
	})
	s.Admission = &rationed{n: 5}
	s.MaxInFlight = 100
	f.Enqueue("menu", 1000, domains(200)...)
	node(f, s)
	t.Cleanup(func() { close(release) })
	await(f, `SELECT sending >= 80 FROM enotify.batch_status`)
	before, looks := s.Turns(), queuetest.Query[int64](f, `SELECT extract(epoch FROM clock_timestamp())::bigint`)
	await(f, `SELECT extract(epoch FROM clock_timestamp())::bigint >= $1`, looks+2)
	if got := s.Turns() - before; got > 1000 {
		t.Errorf("turns of the loop in about 2 s with all places taken: got %d, want under 1000", got)
	}
}

// A busy node that rests after few messages waits too, though lanes are due meanwhile.
func TestLoopWaitsWhileItRests(t *testing.T) {
	t.Parallel()
	f := queuetest.NewFixture(t)
	release := make(chan struct{})
	var begun atomic.Int64
	s := f.Server("n1", func(ctx context.Context, m queue.Message) queue.Outcome {
		if begun.Add(1) <= 60 { // they make the node busy
			<-release
		}
		return queuetest.Deliver(ctx, m)
	})
	s.Admission = &rationed{n: 5}
	f.Enqueue("menu", 4000, domains(20)...)
	node(f, s)
	t.Cleanup(func() { close(release) })
	await(f, `SELECT delivered >= 3900 FROM enotify.batch_status`)
	if got := s.Turns(); got > 2000 {
		t.Errorf("turns of the loop that begin 4000 messages, 100 at a time: got %d, want 2000 at most", got)
	}
}

// rationed admits few messages at a time, and has the rest ask again at once.
type rationed struct {
	queuetest.Unlimited
	n int
}

func (r *rationed) Admit(_ string, want int, now time.Time) (int, queue.Wait) {
	return min(want, r.n), queue.Wait{Until: now.Add(time.Microsecond)}
}
