package queuetest

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"maps"
	"net/netip"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"

	"enotify/queue"
	"enotify/queue/engine"
	"enotify/queue/guard"
	"enotify/queue/insight"
)

// Egress is the address that nodes of a fixture send from.
var Egress = netip.MustParseAddr("192.0.2.1")

// A Fixture is a database with a connection to it as the operator, and the
// messages that nodes of the test sent from there.
type Fixture struct {
	*testing.T
	URL  string
	DB   *queue.DB
	Conn *pgx.Conn

	Verdict func(client string, egress netip.Addr) string // result that the guard finds; nil: the one of the call
	// errors of the guard are none of the test: its database is away
	Deaf bool
	// how long Until waits; 0: two minutes
	Patience time.Duration

	mu     sync.Mutex
	copies map[string]int // attempts per address
}

// NewFixture is a database with the client town.example.
func NewFixture(t *testing.T) *Fixture {
	t.Helper()
	url := New(t)
	f := &Fixture{T: t, URL: url, DB: Open(t, url), Conn: Connect(t, url)}
	f.Exec(`INSERT INTO enotify.client (domain) VALUES ('town.example')`)
	return f
}

// Open opens the database at url until the test ends.
func Open(t *testing.T, url string) *queue.DB {
	t.Helper()
	db, err := queue.Open(t.Context(), url, 0)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(db.Close)
	return db
}

// Connect is a connection of its own to url, until the test ends.
func Connect(t *testing.T, url string) *pgx.Conn {
	t.Helper()
	conn, err := pgx.Connect(t.Context(), url)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { conn.Close(context.Background()) })
	return conn
}

// Refused runs a statement that must fail with a message that holds want.
func Refused(t *testing.T, conn *pgx.Conn, sql, want string, args ...any) {
	t.Helper()
	_, err := conn.Exec(t.Context(), sql, args...)
	if err == nil || !strings.Contains(err.Error(), want) {
		t.Errorf("%s: got error %v, want one with %q", sql, err, want)
	}
}

// Exec runs a statement as the operator.
func (f *Fixture) Exec(sql string, args ...any) {
	f.Helper()
	if _, err := f.Conn.Exec(f.Context(), sql, args...); err != nil {
		f.Fatalf("%s: %v", sql, err)
	}
}

// Query returns the one value that a statement has for the operator.
func Query[T any](f *Fixture, sql string, args ...any) T {
	f.Helper()
	rows, err := f.Conn.Query(f.Context(), sql, args...)
	if err != nil {
		f.Fatalf("%s: %v", sql, err)
	}
	v, err := pgx.CollectExactlyOneRow(rows, pgx.RowTo[T])
	if err != nil {
		f.Fatalf("%s: %v", sql, err)
	}
	return v
}

// Enqueue submits a batch to n recipients spread over the domains.
func (f *Fixture) Enqueue(key string, n int, domains ...string) int64 {
	f.Helper()
	return Query[int64](f, `SELECT enotify.enqueue($1, 'info@town.example', 'Lunch menu', 'Soup.', $2)`, key,
		Addresses(n, domains))
}

// Addresses are n of them, spread over the domains.
func Addresses(n int, domains []string) []string {
	all := make([]string, n)
	for i := range all {
		all[i] = fmt.Sprintf("user%d@%s", i, domains[i%len(domains)])
	}
	return all
}

// Server is a node whose handler answers by the function.
func (f *Fixture) Server(name string, handle queue.Handler) *engine.Server {
	return &engine.Server{
		DB:        f.DB,
		Node:      queue.Node{Name: name, Egress: []netip.Addr{Egress}, HELO: "mail.host.example", Version: "test"},
		Admission: Unlimited{},
		Schedule:  engine.Schedule{First: time.Millisecond, Max: time.Millisecond},
		UntilIdle: true,
		Log:       slog.New(slog.NewTextHandler(io.Discard, nil)),
		Handler: func(ctx context.Context, m queue.Message) queue.Outcome {
			f.mu.Lock()
			if f.copies == nil {
				f.copies = map[string]int{}
			}
			f.copies[m.Address]++
			f.mu.Unlock()
			return handle(ctx, m)
		},
	}
}

// Serve runs a server to its end, with a guard that lets every client send.
func (f *Fixture) Serve(s *engine.Server) {
	f.Helper()
	if err := f.Run(f.Context(), s, "pass"); err != nil {
		f.Fatalf("Serve: %v", err)
	}
}

// Run runs a server, with a guard that finds that result for every client.
func (f *Fixture) Run(ctx context.Context, s *engine.Server, result string) error {
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
		for ctx.Err() == nil {
			began := time.Now()
			f.Judge(ctx, result)
			s.Wake()
			select {
			case <-ctx.Done():
			case <-time.After(max(10*time.Millisecond, 3*time.Since(began))): // a quarter of a processor, as a node's
			}
		}
	})
	return s.Serve(ctx)
}

// ServeUntil runs a server until the query says true.
func (f *Fixture) ServeUntil(s *engine.Server, sql string, args ...any) {
	f.Helper()
	s.UntilIdle = false
	ctx, cancel := context.WithCancel(f.Context())
	defer cancel()
	var watch sync.WaitGroup
	defer watch.Wait()
	watch.Go(func() { f.Until(cancel, sql, args...) })
	if err := f.Run(ctx, s, "pass"); err != nil {
		f.Fatalf("Serve: %v", err)
	}
}

