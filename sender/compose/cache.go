package compose

import (
	"sync"

	"enotify/queue"
)

// Letters keeps the letters of the batches sent last. Batches under way are
// few: one has the turn, the others only have retries. The zero value is ready.
type Letters struct {
	mu   sync.Mutex
	kept []*kept // the one used last at the end
}

type kept struct {
	batch  *queue.Batch
	ready  sync.Once
	letter *Letter
	err    error
}

const (
	maxLetters      = 8
	maxLetterOctets = 64 << 20
)

// Of returns the letter of a batch, and makes it when it is new. Batches are
// told apart by pointer.
func (c *Letters) Of(b *queue.Batch) (*Letter, error) {
	k := c.find(b)
	k.ready.Do(func() { k.letter, k.err = New(b) })
	return k.letter, k.err
}

func (c *Letters) find(b *queue.Batch) *kept {
	c.mu.Lock()
	defer c.mu.Unlock()
	last := len(c.kept) - 1
	for i := last; i >= 0; i-- {
		k := c.kept[i]
		if k.batch != b {
			continue
		}
		if i < last {
			copy(c.kept[i:], c.kept[i+1:])
			c.kept[last] = k
		}
		return k
	}
	k := &kept{batch: b}
	c.kept = append(c.kept, k)
	octets := 0
	for i := len(c.kept) - 1; i >= 0; i-- {
		octets += estimate(c.kept[i].batch)
		if n := len(c.kept) - i; n > 1 && (n > maxLetters || octets > maxLetterOctets) {
			c.kept = append([]*kept(nil), c.kept[i+1:]...)
			break
		}
	}
	return k
}

// estimate is the approximate size of a batch's letter, in octets.
func estimate(b *queue.Batch) int {
	n := 2 * (len(b.Text) + len(b.HTML))
	for _, a := range b.Attachments {
		n += 4 * len(a.Content) / 3
	}
	return n
}
