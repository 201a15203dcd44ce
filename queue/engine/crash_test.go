package engine_test

import (
	"context"
	"io"
	"maps"
	"math/rand/v2"
	"net"
	"net/url"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"enotify/queue"
	"enotify/queue/engine"
	"enotify/queue/queuetest"
)

// hang serves until n messages are with the handler, and then stays as a
// process does that was stopped dead: its database connections are cut, and it
// never records the outcomes of those messages. The function returned ends it.
func hang(f *queuetest.Fixture, n int) (stop func()) {
	f.Helper()
	ctx, cancel := context.WithCancel(f.Context())
	reached := make(chan struct{})
	var begun atomic.Int32
	db := queuetest.Open(f.T, f.URL)
	s := f.Server("dead", func(ctx context.Context, m queue.Message) queue.Outcome {
		if begun.Add(1) == int32(n) {
			close(reached)
		}
		<-ctx.Done()
		return queue.Outcome{State: queue.Unknown}
	})
	s.DB, s.MaxInFlight, s.Grace = db, n, time.Millisecond
	var served sync.WaitGroup
	served.Go(func() { _ = f.Run(ctx, s, "pass") })
	<-reached
	db.Close() // waits for statements under way, and lets no new one begin
	return func() { cancel(); served.Wait() }
}

// A node dies with messages under way. Its successor holds those in doubt,
// sends the rest, and sends nothing twice.
func TestTakeoverHoldsWhatIsInDoubt(t *testing.T) {
	t.Parallel()
	f := queuetest.NewFixture(t)
	batch := f.Enqueue("menu", 300, "a.example", "b.example", "c.example")
	stop := hang(f, 100)
	defer stop()

	f.Serve(f.Server("heir", queuetest.Deliver))
	if got, want := f.States(batch), map[string]int{"unknown": 100, "delivered": 200}; !cmp.Equal(got, want) {
		t.Errorf("states: got %v, want %v", got, want)
	}
	f.SentOnce(300)
	if got := queuetest.Query[string](f, `SELECT state FROM enotify.batch_status WHERE id = $1`, batch); got != "done" {
		t.Errorf("batch: got %s, want done", got)
	}
}

// The try in which a node died counts when the recipient in doubt is requeued:
// what that node says of it after all undoes nothing.
func TestTheTryInDoubtCounts(t *testing.T) {
	t.Parallel()
	f := queuetest.NewFixture(t)
	batch := f.Enqueue("menu", 1, "a.example")
	f.ServeUntil(f.Server("n1", func(context.Context, queue.Message) queue.Outcome {
		return queue.Outcome{State: queue.Deferred, Class: queue.Offline, After: time.Hour}
	}), `SELECT EXISTS (SELECT FROM enotify.retry WHERE tries = 1)`)
	f.Exec(`UPDATE enotify.retry SET due_at = now()`)
	stop := hang(f, 1)
	defer stop()
	f.Serve(f.Server("heir", queuetest.Deliver))
	if got, want := f.States(batch), map[string]int{"unknown": 1}; !cmp.Equal(got, want) {
		t.Fatalf("states after the takeover: got %v, want %v", got, want)
	}
	if n, _, err := f.DB.Requeue(t.Context(), batch, "unknown", nil); n != 1 || err != nil {
		t.Fatalf("requeued: got %d and %v, want 1", n, err)
	}
	late := queue.Result{Batch: batch, Seq: 1, DomainID: 1, Try: 2, Attempts: 2, At: time.Now(),
		Outcome: queue.Outcome{State: queue.Bounced, Class: queue.Policy}}
	if _, err := f.DB.Finish(t.Context(), []queue.Result{late}); err != nil {
		t.Fatal(err)
	}
	f.Serve(f.Server("n2", queuetest.Deliver))
	if got, want := f.States(batch), map[string]int{"delivered": 1}; !cmp.Equal(got, want) {
		t.Errorf("states after the requeue: got %v, want %v", got, want)
	}
}

