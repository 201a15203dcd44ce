package compose

import (
	"cmp"
	"container/list"
	"context"
	"errors"
	"sync"
	"time"

	"enotify/queue"
)

// Letters are the letters of the batches whose messages are composed or written just now,
// and those that were used last. A letter that no message uses may be dropped, and is made
// when the next message of its batch asks for it: so a message that waits for a connection
// or for a reply costs none.
//
// The letters in use take Octets at most, and those of one client half of what the others
// leave: so there is room for one client more when the messages of several go to hosts
// that take them slowly. Small letters do not count. A letter that is larger than
// the share of its client goes when it is the client's only one. The zero value is ready.
type Letters struct {
	Octets int // 0 is 192 MiB

	mu       sync.Mutex
	known    map[*queue.Batch]*kept
	idle     list.List // letters that no message uses; the one used last at the end
	spent    list.List // batches without letter; the same
	used     int       // octets of letters in use
	unused   int       // octets of idle
	byClient map[string]int
	changed  chan struct{} // closed when some were given back; nil: nobody waits
}

// A kept batch is one of Letters.
type kept struct {
	batch  *queue.Batch
	letter *Letter
	err    error         // instead of a letter
	record *record       // of the batch's letters, once there was one
	octets int           // of the letter; before it is made, an estimate
	users  int           // messages that use it, or make it
	making chan struct{} // closed when it is made, or could not be; nil: nobody makes it
	in     *list.List    // while there are no users
	place  *list.Element
}

const (
	maxIdle  = 64 << 20 // octets of letters that no message uses
	maxKnown = 1000     // batches that no message uses, with a letter, and without
)

// ErrNoRoom says that the letters in use leave no room for another.
var ErrNoRoom = errors.New("the letters in use leave no room for another")

// Hold returns the letter of a batch, which it makes where there is none. Batches are told
// apart by pointer. It waits for room, but no longer than patience: then the error is ErrNoRoom.
// The caller calls give once, when it does not need the letter any more.
func (c *Letters) Hold(ctx context.Context, b *queue.Batch, patience time.Duration) (l *Letter, give func(),
	err error) {
	k, err := c.enter(ctx, b, patience)
	if err != nil {
		return nil, nil, err
	}
	if l, err = c.ready(ctx, k); err != nil {
		c.leave(k)
		return nil, nil, err
	}
	return l, func() { c.leave(k) }, nil
}

// Fault reports why no message of a batch can be composed, as far as that is known without
// reading its content: such a batch costs no connection.
func (c *Letters) Fault(b *queue.Batch) error {
	c.mu.Lock()
	k := c.known[b]
	known := b.Read != nil || k != nil && (k.letter != nil || k.err != nil)
	var err error
	if k != nil {
		err = k.err
	}
	c.mu.Unlock()
	if known {
		return err
	}
	_, give, err := c.Hold(context.Background(), b, 0) // made once for all messages
	switch {
	case errors.Is(err, ErrNoRoom):
		return nil
	case err != nil:
		return err
	}
	give()
	return nil
}

// enter makes the caller a user of the batch's letter, once there is room.
func (c *Letters) enter(ctx context.Context, b *queue.Batch, patience time.Duration) (*kept, error) {
	var late <-chan time.Time
	for {
		c.mu.Lock()
		k := c.find(b)
		if k.users > 0 || c.room(k) {
			if k.users++; k.users == 1 {
				c.take(k)
			}
			c.mu.Unlock()
			return k, nil
		}
		if c.changed == nil {
			c.changed = make(chan struct{})
		}
		changed := c.changed
		c.mu.Unlock()
		if late == nil {
			timer := time.NewTimer(patience)
			defer timer.Stop()
			late = timer.C
		}
		select {
		case <-changed:
		case <-late:
			return nil, ErrNoRoom
		case <-ctx.Done():
			return nil, ctx.Err()
		}
	}
}

func (c *Letters) find(b *queue.Batch) *kept {
	k := c.known[b]
	if k == nil {
		k = &kept{batch: b, octets: estimate(b)}
		if c.known == nil {
			c.known, c.byClient = map[*queue.Batch]*kept{}, map[string]int{}
		}
		c.known[b] = k
		c.rest(k)
	}
	return k
}

