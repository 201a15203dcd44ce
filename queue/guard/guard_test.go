package guard_test

import (
	"context"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"enotify/queue"
	"enotify/queue/guard"
	"enotify/queue/queuetest"
)

// Nothing is sent for a client whose record does not let us; the next batch is
// not held up, and the blocked one goes out when the record is right.
func TestGuardBlocksAndFrees(t *testing.T) {
	t.Parallel()
	f := queuetest.NewFixture(t)
	batch := f.Enqueue("menu", 5, "a.example")
	if err := f.Run(t.Context(), f.Server("n1", queuetest.Deliver), "fail"); err != nil {
		t.Fatal(err)
	}
	if got := queuetest.Query[string](f, `SELECT state || ': ' || reason FROM enotify.batch_status WHERE id = $1`,
		batch); got != "blocked: SPF fail for town.example from 192.0.2.1: so says the test" {
		t.Errorf("batch: got %q, want it blocked with the reason", got)
	}
	if got := len(f.Sent()); got != 0 {
		t.Errorf("messages sent: got %d, want 0", got)
	}

	f.Exec(`INSERT INTO enotify.client (domain) VALUES ('city.example')`)
	other := queuetest.Query[int64](f, `SELECT enotify.enqueue('o', 'info@city.example', 's', 't', '{x@a.example}')`)
	f.Serve(f.Server("n2", queuetest.Deliver))
	if got, want := f.States(other), map[string]int{"delivered": 1}; !cmp.Equal(got, want) {
		t.Errorf("states of the other client's batch: got %v, want %v", got, want)
	}
	if got, want := f.States(batch), map[string]int{"pending": 5}; !cmp.Equal(got, want) {
		t.Errorf("states of the blocked batch: got %v, want %v", got, want)
	}

	f.Exec(`UPDATE enotify.verdict SET valid_until = now()`)
	f.ServeUntil(f.Server("n3", queuetest.Deliver), `SELECT state = 'done' FROM enotify.batch WHERE id = $1`, batch)
	if got, want := f.States(batch), map[string]int{"delivered": 5}; !cmp.Equal(got, want) {
		t.Errorf("states after the cure: got %v, want %v", got, want)
	}
	if got := queuetest.Query[int](f, `SELECT count(*)::int FROM enotify.verdict v JOIN enotify.client c ON c.id = v.client_id WHERE c.domain = 'town.example'`); got != 2 {
		t.Errorf("verdicts kept: got %d, want the old and the new one", got)
	}
}

// A batch of a client whose verdict blocks already does not wait in the queue,
// without a word, until that verdict has run out.
func TestGuardBlocksALaterBatchAtOnce(t *testing.T) {
	t.Parallel()
	f := queuetest.NewFixture(t)
	f.Exec(`INSERT INTO enotify.node (name, egress, helo, version, live_until)
		VALUES ('n', '{192.0.2.1}', 'h', 'v', now() + interval '1 day')`)
	unjudged := func() []queue.Subject {
		subjects, _, err := guard.Due(t.Context(), f.DB, 0, time.Hour)
		if err != nil {
			t.Fatal(err)
		}
		return subjects
	}
	judge := func(s queue.Subject) []int64 {
		j, err := f.DB.Judge(t.Context(), s, []queue.Verdict{
			{Identity: "mailfrom", Domain: "town.example", Egress: queuetest.Egress, Result: "fail", Blocks: true,
				ValidFor: time.Hour},
		})
		if err != nil {
			t.Fatal(err)
		}
		return j.Blocked
	}
	f.Enqueue("first", 1, "a.example")
	for _, s := range unjudged() {
		judge(s)
	}
	if got := len(unjudged()); got != 0 {
		t.Fatalf("clients to judge while the verdict holds: got %d, want 0", got)
	}

	second := f.Enqueue("second", 1, "a.example")
	subjects := unjudged()
	if len(subjects) != 1 {
		t.Fatalf("clients to judge after the next batch: got %d, want 1", len(subjects))
	}
	if got, want := judge(subjects[0]), []int64{second}; !cmp.Equal(got, want) {
		t.Errorf("batches blocked: got %v, want %v", got, want)
	}
	if got := len(unjudged()); got != 0 {
		t.Errorf("clients to judge afterwards: got %d, want 0", got)
	}
}

