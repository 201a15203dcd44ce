package engine_test

import (
	"context"
	"fmt"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"enotify/queue"
	"enotify/queue/engine"
	"enotify/queue/queuetest"
)

// gates is an Admission that closes domains, as a throttle does whose site is
// in backoff. Closed domains ask again after a moment.
type gates struct {
	queuetest.Unlimited
	mu     sync.Mutex
	closed map[string]bool
}

func (g *gates) set(domain string, closed bool) {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.closed[domain] = closed
}

func (g *gates) Admit(domain string, want int, now time.Time) (int, queue.Wait) {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.closed[domain] {
		return 0, queue.Wait{Until: now.Add(5 * time.Millisecond)}
	}
	return want, queue.Wait{}
}

// crossing notes which batches have first tries under way in each domain, and
// whether two ever had at once.
type crossing struct {
	mu    sync.Mutex
	under map[string]map[int64]int
	met   []string
}

func (c *crossing) watch(next queue.Handler) queue.Handler {
	c.under = map[string]map[int64]int{}
	return func(ctx context.Context, m queue.Message) queue.Outcome {
		c.move(m, 1)
		defer c.move(m, -1)
		return next(ctx, m)
	}
}

func (c *crossing) move(m queue.Message, by int) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.under[m.Domain] == nil {
		c.under[m.Domain] = map[int64]int{}
	}
	c.under[m.Domain][m.Batch.ID] += by
	busy := 0
	for _, n := range c.under[m.Domain] {
		if n > 0 {
			busy++
		}
	}
	if busy > 1 {
		c.met = append(c.met, m.Domain)
	}
}

// node runs a server beside the test until it ends.
func node(f *queuetest.Fixture, s *engine.Server) {
	f.Helper()
	s.UntilIdle = false
	ctx, cancel := context.WithCancel(f.Context())
	var node sync.WaitGroup
	node.Go(func() {
		if err := f.Run(ctx, s, "pass"); err != nil {
			f.Error(err)
		}
	})
	f.Cleanup(func() { cancel(); node.Wait() })
}

// await waits until the query says true. Where it does not, the test ends with how the
// batches stand.
func await(f *queuetest.Fixture, sql string, args ...any) {
	f.Helper()
	if f.Until(func() {}, sql, args...); f.Failed() {
		f.Fatalf("batches: got %s", queuetest.Query[string](f, `SELECT string_agg(format('%s %s (%s): %s of %s delivered', id, state,
			reason, delivered, total), '; ' ORDER BY id) FROM enotify.batch_status`))
	}
}

// By destination, the next batch goes on elsewhere while the first waits for a
// slow site, stays behind it there, and both come to their end.
func TestTurnByDestination(t *testing.T) {
	t.Parallel()
	f := queuetest.NewFixture(t)
	slow := &gates{closed: map[string]bool{"slow.example": true}}
	var c crossing
	s := f.Server("n1", c.watch(queuetest.Deliver))
	s.Admission, s.Node.Turn = slow, queue.ByDestination
	first := f.Enqueue("menu", 400, "slow.example", "quick.example")
	second := f.Enqueue("agenda", 400, "slow.example", "quick.example")
	third := f.Enqueue("minutes", 400, "quick.example")
	node(f, s)

	await(f, `SELECT state = 'draining' FROM enotify.batch WHERE id = $1`, first)
	await(f, `SELECT delivered = 200 FROM enotify.batch_status WHERE id = $1`, second)
	await(f, `SELECT state = 'done' FROM enotify.batch WHERE id = $1`, third)
	for _, batch := range []int64{first, second} {
		if got, want := f.States(batch), map[string]int{"delivered": 200, "pending": 200}; !cmp.Equal(got, want) {
			t.Errorf("batch %d while slow.example is closed: got %v, want %v", batch, got, want)
		}
	}
	if got := queuetest.Query[int](f, `SELECT count(*)::int FROM enotify.batch WHERE state = 'sending'`); got > 1 {
		t.Errorf("batches in state sending: got %d, want at most 1", got)
	}
	slow.set("slow.example", false)
	for _, batch := range []int64{first, second} {
		await(f, `SELECT state = 'done' FROM enotify.batch WHERE id = $1`, batch)
	}
	if len(c.met) > 0 {
		t.Errorf("domains that served two batches at once: %d times, as %s", len(c.met), c.met[0])
	}
	last := queuetest.Query[time.Time](f, `SELECT max(o.at) FROM enotify.outcome o WHERE batch_id = $1`, first)
	if n := queuetest.Query[int](f, `SELECT count(*)::int FROM enotify.delivery WHERE batch_id = $1 AND domain = 'slow.example' AND at < $2`, second, last); n > 0 {
		t.Errorf("recipients of the second batch at slow.example before the first was through there: %d", n)
	}
	f.Balances()
}

