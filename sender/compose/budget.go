package compose

import (
	"context"
	"sync"
)

// A Budget bounds what messages under way take in memory beside what they
// share. Small ones are free: there are as many as connections. No batch
// gets more than half, so that one whose messages lie at hosts which do not
// move leaves room for the others.
type Budget struct {
	Octets int // 0 is 64 MiB

	mu      sync.Mutex
	used    int
	byBatch map[int64]int
	changed chan struct{} // closed when some was given back
}

// Free is the size up to which a message is not counted, in octets.
const Free = 64 << 10

// Take waits until a message of the batch may take n octets, and returns a function that
// gives them back. A message larger than its batch's half goes when it is the batch's only
// one.
func (b *Budget) Take(ctx context.Context, batch int64, n int) (give func(), err error) {
	if n <= Free {
		return func() {}, nil
	}
	for {
		b.mu.Lock()
		total := b.Octets
		if total == 0 {
			total = 64 << 20
		}
		mine := b.byBatch[batch]
		if mine == 0 && (b.used == 0 || b.used+n <= total) || mine+n <= total/2 && b.used+n <= total {
			if b.byBatch == nil {
				b.byBatch = make(map[int64]int)
			}
			b.used += n
			b.byBatch[batch] += n
			b.mu.Unlock()
			return sync.OnceFunc(func() { b.give(batch, n) }), nil
		}
		if b.changed == nil {
			b.changed = make(chan struct{})
		}
		changed := b.changed
		b.mu.Unlock()
		select {
		case <-changed:
		case <-ctx.Done():
			return nil, ctx.Err()
		}
	}
}

// Used is the number of octets that are taken.
func (b *Budget) Used() int {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.used
}

func (b *Budget) give(batch int64, n int) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.used -= n
	if b.byBatch[batch] -= n; b.byBatch[batch] <= 0 {
		delete(b.byBatch, batch)
	}
	if b.changed != nil {
		close(b.changed)
		b.changed = nil
	}
}
