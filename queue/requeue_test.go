package queue_test

import (
	"context"
	"maps"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"enotify/queue"
	"enotify/queue/queuetest"
)

func requeue(f *queuetest.Fixture, batch int64, class string) (requeued, suppressed int) {
	f.Helper()
	requeued, suppressed, err := f.DB.Requeue(f.Context(), batch, class, nil)
	if err != nil {
		f.Fatalf("requeue of %s: %v", class, err)
	}
	f.Balances()
	return requeued, suppressed
}

// Recipients refused by a fault that is cured get it, and no others do; not before
// the guard has looked again.
func TestRequeueSendsToThoseAlone(t *testing.T) {
	t.Parallel()
	f := queuetest.NewFixture(t)
	batch := f.Enqueue("menu", 30, "strict.example", "a.example", "gone.example")
	f.Serve(f.Server("n1", queuetest.AnswerByDomain))
	want := map[string]int{"delivered": 10, "bounced": 20}
	if got := f.States(batch); !cmp.Equal(got, want) {
		t.Fatalf("states: got %v, want %v", got, want)
	}
	f.Exec(`INSERT INTO enotify.suppression (address, cause) VALUES ('user0@strict.example', 'operator')`)

	found, err := f.DB.Requeueable(t.Context(), batch, "", 5)
	if err != nil {
		t.Fatal(err)
	}
	wantFound := []queue.Requeueable{
		{Class: "auth_rejected", Domain: "strict.example", N: 10, Suppressed: 1, Alike: 10, AlikeSuppressed: 1,
			Domains: 1},
		{Class: "no_such_user", Domain: "gone.example", N: 10, Suppressed: 10, Alike: 10, AlikeSuppressed: 10,
			Domains: 1},
	}
	if diff := cmp.Diff(wantFound, found); diff != "" {
		t.Errorf("requeueable (-want +got):\n%s", diff)
	}
	if n, suppressed := requeue(f, batch, "no_such_user"); n != 0 || suppressed != 10 {
		t.Errorf("requeue of no_such_user: got %d and %d suppressed, want 0 and 10", n, suppressed)
	}
	if got := queuetest.Query[string](f, `SELECT state::text FROM enotify.batch`); got != "done" {
		t.Errorf("after a requeue of nobody: got %s, want done", got)
	}
	if n, suppressed := requeue(f, batch, "auth_rejected"); n != 9 || suppressed != 1 {
		t.Errorf("requeue: got %d and %d suppressed, want 9 and 1", n, suppressed)
	}
	if n, _ := requeue(f, batch, "auth_rejected"); n != 0 {
		t.Errorf("second requeue: got %d, want 0", n)
	}
	want = map[string]int{"delivered": 10, "bounced": 11, "deferred": 9}
	if got := f.States(batch); !cmp.Equal(got, want) {
		t.Errorf("states after the requeue: got %v, want %v", got, want)
	}

	f.ForgetSent()
	s := f.Server("n2", queuetest.Deliver)
	s.UntilIdle = false
	ctx, cancel := context.WithCancel(t.Context())
	var watch sync.WaitGroup
	watch.Go(func() { f.Until(cancel, `SELECT state = 'blocked' FROM enotify.batch WHERE id = $1`, batch) })
	if err := f.Run(ctx, s, "fail"); err != nil {
		t.Fatal(err)
	}
	watch.Wait()
	if got := len(f.Sent()); got != 0 {
		t.Errorf("sent while the guard says no: got %d, want 0", got)
	}

	f.Exec(`UPDATE enotify.verdict SET valid_until = now()`)
	f.ServeUntil(f.Server("n3", queuetest.Deliver), `SELECT state = 'done' FROM enotify.batch WHERE id = $1`, batch)
	want = map[string]int{"delivered": 19, "bounced": 11}
	if got := f.States(batch); !cmp.Equal(got, want) {
		t.Errorf("states at the end: got %v, want %v", got, want)
	}
	f.SentOnce(9)
	f.Balances()
}

// However many ask at once, everyone is requeued once.
func TestConcurrentRequeues(t *testing.T) {
	t.Parallel()
	f := queuetest.NewFixture(t)
	batch := f.Enqueue("menu", 500, "strict.example")
	f.Serve(f.Server("n1", queuetest.AnswerByDomain))
	var sum atomic.Int32
	var calls sync.WaitGroup
	for range 4 {
		calls.Go(func() {
			n, _, err := f.DB.Requeue(t.Context(), batch, "auth_rejected", nil)
			if err != nil {
				t.Error(err)
			}
			sum.Add(int32(n))
		})
	}
	calls.Wait()
	if got := sum.Load(); got != 500 {
		t.Errorf("requeued by all calls: got %d, want 500", got)
	}
	f.Balances()
}

