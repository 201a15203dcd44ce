package engine_test

import (
	"context"
	"fmt"
	"io"
	"log/slog"
	"net/netip"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"enotify/queue"
	"enotify/queue/engine"
	"enotify/queue/queuetest"
)

// whole is an Admission that admits everything, small batches as a whole too.
type whole struct{ queuetest.Unlimited }

func (whole) AdmitAll(map[string]int, bool, time.Time) bool { return true }

// BenchmarkSmallBatches sends 2,000 batches to five recipients each, at 50 domains,
// with a handler that says at once that all is well: on a server that waits for its
// disk, and on one that does not.
func BenchmarkSmallBatches(b *testing.B) {
	const n = 2000
	for name, open := range map[string]func(testing.TB) string{"durable": queuetest.Durable,
		"fsync=off": queuetest.New} {
		b.Run(name, func(b *testing.B) {
			for b.Loop() {
				b.StopTimer()
				url := open(b)
				db, err := queue.Open(b.Context(), url, 4)
				if err != nil {
					b.Fatal(err)
				}
				defer db.Close()
				conn, err := pgx.Connect(b.Context(), url)
				if err != nil {
					b.Fatal(err)
				}
				defer conn.Close(context.Background())
				for _, sql := range []string{
					`INSERT INTO enotify.client (domain) SELECT 'c' || i || '.example' FROM generate_series(0, 49) i`,
					`INSERT INTO enotify.verdict (client_id, identity, domain, egress, result, blocks, valid_until) SELECT id, 'mailfrom', domain, '192.0.2.1', 'pass', false, now() + interval '1 day' FROM enotify.client`,
				} {
					if _, err := conn.Exec(b.Context(), sql); err != nil {
						b.Fatal(err)
					}
				}
				began := time.Now()
				for i := range n {
					names := make([]string, 5)
					for j := range names {
						names[j] = fmt.Sprintf("d%d.example", (i+j)%50)
					}
					if _, err := conn.Exec(b.Context(), `SELECT enotify.enqueue($1, $2, 'Lunch menu', 'Soup.', $3)`,
						fmt.Sprint(i), fmt.Sprintf("info@c%d.example", i%50),
						queuetest.Addresses(5, names)); err != nil {
						b.Fatal(err)
					}
				}
				b.ReportMetric(n/time.Since(began).Seconds(), "submits/s")
				s := &engine.Server{
					DB: db, Node: queue.Node{Name: "bench", Egress: []netip.Addr{queuetest.Egress},
						HELO: "mail.host.example"},
					Handler: queuetest.Deliver, Admission: whole{}, UntilIdle: true,
					Log: slog.New(slog.NewTextHandler(io.Discard, nil)),
				}
				b.StartTimer()
				if err := s.Serve(b.Context()); err != nil {
					b.Fatal(err)
				}
				b.StopTimer()
				var done int
				if err := conn.QueryRow(b.Context(),
					`SELECT count(*) FROM enotify.batch WHERE state = 'done'`).Scan(&done); err != nil || done != n {
					b.Fatalf("batches done: got %d, want %d: %v", done, n, err)
				}
				b.StartTimer()
			}
			b.ReportMetric(n*float64(b.N)/b.Elapsed().Seconds(), "batches/s")
		})
	}
}
