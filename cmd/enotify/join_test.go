package main_test

import (
	"strings"
	"testing"
	"time"

	"enotify/sender/smtptest"
)

// A node that joins in the middle of a batch, with an address that the client
// has not authorised, gets none of it; the log and the list of nodes say why,
// and the line that cures it.
func TestNodeWithAnUnauthorisedAddress(t *testing.T) {
	t.Parallel()
	const n = 6000
	s := newSite(t, smtptest.Config{Delay: time.Millisecond})
	batch := ask[int64](s, `SELECT enotify.enqueue('menu', 'info@town.example', 'Lunch menu', 'Soup.', ARRAY(SELECT format('user%s@d%s.alone', i, i % 100) FROM generate_series(1, $1) i))`, n)
	// 12 s at least: the other node joins in time
	s.Exec(`UPDATE enotify.destination SET rate_messages = 5, rate_per = '1 s'`)
	s.Start("run", "--node", "first", "--helo", "first.host.example")
	s.Until(`SELECT delivered > 100 FROM enotify.batch_status WHERE id = $1`, batch)
	stranger := s.Enotify("run", "--node", "stranger", "--helo", "stranger.host.example")
	stranger.Env = append(stranger.Env, "ENOTIFY_EGRESS=198.51.100.9")
	_, log, ended := s.startCmd("may not be sent from this node's addresses", stranger)
	select {
	case <-log.seen:
	case err := <-ended:
		t.Fatalf("run: %v\n%s", err, log)
	}
	s.Until(`SELECT count(*) > 0 FROM enotify.verdict WHERE egress = '198.51.100.9' AND blocks`)
	list := s.Run("node", "list")
	t.Log("node list:\n" + list)
	for _, want := range []string{
		"stranger may not send for town.example from 198.51.100.9, and leaves that to other nodes",
		`publish  town.example. IN TXT "v=spf1 ip4:`, "HEARTBEAT", " s ago",
	} {
		if !strings.Contains(list, want) {
			t.Errorf("node list: got\n%s\nwant it to hold %q", list, want)
		}
	}
	s.Exec(`UPDATE enotify.destination SET rate_messages = 0`)
	s.Until(`SELECT state = 'done' FROM enotify.batch WHERE id = $1`, batch)
	if got, want := s.States(batch), "delivered 6000"; got != want {
		t.Errorf("states: got %s, want %s", got, want)
	}
	by := map[string]int{}
	for _, m := range s.SMTP.Messages() {
		by[m.Helo]++
	}
	if by["first.host.example"] != n || len(by) != 1 {
		t.Errorf("messages by node: got %v, want all %d from the first", by, n)
	}
}
