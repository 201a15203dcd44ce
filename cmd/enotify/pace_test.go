package main_test

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"enotify/sender/smtptest"
)

// The rate of a recipient domain holds in every window, across a restart too,
// and holds nobody else up; a change of it is in force while the node runs.
func TestRateHoldsAndHoldsNobodyUp(t *testing.T) {
	t.Parallel()
	const perSecond, burst = 20, 5
	s := newSite(t, smtptest.Config{})
	s.Exec(`INSERT INTO enotify.destination (name, rate_messages, rate_per, burst) VALUES ('d0.test', $1, '1 s', $2), ('d1.test', 1, '1 day', 1)`, perSecond, burst)
	batch := s.Enqueue("menu", "Soup.", 300, 3) // 100 each to d0, d1 and d2

	for range 2 { // the second goes on where the first was stopped
		node := s.Start("run")
		s.Until(`SELECT count(*) >= 30 FROM enotify.delivery WHERE batch_id = $1 AND state = 'delivered' AND domain = 'd0.test'`, batch)
		if err := node.Process.Kill(); err != nil {
			t.Fatal(err)
		}
		_ = node.Wait()
		s.Exec(`UPDATE enotify.lease SET until = '-infinity'`) // as if the time had passed
	}
	if got := ask[int](s, `SELECT count(*)::int FROM enotify.delivery WHERE batch_id = $1 AND state IN ('delivered', 'unknown') AND domain = 'd2.test'`, batch); got != 100 {
		t.Errorf("messages to the domain without a limit: got %d, want all 100", got)
	}

	s.Start("run")
	s.Until(`SELECT state = 'sending' FROM enotify.batch WHERE id = $1`, batch)
	s.Run("destination", "set", "d1.test", "--rate", "unlimited")
	s.Until(`SELECT state = 'done' FROM enotify.batch WHERE id = $1`, batch)
	var times []time.Time
	for _, m := range s.SMTP.Messages() {
		if strings.HasSuffix(m.To[0], "@d0.test") {
			times = append(times, m.At)
		}
	}
	keepsTo(t, times, perSecond, burst)
}

// keepsTo fails unless messages came at the rate over every span of them. What had left
// before a span may come in it where the receiver stood still: one message of each
// connection, and the next one that each was given.
func keepsTo(t *testing.T, times []time.Time, perSecond, burst int) {
	t.Helper()
	const underway = 2 * 20
	slices.SortFunc(times, time.Time.Compare)
	for i, from := range times {
		for j := i; j < len(times); j++ {
			span := times[j].Sub(from)
			if got, most := j-i+1, burst+underway+int(span.Seconds()*float64(perSecond)); got > most {
				t.Fatalf("messages within %v: got %d, want at most %d", span, got, most)
			}
		}
	}
}

// The rate of a site holds for all its domains together, in every window and
// over a kill; a change of it is in force within a second.
func TestSiteRateHolds(t *testing.T) {
	t.Parallel()
	const perSecond, burst = 30, 5
	s := newSite(t, smtptest.Config{})
	s.Run("destination", "set", "mx.test", "--rate", fmt.Sprintf("%d/min", 60*perSecond), "--burst", fmt.Sprint(burst))
	batch := s.Enqueue("menu", "Soup.", 400, 20) // all served by mx.test
	for range 2 {
		before := s.SMTP.Delivered()
		node := s.Start("run")
		for s.SMTP.Delivered() < before+100 {
			time.Sleep(5 * time.Millisecond)
		}
		s.kill(node.Process)
		_ = node.Wait()
	}
	limited := s.SMTP.Messages()
	s.Start("run")
	s.Until(`SELECT state = 'sending' FROM enotify.batch WHERE id = $1`, batch)
	s.Run("destination", "set", "mx.test", "--rate", "unlimited")
	s.Until(`SELECT state = 'done' FROM enotify.batch WHERE id = $1`, batch)

	var times []time.Time
	for _, m := range limited {
		times = append(times, m.At)
	}
	keepsTo(t, times, perSecond, burst)
	if len(limited) < 200 {
		t.Errorf("messages while the rate held: got %d, want 200", len(limited))
	}
}
