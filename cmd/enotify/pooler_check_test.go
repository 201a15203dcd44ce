//go:build check

package main_test

import (
	"strings"
	"testing"

	"enotify/cmd/enotify/sitetest"
	"enotify/queue/queuetest"
)

// Two nodes send through PgBouncer in transaction mode. It is killed twice on the
// way, and then a node is: everybody who is not in doubt gets one message.
func TestPooler(t *testing.T) {
	t.Parallel()
	receivers := &sitetest.Receivers{}
	s := newSite(t, receivers.Config())
	sender := queuetest.Login(t, s.URL, "enotify_sender")
	pooler := queuetest.StartPooler(t, "transaction", sender, s.URL)
	const recipients = 2000
	batch := s.Enqueue("menu", "Soup.", recipients, 40)
	node := func() (kill func()) {
		cmd := s.Enotify("run")
		cmd.Env = append(cmd.Env, "DATABASE_URL="+pooler.URL(sender))
		if err := cmd.Start(); err != nil {
			t.Fatal(err)
		}
		kill = func() { _ = cmd.Process.Kill(); _ = cmd.Wait() }
		t.Cleanup(kill)
		return kill
	}
	for _, domain := range []string{"d1.test", "d2.test"} {
		receivers.Answer(domain, "RCPT", "slow")
	}
	kill := node()
	node()
	delivered := `SELECT count(*) >= $2 FROM enotify.delivery WHERE batch_id = $1 AND state = 'delivered'`
	for _, n := range []int{50, 300} {
		s.Until(delivered, batch, n)
		pooler.Kill()
		pooler.Start()
	}
	s.Until(delivered, batch, 600)
	kill()
	s.Until(`SELECT state = 'done' FROM enotify.batch WHERE id = $1`, batch)
	if got := receivers.Twice(); len(got) > 0 {
		t.Errorf("recipients with two messages: got %v, want none", got)
	}
	total := sitetest.Ask[int](s.Site, `SELECT (delivered + unknown)::int FROM enotify.batch_status WHERE id = $1`,
		batch)
	if total != recipients {
		t.Errorf("delivered or in doubt: got %d (%s), want %d", total, s.States(batch), recipients)
	}
	cmd := s.Enotify("batch", "audit")
	cmd.Env = append(cmd.Env, "DATABASE_URL="+pooler.URL(s.URL))
	if out, err := cmd.CombinedOutput(); err != nil || !strings.Contains(string(out), "balances") {
		t.Errorf("audit: got %q and error %v, want that it balances", out, err)
	}
}