// Judge has the guard find that result for every client that waits for it.
func (f *Fixture) Judge(ctx context.Context, result string) {
	g := guard.Guard{DB: f.DB, Every: time.Hour, Log: slog.New(slog.DiscardHandler),
		Checker: Findings(func(sender string, egress netip.Addr) queue.Verdict {
			found := result
			if f.Verdict != nil {
				found = f.Verdict(sender[strings.LastIndexByte(sender, '@')+1:], egress)
			}
			return queue.Verdict{Result: found, Blocks: found == "fail", Record: "v=spf1 -all",
				Explanation: "so says the test", ValidFor: time.Hour}
		})}
	err := g.Look(ctx)
	var refused *pgconn.PgError
	if errors.As(err, &refused) && refused.Code == "55P03" { // lock_not_available: it looks again, as in a node
		return
	}
	if err != nil && ctx.Err() == nil && !f.Deaf {
		f.Errorf("guard: %v", err)
	}
}

// Findings is a [guard.Checker] that finds what the function returns for the
// envelope sender and an egress address, and for the From: address where its
// domain is another one.
type Findings func(sender string, egress netip.Addr) queue.Verdict

// Check calls the function.
func (f Findings) Check(_ context.Context, s queue.Subject, mailFrom string) (verdicts []queue.Verdict) {
	of := func(identity, sender string) {
		for _, e := range s.Egress {
			v := f(sender, e.Addr)
			v.Identity, v.Domain, v.Egress = identity, sender[strings.LastIndexByte(sender, '@')+1:], e.Addr
			verdicts = append(verdicts, v)
		}
	}
	of("mailfrom", mailFrom)
	if !strings.HasSuffix(mailFrom, "@"+s.Client) {
		of("from", s.From)
	}
	return verdicts
}

// Sent counts the attempts per address.
func (f *Fixture) Sent() map[string]int {
	f.mu.Lock()
	defer f.mu.Unlock()
	return maps.Clone(f.copies)
}

// SentOnce fails unless n addresses were tried, and each of them once.
func (f *Fixture) SentOnce(n int) {
	f.Helper()
	Copies(f, f.Sent(), n, 1)
}

// Copies fails unless n addresses got something, and each of them so many
// copies. A loop over what was got would pass for an address that nobody tried.
func Copies(tb testing.TB, got map[string]int, n, each int) {
	tb.Helper()
	for address, copies := range got {
		if copies != each {
			tb.Errorf("%s: got %d copies, want %d", address, copies, each)
		}
	}
	if len(got) != n {
		tb.Errorf("addresses with a copy: got %d, want %d", len(got), n)
	}
}

// ForgetSent has Sent begin again.
func (f *Fixture) ForgetSent() {
	f.mu.Lock()
	defer f.mu.Unlock()
	clear(f.copies)
}

// States counts the recipients of a batch by state, from the view delivery.
func (f *Fixture) States(batch int64) map[string]int {
	f.Helper()
	rows, err := f.Conn.Query(f.Context(),
		`SELECT state, count(*)::int FROM enotify.delivery WHERE batch_id = $1 GROUP BY state`, batch)
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

// Balances fails unless the books of all batches balance.
func (f *Fixture) Balances() {
	f.Helper()
	audits, err := insight.Of(f.DB).Audit(f.Context(), 0)
	if err != nil {
		f.Fatal(err)
	}
	for _, a := range audits {
		if len(a.Problems) > 0 {
			f.Errorf("audit of batch %d: %v", a.Batch, a.Problems)
		}
	}
}

// Unlimited admits everything.
type Unlimited struct{}

// Admit grants all.
func (Unlimited) Admit(_ string, want int, _ time.Time) (int, queue.Wait) { return want, queue.Wait{} }

// Closure closes nothing.
func (Unlimited) Closure(string, time.Time) queue.Closure { return queue.Closure{} }

// Assign does nothing.
func (Unlimited) Assign(string, string, time.Time) {}

// Done frees no site.
func (Unlimited) Done(string, queue.Outcome, time.Time) string { return "" }

// Deliver is a handler whose receiver takes every message.
func Deliver(_ context.Context, m queue.Message) queue.Outcome {
	if !m.MayEnd() {
		return queue.Outcome{State: queue.Deferred, Class: queue.NotBegun}
	}
	return queue.Outcome{State: queue.Delivered, Reply: queue.Reply{Code: 250, Text: "ok"}}
}

// Until calls then once the query says true. It has a connection of its own,
// so that it may run beside the test. After the fixture's patience it gives up.
func (f *Fixture) Until(then func(), sql string, args ...any) {
	defer then()
	conn, err := pgx.Connect(f.Context(), f.URL)
	if err != nil {
		f.Error(err)
		return
	}
	defer conn.Close(context.Background())
	patience := cmp.Or(f.Patience, 2*time.Minute)
	giveUp := time.Now().Add(patience)
	for yes := false; !yes; {
		if time.Now().After(giveUp) {
			f.Errorf("after %v it is still not so: %s %v", patience, sql, args)
			return
		}
		if err := conn.QueryRow(f.Context(), sql, args...).Scan(&yes); err != nil {
			if f.Context().Err() == nil {
				f.Errorf("%s: %v", sql, err)
			}
			return
		}
		time.Sleep(5 * time.Millisecond)
	}
}

// AnswerByDomain is a handler that delivers, except at gone.example, which has no such user,
// and at strict.example, which finds that the client's record does not authorise us.
func AnswerByDomain(ctx context.Context, m queue.Message) queue.Outcome {
	switch m.Domain {
	case "gone.example":
		return queue.Outcome{State: queue.Bounced, Class: queue.NoSuchUser,
			Reply: queue.Reply{Code: 550, Enhanced: "5.1.1", Text: "no such user"}}
	case "strict.example":
		return queue.Outcome{State: queue.Bounced, Class: queue.AuthRejected,
			Reply: queue.Reply{Code: 550, Enhanced: "5.7.1", Text: "SPF"}}
	}
	return Deliver(ctx, m)
}
