package queue_test

import (
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"enotify/queue"
	"enotify/queue/engine"
	"enotify/queue/queuetest"
)

// unauthorised refuses at every site whose domain begins with "no".
func unauthorised(ctx context.Context, m queue.Message) queue.Outcome {
	if !strings.HasPrefix(m.Domain, "no") {
		return queuetest.Deliver(ctx, m)
	}
	return queue.Outcome{State: queue.Bounced, Class: queue.AuthRejected, Site: m.Domain, Host: "mx." + m.Domain,
		Reply: queue.Reply{Code: 550, Enhanced: "5.7.26", Text: "unauthenticated mail from town.example to <" +
			m.Address + ">"}}
}

// judgeNow is one look of the guard at the client; each record is its own.
func judgeNow(f *queuetest.Fixture, result, record string) queue.Judgement {
	f.Helper()
	j, err := f.DB.Judge(f.Context(), queue.Subject{ClientID: 1}, []queue.Verdict{{
		Identity: "mailfrom", Domain: "town.example", Egress: queuetest.Egress, Result: result,
		Blocks: result == "fail", Record: record, Explanation: "so says the test", ValidFor: time.Hour,
	}})
	if err != nil {
		f.Fatal(err)
	}
	return j
}

// serveAlone runs a server without a guard.
func serveAlone(f *queuetest.Fixture, s *engine.Server) {
	f.Helper()
	if err := s.Serve(f.Context()); err != nil {
		f.Fatal(err)
	}
}

// alerts are those that the function raises: the channel tells their numbers, and
// the view the rest.
func alerts(f *queuetest.Fixture, during func()) (heard []queue.Alert) {
	f.Helper()
	app := queuetest.Connect(f.T, f.URL)
	if _, err := app.Exec(f.Context(), `LISTEN enotify_alert`); err != nil {
		f.Fatal(err)
	}
	during()
	if _, err := app.Exec(f.Context(), `SELECT pg_notify('enotify_alert', 'end')`); err != nil {
		f.Fatal(err)
	}
	for {
		n, err := app.WaitForNotification(f.Context())
		if err != nil {
			f.Fatal(err)
		}
		if n.Payload == "end" {
			return heard
		}
		var told struct {
			ID   int64
			Kind string
		}
		d := json.NewDecoder(strings.NewReader(n.Payload))
		d.DisallowUnknownFields()
		if err := d.Decode(&told); err != nil {
			f.Fatalf("alert %s: %v, want a number and a kind", n.Payload, err)
		}
		var a queue.Alert
		if err := f.Conn.QueryRow(f.Context(),
			`SELECT kind, coalesce(client, ''), coalesce(batch_id, 0), site, text, next FROM enotify.alert WHERE id = $1`, told.ID).
			Scan(&a.Kind, &a.Client, &a.Batch, &a.Site, &a.Text, &a.Next); err != nil {
			f.Fatalf("alert %d: %v", told.ID, err)
		}
		if strings.Contains(a.Text+a.Next, "@") {
			f.Errorf("alert %+v holds an address", a)
		}
		heard = append(heard, a)
	}
}

// At the first refusal the guard is asked again, and the application hears of it, once.
func TestRefusalAsksTheGuard(t *testing.T) {
	t.Parallel()
	f := queuetest.NewFixture(t)
	judgeNow(f, "pass", "v=spf1 mx -all")
	f.Enqueue("menu", 40, "no.example", "yes.example")
	var told []queue.Alert
	var mu sync.Mutex
	s := f.Server("n1", unauthorised)
	s.Alerted = func(a queue.Alert) { mu.Lock(); told = append(told, a); mu.Unlock() }
	heard := alerts(f, func() { serveAlone(f, s) })
	want := []queue.Alert{{Kind: queue.AlertAuthRejected, Client: "town.example", Batch: 1, Site: "no.example",
		Next: "enotify spf check town.example",
		Text: "no.example refuses mail of town.example as not authorised (550 5.7.26); the guard looks at its record again"}}
	if diff := cmp.Diff(want, heard); diff != "" {
		t.Errorf("alerts (-want +got):\n%s", diff)
	}
	if diff := cmp.Diff(want, told); diff != "" {
		t.Errorf("told to the server (-want +got):\n%s", diff)
	}
	if got := queuetest.Query[bool](f, `SELECT valid_until <= now() FROM enotify.verdict WHERE superseded_at IS NULL`); !got {
		t.Error("the verdict is good still, want it to be asked again")
	}
	// twenty refusals, but all at one site
	if got, want := queuetest.Query[string](f,
		`SELECT format('%s: %s refused at %s', b.state, a.hits, a.site) FROM enotify.batch b, enotify.auth_refusal a`),
		"done: 20 refused at no.example"; got != want {
		t.Errorf("batch: got %q, want %q", got, want)
	}
	if got := queuetest.Query[int](f, `SELECT count(*)::int FROM enotify.suppression`); got != 0 {
		t.Errorf("suppressions: got %d, want 0", got)
	}
}

