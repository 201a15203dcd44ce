package engine_test

import (
	"testing"

	"enotify/queue/queuetest"
)

// An operator who cancels thousands of batches stops nobody: those that never began end at
// once, and a node ends the others some at a time, between the turns of others.
func TestCancelStorm(t *testing.T) {
	t.Parallel()
	n := newNeighbourhood(t)
	n.exec(`SELECT count(enotify.enqueue('waits' || i, 'info@c0.example', 'S', 'x', '{x@a.example}')) 
		FROM generate_series(1, 10) i`)
	n.Exec(`SELECT enotify.cancel_batch(id) FROM enotify.batch`)
	if left := queuetest.Query[int](n.Fixture,
		`SELECT count(*)::int FROM enotify.batch WHERE finished_at IS NULL`); left != 0 {
		t.Errorf("batches that never began and did not end when they were cancelled: got %d, want 0", left)
	}

	n.server()
	n.send("before", domains(20))
	n.Exec(`
INSERT INTO enotify.batch (client_id, idem_key, state, from_address, subject, total, submitted_at, started_at, expires_at)
SELECT id, 'begun' || i, 'cancelled', 'info@c0.example', 's', 0, now(), now(), now() + interval '1 h'
FROM enotify.client, generate_series(1, 1500) i WHERE domain = 'c0.example'`)
	n.send("beside", domains(20))
	if left := queuetest.Query[int](n.Fixture,
		`SELECT count(*)::int FROM enotify.batch WHERE finished_at IS NULL`); left == 0 {
		t.Error("the others had to wait until 1500 cancelled batches had ended")
	}
}
