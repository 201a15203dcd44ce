package engine_test

import (
	"context"
	"errors"
	"sync"
	"testing"

	"enotify/queue/engine"
	"enotify/queue/queuetest"
)

// Of nodes of one name that join at the same moment one joins, and the others are
// refused. One that does not insist on its name joins beside it.
func TestOneOfManyNamesakesJoins(t *testing.T) {
	t.Parallel()
	const n = 6
	f := queuetest.NewFixture(t)
	ctx, cancel := context.WithCancel(t.Context())
	var all sync.WaitGroup
	defer all.Wait()
	defer cancel()
	joined, refused := make(chan struct{}, n), make(chan error, n)
	for range n {
		s := f.Server("n1", queuetest.Deliver)
		s.UntilIdle, s.Sole = false, true
		ended := make(chan struct{})
		all.Go(func() {
			defer close(ended)
			if err := s.Serve(ctx); err != nil {
				refused <- err
			}
		})
		all.Go(func() {
			select {
			case <-s.Joined():
				joined <- struct{}{}
			case <-ended:
			}
		})
	}
	count := 0
	for range n {
		select {
		case <-joined:
			count++
		case err := <-refused:
			if !errors.Is(err, engine.ErrNamesake) {
				t.Errorf("join: got %v, want %v", err, engine.ErrNamesake)
			}
		}
	}
	if count != 1 {
		t.Errorf("nodes that joined: got %d, want 1", count)
	}
	f.Serve(f.Server("n1", queuetest.Deliver))
}