// Two sites refuse though the guard is content: the client's batches stop,
// those to come as well, and a verdict of pass does not free them. What does is a
// changed record, or the operator.
func TestRefusalsAtTwoSitesBlockTheClient(t *testing.T) {
	t.Parallel()
	for _, cure := range []string{"record", "resume"} {
		t.Run(cure, func(t *testing.T) {
			t.Parallel()
			f := queuetest.NewFixture(t)
			f.Exec(`INSERT INTO enotify.client (domain) VALUES ('city.example')`)
			judgeNow(f, "pass", "v=spf1 mx -all")
			f.Enqueue("menu", 20, "no1.example", "no2.example", "yes.example")
			heard := alerts(f, func() { serveAlone(f, f.Server("n1", unauthorised)) })
			if !slices.ContainsFunc(heard, func(a queue.Alert) bool {
				return cmp.Equal(a, queue.Alert{Kind: queue.AlertClientBlocked, Client: "town.example", Batch: 1,
					Next: "enotify batch show 1"}, cmpopts.IgnoreFields(queue.Alert{}, "Text"))
			}) {
				t.Errorf("alerts: got %+v, want one that the client is blocked", heard)
			}
			late := f.Enqueue("late", 3, "yes.example")
			judgeNow(f, "pass", "v=spf1 mx -all")
			serveAlone(f, f.Server("n2", unauthorised))
			if got := queuetest.Query[string](f,
				`SELECT string_agg(state::text, ' ' ORDER BY id) FROM enotify.batch WHERE finished_at IS NULL`); !strings.HasSuffix(got, "blocked") {
				t.Errorf("batches after a pass: got %s, want the late one blocked", got)
			}
			reason := queuetest.Query[string](f, `SELECT reason FROM enotify.batch WHERE id = $1`, late)
			for _, want := range []string{"2 sites refuse mail of town.example", "no1.example (",
				"550 5.7.26 unauthenticated mail", "enotify client zone town.example", "enotify batch resume"} {
				if !strings.Contains(reason, want) {
					t.Errorf("reason: got %q, want %q in it", reason, want)
				}
			}
			// nobody else is held up
			other := queuetest.Query[int64](f,
				`SELECT enotify.enqueue('o', 'info@city.example', 's', 't', '{x@a.example}')`)
			f.Exec(`INSERT INTO enotify.verdict (client_id, identity, domain, egress, result, blocks, valid_until) VALUES (2, 'mailfrom', 'city.example', '192.0.2.1', 'pass', false, now() + interval '1 day')`)
			serveAlone(f, f.Server("n3", queuetest.Deliver))
			if got, want := f.States(other), map[string]int{"delivered": 1}; !cmp.Equal(got, want) {
				t.Errorf("the other client's batch: got %v, want %v", got, want)
			}

			switch cure {
			case "record":
				judgeNow(f, "pass", "v=spf1 mx include:host.example -all")
			case "resume":
				f.Exec(`SELECT enotify.resume_batch($1)`, late)
				judgeNow(f, "pass", "v=spf1 mx -all")
			}
			serveAlone(f, f.Server("n4", queuetest.Deliver))
			if got, want := f.States(late), map[string]int{"delivered": 3}; !cmp.Equal(got, want) {
				t.Errorf("after the cure: got %v, want %v", got, want)
			}
		})
	}
}

