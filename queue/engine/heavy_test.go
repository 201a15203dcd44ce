package engine_test

import (
	"context"
	"errors"
	"fmt"
	"testing"
	"time"

	"enotify/queue"
	"enotify/queue/queuetest"
)

// submitAttached submits batches with an attachment, each to one recipient at a domain of its own.
func submitAttached(f *queuetest.Fixture, key string, batches, octets int) {
	f.Helper()
	for i := range batches {
		key := fmt.Sprint(key, i)
		f.Exec(`SELECT enotify.create_batch($1, 'info@town.example', 'S', 'text')`, key)
		f.Exec(`SELECT enotify.add_attachment(id, $2 || '.bin', convert_to(repeat('x', $1), 'UTF8')) FROM enotify.batch
			WHERE idem_key = $2`, octets, key)
		f.Exec(`SELECT enotify.add_recipients(id, ARRAY[format('u@%s.example', $1::text)]), enotify.submit_batch(id)
			FROM enotify.batch WHERE idem_key = $1`, key)
	}
}

// Messages of batches with attachments lie at hosts that do not answer, on their first and on
// their second tries. The node has none of the large contents in memory, and of the small ones
// as many as it may. Each message reads what its own batch says.
func TestContentsOfMessagesUnderWay(t *testing.T) {
	t.Parallel()
	const batches, large, small = 6, 2 << 20, 100_000
	f := queuetest.NewFixture(t)
	f.Patience = 30 * time.Second
	lie := make(chan struct{}, 4*batches)
	later := make(chan struct{})
	s := f.Server("n1", func(ctx context.Context, m queue.Message) queue.Outcome {
		if len(m.Batch.Attachments) > 0 || m.Batch.Text != "" {
			t.Errorf("batch %d: got its content in memory, want it read", m.Batch.ID)
		}
		lie <- struct{}{}
		select {
		case <-later:
		case <-ctx.Done():
		}
		switch b, err := m.Batch.Whole(ctx); {
		case err != nil:
			t.Errorf("batch %d: %v", m.Batch.ID, err)
		case b.Text != "text" || len(b.Attachments) != 1 || b.Size() != m.Batch.Size() ||
			b.Attachments[0].Filename+"@" != m.Domain[:len(m.Domain)-len(".example")]+".bin@":
			t.Errorf("%s: got %d octets and %d attachments, want what its batch says", m.Address, b.Size(),
				len(b.Attachments))
		}
		if m.Attempt == 1 {
			return queue.Outcome{State: queue.Deferred, Class: queue.Other, After: time.Millisecond}
		}
		return queuetest.Deliver(ctx, m)
	})
	s.MaxContents = 3 * small * 11 / 10
	submitAttached(f, "large", batches, large)
	submitAttached(f, "small", batches, small)
	go func() {
		defer close(later)
		for range 2 * batches {
			select {
			case <-lie:
			case <-time.After(f.Patience):
				return
			}
		}
		if got := s.ContentsKept(); got > s.MaxContents || got < small {
			t.Errorf("contents in memory while all messages are under way: got %d octets, want some, and %d at most", got,
				s.MaxContents)
		}
	}()
	f.ServeUntil(s, `SELECT count(*) = $1 FROM enotify.batch WHERE state = 'done'`, 2*batches)
	queuetest.Copies(t, f.Sent(), 2*batches, 2)
}

// A message that was begun before the content of its batch was replaced does not get
// the new one beside the old subject.
func TestReplacedContentIsNotMixed(t *testing.T) {
	t.Parallel()
	f := queuetest.NewFixture(t)
	submitAttached(f, "menu", 1, 2<<20)
	read := make(chan error, 1)
	f.Serve(f.Server("n1", func(ctx context.Context, m queue.Message) queue.Outcome {
		if m.Batch.Subject == "S" {
			f.Exec(`UPDATE enotify.batch SET subject = 'T', edits = edits + 1 WHERE id = $1`, m.Batch.ID)
			_, err := m.Batch.Whole(ctx)
			read <- err
			return queue.Outcome{State: queue.Deferred, Class: queue.NotBegun}
		}
		return queuetest.Deliver(ctx, m)
	}))
	if err := <-read; !errors.Is(err, queue.ErrEdited) {
		t.Errorf("content of a batch that was edited meanwhile: got %v, want that it was", err)
	}
	if got, want := f.States(1)["delivered"], 1; got != want {
		t.Errorf("delivered with the new content: got %d, want %d", got, want)
	}
}
