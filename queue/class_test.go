package queue_test

import (
	"context"
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"enotify/queue"
	"enotify/queue/engine"
	"enotify/queue/queuetest"
)

// The constants of Go, the rows of the table and the enum of the schema are the same classes.
func TestEveryClassHasARow(t *testing.T) {
	t.Parallel()
	file, err := parser.ParseFile(token.NewFileSet(), "class.go", nil, 0)
	if err != nil {
		t.Fatal(err)
	}
	var constants []queue.Class
	ast.Inspect(file, func(n ast.Node) bool {
		spec, ok := n.(*ast.ValueSpec)
		if !ok {
			return true
		}
		if of, ok := spec.Type.(*ast.Ident); !ok || of.Name != "Class" {
			return true
		}
		for _, value := range spec.Values {
			word, err := strconv.Unquote(value.(*ast.BasicLit).Value)
			if err != nil {
				t.Fatal(err)
			}
			constants = append(constants, queue.Class(word))
		}
		return true
	})
	slices.Sort(constants)
	rows := queue.Classes()
	if diff := cmp.Diff(constants, rows); diff != "" {
		t.Errorf("rows of the table (-constants +rows):\n%s", diff)
	}
	f := queuetest.NewFixture(t)
	var enum []queue.Class
	for _, word := range queuetest.Query[[]string](f, `SELECT enum_range(NULL::enotify.reply_class)::text[]`) {
		enum = append(enum, queue.Class(word))
	}
	slices.Sort(enum)
	if diff := cmp.Diff(enum, rows); diff != "" {
		t.Errorf("rows of the table (-enum +rows):\n%s", diff)
	}
}

// effects is the state of a recipient after a reply, and what else the reply caused.
type effects struct {
	State      string // of the recipient
	Counted    bool   // as an attempt
	Logged     bool
	Suppressed string // cause
	Scored     bool   // counted towards a suppression
	Guard      bool   // counted as a refusal of the client
}

const effectsSQL = `
SELECT d.state, coalesce(t.attempts, 0) > 0 OR t.seq IS NULL, EXISTS (SELECT FROM enotify.attempt a WHERE a.batch_id = d.batch_id AND a.seq = d.seq),
       coalesce((SELECT s.cause FROM enotify.suppression s WHERE s.address = d.address), ''),
       EXISTS (SELECT FROM enotify.counted_reply m WHERE m.address = d.address),
       EXISTS (SELECT FROM enotify.auth_refusal a WHERE a.site = d.domain)
FROM enotify.delivery d LEFT JOIN enotify.retry t USING (batch_id, seq)
WHERE d.batch_id = $1 AND d.address = $2`

// What a node does with a reply, of each class and of each exception, is what the table says.
func TestNodeTreatsRepliesByTheTable(t *testing.T) {
	t.Parallel()
	exceptions := map[string]queue.Outcome{
		"greylisted": {Class: queue.Throttled, Treatment: queue.Treatment{Requeues: true}},
		"forwarder": {Class: queue.NoSuchUser,
			Treatment: queue.Treatment{Final: true, Counts: true, Suppresses: queue.OnceRepeated}},
		"relay": {Class: queue.AuthRejected, Treatment: queue.Treatment{Final: true, Counts: true}},
	}
	outcomes := map[string]queue.Outcome{}
	for _, c := range queue.Classes() {
		if c == queue.NotBegun { // no reply
			continue
		}
		for _, code := range []int{450, 550} {
			outcomes[strings.ReplaceAll(fmt.Sprintf("%s-%d.example", c, code), "_", "-")] = queue.Outcome{Class: c,
				Reply: queue.Reply{Code: code}}
		}
	}
	for name, o := range exceptions {
		o.Reply.Code = 550
		outcomes[name+".example"] = o
	}
	var to []string
	for domain, o := range outcomes {
		o.Site, o.Reply.Text, o.State = domain, "no", queue.Deferred
		if o.Treated().Ends(o.Reply.Code) {
			o.State = queue.Bounced
		}
		outcomes[domain] = o
		to = append(to, "u@"+domain)
	}

	f := queuetest.NewFixture(t)
	batch := queuetest.Query[int64](f, `SELECT enotify.enqueue('all', 'info@town.example', 's', 't', $1)`, to)
	s := f.Server("n1", func(_ context.Context, m queue.Message) queue.Outcome { return outcomes[m.Domain] })
	s.Schedule = engine.Schedule{First: time.Hour, Max: time.Hour}
	f.Serve(s)

	for domain, o := range outcomes {
		does := o.Treated()
		want := effects{State: string(o.State), Counted: does.Counts, Logged: true, Guard: does.AsksGuard,
			Scored: does.Suppresses.Replies > 1}
		if does.Suppresses.Replies == 1 && o.State == queue.Bounced {
			want.Suppressed = string(o.Class)
		}
		var got effects
		if err := f.Conn.QueryRow(t.Context(), effectsSQL, batch, "u@"+domain).Scan(&got.State, &got.Counted,
			&got.Logged, &got.Suppressed, &got.Scored, &got.Guard); err != nil {
			t.Fatalf("%s: %v", domain, err)
		}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("%s (-want +got):\n%s", domain, diff)
		}
	}
}

// The functions of the schema that tell classes apart do it as the table does.
func TestSchemaTreatsClassesByTheTable(t *testing.T) {
	t.Parallel()
	f := queuetest.NewFixture(t)
	batch := f.Enqueue("menu", 1, "a.example")
	f.Exec(`INSERT INTO enotify.site (name, grp) VALUES ('mx.example', 1)`)
	f.Exec(`UPDATE enotify.domain SET site_id = (SELECT id FROM enotify.site) WHERE name = 'a.example'`)
	f.Exec(`UPDATE enotify.batch_domain SET intent_seq = 1`)
	f.Exec(`INSERT INTO enotify.retry (batch_id, seq, domain_id, grp, due_at, first_at, attempts, tries, class)
		SELECT batch_id, 1, domain_id, grp, now() + interval '1 hour', now(), 1, 1, 'other' FROM enotify.batch_domain`)
	for _, c := range queue.Classes() {
		does := c.Treatment()

		_, err := f.Conn.Exec(t.Context(), `SELECT FROM enotify.requeue_batch($1, $2)`, batch, string(c))
		if got := err == nil; got != does.Requeues {
			t.Errorf("requeue of %s: got %v, want it possible: %v", c, err, does.Requeues)
		}

		_, err = f.Conn.Exec(t.Context(),
			`INSERT INTO enotify.suppression (address, cause) VALUES ('u@gone.example', $1)`, string(c))
		if got := err == nil; got != (does.Suppresses.Replies > 0) {
			t.Errorf("suppression for %s: got %v, want it possible: %v", c, err, does.Suppresses.Replies > 0)
		}
		if err == nil {
			if got := queuetest.Query[string](f,
				`SELECT coalesce(class::text, '') FROM enotify.suppressed('u@gone.example', 1)`); got != string(c) {
				t.Errorf("class of what is suppressed for %s: got %q", c, got)
			}
			f.Exec(`DELETE FROM enotify.suppression`)
		}

		f.Exec(`UPDATE enotify.retry SET class = $1::text::enotify.reply_class, due_at = now() + interval '1 hour'`,
			string(c))
		f.Exec(`SELECT enotify.forget_learned('mx.example')`)
		if got := queuetest.Query[bool](f, `SELECT due_at <= now() FROM enotify.retry`); got != does.HoldsEgress {
			t.Errorf("due at once when the block of a site is forgotten, after %s: got %v, want %v", c, got,
				does.HoldsEgress)
		}
	}
}
