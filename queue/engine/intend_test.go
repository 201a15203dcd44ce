package engine_test

import (
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/jackc/pgx/v5"

	"enotify/queue"
	"enotify/queue/queuetest"
	"enotify/queue/retention"
)

// Each row of suppression says why an address gets no mail from a client, or says nothing
// of this mail.
func TestIntentsAskForSuppressionsAddedAfterTheSeal(t *testing.T) {
	t.Parallel()
	for name, forget := range map[string]bool{"nobody was forgotten": false, "somebody was forgotten": true} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			intentsAskForSuppressions(t, forget)
		})
	}
}

func intentsAskForSuppressions(t *testing.T, forget bool) {
	f := queuetest.NewFixture(t)
	f.Exec(`INSERT INTO enotify.client (domain) VALUES ('other.example')`)
	batch := queuetest.Query[int64](f, `SELECT enotify.enqueue('menu', 'info@town.example', 'Lunch menu', 'Soup.',
		ARRAY['All@a.example', 'own@a.example', 'both@a.example', 'others@a.example', 'ended@a.example',
			'forgotten@a.example'] || ARRAY(SELECT 'user' || i || '@b.example' FROM generate_series(1, 600) i))`)
	f.Exec(`
INSERT INTO enotify.suppression (address, client_id, cause, until) SELECT s.address, c.id, s.cause, s.until
FROM (VALUES ('all@a.example', NULL, 'no_such_user', NULL), ('own@a.example', 'town.example', 'unsubscribe', NULL),
	('both@a.example', 'town.example', 'unsubscribe', NULL), ('both@a.example', NULL, 'mailbox_full', NULL),
	('others@a.example', 'other.example', 'unsubscribe', NULL),
	('ended@a.example', NULL, 'mailbox_full', now() - interval '1 day')) s (address, client, cause, until)
LEFT JOIN enotify.client c ON c.domain = s.client`)
	want, delivered := []string{"All no_such_user", "both mailbox_full", "own -"}, 603
	if forget {
		if _, err := retention.Of(f.DB).Forget(t.Context(), "forgotten@a.example", true); err != nil {
			t.Fatal(err)
		}
		want, delivered = append([]string{" -"}, want...), 602
	}
	f.Serve(f.Server("n1", queuetest.Deliver))

	rows, err := f.Conn.Query(t.Context(), `
SELECT format('%s %s', nullif(split_part(r.address, '@', 1), ''), coalesce(o.class::text, '-'))
FROM enotify.outcome o JOIN enotify.recipient r USING (batch_id, seq)
WHERE o.batch_id = $1 AND o.state = 'suppressed' ORDER BY r.address`, batch)
	if err != nil {
		t.Fatal(err)
	}
	got, err := pgx.CollectRows(rows, pgx.RowTo[string])
	if err != nil {
		t.Fatal(err)
	}
	if !cmp.Equal(got, want) {
		t.Errorf("suppressed, with their classes: got %q, want %q", got, want)
	}
	if got, want := f.States(batch), map[string]int{"delivered": delivered, "suppressed": len(want)}; !cmp.Equal(got, want) {
		t.Errorf("states: got %v, want %v", got, want)
	}
}

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
