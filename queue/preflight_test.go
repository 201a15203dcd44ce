package queue_test

import (
	"errors"
	"testing"

	"enotify/queue"
	"enotify/queue/insight"
	"enotify/queue/queuetest"
)

// A preflight report is kept with its batch; the last one counts.
func TestKeepPreflight(t *testing.T) {
	t.Parallel()
	f := queuetest.NewFixture(t)
	batch := f.Enqueue("first", 1, "a.example")
	if last, err := f.DB.LastPreflight(t.Context(), batch); err != nil || last != nil {
		t.Fatalf("before: got %v, %v", last, err)
	}
	for _, p := range []queue.KeptPreflight{{Verdict: "blocked", Line: "BLOCKED", Forced: "flood",
		Report: []byte(`{"schema": 1}`)}, {Verdict: "ready", Line: "READY", Report: []byte(`{"schema": 1}`)}} {
		if err := f.DB.KeepPreflight(t.Context(), batch, p); err != nil {
			t.Fatal(err)
		}
	}
	last, err := f.DB.LastPreflight(t.Context(), batch)
	if err != nil || last.Verdict != "ready" || last.Forced != "" || last.By == "" ||
		string(last.Report) != `{"schema": 1}` {
		t.Errorf("got %+v, %v", last, err)
	}
	if err := insight.Of(f.DB).TakeCensus(t.Context(), insight.CensusQuery{Batch: 99}, nil); !errors.Is(err,
		queue.ErrNotFound) {
		t.Errorf("census of no batch: got %v", err)
	}
}
