package engine_test

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

// fleetSQL makes $1 domains of as many sites, spread over the groups as
// submit_batch spreads them.
const fleetSQL = `
INSERT INTO enotify.domain (name, grp)
SELECT name, (hashtextextended(name, 0) & 63)::smallint FROM (SELECT 'd' || i || '.example' FROM generate_series(1, $1) i) d (name)`

const (
	balanceSQL = `
SELECT count(*) FILTER (WHERE until > clock_timestamp() AND node_id IS NOT NULL),
       count(DISTINCT node_id) FILTER (WHERE until > clock_timestamp()),
       coalesce(bool_or(node_id = $1 AND until > clock_timestamp()), false)
FROM enotify.lease`

	// domainsSQL compares the node with the most domains to a fair share.
	domainsSQL = `
SELECT max(n) / avg(n) FROM (
    SELECT l.node_id, count(*) AS n FROM enotify.domain d JOIN enotify.lease l USING (grp) GROUP BY 1) per_node`

	transactionsSQL = `SELECT xact_commit FROM pg_stat_database WHERE datname = current_database()`
)

// BenchmarkFleet has 32 nodes share the leases of a million domains, with nothing
// to send: how even the shares are, how long the groups of a node that leaves and
// of one that dies wait for another, and what all heartbeats cost the database.
func BenchmarkFleet(b *testing.B) {
	const nodes, domains = 32, 1_000_000
	url := queuetest.New(b)
	conn, err := pgx.Connect(b.Context(), url)
	if err != nil {
		b.Fatal(err)
	}
	defer conn.Close(context.Background())
	if _, err := conn.Exec(b.Context(), fleetSQL, domains); err != nil {
		b.Fatal(err)
	}
	all, lost, ears := fleetDB(b, url, 8), fleetDB(b, url, 2), fleetDB(b, url, nodes+1)

	var serving sync.WaitGroup
	defer serving.Wait()
	ctx, stop := context.WithCancel(b.Context())
	defer stop()
	start := func(ctx context.Context, db *queue.DB, name string) {
		s := &engine.Server{
			DB: db, Node: queue.Node{Name: name, Egress: []netip.Addr{queuetest.Egress}, HELO: "mail.host.example",
				Version: "test"},
			Admission: queuetest.Unlimited{}, Handler: queuetest.Deliver,
			Log: slog.New(slog.NewTextHandler(io.Discard, nil)), Grace: time.Second,
		}
		serving.Go(func() { _ = s.Serve(ctx) })
		serving.Go(func() { _ = ears.Listen(ctx, s.Heard) })
	}
	// until waits until live nodes hold all groups, and the node of that name none.
	until := func(live int, gone string) time.Duration {
		began := time.Now()
		var id int
		// none of that name: 0
		_ = conn.QueryRow(b.Context(), `SELECT id FROM enotify.node WHERE name = $1`, gone).Scan(&id)
		for {
			var held, holders int
			var holds bool
			if err := conn.QueryRow(b.Context(), balanceSQL, id).Scan(&held, &holders, &holds); err != nil {
				b.Fatal(err)
			}
			if held == 64 && holders == live && !holds {
				return time.Since(began)
			}
			time.Sleep(20 * time.Millisecond)
		}
	}
	count := func() (n float64) {
		if err := conn.QueryRow(b.Context(), transactionsSQL).Scan(&n); err != nil {
			b.Fatal(err)
		}
		return n
	}

	for b.Loop() {
		leaving, leave := context.WithCancel(ctx)
		dying, die := context.WithCancel(ctx)
		start(leaving, all, "leaves")
		start(dying, lost, "dies")
		for i := 2; i < nodes; i++ {
			start(ctx, all, fmt.Sprintf("n%d", i))
		}
		b.ReportMetric(until(nodes, "").Seconds(), "s-to-balance")
		var uneven float64
		if err := conn.QueryRow(b.Context(), domainsSQL).Scan(&uneven); err != nil {
			b.Fatal(err)
		}
		b.ReportMetric(uneven, "most/fair-share")

		const quiet = 10 * time.Second
		time.Sleep(quiet) // PostgreSQL counts what was done before with a delay
		before := count()
		time.Sleep(quiet) // what is measured is what happens meanwhile
		b.ReportMetric((count()-before)/quiet.Seconds(), "transactions/s")

		leave()
		b.ReportMetric(until(nodes-1, "leaves").Seconds(), "s-after-leave")
		lost.Close() // its heartbeats fail, and it gives nothing back
		b.ReportMetric(until(nodes-2, "dies").Seconds(), "s-after-death")
		die()
		stop()
		serving.Wait()
	}
}

func fleetDB(b *testing.B, url string, connections int32) *queue.DB {
	b.Helper()
	db, err := queue.Open(b.Context(), url, connections)
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(db.Close)
	return db
}
