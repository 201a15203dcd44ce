package engine_test

import (
	"context"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"enotify/queue"
	"enotify/queue/engine"
	"enotify/queue/queuetest"
)

// blocker is an Admission whose domain blocked.example is closed to us after
// its first message, as by a hold.
type blocker struct {
	queuetest.Unlimited
	closure atomic.Pointer[queue.Closure]
}

func (b *blocker) Admit(domain string, want int, now time.Time) (int, queue.Wait) {
	if domain == "blocked.example" && b.closure.Load() != nil {
		return 0, queue.Wait{Until: now.Add(5 * time.Millisecond)}
	}
	return want, queue.Wait{}
}

func (b *blocker) Closure(domain string, _ time.Time) queue.Closure {
	if c := b.closure.Load(); c != nil && domain == "blocked.example" {
		return *c
	}
	return queue.Closure{}
}

var (
	listed = queue.Reply{Code: 554, Enhanced: "5.7.1", Text: "Client host blocked using zen.example"}
	tooFew = queue.Reply{Code: 421, Enhanced: "4.7.0", Text: "Try again later"}
)

// Who waits for a site that is closed for long is put aside: the batch goes on
// to retrying and the turn to the next, nobody is sent to or loses an attempt,
// and all are delivered to, once, when they are due.
func TestRecipientsAtAClosedSiteAreDeferred(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		closure queue.Closure
		class   string
		code    int
		from    time.Duration // how long they wait at least; 10 min more at most
	}{
		"held": {queue.Closure{Until: time.Now().Add(time.Hour), Class: queue.SpamBlock, Reply: listed},
			"spam_block", 554, 50 * time.Minute},
		"refused": {queue.Closure{Since: time.Now().Add(-6 * time.Minute), Class: queue.Throttled, Reply: tooFew},
			"throttled", 421, 5 * time.Minute},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			f := queuetest.NewFixture(t)
			var gate blocker
			gate.closure.Store(&test.closure)
			s := f.Server("n1", queuetest.Deliver)
			s.Admission = &gate
			s.Schedule = engine.Schedule{} // the schedule of production
			first := f.Enqueue("menu", 30_000, "blocked.example", "open.example")
			second := f.Enqueue("agenda", 200, "blocked.example", "open.example")
			node(f, s)

			for batch, n := range map[int64]int{first: 15_000, second: 100} {
				await(f, `SELECT state = 'retrying' AND passed_at IS NULL FROM enotify.batch WHERE id = $1`, batch)
				if got, want := f.States(batch), map[string]int{"delivered": n, "deferred": n}; !cmp.Equal(got, want) {
					t.Errorf("batch %d: got %v, want %v", batch, got, want)
				}
			}
			if got := queuetest.Query[int](f,
				`SELECT count(*)::int FROM enotify.retry WHERE class::text = $1 AND code = $2 AND reply <> '' AND attempts = 0 AND tries = 0
				AND due_at BETWEEN now() + $3::interval AND now() + $3::interval + interval '12 min'`, test.class, test.code, test.from-time.Minute); got != 15_100 {
				t.Errorf("deferred as they should be: got %d, want 15100", got)
			}
			if got := queuetest.Query[int](f, `SELECT count(*)::int FROM enotify.attempt`); got != 0 {
				t.Errorf("attempts logged: got %d, want none", got)
			}

			gate.closure.Store(nil)
			f.Exec(`UPDATE enotify.retry SET due_at = now()`)
			for _, batch := range []int64{first, second} {
				await(f, `SELECT state = 'done' FROM enotify.batch WHERE id = $1`, batch)
			}
			calls := 0
			for _, n := range f.Sent() {
				calls += n
			}
			if calls != 30_200 {
				t.Errorf("tries for 30200 recipients who all got it: got %d", calls)
			}
		})
	}
}

// A site that is slow, or closed for a moment, is waited for.
func TestASlowSiteDefersNobody(t *testing.T) {
	t.Parallel()
	f := queuetest.NewFixture(t)
	var gate blocker
	gate.closure.Store(&queue.Closure{Until: time.Now().Add(50 * time.Second), Since: time.Now().Add(-50 * time.Second),
		Class: queue.Throttled, Reply: tooFew})
	s := f.Server("n1", queuetest.Deliver)
	s.Admission = &gate
	s.Schedule = engine.Schedule{First: time.Millisecond}
	batch := f.Enqueue("menu", 200, "blocked.example", "open.example")
	node(f, s)
	await(f, `SELECT delivered = 100 FROM enotify.batch_status WHERE id = $1`, batch)
	// it looks at the queue some more
	await(f, `SELECT bool_or(live_until > started_at + interval '8 s') FROM enotify.node`)
	if got, want := f.States(batch), map[string]int{"delivered": 100, "pending": 100}; !cmp.Equal(got, want) {
		t.Errorf("got %v, want %v", got, want)
	}
}

