package guard_test

import (
	"context"
	"log/slog"
	"net/netip"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"enotify/queue"
	"enotify/queue/guard"
	"enotify/queue/queuetest"
)

// hangs is a checker whose answers on some senders come when its context ends.
type hangs struct {
	guard.Checker
	senders string // what they end in
}

func (c hangs) Check(ctx context.Context, s queue.Subject, mailFrom string) []queue.Verdict {
	if strings.HasSuffix(mailFrom, c.senders) {
		<-ctx.Done()
	}
	return c.Checker.Check(ctx, s, mailFrom)
}

// What is wrong with the first client, whose batch is next in turn, does not
// keep the second from being judged and sent for; and the batch of the first
// says why it waits.
func TestOneClientDoesNotStopTheOthers(t *testing.T) {
	t.Parallel()
	pass := queue.Verdict{Result: "pass", Record: "v=spf1 mx -all", ValidFor: time.Hour}
	bad := func(v queue.Verdict) *queue.Verdict { v.ValidFor = time.Hour; return &v }
	for name, test := range map[string]struct {
		verdict *queue.Verdict                      // on the first client; nil: pass
		sql     string                              // what is wrong with its rows
		args    []any                               //
		wrap    func(c guard.Checker) guard.Checker // what is wrong with its DNS
		want    string                              // state and reason of its batch
	}{
		"a record that is no UTF-8": {
			verdict: bad(queue.Verdict{Result: "permerror", Blocks: true, Record: "v=spf1 \xff -all",
				Explanation: `\xff is no term: "` + "\xff" + `"`, Fix: "v=spf1 \xfe"}),
			want: "blocked: SPF permerror for bad.example from 192.0.2.1: \\xff is no term: \"\uFFFD\"; publish v=spf1 \uFFFD",
		},
		"a record with NUL": {
			verdict: bad(queue.Verdict{Result: "permerror", Blocks: true, Record: "v=spf1 \x00 -all",
				Explanation: "a NUL \x00"}),
			want: "blocked: SPF permerror for bad.example from 192.0.2.1: a NUL \uFFFD",
		},
		"a record of 60 KB": {
			verdict: bad(queue.Verdict{Result: "permerror", Blocks: true, Record: strings.Repeat("v=spf1 \xff", 6000),
				Explanation: strings.Repeat("x", 60_000)}),
			want: "blocked: SPF permerror for bad.example from 192.0.2.1: " + strings.Repeat("x", 60_000),
		},
		"DNS servers that fail": {
			verdict: bad(queue.Verdict{Result: "temperror", Explanation: "SERVFAIL"}),
			want:    "queued: waits for DNS: SERVFAIL",
		},
		"DNS servers that never answer": {
			wrap: func(c guard.Checker) guard.Checker { return hangs{c, "@bad.example"} },
			want: "queued: ",
		},
		"a row that the database refuses": {
			sql:  `ALTER TABLE enotify.verdict ADD CONSTRAINT picky CHECK (domain <> 'bad.example')`,
			want: "queued: waits for the guard: its verdict could not be recorded; ",
		},
		"a result that there is not": {
			verdict: bad(queue.Verdict{Result: "perhaps"}),
			want:    "queued: waits for the guard: its verdict could not be recorded; ",
		},
		"a row that somebody has locked": {
			sql:  `BEGIN; SELECT FROM enotify.client WHERE domain = 'bad.example' FOR UPDATE`,
			want: "queued: waits for the guard: its verdict could not be recorded; ",
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			f := queuetest.NewFixture(t)
			f.Exec(`INSERT INTO enotify.client (domain) VALUES ('bad.example')`)
			first := queuetest.Query[int64](f,
				`SELECT enotify.enqueue('first', 'info@bad.example', 's', 't', '{x@a.example}')`)
			second := f.Enqueue("second", 2, "a.example")
			other := queuetest.Connect(t, f.URL)
			if _, err := other.PgConn().Exec(t.Context(), test.sql).ReadAll(); err != nil {
				t.Fatal(err)
			}
			var checker guard.Checker = queuetest.Findings(func(sender string, _ netip.Addr) queue.Verdict {
				if strings.HasSuffix(sender, "@bad.example") && test.verdict != nil {
					return *test.verdict
				}
				return pass
			})
			if test.wrap != nil {
				checker = test.wrap(checker)
			}
			s := f.Server("n1", queuetest.Deliver)
			s.UntilIdle = false
			g := guard.Guard{DB: f.DB, Checker: checker, Every: time.Hour, Log: slog.New(slog.DiscardHandler),
				Judged: s.Wake}
			ctx, cancel := context.WithCancel(t.Context())
			served, guarded := make(chan error, 1), make(chan struct{})
			go func() { served <- s.Serve(ctx) }()
			<-s.Joined()
			go func() { g.Run(ctx); close(guarded) }()

			f.Until(func() {}, `SELECT state = 'done' FROM enotify.batch WHERE id = $1`, second)
			f.Until(func() {}, `SELECT starts_with(state || ': ' || reason, $2) FROM enotify.batch WHERE id = $1`,
				first, test.want)
			cancel()
			if err := <-served; err != nil {
				t.Errorf("Serve: %v", err)
			}
			<-guarded
			if got, want := f.States(second), map[string]int{"delivered": 2}; !cmp.Equal(got, want) {
				t.Errorf("states of the second client's batch: got %v, want %v", got, want)
			}
			if got, want := f.States(first), map[string]int{"pending": 1}; !cmp.Equal(got, want) {
				t.Errorf("states of the first client's batch: got %v, want %v", got, want)
			}
		})
	}
}

// A client is judged soon though many whose batches come before its own have
// DNS servers that never answer.
func TestManySlowClients(t *testing.T) {
	t.Parallel()
	f := queuetest.NewFixture(t)
	f.Exec(`INSERT INTO enotify.node (name, egress, helo, version, live_until) VALUES ('n', '{192.0.2.1}', 'h', 'v', now() + interval '1 day')`)
	f.Exec(`INSERT INTO enotify.client (domain) SELECT 'c' || n || '.slow.example' FROM generate_series(1, 150) n`)
	f.Exec(`SELECT enotify.enqueue(domain, 'info@' || domain, 's', 't', '{x@a.example}', priority => 1) FROM enotify.client WHERE domain LIKE '%slow.example'`)
	f.Enqueue("menu", 1, "a.example")
	pass := queuetest.Findings(func(string,
		netip.Addr) queue.Verdict {
		return queue.Verdict{Result: "pass", ValidFor: time.Hour}
	})
	g := guard.Guard{DB: f.DB, Checker: hangs{pass, ".slow.example"}, Every: time.Hour,
		Log: slog.New(slog.DiscardHandler)}
	ctx, cancel := context.WithCancel(t.Context())
	guarded := make(chan struct{})
	go func() { g.Run(ctx); close(guarded) }()
	start := time.Now()
	f.Until(cancel, `SELECT EXISTS (SELECT FROM enotify.verdict v JOIN enotify.client c ON c.id = v.client_id WHERE c.domain = 'town.example')`)
	<-guarded
	if took := time.Since(start); took > 30*time.Second {
		t.Errorf("judged after %v, want it long before the minute that one slow check may take", took)
	}
	if got := queuetest.Query[int](f, `SELECT count(*)::int FROM enotify.verdict`); got != 1 {
		t.Errorf("verdicts: got %d, want that on the one client alone", got)
	}
}
