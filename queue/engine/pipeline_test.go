package engine_test

import (
	"testing"

	"github.com/google/go-cmp/cmp"

	"enotify/queue/engine"
)

// When the answer to an intent is lost, nobody knows what the database has of it. The
// next may be picked already: it is not written before the node has found out.
func TestNoIntentIsWrittenBehindOneThatFailed(t *testing.T) {
	t.Parallel()
	written, failed := engine.WrittenBehindAFailure()
	if want := []int{1, 2, 4}; !cmp.Equal(written, want) {
		t.Errorf("intents written: got %v, want %v", written, want)
	}
	if want := []int{2, 3}; !cmp.Equal(failed, want) {
		t.Errorf("intents failed: got %v, want %v", failed, want)
	}
}

// Messages of an intent that is on its way to the database are under way: no other batch
// begins in their domains, as if they had been handed out.
func TestIntentsOnTheirWayHaveTheirDomainsAlone(t *testing.T) {
	t.Parallel()
	type pick = engine.PickOf
	first := []pick{{Batch: 1, Domain: "a.example"}, {Batch: 1, Domain: "b.example"}}
	putOff := []pick{{1, "a.example", true, true}, {2, "b.example", true, true}}
	retries := []pick{{1, "a.example", true, false}}
	for name, test := range map[string]struct {
		open []pick
		of   pick
		want bool
	}{
		"another batch":                         {first, pick{Batch: 2, Domain: "b.example"}, true},
		"another batch elsewhere":               {first, pick{Batch: 2, Domain: "c.example"}, false},
		"the same batch":                        {first, pick{Batch: 1, Domain: "b.example"}, false},
		"put off before, of another batch":      {putOff, pick{Batch: 3, Domain: "b.example"}, true},
		"put off before, elsewhere":             {putOff, pick{Batch: 3, Domain: "c.example"}, false},
		"retries share their domain":            {retries, pick{Batch: 2, Domain: "a.example"}, false},
		"what is put off waits for first tries": {first, pick{2, "a.example", true, true}, true},
	} {
		if got := engine.OthersOnTheirWay(test.open, test.of); got != test.want {
			t.Errorf("%s: waits: got %v, want %v", name, got, test.want)
		}
	}
}
