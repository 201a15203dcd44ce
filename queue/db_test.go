package queue_test

import (
	"testing"

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
			var got string
			if err := db.Pool().QueryRow(t.Context(), `SELECT current_setting($1)`, name).Scan(&got); err != nil || got != want {
				t.Errorf("%s: got %q (%v), want %q", name, got, err, want)
			}
		}
	}
}
