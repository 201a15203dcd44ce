package queue_test

import (
	"testing"

	"enotify/queue/queuetest"
)

// Times that no program can read are refused when a batch is created or requeued,
// by function and by constraint.
func TestTimesOutOfRangeAreRefused(t *testing.T) {
	t.Parallel()
	f, app := confined(t)
	for _, times := range []string{
		`expires_at => 'infinity'`, `expires_at => '294276-12-31'`, `expires_at => '10000-01-01'`,
		`not_before => '-infinity'`,
		`not_before => 'infinity'`, `not_before => '0044-03-15 BC'`, `not_before => '294276-12-31'`,
	} {
		queuetest.Refused(t, app, `SELECT enotify.enqueue('key', 'info@town.example', 'S', 'x', '{z@a.example}', `+times+`)`,
			"outside of the years 2000 to 9999")
	}
	f.Enqueue("menu", 1, "a.example")
	f.Serve(f.Server("n1", queuetest.Deliver))
	queuetest.Refused(t, f.Conn, `SELECT enotify.requeue_batch(1, 'offline', 'infinity')`, "outside of the years 2000 to 9999")
	queuetest.Refused(t, f.Conn, `UPDATE enotify.batch SET expires_at = 'infinity'`, "batch_expires_at_check")
}
