package main_test

import (
	"fmt"
	"os/exec"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"enotify/sender/smtptest"
)

// Each limit of a site that an operator sets is felt by a node that runs.
func TestLimitsChangeWhileSending(t *testing.T) {
	t.Parallel()
	s := newSite(t, smtptest.Config{Delay: 5 * time.Millisecond})
	s.Run("destination", "set", "mx.test", "--rate", "1/day", "--burst", "1")
	batch := s.Enqueue("menu", "Soup.", 50_000, 50)
	s.Start("run")
	s.Until(`SELECT state = 'sending' FROM enotify.batch WHERE id = $1`, batch)
	beat := func() { // twice, and it has looked at everything since
		at := ask[time.Time](s, `SELECT live_until FROM enotify.node`)
		s.Until(`SELECT live_until > $1::timestamptz + interval '2 s' FROM enotify.node`, at)
	}
	beat()
	if got := s.SMTP.Delivered(); got > 0 {
		t.Errorf("at one a day, whose bucket starts empty: got %d messages, want none", got)
	}
	set := func(felt func() bool, args ...string) {
		t.Helper()
		s.Run(append([]string{"destination", "set", "mx.test"}, args...)...)
		said := time.Now()
		for !felt() {
			time.Sleep(2 * time.Millisecond)
		}
		took := time.Since(said).Round(time.Millisecond)
		t.Logf("%v was felt after %v", args, took)
		if took > 30*time.Second { // it is under 1 s where nobody else has the machine
			t.Errorf("%v was felt after %v, want 30 s at most", args, took)
		}
	}
	// turns is how often the connection changes in the last n messages.
	turns := func(n int) (turns int) {
		all := s.SMTP.Messages()
		last := all[max(0, len(all)-n):]
		for i := range last[1:] {
			if last[i].Conn != last[i+1].Conn {
				turns++
			}
		}
		return turns
	}
	set(func() bool { return s.SMTP.Delivered() > 0 }, "--rate", "unlimited")
	for s.SMTP.Peak() < 4 {
		time.Sleep(5 * time.Millisecond)
	}
	set(func() bool { return turns(30) == 0 }, "--connections", "1")
	set(func() bool { return turns(16) >= 3 }, "--per-connection", "5")
	s.Run("destination", "set", "mx.test", "--rate", "1/day")
	beat()
	before := s.SMTP.Delivered()
	beat()
	if got := s.SMTP.Delivered() - before; got > 0 {
		t.Errorf("at one a day again: got %d messages, want none", got)
	}
}

// A client sends exactly as many messages a day as it may, from two nodes, one of them
// killed in the middle. The rest waits with its reason; a larger limit is in force at
// once.
func TestQuotaHoldsOverKills(t *testing.T) {
	t.Parallel()
	s := newSite(t, smtptest.Config{})
	s.Run("client", "set", "town.example", "--per-day", "70", "--zone", noon())
	s.Run("destination", "set", "*", "--rate", "2/s", "--burst", "1")
	batch := s.Enqueue("menu", "Soup.", 160, 20)
	nodes := map[string]*exec.Cmd{}
	for _, name := range []string{"n1", "n2"} {
		nodes[name] = s.Start("run", "--node", name)
	}
	s.Until(`SELECT coalesce(sum(n), 0) >= 30 FROM enotify.client_sent`)
	s.kill(nodes["n1"].Process)
	_ = nodes["n1"].Wait()
	if got := ask[int](s, `SELECT sum(n)::int FROM enotify.client_sent`); got >= 70 {
		t.Errorf("counted when a node was killed: got %d, want fewer than 70", got)
	}
	s.Run("destination", "set", "*", "--rate", "unlimited")
	s.Start("run", "--node", "n1")
	const spent = `SELECT state = 'queued' AND sending = 0 AND reason LIKE 'client town.example has sent all that it may for now; it goes on at %' AND pending = $2
		FROM enotify.batch_status WHERE id = $1`
	s.Until(spent, batch, 90)
	if got := s.Run("batch", "list"); !strings.Contains(got, "client town.example has sent all that it may for now") {
		t.Errorf("batch list: got %s", got)
	}
	s.Run("client", "set", "town.example", "--per-day", "100")
	s.Until(spent, batch, 60)
	if got := s.SMTP.Delivered(); got > 100 {
		t.Errorf("messages: got %d, want 100 at most", got)
	}
	s.Run("client", "set", "town.example", "--per-day", "0")
	s.Until(`SELECT state = 'done' FROM enotify.batch WHERE id = $1`, batch)
	s.Run("batch", "audit", fmt.Sprint(batch))
}

// A node that joins gets sites from one that lives on, and with them what was
// learned there: it leaves alone the site that blocks us.
func TestSiteMovesWithWhatWasLearned(t *testing.T) {
	t.Parallel()
	s := newSite(t, smtptest.Config{Reply: func(c smtptest.Command) string {
		if c.Verb == "MAIL" {
			return "554 5.7.1 Service unavailable; client host [192.0.2.10] blocked using zen.spamhaus.org"
		}
		return ""
	}})
	first := s.Enqueue("menu", "Soup.", 50, 5)
	s.Start("run", "--node", "n1")
	s.Until(`SELECT state = 'retrying' FROM enotify.batch WHERE id = $1`, first)
	tried := s.SMTP.Connections()

	const holder = `SELECT n.name FROM enotify.site s JOIN enotify.lease l USING (grp) JOIN enotify.node n ON n.id = l.node_id WHERE s.name = 'mx.test'`
	for { // until the site is among those that go over
		second := s.Start("run", "--node", "n2")
		s.Until(`SELECT count(*) = 2 AND bool_and(n = 32) FROM (SELECT count(*) AS n FROM enotify.lease WHERE node_id IS NOT NULL GROUP BY node_id) x`)
		if ask[string](s, holder) == "n2" {
			break
		}
		if err := second.Process.Signal(syscall.SIGTERM); err != nil {
			t.Fatal(err)
		}
		_ = second.Wait()
	}
	next := s.Enqueue("agenda", "Dear all.", 50, 5)
	s.Until(`SELECT state = 'retrying' FROM enotify.batch WHERE id = $1`, next)
	if got := s.SMTP.Connections() - tried; got > 0 {
		t.Errorf("connections of the next node to a site that blocks us: got %d, want none", got)
	}
	if got := ask[int](s, `SELECT count(*)::int FROM enotify.retry WHERE batch_id = $1 AND class = 'spam_block' AND attempts = 0`, next); got != 50 {
		t.Errorf("deferred by what the first node had learned: got %d, want 50", got)
	}
	nodes := ask[[]string](s, `SELECT array_agg(name ORDER BY name) FROM enotify.node WHERE live_until > now()`)
	if !slices.Equal(nodes, []string{"n1", "n2"}) {
		t.Errorf("nodes that live: got %v, want both", nodes)
	}
}
