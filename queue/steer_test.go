package queue_test

import (
	"context"
	"math"
	"os"
	"regexp"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"enotify/queue"
	"enotify/queue/queuetest"
)

func TestSchemaAllowsOneSendingBatch(t *testing.T) {
	t.Parallel()
	f := queuetest.NewFixture(t)
	f.Enqueue("first", 1, "a.example")
	f.Enqueue("second", 1, "a.example")
	if _, err := f.Conn.Exec(t.Context(), `UPDATE enotify.batch SET state = 'sending'`); err == nil {
		t.Error("two batches are in state sending: got no error, want one")
	}
}

// After a pause no new message begins; what waits for a connection is told
// not to begin, and goes out after the resume, once.
func TestPauseStopsAndResumeGoesOn(t *testing.T) {
	t.Parallel()
	f := queuetest.NewFixture(t)
	batch := f.Enqueue("menu", 500, "a.example")
	began, paused := make(chan struct{}), make(chan struct{})
	var once sync.Once
	slow := func(ctx context.Context, m queue.Message) queue.Outcome {
		once.Do(func() { close(began) })
		<-paused
		for m.MayBegin() { // as a sender that waits for a connection
			select {
			case <-ctx.Done():
				t.Error("the message may begin until the test ends, want not after the pause")
				return queue.Outcome{State: queue.Deferred, Class: queue.NotBegun}
			default:
			}
		}
		return queue.Outcome{State: queue.Deferred, Class: queue.NotBegun}
	}
	s := f.Server("n1", slow)
	s.MaxInFlight = 200
	go func() {
		<-began
		conn := queuetest.Connect(t, f.URL)
		if _, err := conn.Exec(context.WithoutCancel(t.Context()),
			`SELECT enotify.pause_batch($1, 'a typo in the menu')`, batch); err != nil {
			t.Error(err)
		}
		close(paused)
	}()
	f.ServeUntil(s, `SELECT state = 'paused' AND NOT EXISTS (SELECT FROM enotify.batch_status WHERE id = $1 AND sending > 0) FROM enotify.batch WHERE id = $1`, batch)
	if got := f.States(batch); got["delivered"] != 0 || got["pending"]+got["deferred"] != 500 {
		t.Errorf("states after the pause: got %v, want all 500 waiting", got)
	}

	f.Exec(`SELECT enotify.resume_batch($1)`, batch)
	f.ForgetSent()
	f.Serve(f.Server("n2", queuetest.Deliver))
	if got, want := f.States(batch), map[string]int{"delivered": 500}; !cmp.Equal(got, want) {
		t.Errorf("states after the resume: got %v, want %v", got, want)
	}
	f.SentOnce(500)
}

func TestCancelIsFinal(t *testing.T) {
	t.Parallel()
	f := queuetest.NewFixture(t)
	batch := f.Enqueue("menu", 10, "a.example")
	f.Exec(`SELECT enotify.cancel_batch($1, 'wrong list')`, batch)
	next := f.Enqueue("next", 3, "a.example")
	f.Serve(f.Server("n1", queuetest.Deliver))
	if got, want := f.States(batch), map[string]int{"cancelled": 10}; !cmp.Equal(got, want) {
		t.Errorf("states: got %v, want %v", got, want)
	}
	if got, want := f.States(next), map[string]int{"delivered": 3}; !cmp.Equal(got, want) {
		t.Errorf("states of the next batch: got %v, want %v", got, want)
	}
	if _, err := f.Conn.Exec(t.Context(), `SELECT enotify.resume_batch($1)`, batch); err == nil {
		t.Error("resume of a cancelled batch: got no error, want one")
	}
	if !queuetest.Query[bool](f, `SELECT finished_at IS NOT NULL FROM enotify.batch WHERE id = $1`, batch) {
		t.Error("a cancelled batch with nothing under way is not finished")
	}
}

func TestDeferredExpireWithTheirLastReply(t *testing.T) {
	t.Parallel()
	f := queuetest.NewFixture(t)
	batch := f.Enqueue("menu", 4, "full.example")
	s := f.Server("n1", func(context.Context, queue.Message) queue.Outcome {
		return queue.Outcome{State: queue.Deferred, Class: queue.MailboxFull,
			Reply: queue.Reply{Code: 452, Enhanced: "4.2.2", Text: "full"}}
	})
	f.ServeUntil(s, `SELECT count(*) = 4 FROM enotify.retry WHERE batch_id = $1`, batch)
	f.Exec(`UPDATE enotify.batch SET expires_at = now() WHERE id = $1`, batch)
	f.Serve(f.Server("n2", queuetest.Deliver))
	if got, want := f.States(batch), map[string]int{"expired": 4}; !cmp.Equal(got, want) {
		t.Errorf("states: got %v, want %v", got, want)
	}
	if got, want := queuetest.Query[string](f, `SELECT DISTINCT reply FROM enotify.delivery WHERE batch_id = $1`,
		batch), "4.2.2 full"; got != want {
		t.Errorf("reply: got %q, want %q", got, want)
	}
}

