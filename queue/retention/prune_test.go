package retention_test

import (
	"context"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"enotify/queue"
	"enotify/queue/queuetest"
	"enotify/queue/retention"
)

// What is left of a pruned batch is what others rely on: its line with all
// counts, its log and its key, and what it taught us of addresses.
func TestPruneKeepsCountsAndKey(t *testing.T) {
	t.Parallel()
	f := queuetest.NewFixture(t)
	f.Exec(`INSERT INTO enotify.suppression (address, cause) VALUES ('user0@a.example', 'operator')`)
	batch := f.Enqueue("menu", 30, "a.example", "gone.example", "no address")
	f.Exec(`SELECT enotify.create_batch('files', 'info@town.example', 's', 't')`)
	f.Exec(`SELECT enotify.add_attachment(2, 'a.txt', 'x')`)
	f.Exec(`SELECT enotify.cancel_batch(2)`)
	f.Serve(f.Server("n1", queuetest.AnswerByDomain))
	late := f.Enqueue("late", 7, "a.example")
	f.Exec(`UPDATE enotify.batch SET expires_at = now() WHERE id = $1`, late)
	f.Serve(f.Server("n2", queuetest.AnswerByDomain))
	unfinished := f.Enqueue("next", 2, "a.example")

	// of a node whose journal never came
	f.Exec(`INSERT INTO enotify.doubt (batch_id, seq, node_id, attempts, tries) VALUES ($1, 1, 1, 0, 1)`, batch)

	before := statuses(f)
	for batch, want := range map[int64]bool{batch: true, 2: true, late: true} {
		steps := 0
		for after := new(int); after != nil; steps++ {
			after = queuetest.Query[*int](f, `SELECT enotify.prune_batch($1, $2, 7)`, batch, *after)
			f.Balances()
			if diff := cmp.Diff(before, statuses(f)); diff != "" {
				t.Fatalf("batches while batch %d is pruned (-before +now):\n%s", batch, diff)
			}
		}
		if got := steps > 1; batch == 1 && got != want {
			t.Errorf("steps: got %d, want several", steps)
		}
	}
	for _, table := range []string{"recipient", "outcome", "attempt", "batch_domain", "attachment", "doubt"} {
		if got := queuetest.Query[int](f, `SELECT count(*)::int FROM enotify.`+table+` WHERE batch_id <> $1`,
			unfinished); got != 0 {
			t.Errorf("%s: got %d rows left, want 0", table, got)
		}
	}
	if got := queuetest.Query[int](f, `SELECT count(*)::int FROM enotify.suppression`); got != 11 {
		t.Errorf("suppressions: got %d, want the 11 that there were", got)
	}
	if got := queuetest.Query[int](f, `SELECT count(*)::int FROM enotify.batch_log WHERE batch_id = $1`,
		batch); got == 0 {
		t.Error("the log of the batch is gone")
	}
	if got := f.Enqueue("menu", 30, "a.example", "gone.example", "no address"); got != batch {
		t.Errorf("the same key again: got batch %d, want %d", got, batch)
	}
	f.ForgetSent()
	f.Serve(f.Server("n3", queuetest.Deliver))
	if got := len(f.Sent()); got != 1 {
		t.Errorf("sent after the key was used again: got %d, want the 1 of the other batch", got)
	}
	f.Exec(`SELECT enotify.create_batch('draft', 'info@town.example', 's')`)
	queuetest.Refused(t, f.Conn, `SELECT enotify.prune_batch(max(id)) FROM enotify.batch`, "is draft, and has not finished")
}

// statuses are all batches, without the time at which they were pruned.
func statuses(f *queuetest.Fixture) []queue.Status {
	f.Helper()
	all, err := f.DB.Batches(f.Context(), queue.Filter{})
	if err != nil {
		f.Fatal(err)
	}
	for i := range all {
		all[i].PrunedAt = nil
	}
	return all
}

// A prune that was interrupted goes on, and meanwhile nobody can be requeued.
func TestPruneGoesOn(t *testing.T) {
	t.Parallel()
	f := queuetest.NewFixture(t)
	batch := f.Enqueue("menu", 20, "strict.example")
	f.Serve(f.Server("n1", queuetest.AnswerByDomain))
	f.Exec(`SELECT enotify.prune_batch($1, 0, 5)`, batch)
	if _, _, err := f.DB.Requeue(t.Context(), batch, "auth_rejected", nil); err == nil ||
		err.Error() != "the batch was pruned: whom it went to is not known any more" {
		t.Errorf("requeue of a pruned batch: got %v, want a refusal", err)
	}
	late := queue.Result{Batch: batch, Seq: 20, DomainID: queuetest.Query[int32](f, `SELECT id FROM enotify.domain`),
		Try: 1, Attempts: 1, At: time.Now(), Outcome: queue.Outcome{State: queue.Deferred}}
	if _, err := f.DB.Finish(t.Context(), []queue.Result{late}); err != nil {
		t.Errorf("a late result: %v", err)
	}
	f.Balances()
	found, err := retention.Of(f.DB).Prunable(t.Context(), -time.Hour, "")
	if err != nil || len(found) != 1 {
		t.Fatalf("prunable: got %v and %v, want the batch", found, err)
	}
	if err := retention.Of(f.DB).Prune(t.Context(), batch, func(int) {}); err != nil {
		t.Fatal(err)
	}
	if found, err = retention.Of(f.DB).Prunable(t.Context(), -time.Hour, ""); err != nil || len(found) != 0 {
		t.Errorf("prunable afterwards: got %v and %v, want none", found, err)
	}
	f.Balances()
}

// A large batch is dropped by more than one connection, whose progress adds up; its counts stay. Only
// the first step waits for results that are being written.
func TestPruneOfManyRecipients(t *testing.T) {
	t.Parallel()
	const n = 70_001
	f := queuetest.NewFixture(t)
	batch := queuetest.Query[int64](f, `SELECT enotify.enqueue('menu', 'info@town.example', 's', 't',
		ARRAY(SELECT format('u%s@a.example', i) FROM generate_series(1, $1) i))`, n)
	f.Exec(`INSERT INTO enotify.outcome (batch_id, seq, state) SELECT batch_id, seq, 'delivered' FROM enotify.recipient`)
	f.Exec(`UPDATE enotify.batch_domain SET intent_seq = last_seq`)
	f.Exec(`UPDATE enotify.batch SET state = 'done', finished_at = now()`)
	before := statuses(f)
	f.Exec(`SELECT enotify.prune_batch($1, 0, 10)`, batch)

	writer, err := queuetest.Connect(t, f.URL).Begin(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if _, err := writer.Exec(t.Context(), `SELECT enotify.lock_results($1)`, batch); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute) // it would wait for the writer
	defer cancel()
	last := 0
	if err := retention.Of(f.DB).Prune(ctx, batch, func(n int) {
		if n <= last {
			t.Errorf("progress: got %d after %d", n, last)
		}
		last = n
	}); err != nil {
		t.Fatal(err)
	}
	if last != 60_000 { // the last step has no progress
		t.Errorf("the last progress: got %d, want 60000", last)
	}
	if got := queuetest.Query[int](f,
		`SELECT (SELECT count(*) FROM enotify.recipient)::int + (SELECT count(*) FROM enotify.outcome)::int`); got != 0 {
		t.Errorf("recipients and outcomes: got %d left, want 0", got)
	}
	if diff := cmp.Diff(before, statuses(f)); diff != "" {
		t.Errorf("the batch (-before +now):\n%s", diff)
	}
	f.Balances()
}
