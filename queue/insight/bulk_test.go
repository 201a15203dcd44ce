package insight_test

import (
	"context"
	"testing"

	"enotify/queue"
	"enotify/queue/insight"
	"enotify/queue/queuetest"
)

// Gmail never forgets a bulk sender, and so it outlives the day and the batch.
func TestBulkSince(t *testing.T) {
	t.Parallel()
	f := queuetest.NewFixture(t)
	send := func(key string, n int, domain string) {
		t.Helper()
		f.Enqueue(key, n, domain)
		f.Serve(f.Server(key, func(context.Context,
			queue.Message) queue.Outcome {
			return queue.Outcome{State: queue.Delivered}
		}))
		if err := f.DB.NoteBulkSenders(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
	bulk := func() bool {
		t.Helper()
		since, err := insight.Of(f.DB).BulkSince(t.Context(), "town.example")
		if err != nil {
			t.Fatal(err)
		}
		return since != nil
	}
	send("few", 4999, "gmail.com")
	send("elsewhere", 10, "a.example")
	if bulk() {
		t.Error("after 4,999 messages: got a bulk sender, want none")
	}
	send("one more", 1, "googlemail.com")
	f.Exec(`UPDATE enotify.batch SET finished_at = now() - interval '2 days'`)
	if err := f.DB.NoteBulkSenders(t.Context()); err != nil || !bulk() {
		t.Errorf("after 5,000 and two days: got none (%v), want a bulk sender", err)
	}
}
