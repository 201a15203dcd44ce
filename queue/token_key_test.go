package queue_test

import (
	"sync"
	"testing"

	"github.com/google/go-cmp/cmp"

	"enotify/queue"
	"enotify/queue/queuetest"
)

// Nodes that start at once agree on the first key.
func TestTokenKeys(t *testing.T) {
	t.Parallel()
	db := open(t, queuetest.New(t))
	found := make([][]queue.TokenKey, 4)
	var all sync.WaitGroup
	for i := range found {
		all.Go(func() {
			var err error
			if found[i], err = db.TokenKeys(t.Context()); err != nil {
				t.Error(err)
			}
		})
	}
	all.Wait()
	for _, keys := range found {
		if len(keys) != 1 || len(keys[0].Secret) != 32 || cmp.Diff(found[0], keys) != "" {
			t.Fatalf("nodes found the keys %v; want the same one of 32 octets", found)
		}
	}
	if err := db.RotateTokenKey(t.Context()); err != nil {
		t.Fatal(err)
	}
	keys, err := db.TokenKeys(t.Context())
	if err != nil || len(keys) != 2 || cmp.Diff(keys[1], found[0][0]) != "" {
		t.Errorf("after a rotation: %v, %v; want a new key before the old one", keys, err)
	}
}
