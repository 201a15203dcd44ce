package engine_test

import (
	"testing"
	"time"

	"enotify/queue/engine"
)

// Deferred outcomes wait for each other while final ones come in: sites that refuse are
// found one by one, and a transaction for each costs more than what it writes. They wait
// for no more than 200 ms, and not where nothing else is written.
func TestDeferredOutcomesAreGathered(t *testing.T) {
	t.Parallel()
	const moment = time.Millisecond
	for name, test := range map[string]struct {
		final, deferred, writing int
		since, quiet             time.Duration
		last                     bool
		finals, others           int
	}{
		"one beside final ones":             {200, 1, 0, 50 * moment, moment, false, 200, 0},
		"one while final ones are written":  {0, 1, 200, 50 * moment, 30 * moment, false, 0, 0},
		"one just after a final one":        {0, 1, 0, moment, moment, false, 0, 0},
		"one alone":                         {0, 1, 0, moment, time.Hour, false, 0, 1},
		"one that has waited":               {200, 1, 0, 200 * moment, moment, false, 200, 1},
		"one that has waited, no final one": {0, 1, 200, 200 * moment, 30 * moment, false, 0, 1},
		"many":                              {50, 100, 500, moment, moment, false, 0, 100},
		"many of both":                      {950, 100, 0, moment, moment, false, 950, 50},
		"the node ends":                     {1, 1, 0, moment, moment, true, 1, 1},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			finals, others := engine.ReadyToWrite(test.final, test.deferred, test.writing, test.since, test.quiet, test.last)
			if finals != test.finals || others != test.others {
				t.Errorf("written next: got %d final and %d deferred, want %d and %d", finals, others, test.finals,
					test.others)
			}
		})
	}
}

// A writer that has written few outcomes rests, for others to come in, and goes on as soon
// as there are many.
func TestRestOfAWriter(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		final int
		rest  time.Duration
		want  int
	}{{99, time.Second, 0}, {100, time.Second, 100}, {99, 0, 99}} {
		if got := engine.ReadyAtRest(test.final, test.rest); got != test.want {
			t.Errorf("of %d outcomes at %v to the end of the rest: got %d, want %d", test.final, test.rest, got, test.want)
		}
	}
}
