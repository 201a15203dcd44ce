package engine_test

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"log/slog"
	"net/netip"
	"os"
	"strconv"
	"strings"
	"sync"
	"syscall"
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
// that says at once that all is well, over four connections: on a server that waits
// for its disk, and on one that does not.
func BenchmarkServe(b *testing.B) {
	const n = 400_000
	for name, open := range map[string]func(testing.TB) string{"durable": queuetest.Durable,
		"fsync=off": queuetest.New} {
		b.Run(name, func(b *testing.B) {
			var all spent
			for range b.N {
				all = all.plus(serveAll(b, open(b), n, false))
			}
			served := float64(n) * float64(b.N)
			b.ReportMetric(served/all.time.Seconds(), "recipients/s")
			b.ReportMetric(float64(all.wal)/served, "walB/recipient")
			b.ReportMetric(float64(all.server.Microseconds())/served, "serverCPU-us/recipient")
			b.ReportMetric(float64(all.node.Microseconds())/served, "nodeCPU-us/recipient")
		})
	}
}

// spent is what a benchmark took.
type spent struct {
	time   time.Duration
	wal    int64         // octets
	server time.Duration // CPU of all processes of PostgreSQL; 0 where they are on another machine
	node   time.Duration // CPU of this process
}

func (s spent) plus(t spent) spent {
	return spent{s.time + t.time, s.wal + t.wal, s.server + t.server, s.node + t.node}
}

func (s spent) minus(t spent) spent {
	return spent{s.time - t.time, s.wal - t.wal, s.server - t.server, s.node - t.node}
}

// spentUntilNow is what was spent up to now, on a server from its start.
func spentUntilNow(b *testing.B, conn *pgx.Conn, start time.Time) spent {
	b.Helper()
	s := spent{time: time.Since(start)}
	var processes []int
	if err := conn.QueryRow(b.Context(), `
SELECT pg_wal_lsn_diff(pg_current_wal_insert_lsn(), '0/0')::bigint, ARRAY(SELECT pid FROM pg_stat_activity)`).Scan(
		&s.wal, &processes); err != nil {
		b.Fatal(err)
	}
	for _, pid := range processes {
		stat, _ := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid)) // proc_pid_stat(5)
		fields := strings.Fields(string(stat[bytes.LastIndexByte(stat, ')')+1:]))
		if len(fields) > 12 {
			for _, ticks := range fields[11:13] { // of user and system
				n, _ := strconv.Atoi(ticks)
				s.server += time.Duration(n) * time.Second / 100
			}
		}
	}
	var own syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &own); err != nil {
		b.Fatal(err)
	}
	s.node = time.Duration(own.Utime.Nano() + own.Stime.Nano())
	return s
}

// BenchmarkEvents does the same with events recorded and numbered, and without, in turns,
// so that both have the same neighbours.
func BenchmarkEvents(b *testing.B) {
	const n = 200_000
	var off, on time.Duration
	for i := range b.N {
		for j := range 2 {
			if (i+j)%2 == 1 {
				on += serveAll(b, queuetest.New(b), n, true).time
			} else {
				off += serveAll(b, queuetest.New(b), n, false).time
			}
		}
	}
	b.ReportMetric(n*float64(b.N)/off.Seconds(), "off/s")
	b.ReportMetric(n*float64(b.N)/on.Seconds(), "on/s")
	b.ReportMetric(100*(on.Seconds()/off.Seconds()-1), "%longer")
}

// serveAll serves a batch to n recipients, and returns what that takes.
func serveAll(b *testing.B, url string, n int, told bool) spent {
	b.Helper()
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
	before := spentUntilNow(b, conn, start)
	if err := s.Serve(b.Context()); err != nil {
		b.Fatal(err)
	}
	return spentUntilNow(b, conn, start).minus(before)
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
