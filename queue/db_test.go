package queue_test

import (
	"testing"
	"time"

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
		{url, map[string]string{"tcp_keepalives_idle": "2", "tcp_keepalives_interval": "1", "tcp_keepalives_count": "2",
			"tcp_user_timeout": "4000"}},
		{url + "&tcp_keepalives_idle=77&tcp_user_timeout=9000",
			map[string]string{"tcp_keepalives_idle": "77", "tcp_keepalives_interval": "1", "tcp_keepalives_count": "2",
				"tcp_user_timeout": "9000"}},
	} {
		db, err := queue.Open(t.Context(), test.url, 1)
		if err != nil {
			t.Fatal(err)
		}
		defer db.Close()
		for name, want := range test.want {
			var got string
			if err := db.Pool().QueryRow(t.Context(), `SELECT current_setting($1)`, name).Scan(&got); err != nil ||
				got != want {
				t.Errorf("%s: got %q (%v), want %q", name, got, err, want)
			}
		}
	}
}

// A node gives no connection back, unless the URL says so: it may get no other.
func TestNodesKeepTheirConnections(t *testing.T) {
	t.Parallel()
	url := queuetest.New(t)
	for _, test := range []struct {
		url      string
		as       queue.As
		lifetime bool // of connections is bounded
	}{{url, queue.As{Node: "n1"}, false}, {url + "&pool_max_conn_lifetime=10m", queue.As{Node: "n1"}, true}, {url, queue.As{}, true}} {
		db, err := queue.OpenAs(t.Context(), test.url, 1, test.as)
		if err != nil {
			t.Fatal(err)
		}
		defer db.Close()
		if got := db.Pool().Config().MaxConnLifetime < 24*time.Hour; got != test.lifetime {
			t.Errorf("%s as %v: got a bound of %v, want one: %v", test.url, test.as, db.Pool().Config().MaxConnLifetime,
				test.lifetime)
		}
	}
}

// Literals mean what they do in the SQL standard, whatever the database says: a
// batch is checked, sealed and sent.
func TestStandardConformingStringsOff(t *testing.T) {
	t.Parallel()
	f := queuetest.NewFixture(t)
	f.Exec(`ALTER DATABASE ` + f.Conn.Config().Database + ` SET standard_conforming_strings = off`)
	f.Conn, f.DB = queuetest.Connect(t, f.URL), queuetest.Open(t, f.URL)
	if got := queuetest.Query[string](f, `SHOW standard_conforming_strings`); got != "off" {
		t.Fatalf("the setting of a session that does not change it: got %s, want off", got)
	}
	if domain, err := f.DB.Domain(t.Context(), `b\ücher.example`); err == nil {
		t.Errorf(`b\ücher.example: got %s, want it refused`, domain)
	}
	batch := queuetest.Query[int64](f, `SELECT enotify.enqueue('k', 'info@town.example', 's', 't', '{x@a.example,y z@a.example}')`)
	f.Serve(f.Server("n1", queuetest.Deliver))
	if got, want := f.States(batch), map[string]int{"delivered": 1, "invalid": 1}; !cmp.Equal(got, want) {
		t.Errorf("states: got %v, want %v", got, want)
	}
}

// Time-outs that the database sets for all its sessions do not end ours early; those
// of the URL hold.
func TestTimeOutsOfTheDatabase(t *testing.T) {
	t.Parallel()
	f := queuetest.NewFixture(t)
	name := f.Conn.Config().Database
	for _, setting := range []string{"statement_timeout", "lock_timeout", "idle_in_transaction_session_timeout",
		"idle_session_timeout"} {
		f.Exec(`ALTER DATABASE ` + name + ` SET ` + setting + ` = '200ms'`)
	}
	db := queuetest.Open(t, f.URL+"&statement_timeout=60s")
	for setting, want := range map[string]string{
		"statement_timeout": "1min", "lock_timeout": "0", "idle_in_transaction_session_timeout": "0",
		"idle_session_timeout": "0",
	} {
		var got string
		if err := db.Pool().QueryRow(t.Context(), `SELECT current_setting($1)`, setting).Scan(&got); err != nil ||
			got != want {
			t.Errorf("%s: got %q (%v), want %q", setting, got, err, want)
		}
	}
}
