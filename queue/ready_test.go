package queue_test

import (
	"errors"
	"testing"
	"time"

	"enotify/queue"
	"enotify/queue/queuetest"
)

// A draft that is kept ready is checked at first, once after each three o'clock at night,
// and when an address, a node or a verdict changes; while it is not ready, each hour.
func TestWhenADraftIsChecked(t *testing.T) {
	t.Parallel()
	f := queuetest.NewFixture(t)
	id := queuetest.Query[int64](f, `SELECT enotify.create_batch('flood', 'info@town.example', 'Flood', 'Leave.')`)
	f.Exec(`SELECT enotify.keep_ready($1)`, id)
	check := func(when, verdict string, want bool) {
		t.Helper()
		c, err := f.DB.CheckReady(t.Context(), time.Minute)
		if got := err == nil; got != want || err != nil && !errors.Is(err, queue.ErrNotFound) {
			t.Fatalf("%s: is it checked: got %t (%v), want %t", when, got, err, want)
		}
		if !want {
			return
		}
		if _, err := f.DB.CheckReady(t.Context(), time.Minute); !errors.Is(err, queue.ErrNotFound) {
			t.Errorf("%s: by another node meanwhile: got %v, want none", when, err)
		}
		if _, err := f.DB.NoteReady(t.Context(), c, verdict, "", nil); err != nil {
			t.Fatal(err)
		}
	}
	left, err := f.DB.CheckReady(t.Context(), time.Minute)
	if err != nil {
		t.Fatal(err)
	}
	if err := f.DB.LeaveReady(t.Context(), left); err != nil {
		t.Fatal(err)
	}
	check("at first, left by a node that ended", "ready", true)
	check("right after", "ready", false)
	const lastNight = `date_trunc('day', now() - interval '3 hours') + interval '3 hours'`
	f.Exec(`UPDATE enotify.ready_draft SET checked_at = ` + lastNight)
	check("the whole day after a check at night", "ready", false)
	f.Exec(`UPDATE enotify.ready_draft SET checked_at = ` + lastNight + ` - interval '1 minute'`)
	check("after three o'clock", "blocked", true)
	f.Exec(`UPDATE enotify.ready_draft SET checked_at = greatest(now() - interval '50 minutes', ` + lastNight + `)`)
	check("50 minutes after it was not ready", "ready", false)
	f.Exec(`UPDATE enotify.ready_draft SET checked_at = now() - interval '61 minutes'`)
	check("61 minutes after it was not ready", "ready", true)
	for _, step := range []struct{ when, sql string }{
		{"a node joins", `INSERT INTO enotify.node (name, egress, helo, version, live_until)
			VALUES ('n', '{192.0.2.1}', 'h', 'v', now() + interval '1 day')`},
		{"it has another address", `UPDATE enotify.node SET egress = '{192.0.2.2}'`},
		{"an address is held", `INSERT INTO enotify.egress (address, state) VALUES ('192.0.2.2', 'held')`},
		{"it sends again", `UPDATE enotify.egress SET state = 'active'`},
		{"the guard has another verdict", `INSERT INTO enotify.verdict (client_id, identity, egress, domain, result, record,
				valid_until, explanation, fix, blocks)
			SELECT id, 'mailfrom', '192.0.2.2', domain, 'fail', 'v=spf1 -all', now(), '', '', true
			FROM enotify.client WHERE domain = 'town.example'`},
		{"the node dies", `UPDATE enotify.node SET live_until = now()`},
		{"the text is another", `UPDATE enotify.batch SET body_text = 'Leave by the north road.'`},
	} {
		f.Exec(step.sql)
		check(step.when, "ready", true)
		check(step.when+": right after", "ready", false)
	}
	f.Exec(`UPDATE enotify.node SET live_until = now() + interval '1 day'`)
	check("it is back", "ready", true)
	f.Exec(`UPDATE enotify.node SET live_until = now() + interval '2 days'`)
	check("a heartbeat", "ready", false)
}
