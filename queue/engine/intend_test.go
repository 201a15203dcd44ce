package engine_test

import (
	"testing"

	"github.com/jackc/pgx/v5"

	"enotify/queue"
	"enotify/queue/queuetest"
)

// A plan made when nothing was known of a table looks cheaper than those after ANALYZE:
// left to itself PostgreSQL makes a new one for each intent from then on.
func TestIntentsAreNotPlannedAgain(t *testing.T) {
	t.Parallel()
	f := queuetest.NewFixture(t)
	db, err := queue.Open(t.Context(), f.URL, 1) // so that all statements are of one session
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(db.Close)
	for _, key := range []string{"before", "after"} {
		f.Enqueue(key, 4000, "a.example", "b.example", "c.example")
		s := f.Server("n1", queuetest.Deliver)
		s.DB = db
		f.Serve(s)
		f.Exec(`ANALYZE`)
	}
	var kept, made int
	if err := db.WithConn(t.Context(), func(c *pgx.Conn) error {
		return c.QueryRow(t.Context(), `SELECT sum(generic_plans), sum(custom_plans) FROM pg_prepared_statements
			WHERE statement LIKE '%SET intent_seq = d.intent_seq + w.n%'`).Scan(&kept, &made)
	}); err != nil {
		t.Fatal(err)
	}
	if kept < 10 || made > 0 {
		t.Errorf("intents: got %d with the kept plan and %d with one of their own, want at least 10 and 0", kept, made)
	}
}
