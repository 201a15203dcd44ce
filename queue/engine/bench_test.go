package engine_test

import (
	"context"
	"io"
	"log/slog"
	"net/netip"
	"sync"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"enotify/queue"
	"enotify/queue/engine"
	"enotify/queue/events"
	"enotify/queue/queuetest"
	"enotify/queue/retention"
)

// stageSQL stages $2 recipients over up to 20,000 domains; gmail.com has 35 %.
const stageSQL = `
INSERT INTO enotify.recipient_in (batch_id, address)
SELECT $1, 'user' || i || '@' || CASE WHEN i % 100 < 35 THEN 'gmail.com' ELSE 'd' || (hashint4(i) & 32767) % 20000 || '.example' END
FROM generate_series(1, $2) i`

func stage(b *testing.B, conn *pgx.Conn, n int) (batch int64) {
	b.Helper()
	ctx := b.Context()
	for _, sql := range []string{
		`INSERT INTO enotify.client (domain) VALUES ('town.example') ON CONFLICT DO NOTHING`,
		`INSERT INTO enotify.verdict (client_id, identity, domain, egress, result, blocks, valid_until) SELECT id, 'mailfrom', domain, '192.0.2.1', 'pass', false, now() + interval '1 day' FROM enotify.client`,
	} {
		if _, err := conn.Exec(ctx, sql); err != nil {
			b.Fatal(err)
		}
	}
	if err := conn.QueryRow(ctx, `SELECT enotify.create_batch(idem_key => 'bench', from_address => 'info@town.example', subject => 's', body_text => 't')`).Scan(&batch); err != nil {
		b.Fatal(err)
	}
	if _, err := conn.Exec(ctx, stageSQL, batch, n); err != nil {
		b.Fatal(err)
	}
	return batch
}

// BenchmarkSeal seals a million staged rows in one call.
func BenchmarkSeal(b *testing.B) {
	const n = 1_000_000
	for b.Loop() {
		b.StopTimer()
		url := queuetest.New(b)
		conn, err := pgx.Connect(b.Context(), url)
		if err != nil {
			b.Fatal(err)
		}
		defer conn.Close(context.Background())
		batch := stage(b, conn, n)
		b.StartTimer()
		var total int
		if err := conn.QueryRow(b.Context(), `SELECT enotify.submit_batch($1, $2)`, batch,
			n).Scan(&total); err != nil || total != n {
			b.Fatalf("sealed %d, want %d: %v", total, n, err)
		}
	}
	b.ReportMetric(n*float64(b.N)/b.Elapsed().Seconds(), "recipients/s")
}

// BenchmarkServe takes recipients through intent and outcome, with a handler
// that says at once that all is well, over four connections.
func BenchmarkServe(b *testing.B) {
	const n = 400_000
	var took time.Duration
	for range b.N {
		took += serveAll(b, n, false)
	}
	b.ReportMetric(n*float64(b.N)/took.Seconds(), "recipients/s")
}

// BenchmarkEvents does the same with events recorded and numbered, and without, in turns,
// so that both have the same neighbours.
func BenchmarkEvents(b *testing.B) {
	const n = 200_000
	var off, on time.Duration
	for i := range b.N {
		for j := range 2 {
			if (i+j)%2 == 1 {
				on += serveAll(b, n, true)
			} else {
				off += serveAll(b, n, false)
			}
		}
	}
	b.ReportMetric(n*float64(b.N)/off.Seconds(), "off/s")
	b.ReportMetric(n*float64(b.N)/on.Seconds(), "on/s")
	b.ReportMetric(100*(on.Seconds()/off.Seconds()-1), "%longer")
}

// serveAll serves a batch to n recipients, and returns how long that takes.
func serveAll(b *testing.B, n int, told bool) time.Duration {
	b.Helper()
	url := queuetest.New(b)
	conn, err := pgx.Connect(b.Context(), url)
	if err != nil {
		b.Fatal(err)
	}
	defer conn.Close(context.Background())
	if _, err := conn.Exec(b.Context(), `SELECT enotify.submit_batch($1)`, stage(b, conn, n)); err != nil {
		b.Fatal(err)
	}
	db, err := queue.Open(b.Context(), url, 4)
	if err != nil {
		b.Fatal(err)
	}
	defer db.Close()
	s := &engine.Server{
		DB:        db,
		Node:      queue.Node{Name: "bench", Egress: []netip.Addr{queuetest.Egress}, HELO: "mail.host.example"},
		Handler:   queuetest.Deliver,
		Admission: queuetest.Unlimited{},
		UntilIdle: true,
		Log:       slog.New(slog.NewTextHandler(io.Discard, nil)),
	}
	if _, err := conn.Exec(b.Context(), `UPDATE enotify.event_setting SET every = $1`, told); err != nil {
		b.Fatal(err)
	}
	ctx, cancel := context.WithCancel(b.Context())
	var numbering sync.WaitGroup
	defer numbering.Wait()
	defer cancel()
	numbering.Go(func() { // as package webhook does
		for tick := time.NewTicker(500 * time.Millisecond); ctx.Err() == nil; {
			_, _ = events.Of(db).Number(ctx)
			select {
			case <-ctx.Done():
			case <-tick.C:
			}
		}
	})
	start := time.Now()
	if err := s.Serve(b.Context()); err != nil {
		b.Fatal(err)
	}
	return time.Since(start)
}

// BenchmarkPrune drops a batch to a million recipients, each with an outcome.
func BenchmarkPrune(b *testing.B) {
	const n = 1_000_000
	for b.Loop() {
		b.StopTimer()
		url := queuetest.New(b)
		conn, err := pgx.Connect(b.Context(), url)
		if err != nil {
			b.Fatal(err)
		}
		defer conn.Close(context.Background())
		batch := stage(b, conn, n)
		for _, sql := range []string{
			`SELECT enotify.submit_batch($1)`,
			`INSERT INTO enotify.outcome (batch_id, seq, state) SELECT batch_id, seq, 'delivered' FROM enotify.recipient WHERE batch_id = $1`,
			`UPDATE enotify.batch SET state = 'done', finished_at = now() WHERE id = $1`,
		} {
			if _, err := conn.Exec(b.Context(), sql, batch); err != nil {
				b.Fatal(err)
			}
		}
		db, err := queue.Open(b.Context(), url, 0)
		if err != nil {
			b.Fatal(err)
		}
		defer db.Close()
		b.StartTimer()
		var longest time.Duration
		last := time.Now()
		if err := retention.Of(db).Prune(b.Context(), batch,
			func(int) { longest = max(longest, time.Since(last)); last = time.Now() }); err != nil {
			b.Fatal(err)
		}
		b.ReportMetric(float64(longest.Milliseconds()), "ms/longest-step")
	}
}
