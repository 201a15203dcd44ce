package engine

import (
	"context"
	"fmt"
	"strings"

	"enotify/queue"
)

// A batch of which no message can be composed is blocked before it takes the
// turn, and costs none of its recipients. It goes on when its content is
// replaced: enotify.replace_content puts it back into the queue.

const faultSQL = `
UPDATE enotify.batch SET state = 'blocked', reason = $2, fault = $2
WHERE id = $1 AND edits = $3 AND state IN ('queued', 'sending', 'draining', 'retrying')`

// block blocks a batch for its content, unless that was replaced since.
func (db *store) block(ctx context.Context, batch int64, edits int, why string) (blocked bool, err error) {
	tag, err := db.pool.Exec(ctx, faultSQL, batch, why, edits)
	if err != nil {
		return false, fmt.Errorf("batch %d: %w", batch, err)
	}
	return tag.RowsAffected() > 0, nil
}

// check looks at the content of a batch that waits for the turn, and blocks it
// where that is at fault.
func (v *serving) check(ctx context.Context, batch int64) (fit bool, err error) {
	if v.Check == nil {
		return true, nil
	}
	content, err := v.DB.Content(ctx, batch)
	if err != nil {
		return false, err
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
		Kind: queue.AlertContent, Client: b.Client, Batch: b.ID, Text: "no message of the batch can be composed; its content must be replaced",
		Next: fmt.Sprintf("enotify batch show %d", b.ID),
	}
	v.alert([]queue.Alert{a})
	return v.DB.Raise(ctx, a)
}

// fault notes that a batch under way turned out to be at fault: none of its
// messages begins any more, and it is blocked at the next look.
func (v *serving) fault(r *run, why string) {
	r.halted.Store(true)
	v.mu.Lock()
	v.faults[r.batch] = why
	v.mu.Unlock()
	v.Wake()
}

// settleFaults blocks the batches that turned out to be at fault.
func (v *serving) settleFaults(ctx context.Context) error {
	v.mu.Lock()
	faults := make(map[*queue.Batch]string, len(v.faults))
	for b, why := range v.faults {
		faults[b] = why
	}
	v.mu.Unlock()
	for b, why := range faults {
		if err := v.blockFor(ctx, b, why); err != nil {
			return err
		}
		v.mu.Lock()
		delete(v.faults, b)
		v.mu.Unlock()
	}
	return nil
}
