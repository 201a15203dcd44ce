package engine_test

import (
	"context"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"enotify/queue"
	"enotify/queue/queuetest"
)

func TestServeDeliversToEveryRecipientOnce(t *testing.T) {
	t.Parallel()
	f := queuetest.NewFixture(t)
	batch := f.Enqueue("menu", 1000, "a.example", "b.example", "c.example")
	f.Serve(f.Server("n1", queuetest.Deliver))

	if got, want := f.States(batch), map[string]int{"delivered": 1000}; !cmp.Equal(got, want) {
		t.Errorf("states: got %v, want %v", got, want)
	}
	f.SentOnce(1000)
	if got := queuetest.Query[string](f, `SELECT state::text FROM enotify.batch WHERE id = $1`, batch); got != "done" {
		t.Errorf("state of the batch: got %s, want done", got)
	}
}

func TestServeRetriesWhatWasDeferred(t *testing.T) {
	t.Parallel()
	f := queuetest.NewFixture(t)
	batch := f.Enqueue("menu", 30, "grey.example", "full.example", "gone.example")
	s := f.Server("n1", func(_ context.Context, m queue.Message) queue.Outcome {
		switch {
		case m.Domain == "gone.example":
			return queue.Outcome{State: queue.Bounced, Class: queue.NoSuchUser,
				Reply: queue.Reply{Code: 550, Enhanced: "5.1.1", Text: "no such user"}}
		case m.Attempt < 3:
			return queue.Outcome{State: queue.Deferred, Class: queue.Offline,
				Reply: queue.Reply{Code: 451, Text: "later"}}
		default:
			return queuetest.Deliver(t.Context(), m)
		}
	})
	s.UntilIdle = false
	ctx, cancel := context.WithCancel(t.Context())
	go f.Until(cancel, `SELECT state = 'done' FROM enotify.batch WHERE id = $1`, batch)
	if err := f.Run(ctx, s, "pass"); err != nil {
		t.Fatal(err)
	}
	if got, want := f.States(batch), map[string]int{"delivered": 20, "bounced": 10}; !cmp.Equal(got, want) {
		t.Errorf("states: got %v, want %v", got, want)
	}
	if got := queuetest.Query[int](f, `SELECT count(*)::int FROM enotify.suppression WHERE cause = 'no_such_user' AND client_id IS NULL`); got != 10 {
		t.Errorf("suppressed addresses: got %d, want 10", got)
	}
	if got := queuetest.Query[int](f, `SELECT count(*)::int FROM enotify.retry`); got != 0 {
		t.Errorf("rows left in retry: got %d, want 0", got)
	}
	again := f.Enqueue("next", 30, "grey.example", "full.example", "gone.example")
	if got, want := f.States(again), map[string]int{"pending": 20, "suppressed": 10}; !cmp.Equal(got, want) {
		t.Errorf("states of the next batch: got %v, want %v", got, want)
	}
}

// Under UntilIdle a batch that only waits for a DNS that does not answer keeps no
// node running.
func TestUntilIdleWaitsForNoDNS(t *testing.T) {
	t.Parallel()
	f := queuetest.NewFixture(t)
	batch := f.Enqueue("menu", 3, "a.example")
	s := f.Server("n1", queuetest.Deliver)
	if err := f.Run(t.Context(), s, "temperror"); err != nil {
		t.Fatal(err)
	}
	got := queuetest.Query[string](f, `SELECT state || ': ' || reason FROM enotify.batch WHERE id = $1`, batch)
	if !strings.HasPrefix(got, "queued: waits for DNS") {
		t.Errorf("batch: got %q, want it queued, and to wait for DNS", got)
	}
}

// A handler that never returns does not keep Serve from ending after its grace. What
// others have sent is recorded; its own recipient is in doubt, and not sent to again.
func TestServeEndsAfterItsGrace(t *testing.T) {
	t.Parallel()
	f := queuetest.NewFixture(t)
	never := make(chan struct{})
	t.Cleanup(func() { close(never) })
	s := f.Server("n1", func(ctx context.Context, m queue.Message) queue.Outcome {
		if m.Domain == "never.example" {
			m.MayEnd()
			<-never
		}
		return queuetest.Deliver(ctx, m)
	})
	s.UntilIdle, s.Grace = false, 50*time.Millisecond
	batch := f.Enqueue("menu", 2, "a.example", "never.example")
	ctx, cancel := context.WithCancel(t.Context())
	go f.Until(cancel, `SELECT delivered = 1 FROM enotify.batch_status WHERE id = $1`, batch)
	if err := f.Run(ctx, s, "pass"); err == nil || !strings.Contains(err.Error(), "1 messages had not ended") {
		t.Errorf("Serve: got %v, want the error that says what is in doubt", err)
	}
	f.ServeUntil(f.Server("n2", queuetest.Deliver), `SELECT state = 'done' FROM enotify.batch WHERE id = $1`, batch)
	if got, want := f.States(batch), map[string]int{"delivered": 1, "unknown": 1}; !cmp.Equal(got, want) {
		t.Errorf("states: got %v, want %v", got, want)
	}
	f.SentOnce(2)
}
