package engine_test

import (
	"context"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/jackc/pgx/v5"

	"enotify/queue"
	"enotify/queue/queuetest"
)

// PostgreSQL goes away under a node in every way there is, while it sends: all
// sessions are ended, it turns read-only, it is restarted. The node goes on by
// itself; nobody is lost, gets two, or is left in doubt.
func TestDatabaseGoesAway(t *testing.T) {
	t.Parallel()
	f := queuetest.NewOwnServer(t, false)
	do := func(statements ...string) {
		t.Helper()
		conn, err := pgx.Connect(t.Context(), f.URL)
		if err != nil {
			t.Fatal(err)
		}
		defer conn.Close(context.Background())
		for _, sql := range statements {
			if _, err := conn.Exec(t.Context(), sql); err != nil {
				t.Fatalf("%s: %v", sql, err)
			}
		}
	}
	batch := f.Enqueue("menu", 4000, "a.example", "b.example", "c.example")

	s := f.Server("n1", func(ctx context.Context, m queue.Message) queue.Outcome {
		time.Sleep(time.Millisecond)
		return queuetest.Deliver(ctx, m)
	})
	s.UntilIdle, s.MaxInFlight = false, 20
	ctx, cancel := context.WithCancel(t.Context())
	served := make(chan error, 1)
	go func() { served <- f.Run(ctx, s, "pass") }()
	delivered := `SELECT delivered >= $2 FROM enotify.batch_status WHERE id = $1`
	nothing := func() {}

	f.Until(nothing, delivered, batch, 500)
	do(`SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = current_database() AND pid <> pg_backend_pid()`)

	f.Until(nothing, delivered, batch, 1500)
	do(`ALTER DATABASE postgres SET default_transaction_read_only = on`)
	do(`SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = current_database() AND pid <> pg_backend_pid()`)
	var refused int
	for before := -1; refused < 3; { // it sends nothing that it cannot record
		time.Sleep(200 * time.Millisecond)
		now := len(f.Sent())
		if now == before {
			refused++
		}
		before = now
	}
	do(`SET default_transaction_read_only = off`, `ALTER DATABASE postgres RESET default_transaction_read_only`)
	do(`SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = current_database() AND pid <> pg_backend_pid()`)

	f.Until(nothing, delivered, batch, 2500)
	if err := f.PostgreSQL.Stop(t.Context()); err != nil {
		t.Fatal(err)
	}
	f.Restart()
	f.Until(cancel, `SELECT state = 'done' FROM enotify.batch WHERE id = $1`, batch)
	if err := <-served; err != nil {
		t.Fatal(err)
	}
	f.Conn = queuetest.Connect(t, f.URL)
	if got, want := f.States(batch), map[string]int{"delivered": 4000}; !cmp.Equal(got, want) {
		t.Errorf("states: got %v, want %v", got, want)
	}
	f.SentOnce(4000)
}
