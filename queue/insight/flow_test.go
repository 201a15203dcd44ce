package insight_test

import (
	"testing"
	"time"

	"enotify/queue"
	"enotify/queue/insight"
	"enotify/queue/queuetest"
)

// Outcomes are counted by the time they came, exactly for a short while and by whole
// batches for a long one; the sites that most wait for come first.
func TestFlowAndBusiest(t *testing.T) {
	t.Parallel()
	f := queuetest.NewFixture(t)
	f.Exec(`SELECT enotify.enqueue('menu', 'info@town.example', 's', 't', '{a@a.example, b@a.example, c@b.example, d@b.example}')`)
	busy, err := insight.Of(f.DB).Busiest(t.Context(), 5)
	if err != nil || len(busy) != 0 {
		t.Errorf("before the turn: got %v, %v; want no site", busy, err)
	}
	f.Exec(`UPDATE enotify.batch SET state = 'sending', started_at = now() - interval '50 minutes'`)
	busy, err = insight.Of(f.DB).Busiest(t.Context(), 1)
	if err != nil || len(busy) != 1 || busy[0].Untried != 2 || busy[0].Domains != 1 {
		t.Errorf("under way: got %v, %v; want one site with two recipients", busy, err)
	}
	f.Exec(`INSERT INTO enotify.outcome (batch_id, seq, state, at)
		SELECT 1, i, CASE WHEN i < 4 THEN 'delivered' ELSE 'bounced' END::enotify.recipient_state, now() - interval '30 minutes' FROM generate_series(1, 4) i`)
	f.Exec(`UPDATE enotify.batch SET state = 'done', finished_at = now() - interval '30 minutes'`)
	read := insight.Of(f.DB)
	for name, flow := range map[string]func() ([]insight.Flow, error){
		"exact":  func() ([]insight.Flow, error) { return read.Flow(t.Context(), time.Hour, time.Minute) },
		"coarse": func() ([]insight.Flow, error) { return read.CoarseFlow(t.Context(), 24*time.Hour, time.Hour) },
	} {
		steps, err := flow()
		delivered, failed := 0, 0
		for _, s := range steps {
			delivered, failed = delivered+s.Delivered, failed+s.Failed
		}
		if err != nil || delivered != 3 || failed != 1 {
			t.Errorf("%s: got %v, %v; want 3 delivered and 1 %s", name, steps, err, queue.Bounced)
		}
	}
}

// A batch that is retried for days has its messages in the hour in which they left, not
// evenly from its start on; a large one by some of its recipients, with exact counts.
func TestTheDayShowsWhenMailLeft(t *testing.T) {
	t.Parallel()
	f := queuetest.NewFixture(t)
	const n, bounced = 5003, 2
	f.Exec(`SELECT enotify.enqueue('menu', 'info@town.example', 's', 't', (SELECT array_agg('u' || i || '@a.example') FROM generate_series(1, $1::int) i))`, n)
	f.Exec(`UPDATE enotify.batch SET state = 'sending', started_at = now() - interval '3 days'`)
	f.Exec(`INSERT INTO enotify.outcome (batch_id, seq, state, at)
		SELECT 1, i, CASE WHEN i > $1::int - $2::int THEN 'bounced' ELSE 'delivered' END::enotify.recipient_state, now() - interval '3 days' + interval '20 minutes' * (i % 2)
		FROM generate_series(1, $1::int - 1) i`, n, bounced+1)
	f.Exec(`UPDATE enotify.batch SET state = 'retrying'`)
	flow, err := insight.Of(f.DB).CoarseFlow(t.Context(), 30*24*time.Hour, time.Hour)
	delivered, failed := 0, 0
	for _, s := range flow {
		delivered, failed = delivered+s.Delivered, failed+s.Failed
		if age := time.Since(s.At); age < 70*time.Hour {
			t.Errorf("%d delivered and %d not %s ago; want all of them three days ago", s.Delivered, s.Failed, age)
		}
	}
	if err != nil || delivered != n-1-bounced || failed != bounced {
		t.Errorf("got %d delivered and %d not, %v; want %d and %d", delivered, failed, err, n-1-bounced, bounced)
	}
}
