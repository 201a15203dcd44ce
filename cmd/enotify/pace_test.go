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
		for s.SMTP.Delivered() < before+50 {
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

	slices.SortFunc(limited, func(a, b smtptest.Message) int { return a.At.Compare(b.At) })
	for i := range limited {
		n := 1
		for n < len(limited)-i && limited[i+n].At.Sub(limited[i].At) < time.Second {
			n++
		}
		// two more for what left before the window began and came within it
		if most := perSecond + burst + 2; n > most {
			t.Fatalf("messages to the site within a second: got %d, want at most %d", n, most)
		}
	}
	if len(limited) < 100 {
		t.Errorf("messages while the rate held: got %d, want 100", len(limited))
	}
}
