package retention_test

import (
	"context"
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/jackc/pgx/v5"

	"enotify/queue"
	"enotify/queue/insight"
	"enotify/queue/queuetest"
	"enotify/queue/retention"
)

// everywhere counts the rows of the whole schema that hold a text, by table.
func everywhere(f *queuetest.Fixture, text string) map[string]int {
	f.Helper()
	found := map[string]int{}
	for _, table := range queuetest.Query[[]string](f, `
		SELECT array_agg(c.relname::text) FROM pg_class c WHERE c.relnamespace = 'enotify'::regnamespace AND c.relkind = 'r'`) {
		n := queuetest.Query[int](f, `SELECT count(*)::int FROM enotify.`+pgx.Identifier{table}.Sanitize()+` t
			WHERE strpos(lower(t::text), $1) > 0 OR strpos(lower(t::text), encode(convert_to($1, 'UTF8'), 'hex')) > 0`, text)
		if n > 0 {
			found[table] = n
		}
	}
	return found
}

func status(f *queuetest.Fixture, batch int64) queue.Status {
	f.Helper()
	s, err := f.DB.Status(f.Context(), batch)
	if err != nil {
		f.Fatal(err)
	}
	return s
}

// An address goes from every table, and nobody else's; counts and audit stay. What a
// node still knows of its message is recorded without the words that quote it.
func TestForget(t *testing.T) {
	t.Parallel()
	f := queuetest.NewFixture(t)
	const gone, words = "Ann.Smith@a.example", "no such user <ann.smith@A.example>"
	f.Exec(`UPDATE enotify.event_setting SET every = true`)
	f.Exec(`SELECT enotify.enqueue('sent', 'info@town.example', 's', 't', $1, ARRAY['{"name": "ann.smith@a.example"}', NULL, NULL, NULL]::jsonb[])`,
		[]string{gone, "xann.smith@a.example", "bob@b.example", `"Ann" <ann.smith@a.example> x`})
	f.Serve(f.Server("n1", func(_ context.Context, m queue.Message) queue.Outcome {
		return queue.Outcome{State: queue.Bounced, Class: queue.NoSuchUser,
			Reply: queue.Reply{Code: 550, Text: words + " or " + m.Address}}
	}))
	f.Exec(`SELECT enotify.create_batch('draft', 'info@town.example', 's', 't')`)
	f.Exec(`INSERT INTO enotify.recipient_in (batch_id, address) SELECT max(id), $1 FROM enotify.batch`, gone)
	f.Exec(`INSERT INTO enotify.report (fingerprint, batch_id, seq, signed, kind, reply, message_id, via, raw)
		SELECT sha256('x'), r.batch_id, r.seq, true, 'bounce', $2, $2, 'ingest', convert_to($2, 'UTF8') FROM enotify.recipient r WHERE r.address = $1`, gone, words)
	f.Exec(`INSERT INTO enotify.counted_reply VALUES ('ann.smith@a.example', 'mailbox_full', now(), now(), 1)`)
	f.Exec(`INSERT INTO enotify.preflight (batch_id, verdict, line, report) SELECT 1, 'ready', 'x', jsonb_build_object('evidence', $1::text)`, words)
	f.Exec(`UPDATE enotify.batch SET reason = $1 WHERE id = 1`, "see "+gone)
	before := status(f, 1)

	got, err := retention.Of(f.DB).Forget(t.Context(), " "+strings.ToUpper(gone), false)
	if err != nil {
		t.Fatal(err)
	}
	got.Replies, got.Texts, got.Events = min(got.Replies, 1), min(got.Texts, 1), min(got.Events, 1)
	want := retention.Forgotten{Address: "ann.smith@a.example", Batches: 1, Recipients: 2, Replies: 1, Reports: 1,
		Events: 1, Staged: 1, Suppressions: 1, Counted: 1, Texts: 1, Under: []int{}}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("erased (-want +got):\n%s", diff)
	}
	left := everywhere(f, "ann.smith@a.example")
	if diff := cmp.Diff(map[string]int{"recipient": 1, "outcome": 1, "attempt": 1, "suppression": 1,
		"event": left["event"]}, left); diff != "" {
		t.Errorf("rows that hold the text, which are all of xann.smith (-want +got):\n%s", diff)
	}
	if got := queuetest.Query[int](f, `SELECT count(*)::int FROM enotify.event e WHERE replace(e.data::text, 'xann.smith@a.example', '') ~* 'ann\.smith@a\.example'`); got != 0 {
		t.Errorf("events with the address: got %d, want none", got)
	}
	for table, n := range everywhere(f, "xann.smith@a.example") {
		if left[table] != n {
			t.Errorf("%s: got %d rows with the text, %d of them of xann.smith; want all", table, left[table], n)
		}
	}
	if diff := cmp.Diff(before, status(f, 1),
		cmp.FilterPath(func(p cmp.Path) bool { return p.Last().String() == ".Reason" }, cmp.Ignore())); diff != "" {
		t.Errorf("counts (-before +after):\n%s", diff)
	}
	f.Balances()

	// The same try once more, as a node writes it that replays its journal.
	late := queue.Result{Batch: 1, Seq: queuetest.Query[int32](f, `SELECT min(seq) FROM enotify.forgotten`), Try: 2,
		DomainID: 1,
		Outcome: queue.Outcome{State: queue.Bounced, Class: queue.NoSuchUser,
			Reply: queue.Reply{Code: 550, Text: words}}}
	f.Exec(`UPDATE enotify.outcome SET state = 'unknown' WHERE seq = $1`, late.Seq)
	if _, err := f.DB.Finish(t.Context(), []queue.Result{late}); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(left, everywhere(f, "ann.smith@a.example")); diff != "" {
		t.Errorf("rows that hold the text after a late result (-want +got):\n%s", diff)
	}
	if got := queuetest.Query[int](f, `SELECT count(*)::int FROM enotify.suppression WHERE address = ''`); got != 0 {
		t.Errorf("suppressions of nobody: got %d, want 0", got)
	}
	if _, err := f.DB.Unsubscribe(t.Context(), 1, late.Seq, "one-click"); !errors.Is(err, queue.ErrNotFound) {
		t.Errorf("its reader unsubscribes: got %v, want that there is no such recipient", err)
	}
}

