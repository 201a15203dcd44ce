package engine_test

import (
	"slices"
	"sync"
	"testing"

	"github.com/google/go-cmp/cmp"

	"enotify/queue"
	"enotify/queue/queuetest"
)

// A recipient that is neither waiting nor under way, as after commits that a
// database lost, does not keep the turn for ever: the node says so, and leaves
// the recipient in doubt.
func TestTurnThatDoesNotMove(t *testing.T) {
	t.Parallel()
	f := queuetest.NewFixture(t)
	batch := f.Enqueue("menu", 30, "a.example", "b.example")
	f.Exec(`UPDATE enotify.batch_domain SET intent_seq = first_seq WHERE first_seq = 1`)
	var mu sync.Mutex
	var kinds []string
	s := f.Server("n1", queuetest.Deliver)
	s.Alerted = func(a queue.Alert) {
		mu.Lock()
		defer mu.Unlock()
		kinds = append(kinds, a.Kind)
	}
	f.Serve(s)
	if got, want := f.States(batch), map[string]int{"delivered": 29, "unknown": 1}; !cmp.Equal(got, want) {
		t.Errorf("states: got %v, want %v", got, want)
	}
	if !slices.Contains(kinds, queue.AlertStalled) {
		t.Errorf("alerts: got %v, want one that the batch did not move", kinds)
	}
}