// A suppressed address is not sent to, though it was sealed before.
func TestSuppressedAfterTheSeal(t *testing.T) {
	t.Parallel()
	f := queuetest.NewFixture(t)
	batch := f.Enqueue("menu", 4, "a.example")
	f.Exec(`INSERT INTO enotify.suppression (address, client_id, cause) SELECT 'user1@a.example', id, 'unsubscribe' FROM enotify.client`)
	f.Exec(`INSERT INTO enotify.suppression (address, client_id, cause) VALUES ('user2@a.example', NULL, 'operator')`)
	f.Exec(`INSERT INTO enotify.client (domain) VALUES ('city.example')`)
	f.Exec(`INSERT INTO enotify.suppression (address, client_id, cause) SELECT 'user3@a.example', id, 'unsubscribe' FROM enotify.client WHERE domain = 'city.example'`)
	f.Serve(f.Server("n1", queuetest.Deliver))
	if got, want := f.States(batch), map[string]int{"delivered": 2, "suppressed": 2}; !cmp.Equal(got, want) {
		t.Errorf("states: got %v, want %v", got, want)
	}
	if got, want := queuetest.Query[string](f,
		`SELECT split_part(reply, ': ', 2) FROM enotify.delivery WHERE address = 'user1@a.example'`),
		"unsubscribe"; got != want {
		t.Errorf("cause: got %q, want %q", got, want)
	}
	for _, address := range []string{"user1@a.example", "user2@a.example"} {
		if f.Sent()[address] != 0 {
			t.Errorf("%s was sent to", address)
		}
	}
}

// The ways of a batch that doc.go shows are those that the schema allows.
func TestDocShowsTheMovesOfABatch(t *testing.T) {
	t.Parallel()
	f := queuetest.NewFixture(t)
	doc, err := os.ReadFile("doc.go")
	if err != nil {
		t.Fatal(err)
	}
	shown := map[string][]string{}
	for _, m := range regexp.MustCompile(`(?m)^//\t([a-z]+) +-> ([a-z ]+)$`).FindAllStringSubmatch(string(doc), -1) {
		shown[m[1]] = slices.Sorted(slices.Values(strings.Fields(m[2])))
	}
	allowed := queuetest.Query[map[string][]string](f, `SELECT jsonb_object_agg(f, t) FROM (
		SELECT from_state::text, array_agg(to_state::text ORDER BY to_state::text COLLATE "C") FROM enotify.batch_moves() GROUP BY 1) m (f, t)`)
	if diff := cmp.Diff(allowed, shown); diff != "" {
		t.Errorf("moves (-batch_moves() +doc.go):\n%s", diff)
	}
}

// A snapshot that an application holds open, as a backup does, and pauses in the
// middle of results being written: everybody gets one message.
func TestPausesUnderAHeldSnapshot(t *testing.T) {
	t.Parallel()
	f := queuetest.NewFixture(t)
	batch := f.Enqueue("menu", 3000, "a.example", "b.example", "c.example")
	held := queuetest.Connect(t, f.URL)
	for _, sql := range []string{`BEGIN ISOLATION LEVEL REPEATABLE READ`, `SELECT count(*) FROM enotify.batch_status`} {
		if _, err := held.Exec(t.Context(), sql); err != nil {
			t.Fatal(err)
		}
	}
	var begun, most atomic.Int64 // the batch is not done before the last pause, however late that is
	s := f.Server("n1", func(ctx context.Context, m queue.Message) queue.Outcome {
		for n := begun.Add(1); n > most.Load() && ctx.Err() == nil; {
			time.Sleep(time.Millisecond)
		}
		return queuetest.Deliver(ctx, m)
	})
	s.UntilIdle, s.MaxInFlight = false, 200
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	var node sync.WaitGroup
	node.Go(func() {
		if err := f.Run(ctx, s, "pass"); err != nil {
			t.Error(err)
		}
	})
	for i := 1; i <= 4; i++ {
		most.Store(600 * int64(i))
		f.Until(func() {}, `SELECT count(*) >= $2 FROM enotify.outcome WHERE batch_id = $1`, batch, 500*i)
		f.Exec(`SELECT enotify.pause_batch($1)`, batch)
		f.Exec(`SELECT enotify.resume_batch($1)`, batch)
	}
	most.Store(math.MaxInt64)
	f.Until(cancel, `SELECT state = 'done' FROM enotify.batch WHERE id = $1`, batch)
	node.Wait()
	if got, want := f.States(batch), map[string]int{"delivered": 3000}; !cmp.Equal(got, want) {
		t.Errorf("states: got %v, want %v", got, want)
	}
	f.SentOnce(3000)
	f.Balances()
}

// Whoever holds a batch in an open transaction keeps no other batch from being
// paused; it is told how many go on. Only what was paused together goes on together.
func TestPauseAllWaitsForNobody(t *testing.T) {
	t.Parallel()
	f := queuetest.NewFixture(t)
	held, free, alone := f.Enqueue("held", 1, "a.example"), f.Enqueue("free", 1, "a.example"), f.Enqueue("alone", 1,
		"a.example")
	if err := f.DB.Pause(t.Context(), alone, "a typo"); err != nil {
		t.Fatal(err)
	}
	f.Exec(`BEGIN`)
	f.Exec(`SELECT enotify.replace_content($1, subject => 'Soup')`, held)
	got, err := f.DB.PauseAll(t.Context(), "town.example", "complaints")
	if want := (queue.Steered{Batches: 1, Left: 1}); err != nil || got != want {
		t.Errorf("with one batch held: got %+v (%v), want %+v", got, err, want)
	}
	f.Exec(`COMMIT`)
	got, err = f.DB.PauseAll(t.Context(), "", "complaints")
	if want := (queue.Steered{Batches: 1}); err != nil || got != want {
		t.Errorf("once it is free: got %+v (%v), want %+v", got, err, want)
	}
	if err := f.DB.Pause(t.Context(), free, "this one for itself"); err != nil {
		t.Fatal(err)
	}
	got, err = f.DB.ResumeAll(t.Context(), "town.example")
	if want := (queue.Steered{Batches: 1, Left: 2}); err != nil || got != want {
		t.Errorf("resumed: got %+v (%v), want %+v", got, err, want)
	}
	if states := queuetest.Query[string](f,
		`SELECT string_agg(state::text, ' ' ORDER BY id) FROM enotify.batch`); states != "queued paused paused" {
		t.Errorf("states: got %s, want the one that was held resumed", states)
	}
}
