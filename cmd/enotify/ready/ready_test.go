package ready_test

import (
	"net/netip"
	"strings"
	"testing"

	"enotify/cmd/enotify/sitetest"
	"enotify/queue"
	"enotify/queue/queuetest"
	"enotify/sender/smtptest"
)

func TestMain(m *testing.M) { queuetest.Main(m) }

// A draft that is kept ready outlives others, is checked by itself, again when the
// client's record changes, when a node brings another address, and after three o'clock at
// night, and goes when it is submitted.
func TestADraftIsKeptReady(t *testing.T) {
	t.Parallel()
	s := sitetest.New(t, smtptest.Config{})
	if err := s.DNS.Put("10.2.0.192.in-addr.arpa. PTR mail.host.example.\nmail.host.example. A 192.0.2.10\ntown.example. MX 10 mail.host.example.\ntown.example. 0 TXT \"v=spf1 ip4:192.0.2.10 -all\""); err != nil {
		t.Fatal(err)
	}
	draft := func(key string) int64 {
		id := sitetest.Ask[int64](s, `SELECT enotify.create_batch($1, 'info@town.example', 'Flood', 'Leave by the north road.', expires_at => now() + interval '6 hours')`, key)
		s.Exec(`SELECT enotify.add_recipients($1, '{ann@a.test,bob@b.test}')`, id)
		s.Exec(`UPDATE enotify.batch SET created_at = created_at - interval '30 days', expires_at = expires_at - interval '30 days' WHERE id = $1`, id)
		return id
	}
	flood, other := draft("flood"), draft("other")
	s.Exec(`SELECT enotify.keep_ready($1)`, flood)
	s.Serve(s.Node())

	s.Until(`SELECT state = 'cancelled' FROM enotify.batch WHERE id = $1`, other)
	const verdict = `SELECT verdict IN ('ready', 'warnings') AND line = '' FROM enotify.ready WHERE batch_id = $1`
	s.Until(verdict, flood)
	if got := sitetest.Ask[string](s, `SELECT state::text FROM enotify.batch WHERE id = $1`, flood); got != "draft" {
		t.Errorf("state of the draft that is kept: got %s, want draft", got)
	}

	record := func(text, result string) {
		t.Helper()
		if err := s.DNS.Put(`town.example. 0 TXT "` + text + `"`); err != nil {
			t.Fatal(err)
		}
		s.Exec(`UPDATE enotify.verdict SET valid_until = now()`) // as when the TTL has passed
		s.Until(`SELECT EXISTS (SELECT FROM enotify.verdict WHERE superseded_at IS NULL AND result = $1)`, result)
	}
	record("v=spf1 -all", "fail")
	s.Until(`SELECT verdict = 'blocked' AND line <> '' FROM enotify.ready WHERE batch_id = $1`, flood)
	var text, next string
	if err := s.Conn.QueryRow(t.Context(), `SELECT text, next FROM enotify.alert WHERE kind = $1 AND batch_id = $2`,
		queue.AlertNotReady, flood).Scan(&text, &next); err != nil {
		t.Fatal(err)
	}
	if !strings.Contains(text, "is not ready: ") || !strings.Contains(text, "SPF") ||
		!strings.HasPrefix(next, "enotify preflight ") {
		t.Errorf("alert: got %q, next %q; want what would stop it", text, next)
	}
	record("v=spf1 ip4:192.0.2.10 -all", "pass")
	s.Until(verdict, flood)

	second := s.Node()
	second.Name, second.Egress = "second", []netip.Addr{netip.MustParseAddr("192.0.2.11")}
	stop := s.Serve(second)
	s.Until(`SELECT verdict = 'blocked' AND line LIKE '%192.0.2.11%' FROM enotify.ready WHERE batch_id = $1`, flood)
	stop()
	s.Until(verdict, flood)

	s.Exec(`UPDATE enotify.ready_draft SET checked_at = date_trunc('day', now() - interval '3 hours') + interval '2 hours 59 minutes'`)
	s.Exec(`NOTIFY enotify, 'ready'`)
	s.Until(`SELECT checked_at > now() - interval '5 minutes' FROM enotify.ready WHERE batch_id = $1`, flood)

	s.Exec(`SELECT enotify.submit_batch($1, 2)`, flood)
	if got := sitetest.Ask[string](s, `SELECT date_trunc('hour', expires_at - now() + interval '1 minute')::text FROM enotify.batch WHERE id = $1`, flood); got != "06:00:00" {
		t.Errorf("time until it expires: got %s, want the 6 hours that it was created with", got)
	}
	s.Until(`SELECT delivered = 2 FROM enotify.batch_status WHERE id = $1`, flood)
	if got := sitetest.Ask[int](s, `SELECT count(*)::int FROM enotify.ready`); got != 0 {
		t.Errorf("drafts kept ready: got %d, want none once it is submitted", got)
	}
}
