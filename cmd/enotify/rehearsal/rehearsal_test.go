package rehearsal_test

import (
	"net/netip"
	"strings"
	"testing"

	"enotify/cmd/enotify/rehearsal"
	"enotify/cmd/enotify/sitetest"
	"enotify/queue/queuetest"
	"enotify/sender/smtptest"
)

func TestMain(m *testing.M) { queuetest.Main(m) }

// A rehearsal takes as long as the limits say, reaches nobody, and leaves the batch as
// it was; and it says what the guard would say.
func TestARehearsalReachesNobody(t *testing.T) {
	t.Parallel()
	s := sitetest.New(t, smtptest.Config{})
	s.Exec(`INSERT INTO enotify.destination (name, rate_messages, rate_per, burst) VALUES ('slow.test', 20, '1 s', 5)`)
	batch := sitetest.Ask[int64](s, `SELECT enotify.create_batch('flood', 'info@town.example', 'Flood', 'Dear {{.name}}, leave.')`)
	s.Exec(`SELECT enotify.add_recipients($1, ARRAY(SELECT 'user' || i || '@slow.test' FROM generate_series(1, 45) i) || '{a@quick.test,gone@quick.test,nowhere}',
		ARRAY(SELECT '{"name": "Ann"}'::jsonb FROM generate_series(1, 48)))`, batch)
	s.Exec(`INSERT INTO enotify.suppression (address, cause) VALUES ('gone@quick.test', 'operator')`)
	s.Exec(`UPDATE enotify.batch SET not_before = now() + interval '3 h'`)
	s.Exec(`UPDATE enotify.client SET per_day = 20`)
	db := queuetest.Open(t, s.URL)
	for _, tt := range []struct {
		egress string
		want   bool
	}{{"192.0.2.10", true}, {"192.0.2.99", false}} {
		r, err := rehearsal.Run(t.Context(),
			rehearsal.Config{DB: db, Batch: batch, Resolver: s.DNS.Addr,
				Egress: []netip.Addr{netip.MustParseAddr(tt.egress)}, HELO: "mail.host.example"})
		if err != nil {
			t.Fatal(err)
		}
		if r.Complete != tt.want || r.Batch != batch {
			t.Errorf("from %s: got %+v, want complete: %v", tt.egress, r, tt.want)
		}
		if tt.want && (r.Seconds < 1.9 || r.Slowest != "slow.test" || r.Status.Delivered != 46 ||
			r.Status.Suppressed != 1 || r.Status.Invalid != 1) {
			t.Errorf("got %+v, want 46 delivered, slow.test last, after 2 s: 45 messages at 20/s and a burst of 5", r)
		}
		if tt.want && (r.ForecastSeconds == nil || *r.ForecastSeconds < 24*3600 || *r.ForecastSeconds > 96*3600 ||
			!strings.Contains(r.Forecast, "waiting for its quota meanwhile")) {
			t.Errorf("forecast: got %q, want 46 at 20 a day from in 3 hours on", r.Forecast)
		}
		if !tt.want && (r.State != "blocked" || r.Reason == "" || r.Status.Delivered != 0) {
			t.Errorf("from an address that the client's record forbids: got %+v, want it blocked, with the reason", r)
		}
	}
	if got := s.SMTP.Delivered(); got != 0 {
		t.Errorf("messages that left: got %d, want none", got)
	}
	if got := sitetest.Ask[string](s, `SELECT concat_ws(' ', state, (SELECT count(*) FROM enotify.recipient_in), (SELECT count(*) FROM enotify.outcome), (SELECT count(*) FROM enotify.node)) FROM enotify.batch`); got != "draft 48 0 0" {
		t.Errorf("the batch, its staged rows, outcomes and nodes afterwards: got %q, want it as it was", got)
	}
}