// A few refusals beside many deliveries block nobody, whatever they say; nor do
// any that say nothing of the client, or those of sites that take most of its mail.
func TestRefusalsThatBlockNobody(t *testing.T) {
	t.Parallel()
	named := queue.AuthRejected.Treatment()
	relay := named
	relay.AsksGuard, relay.BlocksClient = false, false
	login := named
	login.BlocksClient = false
	for name, c := range map[string]struct {
		good, each int // recipients at sites that take all, and at each of the two that refuse
		one        int // of so many there is refused; 1 is all
		treatment  queue.Treatment
		blocked    bool
		guard      bool
	}{
		"three of 303":                  {good: 300, each: 2, one: 1, treatment: named, guard: true},
		"one in ten":                    {good: 54, each: 3, one: 1, treatment: named, blocked: true},
		"relay denied to all":           {good: 1, each: 10, one: 1, treatment: relay},
		"a login wanted of all":         {good: 1, each: 10, one: 1, treatment: login, guard: true},
		"sites that take six in seven":  {good: 1, each: 50, one: 7, treatment: named, guard: true},
		"sites that take half":          {good: 1, each: 20, one: 2, treatment: named, blocked: true},
		"two messages, at two sites":    {good: 1, each: 1, one: 1, treatment: named, guard: true},
		"all, of a batch with no other": {good: 0, each: 10, one: 1, treatment: named, blocked: true},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			f := queuetest.NewFixture(t)
			var to []string
			for i := range c.good {
				to = append(to, fmt.Sprintf("u%d@yes%d.example", i, i%7))
			}
			for i := range c.each {
				to = append(to, fmt.Sprintf("u%d@no1.example", i), fmt.Sprintf("u%d@no2.example", i))
			}
			judgeNow(f, "pass", "v=spf1 mx -all")
			queuetest.Query[int64](f, `SELECT enotify.enqueue('k', 'info@town.example', 's', 't', $1)`, to)
			serveAlone(f, f.Server("n1", func(ctx context.Context, m queue.Message) queue.Outcome {
				var i int
				if _, err := fmt.Sscanf(m.Address, "u%d@", &i); err != nil {
					t.Error(err)
				}
				if !strings.HasPrefix(m.Domain, "no") || i%c.one != 0 {
					return queuetest.Deliver(ctx, m)
				}
				o := unauthorised(ctx, m)
				o.Treatment = c.treatment
				return o
			}))
			if got := queuetest.Query[bool](f, `SELECT refused_at IS NOT NULL FROM enotify.client`); got != c.blocked {
				t.Errorf("client blocked: got %v, want %v", got, c.blocked)
			}
			if got := queuetest.Query[bool](f,
				`SELECT valid_until <= now() FROM enotify.verdict WHERE superseded_at IS NULL`); got != c.guard &&
				!c.blocked {
				t.Errorf("the guard was asked: got %v, want %v", got, c.guard)
			}
			if c.blocked {
				return
			}
			refused := 2 * ((c.each + c.one - 1) / c.one)
			want := map[string]int{"delivered": len(to) - refused, "bounced": refused}
			if got := f.States(1); !cmp.Equal(got, want) {
				t.Errorf("recipients: got %v, want %v", got, want)
			}
		})
	}
}

// Where the guard does find the record at fault, it blocks, and frees the
// batches itself when that is cured.
func TestGuardExplainsTheRefusals(t *testing.T) {
	t.Parallel()
	f := queuetest.NewFixture(t)
	judgeNow(f, "pass", "v=spf1 mx -all")
	batch := f.Enqueue("menu", 20, "no1.example", "no2.example")
	serveAlone(f, f.Server("n1", unauthorised))
	late := f.Enqueue("late", 3, "yes.example")
	judgeNow(f, "fail", "v=spf1 -all")
	if got, want := queuetest.Query[string](f, `SELECT state || ': ' || reason FROM enotify.batch WHERE id = $1`,
		late), "blocked: SPF fail for town.example from 192.0.2.1: so says the test"; got != want {
		t.Errorf("batch %d after %d: got %q, want %q", late, batch, got, want)
	}
	judgeNow(f, "pass", "v=spf1 mx -all")
	serveAlone(f, f.Server("n2", queuetest.Deliver))
	if got, want := f.States(late), map[string]int{"delivered": 3}; !cmp.Equal(got, want) {
		t.Errorf("after the cure: got %v, want %v", got, want)
	}
}

// What is an hour old is another story, and a result written twice counts once.
func TestRefusalsOfAnotherSpell(t *testing.T) {
	t.Parallel()
	f := queuetest.NewFixture(t)
	judgeNow(f, "pass", "v=spf1 mx -all")
	f.Enqueue("1", 2, "no1.example")
	serveAlone(f, f.Server("n1", unauthorised))
	f.Exec(`UPDATE enotify.auth_refusal SET first_at = first_at - interval '61 min', last_at = last_at - interval '61 min'`)
	judgeNow(f, "pass", "v=spf1 mx -all")
	f.Enqueue("2", 2, "no2.example")
	one := f.Server("n2", unauthorised)
	one.MaxInFlight = 1 // two writers may record the second refusal before the first, which is then not counted
	serveAlone(f, one)
	if got, want := queuetest.Query[string](f,
		`SELECT string_agg(site || ' ' || hits, ',') FROM enotify.auth_refusal`), "no2.example 2"; got != want {
		t.Errorf("refusals: got %q, want %q", got, want)
	}
	if got := queuetest.Query[bool](f, `SELECT refused_at IS NULL FROM enotify.client`); !got {
		t.Error("the client is blocked, want it not")
	}
}

// Any login may listen to alerts; only nodes may raise what they record.
func TestRaise(t *testing.T) {
	t.Parallel()
	f := queuetest.NewFixture(t)
	long := queue.Alert{Kind: queue.AlertSpamBlock, Site: "google", Text: strings.Repeat("\x01", 5000),
		Next: "enotify destination show google"}
	heard := alerts(f, func() {
		if err := f.DB.Raise(t.Context(), long); err != nil {
			t.Fatal(err)
		}
	})
	if len(heard) != 1 || heard[0].Site != "google" || heard[0].Next != long.Next {
		t.Errorf("alerts: got %+v, want the one raised", heard)
	}
}