// What is under way counts too: the next batch begins in a domain when the last
// message of the first there is recorded, not when it has begun.
func TestNextBatchWaitsForWhatIsUnderWay(t *testing.T) {
	t.Parallel()
	f := queuetest.NewFixture(t)
	slow := &gates{closed: map[string]bool{"slow.example": true}}
	release := make(chan struct{})
	var c crossing
	s := f.Server("n1", c.watch(func(ctx context.Context, m queue.Message) queue.Outcome {
		if m.Domain == "far.example" {
			<-release
		}
		return queuetest.Deliver(ctx, m)
	}))
	s.Admission, s.Node.Turn = slow, queue.ByDestination
	first := f.Enqueue("menu", 60, "slow.example", "quick.example", "far.example")
	second := f.Enqueue("agenda", 40, "quick.example", "far.example")
	node(f, s)
	await(f, `SELECT delivered = 20 FROM enotify.batch_status WHERE id = $1`, second)
	if got := queuetest.Query[int](f, `SELECT sending FROM enotify.batch_status WHERE id = $1`, second); got != 0 {
		t.Errorf("of the second batch under way where the first still is: got %d, want 0", got)
	}
	close(release)
	await(f, `SELECT state = 'retrying' OR state = 'done' FROM enotify.batch WHERE id = $1`, second)
	slow.set("slow.example", false)
	await(f, `SELECT state = 'done' FROM enotify.batch WHERE id = $1`, first)
	if len(c.met) > 0 {
		t.Errorf("domains that served two batches at once: %d times, as %s", len(c.met), c.met[0])
	}
	f.Balances()
}

// trickle is an Admission that lets a domain have one message after the other.
type trickle struct {
	queuetest.Unlimited
	domain string
	mu     sync.Mutex
	busy   bool
}

func (a *trickle) Admit(domain string, want int, now time.Time) (int, queue.Wait) {
	a.mu.Lock()
	defer a.mu.Unlock()
	switch {
	case domain != a.domain:
		return want, queue.Wait{}
	case a.busy:
		return 0, queue.Wait{Until: now.Add(5 * time.Millisecond)}
	}
	a.busy = true
	return 1, queue.Wait{Until: now.Add(5 * time.Millisecond)}
}

func (a *trickle) Done(domain string, _ queue.Outcome, _ time.Time) string {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.busy = a.busy && domain != a.domain
	return ""
}

// Strict is the default, and one node that is strict makes all of them so: the
// next batch waits for a site that is slow and moves.
func TestOneStrictNodeMakesAllStrict(t *testing.T) {
	t.Parallel()
	f := queuetest.NewFixture(t)
	for name, turn := range map[string]queue.Turn{"n1": queue.ByDestination, "n2": ""} {
		s := f.Server(name, func(ctx context.Context, m queue.Message) queue.Outcome {
			if m.Domain == "slow.example" {
				time.Sleep(200 * time.Millisecond) // of the receiver
			}
			return queuetest.Deliver(ctx, m)
		})
		s.Admission, s.Node.Turn = &trickle{domain: "slow.example"}, turn
		node(f, s)
	}
	await(f, `SELECT count(*) = 2 FROM (SELECT FROM enotify.lease WHERE node_id IS NOT NULL GROUP BY node_id HAVING count(*) = 32) n`)
	first := f.Enqueue("menu", 40, "slow.example", "quick.example")
	second := f.Enqueue("agenda", 40, "quick.example")
	await(f, `SELECT bool_and(state = 'done' OR finished_at IS NOT NULL) FROM enotify.batch WHERE id = $1`, second)
	began := queuetest.Query[time.Time](f, `SELECT started_at FROM enotify.batch WHERE id = $1`, second)
	if n := queuetest.Query[int](f, `SELECT count(*)::int FROM enotify.outcome WHERE batch_id = $1 AND at > $2`, first,
		began); n > 0 {
		t.Errorf("recipients of the first batch after the second one began: got %d, want 0", n)
	}
}