// So are recipients that were handed out, or requeued, before the site closed.
func TestRecipientsNotBegunAreDeferred(t *testing.T) {
	t.Parallel()
	f := queuetest.NewFixture(t)
	var gate blocker
	closure := queue.Closure{Until: time.Now().Add(time.Hour), Class: queue.SpamBlock, Reply: listed}
	s := f.Server("n1", func(ctx context.Context, m queue.Message) queue.Outcome {
		if m.Domain == "blocked.example" {
			gate.closure.Store(&closure)
			return queue.Outcome{State: queue.Deferred, Class: queue.NotBegun}
		}
		return queuetest.Deliver(ctx, m)
	})
	s.Admission = &gate
	s.Schedule = engine.Schedule{}
	batch := f.Enqueue("menu", 400, "blocked.example", "open.example")
	node(f, s)
	await(f, `SELECT state = 'retrying' AND passed_at IS NULL FROM enotify.batch WHERE id = $1`, batch)
	f.Exec(`UPDATE enotify.retry SET class = 'not_begun', due_at = now()`)
	f.Exec(`UPDATE enotify.batch SET state = 'queued'`) // as a requeue does
	await(f, `SELECT state = 'retrying' AND (SELECT count(*) = 200 FROM enotify.retry WHERE class = 'spam_block' AND due_at > now() + interval '50 min') FROM enotify.batch WHERE id = $1`, batch)
	if got, want := f.States(batch), map[string]int{"delivered": 200, "deferred": 200}; !cmp.Equal(got, want) {
		t.Errorf("got %v, want %v", got, want)
	}
}

// Deferrals wait for others, and for longer while many messages begin: those would wait
// for PostgreSQL otherwise.
func TestDeferralsMakeWay(t *testing.T) {
	t.Parallel()
	const moment = time.Millisecond
	var steady []time.Duration
	for after := time.Duration(0); after < 10*time.Second; after += 50 * moment {
		steady = append(steady, after)
	}
	for name, test := range map[string]struct {
		begin []time.Duration
		want  time.Duration
	}{
		"nothing begins":      {nil, 200 * moment},
		"many begin for 1 s":  {steady[:21], 1200 * moment},
		"many begin for 10 s": {steady, 5 * time.Second},
	} {
		if got := engine.DeferralsDue(test.begin...); got != test.want {
			t.Errorf("%s: deferrals are written after %v, want %v", name, got, test.want)
		}
	}
}

// Where a site has opened, or messages have begun, since recipients were found to defer,
// those are not deferred; where it is closed for longer by now, they are for longer.
func TestDeferralsAreLookedAtAgain(t *testing.T) {
	t.Parallel()
	var gate blocker
	closed := func(span time.Duration, why queue.Reply) func() {
		return func() {
			gate.closure.Store(&queue.Closure{Until: time.Now().Add(span), Class: queue.SpamBlock, Reply: why})
		}
	}
	for name, test := range map[string]struct {
		left      int
		meanwhile func()
		want      int
		hours     float64
		reply     queue.Reply
	}{
		"as it was":       {20, func() {}, 20, 1, listed},
		"some have begun": {15, func() {}, 15, 1, listed},
		"all have begun":  {0, func() {}, 0, 0, queue.Reply{}},
		"open":            {20, func() { gate.closure.Store(nil) }, 0, 0, queue.Reply{}},
		"closed for 2 h":  {20, closed(2*time.Hour, tooFew), 20, 2, tooFew},
		"closed a moment": {20, closed(time.Second, listed), 0, 0, queue.Reply{}},
	} {
		closed(time.Hour, listed)()
		s := &engine.Server{Admission: &gate}
		n, wait, reply := engine.StillDeferred(s, "blocked.example", 20, test.left, test.meanwhile)
		if n != test.want || wait.Round(time.Minute).Hours() != test.hours || !cmp.Equal(reply, test.reply) {
			t.Errorf("%s: got %d deferred for %v by %v, want %d for %v h by %v", name, n, wait, reply, test.want, test.hours,
				test.reply)
		}
	}
}
