package engine_test

import (
	"context"
	"fmt"
	"strings"
	"testing"

	"enotify/queue"
	"enotify/queue/queuetest"
)

// An operator's transaction has locked the batch that has the turn, and does not end.
// That batch is sent to its end, other clients' batches take their turns, large and
// small, and an alert names the transaction. Afterwards the batch moves on.
func TestOpenTransactionOnTheTurnStopsNobody(t *testing.T) {
	t.Parallel()
	for name, lock := range map[string]string{
		"row":   `SELECT FROM enotify.batch WHERE id = $1 FOR UPDATE`,
		"pause": `SELECT enotify.pause_batch($1, 'a typo')`,
	} {
		for _, together := range []bool{false, true} {
			t.Run(fmt.Sprintf("%s, together %v", name, together), func(t *testing.T) {
				t.Parallel()
				f := queuetest.NewFixture(t)
				s, release := holding(f, theFirst)
				if together {
					s.Admission = whole{}
				}
				first := f.Enqueue("menu", 200, domains(20)...)
				node(f, s)
				await(f, `SELECT sending = 200 FROM enotify.batch_status WHERE id = $1`, first)
				operator := queuetest.Connect(t, f.URL)
				for _, sql := range []string{`BEGIN`, strings.ReplaceAll(lock, "$1", fmt.Sprint(first))} {
					if _, err := operator.Exec(t.Context(), sql); err != nil {
						t.Fatal(err)
					}
				}
				close(release)
				others := []int64{f.Enqueue("agenda", 200, domains(20)...), f.Enqueue("minutes", 3, domains(3)...),
					f.Enqueue("budget", 3, domains(3)...)}
				await(f, `SELECT count(*) = 3 FROM enotify.batch WHERE id = ANY ($1) AND state = 'done'`, others)

				if got, want := f.States(first)["delivered"], 200; got != want {
					t.Errorf("delivered of the locked batch: got %d, want %d", got, want)
				}
				text := queuetest.Query[string](f,
					`SELECT coalesce(string_agg(text, E'\n'), 'none') FROM enotify.alert WHERE kind = 'stalled'`)
				if want := fmt.Sprintf("process %d of login postgres has locked batch %d since",
					operator.PgConn().PID(), first); !strings.HasPrefix(text, want) {
					t.Errorf("alerts: got %q, want one that begins with %q", text, want)
				}
				if _, err := operator.Exec(t.Context(), `ROLLBACK`); err != nil {
					t.Fatal(err)
				}
				await(f, `SELECT state = 'done' FROM enotify.batch WHERE id = $1`, first)
				f.Balances()
			})
		}
	}
}

// While an operator's transaction has locked a client whose mail is refused as not
// authorised, the results of all clients are recorded.
func TestOpenTransactionOnARefusedClientStopsNobody(t *testing.T) {
	t.Parallel()
	f := queuetest.NewFixture(t)
	release := make(chan struct{})
	s := f.Server("n1", func(ctx context.Context, m queue.Message) queue.Outcome {
		if m.Batch.ID == 1 {
			<-release
			return queue.Outcome{State: queue.Bounced, Class: queue.AuthRejected, Site: m.Domain,
				Reply: queue.Reply{Code: 550, Enhanced: "5.7.26", Text: "SPF fail"}}
		}
		return queuetest.Deliver(ctx, m)
	})
	first := f.Enqueue("menu", 20, domains(20)...)
	f.Exec(`INSERT INTO enotify.client (domain) VALUES ('other.example')`)
	node(f, s)
	await(f, `SELECT sending = 20 FROM enotify.batch_status WHERE id = $1`, first)
	operator := queuetest.Connect(t, f.URL)
	for _, sql := range []string{`BEGIN`, `SELECT FROM enotify.client WHERE domain = 'town.example' FOR UPDATE`} {
		if _, err := operator.Exec(t.Context(), sql); err != nil {
			t.Fatal(err)
		}
	}
	close(release)
	other := queuetest.Query[int64](f, `SELECT enotify.enqueue('other', 'info@other.example', 's', 't', $1)`,
		queuetest.Addresses(20, domains(20)))
	await(f, `SELECT count(*) = 2 FROM enotify.batch WHERE id = ANY ($1) AND state = 'done'`, []int64{first, other})
	if got, want := f.States(first)["bounced"], 20; got != want {
		t.Errorf("bounced: got %d, want %d", got, want)
	}
	if _, err := operator.Exec(t.Context(), `ROLLBACK`); err != nil {
		t.Fatal(err)
	}
}