// A batch that drains is paused, blocked and cancelled like one that sends, and
// expires like it.
func TestDrainingObeys(t *testing.T) {
	t.Parallel()
	for _, test := range []struct{ name, sql, state string }{
		{"pause", `SELECT enotify.pause_batch($1, 'a typo')`, "paused"},
		{"cancel", `SELECT enotify.cancel_batch($1, 'a typo')`, "cancelled"},
		{"expiry", `UPDATE enotify.batch SET expires_at = now() WHERE id = $1`, "done"},
		{"guard", `UPDATE enotify.batch SET state = 'blocked', reason = 'SPF fail' WHERE id = $1`, "blocked"},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			f := queuetest.NewFixture(t)
			slow := &gates{closed: map[string]bool{"slow.example": true}}
			s := f.Server("n1", queuetest.Deliver)
			s.Admission, s.Node.Turn = slow, queue.ByDestination
			first := f.Enqueue("menu", 40, "slow.example", "quick.example")
			second := f.Enqueue("agenda", 40, "slow.example")
			node(f, s)
			await(f, `SELECT state = 'sending' FROM enotify.batch WHERE id = $1`, second)
			await(f, `SELECT delivered = 20 FROM enotify.batch_status WHERE id = $1`, first)
			f.Exec(test.sql, first)
			if test.state != "blocked" { // the guard of the test lets the client send, and may have freed the batch
				await(f, `SELECT state = $2::enotify.batch_state FROM enotify.batch WHERE id = $1`, first, test.state)
			}
			// its domain is free for the other
			slow.set("slow.example", false)
			switch test.state {
			case "paused":
				await(f, `SELECT state = 'done' FROM enotify.batch WHERE id = $1`, second)
				f.Exec(`SELECT enotify.resume_batch($1)`, first)
				await(f, `SELECT state = 'done' FROM enotify.batch WHERE id = $1`, first)
			case "blocked":
				await(f, `SELECT state = 'done' FROM enotify.batch WHERE id = $1`, second)
				f.Exec(`UPDATE enotify.batch SET state = 'queued' WHERE id = $1 AND state = 'blocked'`, first)
			}
			await(f, `SELECT bool_and(finished_at IS NOT NULL) FROM enotify.batch`)
			f.Balances()
		})
	}
}

// An urgent batch overtakes those that drain too: it waits for none of them.
func TestUrgentBatchOvertakesThoseThatDrain(t *testing.T) {
	t.Parallel()
	f := queuetest.NewFixture(t)
	slow := &gates{closed: map[string]bool{"slow.example": true}}
	s := f.Server("n1", queuetest.Deliver)
	s.Admission, s.Node.Turn = slow, queue.ByDestination
	first := f.Enqueue("menu", 40, "slow.example", "quick.example")
	second := f.Enqueue("agenda", 40, "slow.example")
	node(f, s)
	await(f, `SELECT state = 'sending' FROM enotify.batch WHERE id = $1`, second)
	urgent := queuetest.Query[int64](f, `SELECT enotify.enqueue('flood', 'info@town.example', 'Flood', 'Leave.', ARRAY['a@slow.example', 'b@near.example'], priority => 10)`)
	await(f, `SELECT string_agg(state::text, ' ' ORDER BY id) = 'queued queued sending' FROM enotify.batch`)
	slow.set("slow.example", false)
	await(f, `SELECT bool_and(state = 'done') FROM enotify.batch`)
	end := queuetest.Query[time.Time](f, `SELECT max(at) FROM enotify.outcome WHERE batch_id = $1`, urgent)
	if n := queuetest.Query[int](f, `SELECT count(*)::int FROM enotify.delivery WHERE batch_id IN ($1, $2) AND domain = 'slow.example' AND at < $3`, first, second, end); n > 0 {
		t.Errorf("others that were sent to at slow.example before the urgent one: %d", n)
	}
	f.Balances()
}

// Several nodes, sites that open and close, batches that share domains: no
// domain serves two batches at once, and everybody is sent to once.
func TestTurnsByDestinationOnSeveralNodes(t *testing.T) {
	t.Parallel()
	f := queuetest.NewFixture(t)
	sites := &gates{closed: map[string]bool{}}
	var c crossing
	handle := c.watch(func(ctx context.Context, m queue.Message) queue.Outcome {
		time.Sleep(100 * time.Microsecond) // of the receiver
		return queuetest.Deliver(ctx, m)
	})
	for i := range 3 {
		s := f.Server(fmt.Sprintf("n%d", i), handle)
		s.Admission, s.Node.Turn, s.MaxInFlight = sites, queue.ByDestination, 200
		node(f, s)
	}
	names := domains(30)
	for _, name := range names[:15] {
		sites.set(name, true)
	}
	var batches []int64
	for i := range 5 {
		batches = append(batches, f.Enqueue(fmt.Sprintf("b%d", i), 900, names[2*i:2*i+20]...))
	}
	await(f, `SELECT count(*) >= 2 FROM enotify.batch WHERE state = 'draining'`)
	for _, name := range names {
		sites.set(name, false)
	}
	await(f, `SELECT bool_and(state = 'done') FROM enotify.batch`)
	for _, batch := range batches {
		if got, want := f.States(batch), map[string]int{"delivered": 900}; !cmp.Equal(got, want) {
			t.Errorf("batch %d: got %v, want %v", batch, got, want)
		}
	}
	if len(c.met) > 0 {
		t.Errorf("domains that served two batches at once: %d times, as %s", len(c.met), c.met[0])
	}
	f.Balances()
}
