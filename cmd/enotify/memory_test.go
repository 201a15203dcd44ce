package main_test

import (
	"strings"
	"testing"
	"time"

	"enotify/sender/smtptest"
)

// learned waits until the node has kept something about the one site that there is.
func (s *site) learned(what string) {
	s.Helper()
	s.Until(`SELECT EXISTS (SELECT FROM enotify.pace WHERE kind = 'site' AND name = 'mx.test' AND state #>> $1 IS NOT NULL)`, strings.Split(what, "."))
}

func (s *site) kill(node interface{ Kill() error }) {
	s.Helper()
	if err := node.Kill(); err != nil {
		s.Fatal(err)
	}
	s.Exec(`UPDATE enotify.lease SET until = '-infinity'`) // as if the time had passed
}

// A node that is killed leaves what it learned: the next one keeps to the
// number of connections that the site bears, without asking again.
func TestNextNodeKnowsTheCeiling(t *testing.T) {
	t.Parallel()
	s := newSite(t, smtptest.Config{MaxConnections: 3, Delay: time.Millisecond})
	s.Enqueue("menu", "Soup.", 20000, 50)
	node := s.Start("run")
	s.learned("pace.Ceiling")
	s.kill(node.Process)
	_ = node.Wait()
	refused := s.SMTP.Refused()
	if refused == 0 {
		t.Fatal("refused connections: got none, want what the ceiling was learned from")
	}
	before := s.SMTP.Delivered()
	s.Start("run")
	for s.SMTP.Delivered() < before+2000 {
		time.Sleep(5 * time.Millisecond)
	}
	if got := s.SMTP.Refused() - refused; got > 0 {
		t.Errorf("connections refused to the next node: got %d, want 0", got)
	}
}

// A site that closed to one node is closed to the next, until then and not
// longer; an operator can have it forgotten, which holds at once.
func TestNextNodeKnowsTheHold(t *testing.T) {
	t.Parallel()
	s := newSite(t, smtptest.Config{Reply: func(c smtptest.Command) string {
		if c.Verb == "MAIL" {
			return "554 5.7.1 Service unavailable; client host [192.0.2.10] blocked using zen.spamhaus.org"
		}
		return ""
	}})
	batch := s.Enqueue("menu", "Soup.", 50, 5)
	node := s.Start("run")
	s.learned("holds.0.until")
	s.kill(node.Process)
	_ = node.Wait()
	tried := s.SMTP.Connections()
	s.Start("run", "--retry-first", "100ms", "--retry-max", "100ms")
	s.Until(`SELECT count(*) = 64 FROM enotify.lease WHERE until > now()`)
	s.Until(`SELECT state = 'retrying' FROM enotify.batch WHERE id = $1`, batch) // deferred, without being sent to
	if got := s.SMTP.Connections() - tried; got > 0 {
		t.Errorf("connections while we are held: got %d, want 0", got)
	}
	if got := ask[int](s, `SELECT bounced FROM enotify.batch_status WHERE id = $1`, batch); got != 0 {
		t.Errorf("recipients given up: got %d, want 0", got)
	}
	s.Exec(`SELECT enotify.forget_learned('mx.test')`)
	forgotten := time.Now()
	for s.SMTP.Connections() == tried {
		if time.Sleep(time.Millisecond); time.Since(forgotten) > time.Minute {
			t.Fatal("nothing was tried within a minute after the site was forgotten")
		}
	}
	t.Logf("tried again %v after it was forgotten", time.Since(forgotten).Round(time.Millisecond))
}

// The bucket of a slow rate goes on over restarts: a node that is killed right
// after it has spent its burst gives it to no other, and one that starts again
// and again does not start its wait again.
func TestSlowRateGoesOnOverRestarts(t *testing.T) {
	t.Parallel()
	s := newSite(t, smtptest.Config{})
	s.Exec(`INSERT INTO enotify.destination (name, rate_messages, rate_per, burst) VALUES ('d0.test', 600, '1 day', 3)`)
	batch := s.Enqueue("menu", "Soup.", 20, 1)
	hours := func(n int) { // go by, for the bucket
		s.Exec(`UPDATE enotify.pace SET learned_at = learned_at - make_interval(hours => $1), updated_at = clock_timestamp() WHERE kind = 'domain'`, n)
	}
	start := func() {
		node := s.Start("run")
		s.Until(`SELECT state = 'sending' FROM enotify.batch WHERE id = $1`, batch)
		s.Until(`SELECT EXISTS (SELECT FROM enotify.pace WHERE kind = 'domain' AND name = 'd0.test')`)
		// for a second at least
		s.Until(`SELECT bool_or(live_until > started_at + '5 s') FROM enotify.node WHERE live_until > now()`)
		s.kill(node.Process)
		_ = node.Wait()
	}
	delivered := func(want int) {
		t.Helper()
		if got := s.SMTP.Delivered(); got != want {
			t.Errorf("delivered: got %d, want %d", got, want)
		}
	}
	start()
	delivered(0) // the bucket starts empty
	hours(1)     // and is full by now
	node := s.Start("run")
	for s.SMTP.Delivered() < 3 {
		time.Sleep(time.Millisecond)
	}
	s.kill(node.Process) // before it has kept anything but that it spends these
	_ = node.Wait()
	start()
	start()
	delivered(3)
}