// While nodes send and operators requeue, each recipient is in one state, and
// the batch does not end with somebody left.
func TestRequeueWhileSending(t *testing.T) {
	t.Parallel()
	f := queuetest.NewFixture(t)
	batch := f.Enqueue("menu", 400, "strict.example", "a.example")
	var cured atomic.Bool
	s := f.Server("n1", func(ctx context.Context, m queue.Message) queue.Outcome {
		if cured.Load() {
			return queuetest.Deliver(ctx, m)
		}
		return queuetest.AnswerByDomain(ctx, m)
	})
	s.MaxInFlight, s.UntilIdle = 20, false
	ctx, cancel := context.WithCancel(t.Context())
	var served sync.WaitGroup
	served.Go(func() {
		if err := f.Run(ctx, s, "pass"); err != nil {
			t.Error(err)
		}
	})
	sum := 0
	for i := 0; i < 20 || queuetest.Query[int](f, `SELECT delivered FROM enotify.batch_status WHERE id = $1`,
		batch) < 400; i++ {
		n, _ := requeue(f, batch, "auth_rejected")
		sum += n
		cured.Store(sum > 300)
		time.Sleep(10 * time.Millisecond)
	}
	f.Until(cancel, `SELECT state = 'done' FROM enotify.batch WHERE id = $1`, batch)
	served.Wait()
	if got, want := f.States(batch), map[string]int{"delivered": 400}; !cmp.Equal(got, want) {
		t.Errorf("states: got %v, want %v", got, want)
	}
	sent := f.Sent()
	// tried again when cured
	maps.DeleteFunc(sent, func(address string, _ int) bool { return strings.HasSuffix(address, "@strict.example") })
	queuetest.Copies(t, sent, 200, 1)
	f.Balances()
}

// late writes the result of a first try, as a node does whose answer was late.
func late(f *queuetest.Fixture, batch int64, seq, domain int32, o queue.Outcome) error {
	_, err := f.DB.Finish(f.Context(), []queue.Result{{Batch: batch, Seq: seq, DomainID: domain, Try: 1, Attempts: 1,
		At: time.Now(), Outcome: o}})
	return err
}

// What an earlier try has to say after the requeue does not undo it, unless it
// is that the message was delivered.
func TestLateResultsAfterARequeue(t *testing.T) {
	t.Parallel()
	f := queuetest.NewFixture(t)
	batch := f.Enqueue("menu", 4, "strict.example")
	f.Serve(f.Server("n1", queuetest.AnswerByDomain))
	requeue(f, batch, "auth_rejected")
	domain := queuetest.Query[int32](f, `SELECT domain_id FROM enotify.batch_domain`)
	for seq, o := range map[int32]queue.Outcome{
		1: {State: queue.Bounced, Class: queue.AuthRejected},
		2: {State: queue.Deferred, Class: queue.Offline},
		3: {State: queue.Unknown},
		4: {State: queue.Delivered},
	} {
		if err := late(f, batch, seq, domain, o); err != nil {
			t.Fatal(err)
		}
	}
	f.Balances()
	if got, want := f.States(batch), map[string]int{"deferred": 3, "delivered": 1}; !cmp.Equal(got, want) {
		t.Errorf("states: got %v, want %v", got, want)
	}
	f.ForgetSent()
	f.Serve(f.Server("n2", queuetest.Deliver))
	if got, want := len(f.Sent()), 3; got != want {
		t.Errorf("sent to after the requeue: got %d, want %d", got, want)
	}
}

