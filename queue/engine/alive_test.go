package engine_test

import (
	"context"
	"testing"

	"github.com/google/go-cmp/cmp"

	"enotify/queue/queuetest"
)

// A node whose row was removed, as happens to a dead node after a month, puts it
// back with its next heartbeat, and goes on sending with the leases it had.
func TestRemovedNodeComesBack(t *testing.T) {
	t.Parallel()
	f := queuetest.NewFixture(t)
	s := f.Server("n1", queuetest.Deliver)
	s.UntilIdle = false
	ctx, cancel := context.WithCancel(t.Context())
	served := make(chan error, 1)
	go func() { served <- f.Run(ctx, s, "pass") }()
	nothing := func() {}
	f.Until(nothing, `SELECT count(*) = 64 FROM enotify.lease l JOIN enotify.node n ON n.id = l.node_id WHERE n.name = 'n1'`)
	id := queuetest.Query[int32](f, `DELETE FROM enotify.node RETURNING id`)
	f.Until(nothing, `SELECT count(*) = 1 FROM enotify.node WHERE id = $1 AND name = 'n1' AND live_until > now()`, id)
	batch := f.Enqueue("menu", 100, "a.example", "b.example")
	f.Until(cancel, `SELECT state = 'done' FROM enotify.batch WHERE id = $1`, batch)
	if err := <-served; err != nil {
		t.Fatal(err)
	}
	if got, want := f.States(batch), map[string]int{"delivered": 100}; !cmp.Equal(got, want) {
		t.Errorf("states: got %v, want %v", got, want)
	}
}
