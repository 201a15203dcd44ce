package retention_test

import (
	"errors"
	"testing"
	"time"

	"enotify/queue"
	"enotify/queue/queuetest"
	"enotify/queue/retention"
)

// Each kind goes when it is older than its setting, in steps, and no other row does.
func TestRetention(t *testing.T) {
	t.Parallel()
	f := queuetest.NewFixture(t)
	batch := f.Enqueue("menu", 20, "strict.example")
	f.Enqueue("young", 5, "a.example")
	f.Serve(f.Server("n1", queuetest.AnswerByDomain))
	f.Exec(`UPDATE enotify.batch SET finished_at = now() - interval '401 days' WHERE id = $1`, batch)
	// Of each kind that no batch has, a row that is just too old, and one that is not.
	for _, sql := range []string{
		`INSERT INTO enotify.alert_log (kind, at) SELECT 'menu', now() - age FROM unnest($1::interval[]) age`,
		`INSERT INTO enotify.suppression (address, cause, until) SELECT age || '@a.example', 'operator', now() - age
			FROM unnest($1::interval[]) age`,
		`INSERT INTO enotify.preflight (batch_id, at, verdict, line, report) SELECT 2, now() - age, 'ready', 'x', '{}'
			FROM unnest($1::interval[]) age`,
		`INSERT INTO enotify.counted_reply SELECT age || '@a.example', 'mailbox_full', now(), now() - age, 1
			FROM unnest($1::interval[]) age`,
		`INSERT INTO enotify.verdict (client_id, identity, domain, egress, result, blocks, valid_until, superseded_at)
			SELECT 1, 'mailfrom', 'town.example', '192.0.2.77', 'pass', false, now(), now() - age
			FROM unnest($1::interval[]) age`,
		`INSERT INTO enotify.report (fingerprint, batch_id, seq, signed, kind, reply, message_id, via, raw, received_at)
			SELECT sha256(age::text::bytea), 2, 1, true, 'bounce', 'x', 'x', 'ingest', 'x', now() - age
			FROM unnest($1::interval[]) age`,
	} {
		f.Exec(sql, []string{"11 days", "9 days"})
	}
	node := queuetest.Open(t, queuetest.Login(t, f.URL, "enotify_sender"))
	admin := queuetest.Open(t, queuetest.Login(t, f.URL, "enotify_admin"))
	all, err := retention.Of(node).Rules(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	tenDays := 10 * 24 * time.Hour
	for _, rule := range all {
		if rule.Kind == retention.Events {
			continue
		}
		if err := retention.Of(admin).Keep(t.Context(), rule.Kind, &tenDays); err != nil {
			t.Fatalf("%s for ten days: %v", rule.Kind, err)
		}
		for n := -1; n != 0; {
			if n, err = retention.Of(node).Drop(t.Context(), rule.Kind, 7); err != nil {
				t.Fatalf("%s: %v", rule.Kind, err)
			}
		}
		if rule.Kind == "mails" { // before the reports, which have them
			if got := queuetest.Query[int](f, `SELECT count(raw)::int FROM enotify.report`); got != 1 {
				t.Errorf("mails: got %d left, want the young one", got)
			}
		}
	}
	for what, want := range map[string]int{
		`enotify.recipient WHERE batch_id = 1`: 0, `enotify.attempt WHERE batch_id = 1`: 0,
		`enotify.recipient WHERE batch_id = 2`: 5, `enotify.alert_log WHERE kind = 'menu'`: 1,
		`enotify.suppression`: 1, `enotify.preflight`: 1, `enotify.counted_reply`: 1,
		`enotify.verdict WHERE egress = '192.0.2.77'`: 1, `enotify.report`: 1,
	} {
		if got := queuetest.Query[int](f, `SELECT count(*)::int FROM `+what); got != want {
			t.Errorf("%s: got %d rows left, want %d", what, got, want)
		}
	}
	month := 30 * 24 * time.Hour
	for _, kind := range []string{"recipients", retention.Events} {
		if err := retention.Of(admin).Keep(t.Context(), kind, &month); err != nil {
			t.Errorf("%s for a month, by an operator: %v", kind, err)
		}
	}
	if err := retention.Of(node).Keep(t.Context(), "recipients", nil); !errors.Is(err, queue.ErrDenied) {
		t.Errorf("by a node: got %v, want ErrDenied", err)
	}
	if err := retention.Of(f.DB).Keep(t.Context(), "nonsense", nil); !errors.Is(err, queue.ErrNotFound) {
		t.Errorf("a kind that is none: got %v, want ErrNotFound", err)
	}
	f.Balances()
}
