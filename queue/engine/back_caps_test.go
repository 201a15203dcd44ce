package engine_test

import (
	"context"
	"testing"

	"enotify/queue"
	"enotify/queue/queuetest"
)

// What was sent after the state to which the database goes back counts against the caps
// of its day, though the database has forgotten it.
func TestCapsAfterTheDatabaseWentBack(t *testing.T) {
	t.Parallel()
	const all, most = 1500, 900
	tests := map[string]struct {
		cap     string // statement that sets it
		restart bool   // the node ends before the database goes back, and another starts after
	}{
		"warm-up": {cap: `INSERT INTO enotify.warmup (address, site, caps) VALUES ('192.0.2.1', '*', ARRAY[900])`},
		"warm-up, by the journal of a node that ended": {
			cap:     `INSERT INTO enotify.warmup (address, site, caps) VALUES ('192.0.2.1', '*', ARRAY[900])`,
			restart: true},
		"quota": {cap: `UPDATE enotify.client SET per_day = 900`},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			d := newForgetful(t)
			batch := d.Enqueue("menu", all, manyDomains(40)...)
			d.Exec(`INSERT INTO enotify.egress (address) VALUES ($1)`, queuetest.Egress)
			d.Exec(test.cap)
			dir := t.TempDir()
			var leave ration
			leave.most.Store(300)
			served := make(chan error, 2)
			ctx, cancel := context.WithCancel(t.Context())
			defer cancel()
			serve := func(name string) {
				s := d.Server(name, func(ctx context.Context, m queue.Message) queue.Outcome {
					o := leave.handle(ctx, m)
					o.Egress, o.Site = m.Egress[0].Addr, m.Domain
					return o
				})
				s.UntilIdle, s.MaxInFlight, s.StateDir = false, 20, dir
				go func() { served <- d.Run(ctx, s, "pass") }()
			}
			serve("a")
			d.sent(250)
			d.remember()
			leave.most.Store(650)
			d.sent(600)
			leave.most.Store(all)
			if test.restart {
				cancel()
				if err := <-served; err != nil {
					t.Fatal(err)
				}
				ctx, cancel = context.WithCancel(t.Context())
				defer cancel()
			}
			d.forget(false)
			if test.restart {
				d.DB = queuetest.Open(t, d.URL)
				serve("b")
			}
			d.Until(cancel, `SELECT sending = 0 AND (pending = 0 OR reason ~ 'sent all that it may') AND delivered > 600
				FROM enotify.batch_status WHERE id = $1`, batch)
			if err := <-served; err != nil {
				t.Error(err)
			}
			got := d.States(batch)["delivered"]
			if got > most || got < most-60 { // what was under way may count twice
				t.Errorf("delivered: got %d, want the %d of the cap, or a few less", got, most)
			}
			queuetest.Copies(t, d.Sent(), len(d.Sent()), 1)
		})
	}
}
