package engine

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"strings"
	"sync"

	"enotify/queue"
)

// A batch whose messages cannot be composed is blocked before it takes the turn, at
// the cost of no recipient. It goes on when its content is replaced:
// enotify.replace_content puts it back into the queue.

const faultSQL = `
UPDATE enotify.batch SET state = 'blocked', reason = $2, fault = $2
WHERE id = $1 AND edits = $3 AND state IN ('queued', 'sending', 'draining', 'retrying')`

// block blocks a batch for its content, unless that was replaced since.
func (db *store) block(ctx context.Context, batch int64, edits int, why string) (blocked bool, err error) {
	tag, err := db.execShort(ctx, faultSQL, batch, why, edits)
	if err != nil {
		return false, fmt.Errorf("batch %d: %w", batch, err)
	}
	return tag.RowsAffected() > 0, nil
}

const unreadableSQL = `
UPDATE enotify.batch SET state = 'blocked', reason = $2, fault = $2
WHERE id = $1 AND state IN ('queued', 'sending', 'draining', 'retrying')`

// content reads what a batch says. One that cannot be read is blocked, and nil:
// it must not stop the others.
func (v *serving) content(ctx context.Context, batch int64) (*queue.Batch, error) {
	return v.readable(ctx, batch, v.DB.Content)
}

// readable reads a batch, as content or as outline does.
func (v *serving) readable(ctx context.Context, batch int64,
	read func(context.Context, int64) (*queue.Batch, error)) (*queue.Batch, error) {
	content, err := read(ctx, batch)
	if !errors.Is(err, queue.ErrUnreadable) {
		return content, err
	}
	why := strings.ToValidUTF8(fmt.Sprintf("%v; cancel it: enotify batch cancel %d", err, batch), "\uFFFD")
	v.log.Warn("a batch is blocked: it cannot be read", "batch", batch, "error", err)
	if _, err := v.store.execShort(ctx, unreadableSQL, batch, why); err != nil && !locked(err) {
		return nil, fmt.Errorf("batch %d: %w", batch, err)
	}
	return nil, nil
}

// contentOctetsSQL is the size of the content of batch b, which is not read for it.
const contentOctetsSQL = `(octet_length(b.body_text) + octet_length(b.body_html)
  + coalesce((SELECT sum(octet_length(a.content)) FROM enotify.attachment a WHERE a.batch_id = b.id), 0))::int`

// outline reads a batch that messages are about to be begun of. A small content is read
// with it, a large one when a message is composed. As content, it is nil where the batch cannot be
// read.
func (v *serving) outline(ctx context.Context, batch int64) (*queue.Batch, error) {
	octets := v.batches.active[batch].octets
	if octets > smallContent {
		b, err := v.readable(ctx, batch, v.DB.Outline)
		if b == nil {
			return nil, err
		}
		return v.contents.outline(b, octets), nil
	}
	b, err := v.content(ctx, batch)
	if b == nil {
		return nil, err
	}
	v.contents.keep(b)
	return v.contents.outline(b, b.Size()), nil
}

// check looks at the content of a batch that waits for the turn, and blocks it
// where that is at fault.
func (v *serving) check(ctx context.Context, batch int64) (fit bool, err error) {
	content, err := v.content(ctx, batch)
	if content == nil {
		return false, err
	}
	if v.Check == nil {
		return true, nil
	}
	why := v.Check(content)
	if why == nil {
		return true, nil
	}
	return false, v.blockFor(ctx, content, why.Error())
}

func (v *serving) blockFor(ctx context.Context, b *queue.Batch, why string) error {
	blocked, err := v.store.block(ctx, b.ID, b.Edits, strings.ToValidUTF8(why, "\uFFFD"))
	if err != nil || !blocked {
		return err
	}
	v.log.Warn("a batch is blocked: no message of it can be composed", "batch", b.ID, "client", b.Client, "fault", why)
	a := queue.Alert{
		Kind: queue.AlertContent, Client: b.Client, Batch: b.ID,
		Text: "no message of the batch can be composed; its content must be replaced",
		Next: fmt.Sprintf("enotify batch show %d", b.ID),
	}
	v.alert([]queue.Alert{a})
	return v.DB.Raise(ctx, a)
}

// faults are the batches under way that turned out to be at fault, and why. It is
// used by the loop and the handlers.
type faults struct {
	mu  sync.Mutex
	why map[*queue.Batch]string
}

func (f *faults) add(b *queue.Batch, why string) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.why == nil {
		f.why = map[*queue.Batch]string{}
	}
	f.why[b] = why
}

func (f *faults) list() map[*queue.Batch]string {
	f.mu.Lock()
	defer f.mu.Unlock()
	return maps.Clone(f.why)
}

func (f *faults) remove(b *queue.Batch) {
	f.mu.Lock()
	defer f.mu.Unlock()
	delete(f.why, b)
}

// fault notes that a batch under way turned out to be at fault: no message of it
// begins any more, and the next heartbeat blocks it. It is called by the handlers.
func (v *serving) fault(r *run, why string) {
	r.halted.Store(true)
	v.faults.add(r.batch, why)
	v.Wake()
}

// settleFaults blocks the batches that turned out to be at fault.
func (v *serving) settleFaults(ctx context.Context) error {
	for b, why := range v.faults.list() {
		if err := v.blockFor(ctx, b, why); locked(err) {
			continue // it has halted, and is blocked later
		} else if err != nil {
			return err
		}
		v.faults.remove(b)
	}
	return nil
}