// A resolver that does not answer says nothing about the client: its batch
// waits, and says for what.
func TestGuardWaitsForDNS(t *testing.T) {
	t.Parallel()
	f := queuetest.NewFixture(t)
	batch := f.Enqueue("menu", 5, "a.example")
	s := f.Server("n1", queuetest.Deliver)
	s.UntilIdle = false
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	go f.Until(cancel, `SELECT reason <> '' FROM enotify.batch WHERE id = $1`, batch)
	if err := f.Run(ctx, s, "temperror"); err != nil {
		t.Fatal(err)
	}
	if got, want := queuetest.Query[string](f, `SELECT state || ': ' || reason FROM enotify.batch_status WHERE id = $1`,
		batch), "queued: waits for DNS: so says the test"; got != want {
		t.Errorf("batch: got %q, want %q", got, want)
	}
	if got := len(f.Sent()); got != 0 {
		t.Errorf("messages sent: got %d, want 0", got)
	}
}

// A client with nothing to send is looked at too, and a change is told once.
func TestGuardSeesDrift(t *testing.T) {
	t.Parallel()
	f := queuetest.NewFixture(t)
	f.Exec(`INSERT INTO enotify.node (name, egress, helo, version, live_until)
		VALUES ('n', '{192.0.2.1}', 'h', 'v', now() + interval '1 day')`)
	unseen := func() []queue.Subject {
		_, subjects, err := guard.Due(t.Context(), f.DB, 0, time.Hour)
		if err != nil {
			t.Fatal(err)
		}
		return subjects
	}
	subjects := unseen()
	if len(subjects) != 1 || subjects[0].Client != "town.example" || len(subjects[0].Egress) != 1 {
		t.Fatalf("unseen: got %+v, want town.example with one address", subjects)
	}
	judge := func(result, record string) []queue.Drift {
		j, err := f.DB.Judge(t.Context(), subjects[0], []queue.Verdict{
			{Identity: "mailfrom", Domain: "town.example", Egress: queuetest.Egress, Result: result, Record: record,
				ValidFor: time.Minute},
		})
		if err != nil {
			t.Fatal(err)
		}
		return j.Drifts
	}
	for _, step := range []struct{ result, record, was string }{
		{"pass", "v=spf1 mx -all", ""},
		{"pass", "v=spf1 mx -all", ""},
		{"temperror", "", ""}, // says nothing
		{"softfail", "v=spf1 ~all", "pass v=spf1 mx -all"},
		{"softfail", "v=spf1 ~all", ""},
	} {
		was := ""
		for _, d := range judge(step.result, step.record) {
			was = d.WasResult + " " + d.WasRecord
		}
		if was != step.was {
			t.Errorf("%s %q: got drift from %q, want from %q", step.result, step.record, was, step.was)
		}
	}
	if got := unseen(); len(got) != 0 {
		t.Errorf("unseen after a look: got %+v, want none", got)
	}
	f.Exec(`UPDATE enotify.verdict SET checked_at = now() - interval '2 hours', valid_until = now()`)
	if got := unseen(); len(got) != 1 {
		t.Errorf("unseen after two hours: got %d clients, want 1", len(got))
	}
	stored, err := f.DB.Verdicts(t.Context(), "town.example", 10)
	if err != nil || len(stored) != 2 {
		t.Errorf("verdicts kept: got %d (%v), want 2", len(stored), err)
	}
}

// The envelope sender of a client changes while the guard looks at the old one:
// what it finds lets nothing leave, and the client is looked at again.
func TestGuardDropsVerdictsOnAnotherSender(t *testing.T) {
	t.Parallel()
	f := queuetest.NewFixture(t)
	f.Exec(`INSERT INTO enotify.node (name, egress, helo, version, live_until)
		VALUES ('n', '{192.0.2.1}', 'h', 'v', now() + interval '1 day')`)
	f.Enqueue("menu", 1, "a.example")
	unjudged := func() []queue.Subject {
		subjects, _, err := guard.Due(t.Context(), f.DB, 0, time.Hour)
		if err != nil || len(subjects) != 1 {
			t.Fatalf("unjudged: got %+v (%v), want town.example", subjects, err)
		}
		return subjects
	}
	judge := func(s queue.Subject) {
		if _, err := f.DB.Judge(t.Context(), s,
			[]queue.Verdict{{Identity: "mailfrom", Domain: "town.example", Egress: queuetest.Egress, Result: "pass",
				ValidFor: time.Hour}}); err != nil {
			t.Fatal(err)
		}
	}
	for _, change := range []queue.ClientChange{
		{ReturnPath: new(string)},
		{Selectors: &[]string{"s1"}},
		{Bounces: &queue.Bounces{Mode: queue.BounceOperator}},
	} {
		old := unjudged()[0]
		if change.ReturnPath != nil {
			*change.ReturnPath = "bounces@elsewhere.example"
		}
		if _, err := f.DB.SetClient(t.Context(), "town.example", change); err != nil {
			t.Fatal(err)
		}
		judge(old)
		if got := queuetest.Query[int](f, `SELECT count(*)::int FROM enotify.verdict`); got != 0 {
			t.Fatalf("verdicts on what was changed: got %d, want 0", got)
		}
	}
	judge(unjudged()[0])
	if got := queuetest.Query[int](f, `SELECT count(*)::int FROM enotify.verdict`); got != 1 {
		t.Errorf("verdicts: got %d, want 1", got)
	}
}

