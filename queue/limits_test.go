package queue_test

import (
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/jackc/pgx/v5/pgconn"

	"enotify/queue"
	"enotify/queue/queuetest"
)

// An application cannot outrank what the operator has reserved; the operator may
// give its client more, or any priority to a batch of his own.
func TestPriorityHasACeiling(t *testing.T) {
	t.Parallel()
	f, app := confined(t)
	const call = `SELECT enotify.enqueue($1, 'info@town.example', 'S', 'x', '{a@a.example}', priority => $2)`
	must := func(key string, priority int) {
		t.Helper()
		if _, err := app.Exec(t.Context(), call, key, priority); err != nil {
			t.Errorf("priority %d: %v", priority, err)
		}
	}
	must("urgent", 10)
	queuetest.Refused(t, app, `SELECT enotify.enqueue('most', 'info@town.example', 'S', 'x', '{a@a.example}', priority => 1000000)`,
		"priority 1000000 is above 10, the highest that client town.example may use")
	highest := 50
	if _, err := f.DB.SetClient(t.Context(), "town.example", queue.ClientChange{MaxPriority: &highest}); err != nil {
		t.Fatal(err)
	}
	must("more", 50)
	f.Exec(call, "operator", 1000)
}

// A login has a limited number of drafts, and one that nobody submits ends with
// what was staged for it.
func TestDraftsAreLimited(t *testing.T) {
	t.Parallel()
	f, app := confined(t)
	if _, err := app.Exec(t.Context(), `SELECT count(enotify.create_batch('d' || i, 'info@town.example', 'S', 'x')) FROM generate_series(1, 1000) i`); err != nil {
		t.Fatal(err)
	}
	queuetest.Refused(t, app, `SELECT enotify.create_batch('one more', 'info@town.example', 'S', 'x')`,
		"has 1000 drafts, and may have no more")
	if _, err := app.Exec(t.Context(), `SELECT enotify.add_recipients(enotify.create_batch('d1', 'info@town.example', 'S', 'x'), '{a@a.example}')`); err != nil {
		t.Errorf("a draft that is there: %v", err)
	}
	const ready = `SELECT count(enotify.keep_ready(enotify.create_batch('d' || i, 'info@town.example', 'S', 'x')))
		FROM generate_series($1::int, $2::int) i`
	if _, err := app.Exec(t.Context(), ready, 101, 120); err != nil {
		t.Errorf("20 drafts kept ready: %v", err)
	}
	queuetest.Refused(t, app, ready, "keeps 20 drafts ready, and may have no more", 121, 121)
	f.Exec(`UPDATE enotify.batch SET created_at = now() - interval '8 days' WHERE idem_key IN ('d1', 'd2')`)
	f.Serve(f.Server("n1", queuetest.Deliver))
	if got := queuetest.Query[int](f, `SELECT count(*)::int FROM enotify.batch WHERE state = 'cancelled' AND finished_at IS NOT NULL`); got != 2 {
		t.Errorf("drafts that ended: got %d, want 2", got)
	}
	if got := queuetest.Query[int](f, `SELECT count(*)::int FROM enotify.recipient_in`); got != 0 {
		t.Errorf("rows staged for them: got %d, want 0", got)
	}
}

// A login can stage so many recipients, or octets, in all of its drafts. What it submits
// or cancels counts no more. Operators may go on.
func TestStagingIsLimited(t *testing.T) {
	t.Parallel()
	f, app := confined(t)
	run := func(sql string) {
		t.Helper()
		if _, err := app.Exec(t.Context(), sql); err != nil {
			t.Errorf("%s: %v", sql, err)
		}
	}
	noted := func(what string, want int64) {
		t.Helper()
		if got := queuetest.Query[int64](f, `SELECT coalesce(sum(recipients), 0)::bigint FROM enotify.staged_size`); got != want {
			t.Errorf("recipients noted after %s: got %d, want %d", what, got, want)
		}
	}
	const stage = `INSERT INTO enotify.recipient_in (batch_id, address) SELECT %d, format('user%%s@a.example', i) FROM generate_series(1, %d) i`
	run(`SELECT enotify.create_batch('d' || i, 'info@town.example', 'S', 'x') FROM generate_series(1, 3) i`) // numbers 2 to 4
	run(fmt.Sprintf(stage, 2, 10_000))
	noted("a large statement", 10_000)
	f.Exec(`INSERT INTO enotify.staged_size (batch_id, recipients, octets, login) VALUES (3, 19989995, 1, $1)`, app.Config().User)
	queuetest.Refused(t, app, fmt.Sprintf(stage, 4, 6), "about 20000001 recipients in 3 drafts, where 20000000 are allowed")
	_, err := app.Exec(t.Context(), fmt.Sprintf(stage, 4, 6))
	if refused := (*pgconn.PgError)(nil); !errors.As(err, &refused) || !strings.Contains(refused.Hint, "enotify batch cancel 3;") {
		t.Errorf("what to do next: got %+v, want the largest draft to be named", refused)
	}
	f.Exec(fmt.Sprintf(stage, 4, 6)) // the operator
	f.Exec(`SELECT enotify.cancel_batch(3)`)
	noted("the other draft was cancelled", 10_000)
	run(fmt.Sprintf(stage, 4, 10_000))
	run(`SELECT enotify.submit_batch(2)`)
	noted("one was submitted", 10_000)

	f.Exec(`UPDATE enotify.staged_size SET octets = 10::bigint << 30`)
	queuetest.Refused(t, app, `SELECT enotify.add_recipients(4, '{a@a.example}')`,
		"recipients of about 10 GB in 1 drafts, where 10 GB are allowed")
	f.Exec(`UPDATE enotify.batch SET created_at = now() - interval '8 days' WHERE id = 4`)
	f.Serve(f.Server("n1", queuetest.Deliver))
	noted("the last draft ended", 0)
}

// A login sees the alerts of its own clients, and can raise none.
func TestAlertsAreOfOnesOwnClients(t *testing.T) {
	t.Parallel()
	f, app := confined(t)
	for _, client := range []string{"town.example", "city.example", ""} {
		if err := f.DB.Raise(t.Context(),
			queue.Alert{Kind: queue.AlertContent, Client: client, Text: "something",
				Next: "enotify batch list"}); err != nil {
			t.Fatal(err)
		}
	}
	var seen []string
	if err := app.QueryRow(t.Context(), `SELECT array_agg(client) FROM enotify.alert`).Scan(&seen); err != nil ||
		len(seen) != 1 || seen[0] != "town.example" {
		t.Errorf("alerts that the login of town.example sees: got %v and %v, want its own", seen, err)
	}
	if got := queuetest.Query[int](f, `SELECT count(*)::int FROM enotify.alert`); got != 3 {
		t.Errorf("alerts that the operator sees: got %d, want 3", got)
	}
	queuetest.Refused(t, app, `SELECT enotify.raise_alert('content', 'city.example', 1, '', 'forged', '')`, "permission denied")
}