// room reports whether the letter of a batch that has no users may have some.
func (c *Letters) room(k *kept) bool {
	n := counted(k.octets)
	if n == 0 {
		return true
	}
	most := c.most()
	mine := c.byClient[k.batch.Client]
	return mine == 0 && (c.used == 0 || c.used+n <= most) || mine+n <= (most-(c.used-mine))/2
}

func (c *Letters) most() int { return cmp.Or(c.Octets, 192<<20) }

// counted is what a letter counts for in the budget.
func counted(octets int) int {
	if octets <= Free {
		return 0
	}
	return octets
}

// take counts a letter that has its first user, and drops idle ones for it.
func (c *Letters) take(k *kept) {
	c.wake(k)
	c.count(k, counted(k.octets))
}

func (c *Letters) count(k *kept, n int) {
	c.used += n
	if c.byClient[k.batch.Client] += n; c.byClient[k.batch.Client] <= 0 {
		delete(c.byClient, k.batch.Client)
	}
	c.trim()
}

// leave ends the use of a letter.
func (c *Letters) leave(k *kept) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if k.users--; k.users > 0 {
		return
	}
	c.rest(k)
	c.count(k, -counted(k.octets))
	c.tell()
}

func (c *Letters) tell() {
	if c.changed != nil {
		close(c.changed)
		c.changed = nil
	}
}

// rest puts a batch without users into its list.
func (c *Letters) rest(k *kept) {
	k.in = &c.spent
	if k.letter != nil {
		k.in = &c.idle
		c.unused += k.octets
	}
	k.place = k.in.PushBack(k)
	for k.in.Len() > maxKnown {
		c.forget(k.in.Front().Value.(*kept))
	}
}

// wake takes a batch out of its list.
func (c *Letters) wake(k *kept) {
	if k.in == &c.idle {
		c.unused -= k.octets
	}
	k.in.Remove(k.place)
	k.in, k.place = nil, nil
}

// trim drops the idle letters that are too many, those first that were not used for longest.
func (c *Letters) trim() {
	for most := c.most(); c.idle.Len() > 0 && c.unused > max(0, min(maxIdle, most-c.used)); {
		k := c.idle.Front().Value.(*kept)
		if k.batch.Read == nil { // it has its content all the same
			c.forget(k)
			continue
		}
		c.wake(k)
		k.letter = nil
		c.rest(k)
	}
}

// forget drops a batch that nobody uses.
func (c *Letters) forget(k *kept) {
	c.wake(k)
	delete(c.known, k.batch)
}

// ready returns the letter of a batch once it is made. The caller is a user of it.
func (c *Letters) ready(ctx context.Context, k *kept) (*Letter, error) {
	for {
		c.mu.Lock()
		if k.letter != nil || k.err != nil {
			defer c.mu.Unlock()
			return k.letter, k.err
		}
		making := k.making
		if making == nil {
			k.making = make(chan struct{})
			c.mu.Unlock()
			return c.make(ctx, k)
		}
		c.mu.Unlock()
		select {
		case <-making: // where it could not be made, this message tries
		case <-ctx.Done():
			return nil, ctx.Err()
		}
	}
}

// make makes a letter. That its content cannot be read just now is no fault of the batch, and
// not kept.
func (c *Letters) make(ctx context.Context, k *kept) (*Letter, error) {
	var l *Letter
	octets := k.octets
	whole, err := k.batch.Whole(ctx)
	if err == nil {
		octets = estimate(whole)
		if l, err = New(whole); err == nil {
			l.batch = k.batch // the content is not needed any more
		}
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	close(k.making)
	k.making = nil
	fault := (*Fault)(nil)
	switch {
	case err == nil:
		if k.record == nil {
			k.record = l.record
		}
		l.record, k.letter = k.record, l
	case errors.As(err, &fault):
		k.err, octets = err, 0
	}
	c.count(k, counted(octets)-counted(k.octets))
	k.octets = octets
	return l, err
}

// InUse is how many octets the letters take that messages use, small ones left out.
func (c *Letters) InUse() int {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.used
}

// estimate is the approximate size of a batch's letter, in octets.
func estimate(b *queue.Batch) int {
	if b.Read != nil {
		return 4 * b.Octets / 3
	}
	n := 2 * (len(b.Text) + len(b.HTML))
	for _, a := range b.Attachments {
		n += 4 * len(a.Content) / 3
	}
	return n
}
