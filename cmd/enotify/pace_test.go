package main_test

import (
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
	s.exec(`INSERT INTO enotify.destination (name, rate_messages, rate_per, burst) VALUES ('d0.test', $1, '1 s', $2), ('d1.test', 1, '1 day', 1)`, perSecond, burst)
	batch := s.enqueue("menu", "Soup.", 300, 3) // 100 each to d0, d1 and d2

	for range 2 { // the second goes on where the first was stopped
		node := s.start("run")
		s.until(`SELECT count(*) >= 30 FROM enotify.delivery WHERE batch_id = $1 AND state = 'delivered' AND domain = 'd0.test'`, batch)
		if err := node.Process.Kill(); err != nil {
			t.Fatal(err)
		}
		_ = node.Wait()
		s.exec(`UPDATE enotify.lease SET until = '-infinity'`) // as if the time had passed
	}
	if got := ask[int](s, `SELECT count(*)::int FROM enotify.delivery WHERE batch_id = $1 AND state IN ('delivered', 'unknown') AND domain = 'd2.test'`, batch); got != 100 {
		t.Errorf("messages to the domain without a limit: got %d, want all 100", got)
	}

	s.start("run")
	s.until(`SELECT state = 'sending' FROM enotify.batch WHERE id = $1`, batch)
	s.run("destination", "set", "d1.test", "--rate", "unlimited")
	s.until(`SELECT state = 'done' FROM enotify.batch WHERE id = $1`, batch)
	var times []time.Time
	for _, m := range s.smtp.Messages() {
		if strings.HasSuffix(m.To[0], "@d0.test") {
			times = append(times, m.At)
		}
	}
	slices.SortFunc(times, time.Time.Compare)
	for i := range times {
		n := 1
		for n < len(times)-i && times[i+n].Sub(times[i]) < time.Second {
			n++
		}
		// two more for what left before the window began and came within it
		if most := perSecond + burst + 2; n > most {
			t.Fatalf("messages within a second: got %d, want at most %d", n, most)
		}
	}
}