// Tries are numbered on over requeues, so that a late result of any earlier try
// is ignored: one that was refused twice, and requeued twice.
func TestTriesAreCountedOverRequeues(t *testing.T) {
	t.Parallel()
	f := queuetest.NewFixture(t)
	batch := f.Enqueue("menu", 2, "strict.example")
	for range 2 {
		f.Serve(f.Server("n1", queuetest.AnswerByDomain))
		if n, _ := requeue(f, batch, "auth_rejected"); n != 2 {
			t.Fatalf("requeued: got %d, want 2", n)
		}
	}
	domain := queuetest.Query[int32](f, `SELECT domain_id FROM enotify.batch_domain`)
	for _, try := range []int{1, 2} {
		_, err := f.DB.Finish(t.Context(),
			[]queue.Result{{Batch: batch, Seq: 1, DomainID: domain, Try: try, Attempts: try, At: time.Now(),
				Outcome: queue.Outcome{State: queue.Bounced, Class: queue.AuthRejected}}})
		if err != nil {
			t.Fatal(err)
		}
	}
	if got, want := f.States(batch), map[string]int{"deferred": 2}; !cmp.Equal(got, want) {
		t.Errorf("after late results: got %v, want %v", got, want)
	}
	f.Serve(f.Server("n2", queuetest.Deliver))
	if got, want := f.States(batch), map[string]int{"delivered": 2}; !cmp.Equal(got, want) {
		t.Errorf("states: got %v, want %v", got, want)
	}
	const numbers = `SELECT string_agg(n::text, ' ' ORDER BY n) FROM enotify.attempt WHERE batch_id = $1 AND seq = 2`
	if got, want := queuetest.Query[string](f, numbers, batch), "1 2 3"; got != want {
		t.Errorf("numbers of the tries: got %q, want %q", got, want)
	}
}

// Word that comes after the batch has ended, that somebody in doubt was not
// delivered to: they are, if there is time left.
func TestLateDeferralOfAFinishedBatch(t *testing.T) {
	t.Parallel()
	f := queuetest.NewFixture(t)
	revived, expired := f.Enqueue("revived", 2, "a.example"), f.Enqueue("expired", 2, "a.example")
	f.Serve(f.Server("n1", func(context.Context,
		queue.Message) queue.Outcome {
		return queue.Outcome{State: queue.Unknown}
	}))
	f.Exec(`UPDATE enotify.batch SET expires_at = now() WHERE id = $1`, expired)
	domain := queuetest.Query[int32](f, `SELECT DISTINCT domain_id FROM enotify.batch_domain`)
	for _, batch := range []int64{revived, expired} {
		if err := late(f, batch, 1, domain, queue.Outcome{State: queue.Deferred, Class: queue.NotBegun}); err != nil {
			t.Fatal(err)
		}
		f.Balances()
	}
	f.Serve(f.Server("n2", queuetest.Deliver))
	f.Balances()
	for batch, want := range map[int64]map[string]int{revived: {"delivered": 1, "unknown": 1},
		expired: {"expired": 1, "unknown": 1}} {
		if got := f.States(batch); !cmp.Equal(got, want) {
			t.Errorf("states of batch %d: got %v, want %v", batch, got, want)
		}
	}
}

// Those in doubt are sent to again, or closed, as the operator says.
func TestRequeueOfUnknown(t *testing.T) {
	t.Parallel()
	f := queuetest.NewFixture(t)
	doubt := func(context.Context, queue.Message) queue.Outcome { return queue.Outcome{State: queue.Unknown} }
	sent, closed := f.Enqueue("sent", 5, "a.example"), f.Enqueue("closed", 5, "a.example")
	f.Serve(f.Server("n1", doubt))
	if n, _ := requeue(f, sent, "unknown"); n != 5 {
		t.Errorf("requeued: got %d, want 5", n)
	}
	if n, err := f.DB.MarkDelivered(t.Context(), closed); n != 5 || err != nil {
		t.Errorf("marked: got %d and %v, want 5", n, err)
	}
	f.ForgetSent()
	f.Serve(f.Server("n2", queuetest.Deliver))
	f.Balances()
	for _, batch := range []int64{sent, closed} {
		if got, want := f.States(batch), map[string]int{"delivered": 5}; !cmp.Equal(got, want) {
			t.Errorf("states of batch %d: got %v, want %v", batch, got, want)
		}
	}
	if got := f.Sent(); len(got) != 5 {
		t.Errorf("sent to: got %v, want the 5 of the first batch", got)
	}
}

