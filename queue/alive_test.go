package queue_test

import (
	"context"
	"testing"

	"github.com/google/go-cmp/cmp"

	"enotify/queue"
	"enotify/queue/queuetest"
)

// The server looks within a lease whether our host is still there, unless the
// URL says otherwise. What it shows is what the kernel has for the connection.
func TestServerNoticesAHostThatIsGone(t *testing.T) {
	t.Parallel()
	url := queuetest.New(t)
	for _, test := range []struct {
		url  string
		want map[string]string
	}{
		{url, map[string]string{"tcp_keepalives_idle": "2", "tcp_keepalives_interval": "1", "tcp_keepalives_count": "2", "tcp_user_timeout": "4000"}},
		{url + "&tcp_keepalives_idle=77&tcp_user_timeout=9000", map[string]string{"tcp_keepalives_idle": "77", "tcp_keepalives_interval": "1", "tcp_keepalives_count": "2", "tcp_user_timeout": "9000"}},
	} {
		db, err := queue.Open(t.Context(), test.url, 1)
		if err != nil {
			t.Fatal(err)
		}
		defer db.Close()
		for name, want := range test.want {
			if got, err := db.Setting(t.Context(), name); err != nil || got != want {
				t.Errorf("%s: got %q (%v), want %q", name, got, err, want)
			}
		}
	}
}

// A node whose row was removed, as that of a dead one is after a month, puts it
// back with its next heartbeat, and goes on sending with the leases it had.
func TestRemovedNodeComesBack(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	s := f.server("n1", deliver)
	s.UntilIdle = false
	ctx, cancel := context.WithCancel(t.Context())
	served := make(chan error, 1)
	go func() { served <- f.run(ctx, s, "pass") }()
	nothing := func() {}
	f.until(nothing, `SELECT count(*) = 64 FROM enotify.lease l JOIN enotify.node n ON n.id = l.node_id WHERE n.name = 'n1'`)
	id := query[int32](f, `DELETE FROM enotify.node RETURNING id`)
	f.until(nothing, `SELECT count(*) = 1 FROM enotify.node WHERE id = $1 AND name = 'n1' AND live_until > now()`, id)
	batch := f.enqueue("menu", 100, "a.example", "b.example")
	f.until(cancel, `SELECT state = 'done' FROM enotify.batch WHERE id = $1`, batch)
	if err := <-served; err != nil {
		t.Fatal(err)
	}
	if got, want := f.states(batch), map[string]int{"delivered": 100}; !cmp.Equal(got, want) {
		t.Errorf("states: got %v, want %v", got, want)
	}
}
