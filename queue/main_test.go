package queue_test

import (
	"context"
	"fmt"
	"io"
	"log/slog"
	"net/netip"
	"sync"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"enotify/queue"
	"enotify/queue/engine"
	"enotify/queue/queuetest"
)

func TestMain(m *testing.M) { queuetest.Main(m) }

var egress = netip.MustParseAddr("192.0.2.1")

// A fixture is a database with the client town.example, a connection to it as
// the operator, and what was sent there.
type fixture struct {
	*testing.T
	url  string
	db   *queue.DB
	conn *pgx.Conn

	verdict func(client string, egress netip.Addr) string // what the guard finds; nil: as the test says
	deaf    bool                                          // the guard says nothing of a database that is away

	mu     sync.Mutex
	copies map[string]int // attempts per address
}

func newFixture(t *testing.T) *fixture {
	t.Helper()
	url := queuetest.New(t)
	f := &fixture{T: t, url: url, db: open(t, url), conn: connect(t, url), copies: map[string]int{}}
	f.exec(`INSERT INTO enotify.client (domain) VALUES ('town.example')`)
	return f
}

func open(t *testing.T, url string) *queue.DB {
	t.Helper()
	db, err := queue.Open(t.Context(), url, 0)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(db.Close)
	return db
}

func connect(t *testing.T, url string) *pgx.Conn {
	t.Helper()
	conn, err := pgx.Connect(t.Context(), url)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { conn.Close(context.Background()) })
	return conn
}

func (f *fixture) exec(sql string, args ...any) {
	f.Helper()
	if _, err := f.conn.Exec(f.Context(), sql, args...); err != nil {
		f.Fatalf("%s: %v", sql, err)
	}
}

func query[T any](f *fixture, sql string, args ...any) T {
	f.Helper()
	rows, err := f.conn.Query(f.Context(), sql, args...)
	if err != nil {
		f.Fatalf("%s: %v", sql, err)
	}
	v, err := pgx.CollectExactlyOneRow(rows, pgx.RowTo[T])
	if err != nil {
		f.Fatalf("%s: %v", sql, err)
	}
	return v
}

// enqueue submits a batch to n recipients spread over the domains.
func (f *fixture) enqueue(key string, n int, domains ...string) int64 {
	f.Helper()
	return query[int64](f, `SELECT enotify.enqueue($1, 'info@town.example', 'Lunch menu', 'Soup.', $2)`, key, addresses(n, domains))
}

func addresses(n int, domains []string) []string {
	all := make([]string, n)
	for i := range all {
		all[i] = fmt.Sprintf("user%d@%s", i, domains[i%len(domains)])
	}
	return all
}

// server is a node whose handler answers by the function.
func (f *fixture) server(name string, handle queue.Handler) *engine.Server {
	return &engine.Server{
		DB:        f.db,
		Node:      queue.Node{Name: name, Egress: []netip.Addr{egress}, HELO: "mail.host.example", Version: "test"},
		Admission: unlimited{},
		Schedule:  engine.Schedule{First: time.Millisecond, Max: time.Millisecond},
		UntilIdle: true,
		Log:       slog.New(slog.NewTextHandler(io.Discard, nil)),
		Handler: func(ctx context.Context, m queue.Message) queue.Outcome {
			f.mu.Lock()
			f.copies[m.Address]++
			f.mu.Unlock()
			return handle(ctx, m)
		},
	}
}

// serve runs a server to its end, with a guard that finds every client in order.
func (f *fixture) serve(s *engine.Server) {
	f.Helper()
	if err := f.run(f.Context(), s, "pass"); err != nil {
		f.Fatalf("Serve: %v", err)
	}
}

func (f *fixture) run(ctx context.Context, s *engine.Server, result string) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	var guard sync.WaitGroup
	defer guard.Wait()
	defer cancel()
	guard.Go(func() {
		select {
		case <-s.Joined():
		case <-ctx.Done():
		}
		for tick := time.NewTicker(10 * time.Millisecond); ctx.Err() == nil; {
			f.judge(ctx, result)
			s.Wake()
			select {
			case <-ctx.Done():
			case <-tick.C:
			}
		}
	})
	return s.Serve(ctx)
}