// The operator lowers what the From: domain's record means: verdicts found before
// that are dropped, the client is checked again at once, and its batch goes on.
func TestOperatorLowersTheFromDomain(t *testing.T) {
	t.Parallel()
	f := queuetest.NewFixture(t)
	f.Exec(`INSERT INTO enotify.node (name, egress, helo, version, live_until)
		VALUES ('n', '{192.0.2.1}', 'h', 'v', now() + interval '1 day')`)
	batch := f.Enqueue("menu", 1, "a.example")
	subject := func() queue.Subject {
		subjects, _, err := guard.Due(t.Context(), f.DB, 0, time.Hour)
		if err != nil || len(subjects) != 1 {
			t.Fatalf("clients to judge: got %d and %v, want 1", len(subjects), err)
		}
		return subjects[0]
	}
	judge := func(s queue.Subject, blocks bool) {
		from := queue.Verdict{Identity: "from", Domain: "town.example", Egress: queuetest.Egress, Result: "fail",
			Blocks: blocks, ValidFor: time.Hour}
		pass := queue.Verdict{Identity: "mailfrom", Domain: "bounce.town.example", Egress: queuetest.Egress,
			Result: "pass", ValidFor: time.Hour}
		if _, err := f.DB.Judge(t.Context(), s, []queue.Verdict{pass, from}); err != nil {
			t.Fatal(err)
		}
	}
	state := func(want string) {
		t.Helper()
		if got := queuetest.Query[string](f, `SELECT state::text FROM enotify.batch WHERE id = $1`,
			batch); got != want {
			t.Errorf("batch: got %s, want %s", got, want)
		}
		blocks := queuetest.Query[bool](f,
			`SELECT blocks FROM enotify.verdict WHERE identity = 'from' AND superseded_at IS NULL`)
		if blocks != (want == "blocked") {
			t.Errorf("current verdict: got blocks %v while the batch is to be %s", blocks, want)
		}
	}
	before := subject()
	judge(before, true)
	state("blocked")
	warns := queue.FromSPFWarns
	if _, err := f.DB.SetClient(t.Context(), "town.example", queue.ClientChange{FromSPF: &warns}); err != nil {
		t.Fatal(err)
	}
	after := subject()
	if after.FromSPF != queue.FromSPFWarns {
		t.Errorf("setting: got %q, want warn", after.FromSPF)
	}
	judge(before, true) // by the old setting: it is dropped
	judge(after, false)
	state("queued")
	blocks := queue.FromSPFBlocks
	if _, err := f.DB.SetClient(t.Context(), "town.example", queue.ClientChange{FromSPF: &blocks}); err != nil {
		t.Fatal(err)
	}
	judge(subject(), true)
	state("blocked")
}

