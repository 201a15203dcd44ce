package queue_test

import (
	"testing"

	"github.com/jackc/pgx/v5"

	"enotify/queue/queuetest"
)

// Two transactions enqueue with one key at the same time: the second waits for the
// first, and gets the batch of the first when that commits, one of its own when it
// does not.
func TestSameKeyInTwoTransactions(t *testing.T) {
	t.Parallel()
	const sql = `SELECT enotify.enqueue($1, 'info@town.example', 's', 't', '{x@a.example}')`
	for end, same := range map[string]bool{"COMMIT": true, "ROLLBACK": false} {
		t.Run(end, func(t *testing.T) {
			t.Parallel()
			f := queuetest.NewFixture(t)
			app := queuetest.Login(t, f.URL, "enotify_app")
			first, second := queuetest.Connect(t, app), queuetest.Connect(t, app)
			enqueue := func(c *pgx.Conn) (batch int64) {
				if err := c.QueryRow(t.Context(), sql, "k").Scan(&batch); err != nil {
					t.Error(err)
				}
				return batch
			}
			if _, err := first.Exec(t.Context(), `BEGIN`); err != nil {
				t.Fatal(err)
			}
			one := enqueue(first)
			other := make(chan int64, 1)
			go func() { other <- enqueue(second) }()
			f.Until(func() {}, `SELECT coalesce(wait_event_type = 'Lock', false) FROM pg_stat_activity WHERE pid = $1`,
				int(second.PgConn().PID()))
			if _, err := first.Exec(t.Context(), end); err != nil {
				t.Fatal(err)
			}
			if got := <-other; (got == one) != same {
				t.Errorf("after %s of batch %d the other transaction got batch %d; want the same one: %v", end, one,
					got, same)
			}
			if got := queuetest.Query[int](f,
				`SELECT count(*)::int FROM enotify.batch WHERE state = 'queued'`); got != 1 {
				t.Errorf("batches: got %d, want 1", got)
			}
		})
	}
}