// A node that was only held up writes a result while its successor settles what
// it left: of that recipient the result counts, and nothing else.
func TestTakeoverWaitsForLateResults(t *testing.T) {
	t.Parallel()
	f := queuetest.NewFixture(t)
	batch := f.Enqueue("menu", 30, "a.example")
	stop := hang(f, 10)
	defer stop()
	tx, err := queuetest.Connect(t, f.URL).Begin(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	for _, sql := range []string{
		`SELECT enotify.write_results($1)`,
		`INSERT INTO enotify.retry (batch_id, seq, domain_id, grp, due_at, first_at, attempts, tries, class)
		 SELECT batch_id, first_seq, domain_id, grp, now() + interval '1 hour', now(), 1, 1, 'offline' FROM enotify.batch_domain WHERE batch_id = $1`,
	} {
		if _, err := tx.Exec(t.Context(), sql, batch); err != nil {
			t.Fatal(err)
		}
	}
	served := make(chan struct{})
	go func() {
		defer close(served)
		f.Serve(f.Server("heir", queuetest.Deliver))
	}()
	f.Until(func() {}, `SELECT EXISTS (SELECT FROM enotify.outcome WHERE state = 'unknown')
		OR EXISTS (SELECT FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock')`)
	if err := tx.Commit(t.Context()); err != nil {
		t.Fatal(err)
	}
	<-served
	if got, want := f.States(batch), map[string]int{"deferred": 1, "unknown": 9, "delivered": 20}; !cmp.Equal(got,
		want) {
		t.Errorf("states: got %v, want %v", got, want)
	}
	f.Balances()
}

// A node that does not know whether its last intent was written keeps its
// groups: only who holds them can take it back, and of groups that were given
// back nothing is settled.
func TestNothingIsGivenBackInDoubt(t *testing.T) {
	t.Parallel()
	f := queuetest.NewFixture(t)
	f.Exec(`UPDATE enotify.lease SET node_id = 7, epoch = 1, until = now() + interval '1 hour'`)
	for unsure, want := range map[bool]int{true: 64, false: 0} {
		if err := engine.GiveBack(t.Context(), f.DB, 7, unsure); err != nil {
			t.Fatal(err)
		}
		if got := queuetest.Query[int](f, `SELECT count(*)::int FROM enotify.lease WHERE node_id = 7`); got != want {
			t.Errorf("groups held, unsure %v: got %d, want %d", unsure, got, want)
		}
		f.Exec(`UPDATE enotify.lease SET node_id = 7`)
	}
}

// What can not be, a recipient with an outcome that waits to be tried again,
// must not keep all other batches from ending.
func TestExpiryPassesOverWhoHasAnOutcome(t *testing.T) {
	t.Parallel()
	f := queuetest.NewFixture(t)
	batch := f.Enqueue("menu", 2, "a.example")
	f.Serve(f.Server("n1", func(context.Context, queue.Message) queue.Outcome {
		return queue.Outcome{State: queue.Deferred, Class: queue.Offline, After: time.Hour}
	}))
	f.Exec(`INSERT INTO enotify.outcome (batch_id, seq, state) VALUES ($1, 1, 'delivered')`, batch)
	f.Exec(`UPDATE enotify.batch SET expires_at = now()`)
	f.ServeUntil(f.Server("n1", queuetest.Deliver), `SELECT state = 'done' FROM enotify.batch WHERE id = $1`, batch)
	if got, want := f.States(batch), map[string]int{"delivered": 1, "expired": 1}; !cmp.Equal(got, want) {
		t.Errorf("states: got %v, want %v", got, want)
	}
}

func TestTakeoverResendsWhereTheBatchSaysSo(t *testing.T) {
	t.Parallel()
	f := queuetest.NewFixture(t)
	batch := f.Enqueue("menu", 300, "a.example", "b.example", "c.example")
	f.Exec(`UPDATE enotify.batch SET on_unknown = 'resend'`)
	stop := hang(f, 100)
	defer stop()

	f.Serve(f.Server("heir", queuetest.Deliver))
	if got, want := f.States(batch), map[string]int{"delivered": 300}; !cmp.Equal(got, want) {
		t.Errorf("states: got %v, want %v", got, want)
	}
}

// Two nodes share the groups, and between them send everything once.
func TestNodesShareTheWork(t *testing.T) {
	t.Parallel()
	f := queuetest.NewFixture(t)
	domains := make([]string, 200)
	for i := range domains {
		domains[i] = "d" + string(rune('a'+i%26)) + string(rune('a'+i/26)) + ".example"
	}
	var counts [2]atomic.Int32
	shared := make(chan struct{})
	var batch int64
	node := func(i int) *engine.Server {
		return f.Server([]string{"n1", "n2"}[i], func(ctx context.Context, m queue.Message) queue.Outcome {
			counts[i].Add(1)
			return queuetest.Deliver(ctx, m)
		})
	}
	ctx, cancel := context.WithCancel(t.Context())
	var nodes sync.WaitGroup
	for i := range 2 {
		s := node(i)
		s.UntilIdle = false
		nodes.Go(func() {
			if err := f.Run(ctx, s, "pass"); err != nil {
				t.Error(err)
			}
		})
	}
	go f.Until(func() { close(shared) },
		`SELECT count(*) = 2 FROM (SELECT FROM enotify.lease WHERE node_id IS NOT NULL GROUP BY node_id HAVING count(*) = 32) n`)
	<-shared
	batch = f.Enqueue("menu", 1000, domains...)
	f.Until(cancel, `SELECT state = 'done' FROM enotify.batch WHERE id = $1`, batch)
	nodes.Wait()
	if got, want := f.States(batch), map[string]int{"delivered": 1000}; !cmp.Equal(got, want) {
		t.Errorf("states: got %v, want %v", got, want)
	}
	for i := range counts {
		if counts[i].Load() == 0 {
			t.Errorf("node %d sent nothing", i)
		}
	}
	f.SentOnce(1000)
	if got := queuetest.Query[int](f, `SELECT count(*)::int FROM enotify.lease WHERE node_id IS NOT NULL`); got != 0 {
		t.Errorf("leases held after both nodes left: got %d, want 0", got)
	}
}

// A node that gives groups to another says so before, and names those that it gives.
func TestGroupsThatLeaveAreNamed(t *testing.T) {
	t.Parallel()
	f := queuetest.NewFixture(t)
	const holds = `SELECT count(*) = $1 FROM enotify.lease l JOIN enotify.node n ON n.id = l.node_id WHERE n.name = $2`
	ctx, cancel := context.WithCancel(t.Context())
	var nodes sync.WaitGroup
	start := func(s *engine.Server) {
		s.UntilIdle = false
		nodes.Go(func() {
			if err := f.Run(ctx, s, "pass"); err != nil {
				t.Error(err)
			}
		})
	}
	left := map[int16]bool{}
	first := f.Server("n1", queuetest.Deliver)
	first.Leave = func(grps []int16) { // of one goroutine, and read after its end
		for _, grp := range grps {
			left[grp] = true
		}
	}
	start(first)
	f.Until(func() {}, holds, 64, "n1")
	start(f.Server("n2", queuetest.Deliver))
	f.Until(func() {}, holds, 32, "n2")
	taken := queuetest.Query[[]int16](f, `SELECT array_agg(l.grp ORDER BY l.grp) FROM enotify.lease l
		JOIN enotify.node n ON n.id = l.node_id WHERE n.name = 'n2'`)
	cancel()
	nodes.Wait()
	if got := slices.Sorted(maps.Keys(left)); !cmp.Equal(got, taken) {
		t.Errorf("groups that were named: got %v, want those that n2 took: %v", got, taken)
	}
}

// Answers of the database are lost at random, with their connections: in the
// middle of intents and of outcomes, most after the commit. Nobody is lost,
// nobody is sent to twice, nobody is left in doubt. Forty losses are enough: each
// costs a new connection, whose answers may be lost too.
func TestLostAnswersOfTheDatabase(t *testing.T) {
	t.Parallel()
	f := queuetest.NewFixture(t)
	batch := f.Enqueue("menu", 3000, "a.example", "b.example", "c.example", "d.example")
	var began, lost atomic.Int32
	s := f.Server("n1", func(ctx context.Context, m queue.Message) queue.Outcome {
		began.Add(1)
		return queuetest.Deliver(ctx, m)
	})
	s.DB, s.MaxInFlight = queuetest.Open(t, lossy(f, func() bool {
		return began.Load() > 0 && began.Load() < 2000 && rand.IntN(20) == 0 && lost.Add(1) <= 40
	})), 50
	f.ServeUntil(s, `SELECT state = 'done' FROM enotify.batch WHERE id = $1`, batch)

	if got, want := f.States(batch), map[string]int{"delivered": 3000}; !cmp.Equal(got, want) {
		t.Errorf("states: got %v, want %v", got, want)
	}
	f.SentOnce(3000)
	if got := lost.Load(); got < 10 {
		t.Errorf("answers lost: got %d, want 10 at least", got)
	}
}

// lossy is the URL of a way to the database on which answers are lost when
// lose says so, and the connection with them.
func lossy(f *queuetest.Fixture, lose func() bool) string {
	f.Helper()
	direct, err := url.Parse(f.URL)
	if err != nil {
		f.Fatal(err)
	}
	proxy, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		f.Fatal(err)
	}
	var ways sync.WaitGroup
	f.Cleanup(func() { proxy.Close(); ways.Wait() })
	ways.Go(func() {
		for {
			client, err := proxy.Accept()
			if err != nil {
				return
			}
			server, err := net.Dial("tcp", direct.Host)
			if err != nil {
				f.Error(err)
				return
			}
			ways.Go(func() { defer server.Close(); _, _ = io.Copy(server, client) })
			ways.Go(func() {
				defer client.Close()
				for answer := make([]byte, 64<<10); ; {
					n, err := server.Read(answer)
					if err != nil || lose() {
						return
					}
					if _, err := client.Write(answer[:n]); err != nil {
						return
					}
				}
			})
		}
	})
	through := *direct
	through.Host = proxy.Addr().String()
	return through.String()
}

