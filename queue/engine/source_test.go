package engine_test

import (
	"sync"
	"testing"

	"github.com/google/go-cmp/cmp"

	"enotify/queue/queuetest"
)

// The database stands still within a heartbeat for so long that the node counts as dead: the
// node does not take its own addresses for gone, and ends only when the batch is sent.
func TestNodeThatOutlivesItsLease(t *testing.T) {
	t.Parallel()
	f := queuetest.NewFixture(t)
	batch := f.Enqueue("menu", 2, "a.example")
	f.Exec(`INSERT INTO enotify.egress (address, by_node) VALUES ($1, true)`, queuetest.Egress) // else the node cannot join
	tx, err := queuetest.Connect(t, f.URL).Begin(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if _, err := tx.Exec(t.Context(), `LOCK TABLE enotify.pool`); err != nil {
		t.Fatal(err)
	}
	var node sync.WaitGroup
	defer node.Wait()
	node.Go(func() { f.Serve(f.Server("n1", queuetest.Deliver)) })
	await(f, `SELECT count(*) > 0 FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock'
		AND query LIKE '%FROM enotify.pool p%enotify.live_egress%'`)
	if _, err := tx.Exec(t.Context(), `UPDATE enotify.node SET live_until = now() - interval '1 s'`); err != nil {
		t.Fatal(err)
	}
	if err := tx.Commit(t.Context()); err != nil {
		t.Fatal(err)
	}
	node.Wait()
	if got, want := f.States(batch), map[string]int{"delivered": 2}; !cmp.Equal(got, want) {
		t.Errorf("the batch: got %v, want %v", got, want)
	}
}