// Recipients not tried yet, and deferred ones, get nothing.
func TestForgottenRecipientsGetNothing(t *testing.T) {
	t.Parallel()
	f := queuetest.NewFixture(t)
	batch := queuetest.Query[int64](f, `SELECT enotify.enqueue('k', 'info@town.example', 's', 't', '{ann@a.example,bob@a.example}')`)
	if _, err := retention.Of(f.DB).Forget(t.Context(), "ann@a.example", false); err != nil {
		t.Fatal(err)
	}
	f.Serve(f.Server("n1", queuetest.Deliver))
	if got, want := queuetest.Query[string](f,
		`SELECT string_agg(state || ' ' || address, ', ' ORDER BY state) FROM enotify.delivery WHERE batch_id = $1`,
		batch), "delivered bob@a.example, suppressed "; got != want {
		t.Errorf("recipients: got %q, want %q", got, want)
	}
	f.Balances()
}

// A suppression that is kept is honoured by submitting, picking and the census, is
// found by the address, and can be lifted by it. Its key is for functions alone.
func TestKeptSuppression(t *testing.T) {
	t.Parallel()
	f := queuetest.NewFixture(t)
	f.Exec(`INSERT INTO enotify.suppression (address, cause) VALUES ('ann@a.example', 'complaint')`)
	got, err := retention.Of(f.DB).Forget(t.Context(), "ann@a.example", true)
	if err != nil || got.Suppressions != 1 || got.Kept != 1 {
		t.Fatalf("got %+v (%v), want one suppression erased and kept", got, err)
	}
	if got := everywhere(f, "ann@a.example"); len(got) != 0 {
		t.Errorf("rows with the address: got %v, want none", got)
	}
	const wantKey = `SELECT x.address = 'hmac:' || encode(sha256(k.outer_pad || sha256(k.inner_pad || 'ann@a.example'::bytea)), 'hex') FROM enotify.suppression x, enotify.hash_key k`
	if !queuetest.Query[bool](f, wantKey) {
		t.Error("what stands for the address: got something else than its HMAC")
	}
	batch := queuetest.Query[int64](f, `SELECT enotify.enqueue('k', 'info@town.example', 's', 't', '{Ann@A.example,bob@a.example}')`)
	if s := status(f, batch); s.Suppressed != 1 || s.Pending != 1 {
		t.Errorf("at submission: got %+v, want one suppressed and one pending", s)
	}
	e, err := insight.Of(f.DB).Explain(t.Context(), "ann@a.example", time.Now().AddDate(-1, 0, 0), 1)
	if err != nil || len(e.Suppressions) != 1 || e.Suppressions[0].Address != "ann@a.example" ||
		e.Suppressions[0].Cause != "complaint" {
		t.Errorf("explained: got %+v (%v), want the complaint", e.Suppressions, err)
	}
	listed, err := f.DB.Suppressions(t.Context(), "", "", 0)
	if err != nil || len(listed) != 1 || !listed[0].Forgotten() {
		t.Errorf("listed: got %+v (%v), want one of a forgotten address", listed, err)
	}
	for _, role := range []string{"enotify_admin", "enotify_sender", "enotify_app"} {
		conn := queuetest.Connect(t, queuetest.Login(t, f.URL, role))
		queuetest.Refused(t, conn, `SELECT inner_pad FROM enotify.hash_key`, "permission denied")
	}
	if _, err := f.DB.Release(t.Context(), "ann@a.example", ""); err != nil {
		t.Errorf("lifted: %v", err)
	}
	if _, err := retention.Of(f.DB).Forget(t.Context(), "no-address", true); err == nil {
		t.Error("forgetting what is no address: got no error")
	}
	app := queuetest.Open(t, queuetest.Login(t, f.URL, "enotify_app"))
	if _, err := retention.Of(app).Forget(t.Context(), "bob@a.example", false); !errors.Is(err, queue.ErrDenied) {
		t.Errorf("by an application: got %v, want ErrDenied", err)
	}
}

// An application's transaction that it forgot does not hold it up for ever: it says so.
func TestForgetDoesNotWaitForAnApplication(t *testing.T) {
	t.Parallel()
	f := queuetest.NewFixture(t)
	app := queuetest.Connect(t, queuetest.Login(t, f.URL, "enotify_app"))
	tx, err := app.Begin(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if _, err := tx.Exec(t.Context(), `SELECT enotify.enqueue('k', 'info@town.example', 's', 't', '{ann@a.example}')`); err != nil {
		t.Fatal(err)
	}
	got, err := retention.Of(f.DB).Forget(t.Context(), "ann@a.example", false)
	if err != nil || len(got.Under) != 1 || got.Under[0] != int(app.PgConn().PID()) {
		t.Errorf("beside a submit that is not committed: got %+v (%v), want its process named", got, err)
	}
	if err := tx.Rollback(t.Context()); err != nil {
		t.Fatal(err)
	}
}