// A node that is told to stop leaves nothing in doubt, at whatever moment.
func TestStopAtAnyMoment(t *testing.T) {
	t.Parallel()
	f := queuetest.NewFixture(t)
	batch := f.Enqueue("menu", 2000, "a.example", "b.example", "c.example")
	try := func(ctx context.Context, m queue.Message) queue.Outcome {
		if m.Attempt == 1 && m.Seq%2 == 0 {
			return queue.Outcome{State: queue.Deferred, Class: queue.Offline}
		}
		return queuetest.Deliver(ctx, m)
	}
	for range 40 {
		ctx, cancel := context.WithCancel(t.Context())
		s := f.Server("n", try)
		s.MaxInFlight, s.UntilIdle = 20, false
		time.AfterFunc(rand.N(30*time.Millisecond), cancel)
		if err := f.Run(ctx, s, "pass"); err != nil {
			t.Fatal(err)
		}
		if got := queuetest.Query[int](f, `SELECT coalesce(sum(sending), 0)::int FROM enotify.batch_status`); got != 0 {
			t.Fatalf("left in state sending by a node that stopped: %d", got)
		}
	}
	f.ServeUntil(f.Server("last", try), `SELECT state = 'done' FROM enotify.batch WHERE id = $1`, batch)
	if got, want := f.States(batch), map[string]int{"delivered": 2000}; !cmp.Equal(got, want) {
		t.Errorf("states: got %v, want %v", got, want)
	}
	sent := f.Sent()
	for address, n := range sent {
		if n > 2 {
			t.Errorf("%s: got %d tries, want at most 2", address, n)
		}
	}
	if len(sent) != 2000 {
		t.Errorf("addresses tried: got %d, want 2000", len(sent))
	}
}
