package compose_test

import (
	"context"
	"errors"
	"testing"
	"time"

	"enotify/sender/compose"
)

// A batch gets half of the memory, and waits for more until it gives some back;
// another gets the rest meanwhile.
func TestBudget(t *testing.T) {
	t.Parallel()
	const mb = 1 << 20
	b := &compose.Budget{Octets: 8 * mb}
	take := func(batch int64, n int, wait time.Duration) (func(), error) {
		ctx, cancel := context.WithTimeout(t.Context(), wait)
		defer cancel()
		return b.Take(ctx, batch, n)
	}
	must := func(batch int64, n int) func() {
		t.Helper()
		give, err := take(batch, n, time.Minute)
		if err != nil {
			t.Fatalf("batch %d, %d octets: %v", batch, n, err)
		}
		return give
	}
	first, second := must(1, 2*mb), must(1, 2*mb)
	if _, err := take(1, mb, time.Millisecond); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("beyond half: got %v, want it to wait", err)
	}
	must(1, 1000)() // small ones are free
	other := must(2, 4*mb)
	if got := b.Used(); got != 8*mb {
		t.Errorf("used: got %d, want %d", got, 8*mb)
	}
	waits := make(chan error)
	go func() {
		give, err := take(1, 2*mb, time.Minute)
		if err == nil {
			give()
		}
		waits <- err
	}()
	first()
	if err := <-waits; err != nil {
		t.Errorf("when some was given back: got %v, want it", err)
	}
	first() // twice is once
	second()
	other()
	must(3, 100*mb)() // alone, however large
	if got := b.Used(); got != 0 {
		t.Errorf("used in the end: got %d, want 0", got)
	}
}