// serveUntil enqueues nothing: it runs a server until the query says true, and
// returns the error of Serve.
func (f *fixture) serveUntil(s *engine.Server, sql string, args ...any) {
	f.Helper()
	s.UntilIdle = false
	ctx, cancel := context.WithCancel(f.Context())
	defer cancel()
	var watch sync.WaitGroup
	defer watch.Wait()
	watch.Go(func() { f.until(cancel, sql, args...) })
	if err := f.run(ctx, s, "pass"); err != nil {
		f.Fatalf("Serve: %v", err)
	}
}

func (f *fixture) judge(ctx context.Context, result string) {
	subjects, err := f.db.Unjudged(ctx)
	for _, s := range subjects {
		var verdicts []queue.Verdict
		for _, e := range s.Egress {
			result := result
			if f.verdict != nil {
				result = f.verdict(s.Client, e.Addr)
			}
			verdicts = append(verdicts, queue.Verdict{
				Identity: "mailfrom", Domain: s.Client, Egress: e.Addr, Result: result, Blocks: result == "fail", Record: "v=spf1 -all", Explanation: "so says the test", ValidFor: time.Hour,
			})
		}
		_, err = f.db.Judge(ctx, s, verdicts)
	}
	if err != nil && ctx.Err() == nil && !f.deaf {
		f.Errorf("guard: %v", err)
	}
}

func (f *fixture) sent() map[string]int {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.copies
}

// states counts the recipients of a batch by state, from the view delivery.
func (f *fixture) states(batch int64) map[string]int {
	f.Helper()
	rows, err := f.conn.Query(f.Context(), `SELECT state, count(*)::int FROM enotify.delivery WHERE batch_id = $1 GROUP BY state`, batch)
	if err != nil {
		f.Fatal(err)
	}
	states := map[string]int{}
	var state string
	var n int
	if _, err := pgx.ForEachRow(rows, []any{&state, &n}, func() error { states[state] = n; return nil }); err != nil {
		f.Fatal(err)
	}
	return states
}

// balances fails unless the books of all batches balance.
func (f *fixture) balances() {
	f.Helper()
	audits, err := f.db.Audit(f.Context(), 0)
	if err != nil {
		f.Fatal(err)
	}
	for _, a := range audits {
		if len(a.Problems) > 0 {
			f.Errorf("audit of batch %d: %v", a.Batch, a.Problems)
		}
	}
}

// unlimited admits everything.
type unlimited struct{}

func (unlimited) Admit(_ string, want int, _ time.Time) (int, queue.Wait) { return want, queue.Wait{} }
func (unlimited) Closure(string, time.Time) queue.Closure                 { return queue.Closure{} }
func (unlimited) Assign(string, string, time.Time)                        {}
func (unlimited) Done(string, queue.Outcome, time.Time) string            { return "" }

func deliver(context.Context, queue.Message) queue.Outcome {
	return queue.Outcome{State: queue.Delivered, Reply: queue.Reply{Code: 250, Text: "ok"}}
}

// until calls then once the query says true. It has a connection of its own,
// so that it may run beside the test.
func (f *fixture) until(then func(), sql string, args ...any) {
	defer then()
	conn, err := pgx.Connect(f.Context(), f.url)
	if err != nil {
		f.Error(err)
		return
	}
	defer conn.Close(context.Background())
	for yes := false; !yes; {
		if err := conn.QueryRow(f.Context(), sql, args...).Scan(&yes); err != nil {
			if f.Context().Err() == nil {
				f.Errorf("%s: %v", sql, err)
			}
			return
		}
		time.Sleep(2 * time.Millisecond)
	}
}

func answerByDomain(ctx context.Context, m queue.Message) queue.Outcome {
	if m.Domain == "gone.example" {
		return queue.Outcome{State: queue.Bounced, Class: queue.NoSuchUser, Reply: queue.Reply{Code: 550, Enhanced: "5.1.1", Text: "no such user"}}
	}
	return deliver(ctx, m)
}
