//go:build check

package queue_test

import (
	"fmt"
	"io"
	"net/url"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"enotify/migrations"
	"enotify/queue"
	"enotify/queue/insight"
	"enotify/queue/queuetest"
)

// Behind PgBouncer, in either mode and without a word in the URL, the schema is
// made, an application enqueues, a node sends, and the operator audits.
func TestPooler(t *testing.T) {
	t.Parallel()
	for _, mode := range []string{"session", "transaction"} {
		t.Run(mode, func(t *testing.T) {
			t.Parallel()
			f := queuetest.NewFixture(t)
			app, sender := queuetest.Login(t, f.URL, "enotify_app"), queuetest.Login(t, f.URL, "enotify_sender")
			pooler := queuetest.StartPooler(t, mode, f.URL, app, sender)

			empty := queuetest.Connect(t, pooler.URL(queuetest.Empty(t)))
			if applied, err := migrations.Up(t.Context(), empty); err != nil || len(applied) == 0 {
				t.Errorf("migrate an empty database: got %v and error %v, want all migrations", applied, err)
			}

			application := queuetest.Open(t, pooler.URL(app))
			i, n := 0, 300
			made, err := application.Create(t.Context(), queue.Draft{
				Batch: queue.Batch{From: "info@town.example", Subject: "Lunch", Text: "Soup.",
					Headers: []queue.Header{{Name: "X-Menu", Value: "May"}}},
				Key: "menu", Submit: true,
				Recipients: func() (r queue.Recipient, err error) {
					if i == n {
						return r, io.EOF
					}
					i++
					return queue.Recipient{Address: fmt.Sprintf("user%d@d%d.example", i, i%7)}, nil
				},
			})
			if err != nil || made.Recipients != n {
				t.Fatalf("create: got %+v and error %v, want %d recipients", made, err, n)
			}

			f.DB = queuetest.Open(t, pooler.URL(sender))
			if !f.DB.Pooler() {
				t.Error("Pooler: got false, want true")
			}
			f.Serve(f.Server("n1", queuetest.Deliver))
			if got, want := f.States(made.ID), map[string]int{"delivered": n}; !cmp.Equal(got, want) {
				t.Errorf("states: got %v, want %v", got, want)
			}
			operator := queuetest.Open(t, pooler.URL(f.URL))
			audits, err := insight.Of(operator).Audit(t.Context(), 0)
			if err != nil || len(audits) != 1 || len(audits[0].Problems) > 0 {
				t.Errorf("audit: got %+v and error %v, want one batch that balances", audits, err)
			}
			if _, _, err := operator.AddClient(t.Context(), "other.example", nil); err != nil {
				t.Error(err)
			}

			// No session is ours there: none of those that the pooler gives to others has our settings.
			if got := queuetest.Query[int](f,
				`SELECT count(*)::int FROM pg_stat_activity WHERE datname = current_database() AND query ~ 'set_config|LISTEN' AND query !~ 'WHERE pg_backend_pid|pg_stat_activity'`); got != 0 {
				t.Errorf("sessions that were set or listen: got %d, want 0", got)
			}
		})
	}
}

// What a login's time-outs may do to a node behind a pooler is said, with the
// statement that undoes it.
func TestPoolerHindering(t *testing.T) {
	t.Parallel()
	f := queuetest.NewFixture(t)
	sender := queuetest.Login(t, f.URL, "enotify_sender")
	u, err := url.Parse(sender)
	if err != nil {
		t.Fatal(err)
	}
	login := u.User.Username()
	f.Exec(`ALTER ROLE ` + login + ` SET statement_timeout = '200ms'`)
	f.Exec(`ALTER ROLE ` + login + ` SET standard_conforming_strings = off`)
	pooler := queuetest.StartPooler(t, "transaction", sender)
	got, err := queuetest.Open(t, pooler.URL(sender)).Hindering(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	in := `ALTER ROLE ` + login + ` IN DATABASE ` + strings.TrimPrefix(u.Path, "/") + ` SET `
	want := []string{in + "standard_conforming_strings = on", in + "statement_timeout = 0"}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("hindering (-want +got):\n%s", diff)
	}
	if got, err := queuetest.Open(t, sender).Hindering(t.Context()); err != nil || len(got) > 0 {
		t.Errorf("without a pooler: got %v and error %v, want nothing", got, err)
	}
}
