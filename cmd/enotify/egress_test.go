package main_test

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"enotify/sender/smtptest"
)

// noon is a time zone where it is about noon now: no day ends during the test.
func noon() string { return fmt.Sprintf("Etc/GMT%+d", time.Now().UTC().Hour()-12) }

// The cap of a day holds over a SIGKILL; what is above waits, keeps no turn, and goes on
// the next day with the next cap. The plan is shown against what was sent.
func TestWarmupHoldsOverKills(t *testing.T) {
	t.Parallel()
	s := newSite(t, smtptest.Config{})
	s.DNS.PutTXT("town.example", "v=spf1 ip4:127.0.0.5 -all")
	s.Run("egress", "add", "127.0.0.5", "--rate", "40/s") // slow enough to be killed in the middle of the day
	s.Run("egress", "warm", "127.0.0.5", "--plan", "80,90", "--zone", noon())
	batch := ask[int64](s, `SELECT enotify.enqueue('menu', 'info@town.example', 'Lunch menu', 'Soup.',
		ARRAY(SELECT format('user@d%s.alone', i) FROM generate_series(1, 190) i))`)
	node := s.Start("run", "--egress", "127.0.0.5")
	s.Until(`SELECT coalesce(sum(begun), 0) >= 50 FROM enotify.egress_day`)
	s.kill(node.Process)
	_ = node.Wait()
	killed := s.SMTP.Delivered()
	s.Run("egress", "set", "127.0.0.5", "--rate", "unlimited")
	s.Start("run", "--egress", "127.0.0.5")
	s.Until(`SELECT state = 'retrying' FROM enotify.batch WHERE id = $1`, batch)
	first, doubt := s.SMTP.Delivered(), ask[int](s, `SELECT unknown FROM enotify.batch_status WHERE id = $1`, batch)
	// What was counted and not begun when the node was killed stays counted.
	if killed >= 80 || first > 80 || first+doubt < 70 {
		t.Errorf("first day: got %d messages before the kill and %d in all, %d in doubt; want 80 at most, and few less",
			killed, first, doubt)
	}
	if got := ask[string](s, `SELECT min(reply) FROM enotify.delivery WHERE batch_id = $1 AND state = 'deferred'`,
		batch); !strings.Contains(got, "the warm-up of 127.0.0.5 allows 80 messages today") {
		t.Errorf("why the others wait: got %q", got)
	}
	if got := s.Run("egress", "show", "127.0.0.5"); !strings.Contains(got,
		"day 1 of 2: 80 of 80 messages sent; what is above waits for the next day") {
		t.Errorf("egress show: got %s", got)
	}

	// All days are some days ago at once: today is a new one. What waited goes on by itself.
	nextDay := func(days int) {
		s.Exec(`WITH d AS (UPDATE enotify.egress_day SET day = day - $1::int) UPDATE enotify.warmup SET day = day - $1::int`, days)
	}
	nextDay(10)
	for s.SMTP.Delivered() < first+90 {
		time.Sleep(5 * time.Millisecond)
	}
	s.Until(`SELECT begun = 90 FROM enotify.egress_day WHERE site = '*' ORDER BY day DESC LIMIT 1`)
	s.Until(`SELECT bool_and(due_at > now()) FROM enotify.retry`) // the rest was put off again
	if got := s.SMTP.Delivered() - first; got != 90 {
		t.Errorf("second day: got %d messages, want 90", got)
	}
	nextDay(3) // the plan is over
	s.Until(`SELECT state = 'done' FROM enotify.batch WHERE id = $1`, batch)
	s.Run("batch", "audit", fmt.Sprint(batch))
}
