package events_test

import (
	"testing"

	"enotify/queue/events"
	"enotify/queue/queuetest"
)

// A webhook begins with the events that come after it was added. A replay begins where
// it is told to, and pushes to a webhook that was disabled too.
func TestWhereAWebhookBegins(t *testing.T) {
	t.Parallel()
	f := queuetest.NewFixture(t)
	store := events.Of(f.DB)
	if err := store.Record(t.Context(), "town.example", true); err != nil {
		t.Fatal(err)
	}
	f.Enqueue("before", 1, "a.example")
	number(t, f.DB)
	last := list(t, f.DB, 0)[len(list(t, f.DB, 0))-1].ID
	id, err := store.AddWebhook(t.Context(), events.Webhook{URL: "https://hook.example/", Client: "town.example"},
		make([]byte, 32))
	if err != nil {
		t.Fatal(err)
	}
	look := func(when string, after int64) {
		t.Helper()
		w, err := store.Webhook(t.Context(), id)
		if err != nil || w.After != after || w.DisabledAt != nil || w.Failures != 0 {
			t.Errorf("%s: got %+v (%v), want it enabled, without failures, after event %d", when, w, err, after)
		}
	}
	look("when it was added", last)
	f.Exec(`UPDATE enotify.webhook SET disabled_at = now(), failures = 9, failing_since = now(), failure = 'x'`)
	if _, err := store.ReplayWebhook(t.Context(), id, 1); err != nil {
		t.Fatal(err)
	}
	look("replayed from the first event", 0)
}
