package engine

import (
	"container/list"
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"enotify/queue"
)

// contents reads the content of a batch when a message is composed, so that messages that
// wait for hosts keep none in memory. Small contents that were used last stay in memory:
// batches with small contents are many and short. A large content belongs to the handlers
// that asked for it. contents is used by the loop and the handlers.
type contents struct {
	db   *queue.DB
	most int // octets that stay in memory

	smallReads, largeReads chan struct{} // places

	mu     sync.Mutex
	kept   map[int64]*list.Element
	order  list.List // of the *queue.Batch in kept; the one used last at the end
	octets int       // of those
}

const (
	// A large content is read alone: many at once would be in memory together, whatever
	// the handlers can keep.
	largeReads = 1
	// Connections to the database that small contents take at most, at once.
	smallReads = 2
	// readTime is for a content of 29 MiB over a slow network.
	readTime = 30 * time.Second
)

func newContents(db *queue.DB, most int) *contents {
	if most <= 0 {
		most = 64 << 20
	}
	return &contents{db: db, most: most, kept: map[int64]*list.Element{},
		smallReads: make(chan struct{}, smallReads), largeReads: make(chan struct{}, largeReads)}
}

// outline returns a batch whose content, of so many octets, is read when a handler asks for
// it.
func (c *contents) outline(of *queue.Batch, octets int) *queue.Batch {
	b := *of
	b.Octets = octets
	b.Text, b.HTML, b.Attachments = "", "", nil
	b.Read = func(ctx context.Context) (*queue.Batch, error) { return c.read(ctx, &b) }
	return &b
}

// keep keeps a whole batch in memory if it is small, and drops those that were not used
// for longest where there are too many.
func (c *contents) keep(b *queue.Batch) {
	n := b.Size()
	if n > min(smallContent, c.most) {
		return
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	c.dropLocked(b.ID)
	c.kept[b.ID] = c.order.PushBack(b)
	for c.octets += n; c.octets > c.most; {
		c.dropLocked(c.order.Front().Value.(*queue.Batch).ID)
	}
}

// drop forgets batches that are not sent from here any more.
func (c *contents) drop(batches []int64) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, id := range batches {
		c.dropLocked(id)
	}
}

func (c *contents) dropLocked(batch int64) {
	if e := c.kept[batch]; e != nil {
		c.octets -= c.order.Remove(e).(*queue.Batch).Size()
		delete(c.kept, batch)
	}
}

// find returns the whole batch if it is in memory.
func (c *contents) find(outline *queue.Batch) *queue.Batch {
	c.mu.Lock()
	defer c.mu.Unlock()
	e := c.kept[outline.ID]
	if e == nil {
		return nil
	}
	b := e.Value.(*queue.Batch)
	if !sameContent(b, outline) {
		return nil
	}
	c.order.MoveToBack(e)
	return b
}

// sameContent reports whether two values are the same batch with the same content. After the
// database went back another batch may have the number.
func sameContent(a, b *queue.Batch) bool { return a.Edits == b.Edits && a.CreatedAt.Equal(b.CreatedAt) }

// read returns the whole batch of an outline.
func (c *contents) read(ctx context.Context, outline *queue.Batch) (*queue.Batch, error) {
	if b := c.find(outline); b != nil {
		return b, nil
	}
	places := c.largeReads
	if outline.Octets <= smallContent {
		places = c.smallReads
	}
	select {
	case places <- struct{}{}:
	case <-ctx.Done():
		return nil, fmt.Errorf("batch %d: %w", outline.ID, ctx.Err())
	}
	defer func() { <-places }()
	if b := c.find(outline); b != nil { // another message has read it meanwhile
		return b, nil
	}
	ctx, cancel := context.WithTimeout(ctx, readTime)
	defer cancel()
	found, err := c.db.Content(ctx, outline.ID)
	switch {
	case errors.Is(err, queue.ErrNotFound) || err == nil && !sameContent(found, outline):
		return nil, fmt.Errorf("batch %d: %w", outline.ID, queue.ErrEdited)
	case err != nil:
		return nil, err
	}
	b := *outline
	b.Read, b.Octets = nil, 0
	b.Text, b.HTML, b.Attachments = found.Text, found.HTML, found.Attachments
	c.keep(&b)
	return &b, nil
}