// A node without a client's key does not undo the verdict of the node that has it: it
// leaves the client to that one. Where no node has the key the batch is blocked.
func TestGuardOfANodeWithoutAKey(t *testing.T) {
	t.Parallel()
	f := queuetest.NewFixture(t)
	f.Exec(`INSERT INTO enotify.node (id, name, egress, helo, version, live_until) OVERRIDING SYSTEM VALUE
		SELECT i, 'n' || i, '{192.0.2.1}', 'h', 'v', now() + interval '1 day' FROM generate_series(101, 102) i`)
	batch := f.Enqueue("menu", 1, "a.example")
	look := func(node int32, able bool) {
		t.Helper()
		g := guard.Guard{DB: f.DB, Node: node, Every: time.Hour, Checker: checks(func(s queue.Subject) []queue.Verdict {
			dkim := queue.Verdict{Identity: "dkim", Egress: queuetest.Egress, Result: "pass", ValidFor: time.Hour}
			if !able {
				dkim.Result, dkim.Blocks, dkim.Explanation = "fail", true, "no DKIM key"
			}
			return []queue.Verdict{{Identity: "mailfrom", Domain: s.Client, Egress: queuetest.Egress, Result: "pass",
				ValidFor: time.Hour}, dkim}
		})}
		if err := g.Look(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
	expect := func(when, want string) {
		t.Helper()
		if got := queuetest.Query[string](f,
			`SELECT b.state || ', verdicts: ' || (SELECT count(*) FROM enotify.verdict) FROM enotify.batch b WHERE b.id = $1`, batch); got != want {
			t.Errorf("%s: got %s, want %s", when, got, want)
		}
	}
	look(102, false)
	expect("after the look of a node without the key", "queued, verdicts: 0")
	look(101, true)
	expect("after the look of the other one", "queued, verdicts: 2")
	for range 2 {
		f.Exec(`UPDATE enotify.verdict SET valid_until = now()`)
		look(102, false)
		look(101, true)
	}
	expect("after each has looked again, twice", "queued, verdicts: 2")

	f.Exec(`UPDATE enotify.verdict SET valid_until = now()`)
	look(101, false)
	expect("once no node has the key", "blocked, verdicts: 3")
}

// checks is a [guard.Checker] by a function.
type checks func(s queue.Subject) []queue.Verdict

func (c checks) Check(_ context.Context, s queue.Subject, _ string) []queue.Verdict { return c(s) }

// A client that only another node can sign for is left to that node, with a batch under
// way and without.
func TestGuardLeavesClientsToNodesThatCanSign(t *testing.T) {
	t.Parallel()
	f := queuetest.NewFixture(t)
	due := func(node int32) (n int) {
		t.Helper()
		unjudged, unseen, err := guard.Due(t.Context(), f.DB, node, time.Hour)
		if err != nil {
			t.Fatal(err)
		}
		return len(unjudged) + len(unseen)
	}
	node := func(name string) int32 {
		return queuetest.Query[int32](f, `INSERT INTO enotify.node (name, egress, helo, version, live_until)
			VALUES ($1, '{192.0.2.1}', 'h', 'v', now() + interval '1 day') RETURNING id`, name)
	}
	lacks, has := node("lacks the key"), node("has it")
	f.Exec(`INSERT INTO enotify.node_bar SELECT $1, id, 'no key' FROM enotify.client`, lacks)
	for _, what := range []string{"nothing to send", "a batch under way"} {
		if got := due(lacks); got != 0 {
			t.Errorf("%s: clients to check for the node that lacks the key: got %d, want 0", what, got)
		}
		if got := due(has); got != 1 {
			t.Errorf("%s: clients to check for the other node: got %d, want 1", what, got)
		}
		f.Enqueue("menu", 1, "a.example")
	}
	f.Exec(`INSERT INTO enotify.node_bar SELECT $1, id, 'no key' FROM enotify.client`, has)
	if got := due(lacks); got != 1 {
		t.Errorf("where no node has the key: clients to check: got %d, want 1", got)
	}
}

// A verdict that stops a client is looked at again within half a minute, however long the
// record may be kept; one that lets it send holds for as long.
func TestGuardLooksAgainSoonWhereItStops(t *testing.T) {
	t.Parallel()
	f := queuetest.NewFixture(t)
	f.Exec(`INSERT INTO enotify.node (name, egress, helo, version, live_until)
		VALUES ('n', '{192.0.2.1}', 'h', 'v', now() + interval '1 day')`)
	for result, want := range map[string]int{"fail": 30, "temperror": 30, "pass": 3600} {
		f.Exec(`DELETE FROM enotify.verdict`)
		f.Judge(t.Context(), result)
		got := queuetest.Query[int](f, `SELECT round(extract(epoch FROM valid_until - checked_at))::int FROM enotify.verdict`)
		if got < want-2 || got > want+2 {
			t.Errorf("%s: the verdict holds for: got %d s, want %d", result, got, want)
		}
	}
}
