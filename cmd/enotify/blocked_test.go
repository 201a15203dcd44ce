package main_test

import (
	"fmt"
	"sync/atomic"
	"testing"

	"enotify/sender/smtptest"
)

// A site that puts us on its blocklist holds up neither the rest of the batch
// nor the next client's: who is there is deferred without being asked, and is
// delivered to, once, when the operator says that we are delisted.
func TestBlockedSiteHoldsUpNobody(t *testing.T) {
	t.Parallel()
	var listed atomic.Bool
	var refused atomic.Int32
	listed.Store(true)
	blocked := &receiver{site: "blocked.test", domains: 20, n: 2000,
		config: smtptest.Config{Reply: func(c smtptest.Command) string {
			if c.Verb == "MAIL" && listed.Load() {
				refused.Add(1)
				return "554 5.7.1 Service unavailable; client host [192.0.2.10] blocked using zen.spamhaus.org"
			}
			return ""
		}}}
	open := &receiver{site: "open.test", domains: 20, n: 300}
	s := newCrowd(t, blocked, open)
	s.Exec(`INSERT INTO enotify.client (domain) VALUES ('city.example')`)
	first := ask[int64](s, `SELECT id FROM enotify.batch`)
	second := ask[int64](s, `SELECT enotify.enqueue('agenda', 'clerk@city.example', 'Agenda', 'Dear all.',
		ARRAY(SELECT format('v%s@d%s.%s.test', i, i % 20, CASE WHEN i % 2 = 0 THEN 'blocked' ELSE 'open' END) FROM generate_series(1, 200) i))`)
	s.Start("run")
	for _, batch := range []int64{first, second} {
		s.Until(`SELECT state = 'retrying' FROM enotify.batch WHERE id = $1`, batch)
	}
	s.Run("batch", "audit")
	for batch, want := range map[int64]string{first: "deferred 2000, delivered 300",
		second: "deferred 100, delivered 100"} {
		if got := s.States(batch); got != want {
			t.Errorf("batch %d: got %s, want %s", batch, got, want)
		}
	}
	if got := ask[int](s, `SELECT count(*)::int FROM enotify.retry WHERE class = 'spam_block' AND code = 554 AND due_at > now() + interval '10 min' AND attempts = 0`); got < 2050 {
		t.Errorf("deferred by the hold: got %d, want nearly 2100", got)
	}
	if got := refused.Load(); got > 20 {
		t.Errorf("messages that the receiver turned away: got %d, want those under way at the first", got)
	}

	listed.Store(false)
	s.Run("destination", "reset", blocked.site, "--learned", "--yes")
	for _, batch := range []int64{first, second} {
		s.Until(`SELECT state = 'done' FROM enotify.batch WHERE id = $1`, batch)
	}
	s.Run("batch", "audit")
	if got := ask[string](s, `SELECT string_agg(DISTINCT state::text, ', ') FROM enotify.delivery`); got != "delivered" {
		t.Errorf("at the end: got %s, want delivered", got)
	}
	if got, want := fmt.Sprint(len(blocked.took()), " ", len(open.took())), "2100 400"; got != want {
		t.Errorf("messages that came: got %s, want %s", got, want)
	}
}
