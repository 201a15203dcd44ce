package insight_test

import (
	"context"
	"sync"
	"testing"

	"github.com/google/go-cmp/cmp"

	"enotify/queue"
	"enotify/queue/insight"
	"enotify/queue/queuetest"
)

// Ahead lists the batch under way first, then the higher priority, then the earlier batch.
func TestAhead(t *testing.T) {
	t.Parallel()
	f := queuetest.NewFixture(t)
	first, second := f.Enqueue("first", 10, "a.example"), f.Enqueue("second", 4, "a.example", "b.example")
	urgent := queuetest.Query[int64](f, `SELECT enotify.enqueue('urgent', 'info@town.example', 's', 't', '{x@c.example}', priority => 10)`)
	later := queuetest.Query[int64](f, `SELECT enotify.enqueue('later', 'info@town.example', 's', 't', '{x@c.example}', not_before => now() + interval '1 day', priority => 10)`)
	paused := f.Enqueue("paused", 1, "a.example")
	f.Exec(`SELECT enotify.pause_batch($1)`, paused)
	draft := queuetest.Query[int64](f, `SELECT enotify.create_batch('draft', 'info@town.example', 's', 't')`)
	for batch, want := range map[int64][]int64{first: {urgent}, second: {urgent, first}, urgent: nil,
		draft: {urgent, first, second}, 0: {urgent, first, second}, later: {urgent}} {
		ahead, err := insight.Of(f.DB).Ahead(t.Context(), batch)
		if err != nil {
			t.Fatal(err)
		}
		var got []int64
		for _, a := range ahead {
			got = append(got, a.Batch)
		}
		if !cmp.Equal(got, want) {
			t.Errorf("ahead of batch %d: got %v, want %v", batch, got, want)
		}
	}
	ahead, err := insight.Of(f.DB).Ahead(t.Context(), draft)
	if err != nil {
		t.Fatal(err)
	}
	if want := []insight.SiteCount{{Domain: "a.example", Site: "a.example", N: 2},
		{Domain: "b.example", Site: "b.example", N: 2}}; !cmp.Equal(ahead[2].Domains, want) {
		t.Errorf("of the second: got %v, want %v", ahead[2].Domains, want)
	}
}

// A site that greylisted its first batch is not expected to defer the next one; one that
// deferred the next one too is.
func TestDeferrals(t *testing.T) {
	t.Parallel()
	f := queuetest.NewFixture(t)
	const n = 30
	greylisted := func(key string) []insight.Deferral {
		f.Helper()
		var seen sync.Map
		batch := f.Enqueue(key, n, "a.example")
		f.ServeUntil(f.Server(key, func(ctx context.Context, m queue.Message) queue.Outcome {
			if _, again := seen.LoadOrStore(m.Seq, true); !again {
				return queue.Outcome{State: queue.Deferred, Class: queue.Throttled,
					Reply: queue.Reply{Code: 451, Enhanced: "4.7.1", Text: "greylisted"}}
			}
			return queuetest.Deliver(ctx, m)
		}), `SELECT state = 'done' FROM enotify.batch WHERE id = $1`, batch)
		got, err := insight.Of(f.DB).Deferrals(t.Context(), []string{"a.example"})
		if err != nil {
			t.Fatal(err)
		}
		return got
	}
	for i, want := range []int{0, n} {
		got := greylisted([]string{"first", "second"}[i])
		if want := []insight.Deferral{{Site: "a.example", Tried: n, Deferred: want}}; !cmp.Equal(got, want) {
			t.Errorf("after batch %d: got %v, want %v", i+1, got, want)
		}
	}
}