// A batch that expired goes on for those requeued alone: who had not been tried
// is not tried now, unless they are who was meant.
func TestRequeueOfAnExpiredBatch(t *testing.T) {
	t.Parallel()
	for class, want := range map[string]map[string]int{
		"auth_rejected": {"expired": 50, "delivered": 50},
		"expired":       {"bounced": 50, "delivered": 50},
	} {
		t.Run(class, func(t *testing.T) {
			t.Parallel()
			f := queuetest.NewFixture(t)
			batch := f.Enqueue("menu", 100, "strict.example", "a.example")
			f.Exec(`UPDATE enotify.batch_domain d SET intent_seq = last_seq FROM enotify.domain k WHERE k.id = d.domain_id AND k.name = 'strict.example'`)
			f.Exec(`INSERT INTO enotify.outcome (batch_id, seq, state, class)
				SELECT r.batch_id, r.seq, 'bounced', 'auth_rejected' FROM enotify.recipient r JOIN enotify.domain k ON k.id = r.domain_id WHERE k.name = 'strict.example'`)
			f.Exec(`UPDATE enotify.batch SET expires_at = now()`)
			refused(f, `SELECT enotify.requeue_batch(1, 'auth_rejected')`, "batch 1 has expired and is about to end")
			f.Serve(f.Server("n1", queuetest.Deliver))
			if got, want := f.States(batch), map[string]int{"bounced": 50, "expired": 50}; !cmp.Equal(got, want) {
				t.Fatalf("states: got %v, want %v", got, want)
			}
			if n, _ := requeue(f, batch, class); n != 50 {
				t.Errorf("requeued: got %d, want 50", n)
			}
			if left := queuetest.Query[time.Duration](f,
				`SELECT expires_at - now() FROM enotify.batch`); left < 71*time.Hour {
				t.Errorf("time left: got %v, want 3 days", left)
			}
			f.Serve(f.Server("n2", queuetest.Deliver))
			f.Balances()
			if got := f.States(batch); !cmp.Equal(got, want) {
				t.Errorf("states: got %v, want %v", got, want)
			}
			if got := len(f.Sent()); got != 50 {
				t.Errorf("sent to: got %d, want 50", got)
			}
		})
	}
}

// Each state has its answer.
func TestRequeueByState(t *testing.T) {
	t.Parallel()
	f := queuetest.NewFixture(t)
	batch := f.Enqueue("menu", 10, "strict.example", "a.example")
	f.Serve(f.Server("n1", queuetest.AnswerByDomain))
	f.Exec(`SELECT enotify.create_batch('draft', 'info@town.example', 's', 't')`)
	f.Exec(`SELECT enotify.cancel_batch($1)`, f.Enqueue("cancelled", 1, "a.example"))
	for sql, want := range map[string]string{
		`SELECT enotify.requeue_batch(99, 'policy')`:                                "no batch 99 of yours",
		`SELECT enotify.requeue_batch(1, 'not_begun')`:                              "no recipient ends as 'not_begun'",
		`SELECT enotify.requeue_batch(1, 'delivered')`:                              "no recipient ends as 'delivered'",
		`SELECT enotify.requeue_batch(1, NULL)`:                                     "no recipient ends as NULL",
		`SELECT enotify.requeue_batch(1, 'auth_rejected', now() - '1 s'::interval)`: "has passed",
		`SELECT enotify.requeue_batch(2, 'policy')`:                                 "batch 2 is a draft; nothing of it was sent yet",
		`SELECT enotify.requeue_batch(3, 'policy')`:                                 "batch 3 is cancelled, and that is final",
	} {
		refused(f, sql, want)
	}
	f.Exec(`UPDATE enotify.batch SET state = 'queued', finished_at = NULL WHERE id = 1`)
	for state, want := range map[string]string{"paused": "paused", "blocked": "blocked", "sending": "queued",
		"retrying": "queued", "queued": "queued"} {
		f.Exec(`BEGIN`)
		for _, step := range map[string][]string{"retrying": {"sending", "retrying"}}[state] {
			f.Exec(`UPDATE enotify.batch SET state = $1 WHERE id = 1`, step)
		}
		f.Exec(`UPDATE enotify.batch SET state = $1, reason = 'by the test' WHERE id = 1`, state)
		f.Exec(`SELECT enotify.requeue_batch($1, 'auth_rejected')`, batch)
		if got := queuetest.Query[string](f, `SELECT state::text FROM enotify.batch WHERE id = 1`); got != want {
			t.Errorf("%s batch after a requeue: got %s, want %s", state, got, want)
		}
		if got, want := queuetest.Query[string](f,
			`SELECT reason FROM enotify.batch_log WHERE batch_id = 1 ORDER BY at DESC LIMIT 1`),
			"5 to be sent again: auth_rejected"; got != want {
			t.Errorf("log of a %s batch: got %q, want %q", state, got, want)
		}
		f.Exec(`ROLLBACK`)
	}
}
