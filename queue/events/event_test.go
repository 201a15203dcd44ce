package events_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"enotify/queue"
	"enotify/queue/events"
	"enotify/queue/queuetest"
)

// number gives numbers to all events that are committed.
func number(t *testing.T, db *queue.DB) {
	t.Helper()
	for some := true; some; {
		var err error
		if some, err = events.Of(db).Number(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
}

func list(t *testing.T, db *queue.DB, after int64) []events.Event {
	t.Helper()
	found, err := events.Of(db).List(t.Context(), after, 10000)
	if err != nil {
		t.Fatal(err)
	}
	return found
}

// line is an event in few words.
func line(e events.Event) string {
	words := []string{e.Kind}
	if e.Address != nil {
		words = append(words, *e.Address)
	}
	data := string(e.Data)
	for _, word := range []string{`"to": "`, `"reply": "`, `"how": "`} {
		if _, rest, ok := strings.Cut(data, word); ok {
			words = append(words, rest[:strings.IndexByte(rest, '"')])
		}
	}
	return strings.Join(words, " ")
}

func lines(of []events.Event) (all []string) {
	for _, e := range of {
		all = append(all, line(e))
	}
	return all
}

// Every fact about a recipient and a batch is one event, in the order in which it
// came about; and nothing is recorded of a client that nobody switched on.
func TestEventsTellWhatHappened(t *testing.T) {
	t.Parallel()
	f := queuetest.NewFixture(t)
	f.Exec(`INSERT INTO enotify.client (domain) VALUES ('city.example')`)
	if err := events.Of(f.DB).Record(t.Context(), "city.example", true); err != nil {
		t.Fatal(err)
	}
	silent := f.Enqueue("before", 1, "a.example")
	f.Exec(`SELECT enotify.pause_batch($1)`, silent)
	number(t, f.DB)
	if got := list(t, f.DB, 0); len(got) > 0 {
		t.Fatalf("events of a client that nobody switched on: got %v, want none", lines(got))
	}
	if err := events.Of(f.DB).Record(t.Context(), "town.example", true); err != nil {
		t.Fatal(err)
	}
	batch := queuetest.Query[int64](f, `SELECT enotify.enqueue('menu', 'info@town.example', 's', 't', '{good@a.example,late@b.example,gone@c.example,nowhere}')`)
	tries := map[string]int{}
	var mu sync.Mutex
	f.Serve(f.Server("n1", func(_ context.Context, m queue.Message) queue.Outcome {
		mu.Lock()
		defer mu.Unlock()
		tries[m.Address]++
		switch {
		case strings.HasPrefix(m.Address, "late") && tries[m.Address] == 1:
			return queue.Outcome{State: queue.Deferred, Class: queue.Throttled,
				Reply: queue.Reply{Code: 421, Text: "slowly"}, After: time.Millisecond}
		case strings.HasPrefix(m.Address, "gone"):
			return queue.Outcome{State: queue.Bounced, Class: queue.NoSuchUser,
				Reply: queue.Reply{Code: 550, Enhanced: "5.1.1", Text: "no such user"}}
		}
		return queue.Outcome{State: queue.Delivered, Reply: queue.Reply{Code: 250, Text: "queued"}}
	}))
	good := queuetest.Query[int32](f, `SELECT seq FROM enotify.recipient WHERE batch_id = $1 AND address LIKE 'good%'`,
		batch)
	if _, err := f.DB.RecordReport(t.Context(),
		queue.Report{Kind: queue.ReportComplaint, Batch: batch, Seq: good, Signed: true, Via: "listener"}); err != nil {
		t.Fatal(err)
	}
	late := queuetest.Query[int32](f, `SELECT seq FROM enotify.recipient WHERE batch_id = $1 AND address LIKE 'late%'`,
		batch)
	for range 2 { // the second says nothing new
		if _, err := f.DB.Unsubscribe(t.Context(), batch, late, "one-click"); err != nil {
			t.Fatal(err)
		}
	}
	for range 2 { // the second says nothing new either
		if _, _, err := f.DB.SubscribeAgain(t.Context(), batch, late); err != nil {
			t.Fatal(err)
		}
	}
	number(t, f.DB)
	var told []events.Event
	for _, e := range list(t, f.DB, 0) {
		if e.Batch != nil && *e.Batch == batch {
			told = append(told, e)
		}
	}
	got := lines(told)
	for _, later := range [][2]string{
		{"batch draft", "invalid nowhere no @"}, {"invalid nowhere no @", "batch queued"},
		{"batch queued", "batch sending"},
		{"batch sending", "delivered good@a.example queued"},
		{"deferred late@b.example slowly", "delivered late@b.example queued"},
		{"bounced gone@c.example no such user", "batch done"}, {"batch done", "complained good@a.example"},
		{"complained good@a.example", "unsubscribed late@b.example one-click"},
		{"unsubscribed late@b.example one-click", "resubscribed late@b.example"},
	} {
		if i, j := slices.Index(got, later[0]), slices.Index(got, later[1]); i < 0 || j < 0 || i > j {
			t.Errorf("got %q, want %q and then %q", got, later[0], later[1])
		}
	}
	for i, e := range told {
		if i > 0 && e.ID <= told[i-1].ID {
			t.Errorf("numbers: got %d after %d, want them to grow", e.ID, told[i-1].ID)
		}
	}
	for _, once := range []string{"unsubscribed late@b.example one-click", "resubscribed late@b.example"} {
		if n := slices.Index(got, once); n >= 0 && slices.Contains(got[n+1:], once) {
			t.Errorf("got two events for one: %q in %q", once, got)
		}
	}
	if last := told[len(told)-1].ID; last >= 1<<53 {
		t.Errorf("number: got %d, want one that JSON carries exactly", last)
	}
}

// A reader that has come to an event gets later what was written before it and is
// committed after it. The transaction that stays open holds up no events but its own.
func TestNoEventIsSkippedWhileATransactionIsHeld(t *testing.T) {
	t.Parallel()
	f := queuetest.NewFixture(t)
	if err := events.Of(f.DB).Record(t.Context(), "", true); err != nil {
		t.Fatal(err)
	}
	held := queuetest.Connect(t, f.URL)
	tx, err := held.Begin(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if _, err := tx.Exec(t.Context(), `SELECT enotify.create_batch('held', 'info@town.example', 's', 't')`); err != nil {
		t.Fatal(err)
	}

	// others write meanwhile, and a reader follows
	const writers, each = 4, 25
	var writing sync.WaitGroup
	for w := range writers {
		conn := queuetest.Connect(t, f.URL)
		writing.Go(func() {
			for i := range each {
				if _, err := conn.Exec(t.Context(), `SELECT enotify.create_batch($1, 'info@town.example', 's', 't')`,
					fmt.Sprint(w, " ", i)); err != nil {
					t.Error(err)
				}
			}
		})
	}
	written := make(chan struct{})
	go func() { writing.Wait(); close(written) }()
	var seen []string
	after := int64(0)
	follow := func() {
		number(t, f.DB)
		for _, e := range list(t, f.DB, after) {
			seen, after = append(seen, *e.Key), e.ID
		}
	}
	for done := false; !done; {
		select {
		case <-written:
			done = true
		default:
		}
		follow()
	}
	if len(seen) != writers*each || slices.Contains(seen, "held") {
		t.Fatalf("events while a transaction is open: got %d, want the %d of the others", len(seen), writers*each)
	}
	for w := range writers {
		var own []string
		for _, key := range seen {
			if strings.HasPrefix(key, fmt.Sprint(w, " ")) {
				own = append(own, key)
			}
		}
		if want := fmt.Sprint(w, " ", each-1); own[len(own)-1] != want {
			t.Errorf("events of writer %d: got %q last, want %q: its commits in their order", w, own[len(own)-1], want)
		}
	}
	if err := tx.Commit(t.Context()); err != nil {
		t.Fatal(err)
	}
	seen = nil
	follow()
	if diff := cmp.Diff([]string{"held"}, seen); diff != "" {
		t.Errorf("after the commit (-want +got):\n%s", diff)
	}
}

// A login reads the events of its own clients, however many its neighbours have; and
// it is told when events that it has not read are gone.
func TestEventsOfOwnClientsAlone(t *testing.T) {
	t.Parallel()
	f := queuetest.NewFixture(t)
	url := queuetest.Login(t, f.URL, "enotify_app")
	app := queuetest.Connect(t, url)
	f.Exec(`INSERT INTO enotify.client (domain) VALUES ('city.example')`)
	f.Exec(`INSERT INTO enotify.client_login SELECT id, $1 FROM enotify.client WHERE domain = 'town.example'`, app.Config().User)
	if err := events.Of(f.DB).Record(t.Context(), "", true); err != nil {
		t.Fatal(err)
	}
	f.Exec(`SELECT enotify.enqueue('f2', 'info@city.example', 's', 't', '{secret@a.example}')`)
	own := f.Enqueue("menu", 2500, "a.example")
	f.Exec(`INSERT INTO enotify.outcome (batch_id, seq, state) SELECT $1, i, 'delivered' FROM generate_series(1, 2500) i`, own)
	f.Exec(`SELECT enotify.enqueue('f3', 'info@city.example', 's', 't', '{secret@a.example}')`)
	number(t, f.DB)
	db := events.Of(queuetest.Open(t, url))
	after, got := int64(0), 0
	for { // in pages that end within a row of the table
		page, err := db.List(t.Context(), after, 700)
		if err != nil {
			t.Fatal(err)
		}
		if len(page) == 0 {
			break
		}
		for _, e := range page {
			if *e.Client != "town.example" || e.ID <= after {
				t.Fatalf("got event %d of %s after %d, want those of town.example in order", e.ID, *e.Client, after)
			}
			after = e.ID
		}
		got += len(page)
	}
	if want := 2500 + 2; got != want { // batch draft, batch queued
		t.Errorf("events: got %d, want %d", got, want)
	}
	for _, sql := range []string{`SELECT * FROM enotify.event`, `SELECT * FROM enotify.webhook`,
		`SELECT enotify.number_events()`, `SELECT enotify.read_events(NULL, '{}', 0, 1, 1)`,
		`SELECT enotify.test_webhook(1)`} {
		if _, err := app.Exec(t.Context(), sql); err == nil || !strings.Contains(err.Error(), "permission denied") {
			t.Errorf("%s: got error %v, want one with %q", sql, err, "permission denied")
		}
	}

	f.Exec(`UPDATE enotify.event SET at = now() - interval '31 days'`)
	if some, err := events.Of(f.DB).Drop(t.Context()); err != nil || !some {
		t.Fatalf("Drop: got %v, %v; want some dropped", some, err)
	}
	if _, err := db.List(t.Context(), after-1, 10); err == nil || !strings.Contains(err.Error(), "are gone") ||
		!strings.Contains(err.Error(), fmt.Sprintf("events(after => %d)", after)) {
		t.Errorf("a reader that comes too late: got %v, want an error that says where to read on", err)
	}
	if left, err := db.List(t.Context(), after, 10); err != nil || len(left) > 0 {
		t.Errorf("a reader that has read all: got %d events, %v; want none", len(left), err)
	}
}

// Events that are old are dropped, except those that an enabled webhook has yet to get; and
// one that is enabled later is told which it misses.
func TestAWebhookHoldsItsEvents(t *testing.T) {
	t.Parallel()
	f := queuetest.NewFixture(t)
	store := events.Of(f.DB)
	f.Exec(`INSERT INTO enotify.client (domain) VALUES ('city.example')`)
	if err := store.Record(t.Context(), "", true); err != nil {
		t.Fatal(err)
	}
	hook, err := store.AddWebhook(t.Context(), events.Webhook{URL: "https://a.example/", Client: "town.example"},
		make([]byte, 32))
	if err != nil {
		t.Fatal(err)
	}
	f.Enqueue("menu", 1, "a.example")
	f.Exec(`SELECT enotify.enqueue('news', 'info@city.example', 's', 't', '{ann@a.example}')`)
	number(t, f.DB)
	f.Exec(`UPDATE enotify.event SET at = now() - interval '31 days'`)
	drop := func(want string) {
		t.Helper()
		for some := true; some; {
			if some, err = store.Drop(t.Context()); err != nil {
				t.Fatal(err)
			}
		}
		if got := queuetest.Query[string](f, `SELECT coalesce(string_agg(DISTINCT client, ' '), '') FROM enotify.read_events(NULL, '{}', 0, $1, 100)`,
			int64(1)<<60); got != want {
			t.Errorf("clients whose old events are left: got %q, want %q", got, want)
		}
	}
	drop("town.example")
	if gone, err := store.EnableWebhook(t.Context(), hook); gone != 0 || err != nil {
		t.Errorf("enable, with all that it has yet to get: got %d, %v; want 0", gone, err)
	}
	f.Exec(`UPDATE enotify.webhook SET disabled_at = now()`)
	drop("")
	dropped := queuetest.Query[int64](f, `SELECT d.upto FROM enotify.event_dropped d JOIN enotify.client c ON c.id = d.client_id WHERE c.domain = 'town.example'`)
	if gone, err := store.EnableWebhook(t.Context(), hook); gone != dropped || err != nil {
		t.Errorf("enable, after its events were dropped: got %d, %v; want %d", gone, err, dropped)
	}
	if gone, err := store.ReplayWebhook(t.Context(), hook, dropped+1); gone != 0 || err != nil {
		t.Errorf("replay from the first that is left: got %d, %v; want 0", gone, err)
	}
	if _, err := store.EnableWebhook(t.Context(), 99); !errors.Is(err, queue.ErrNotFound) {
		t.Errorf("enable what is not there: got %v, want %v", err, queue.ErrNotFound)
	}
}

// A dump that is restored into the same running server has forgotten numbers, and gives
// none of them twice.
func TestNumbersAfterARestoredDump(t *testing.T) {
	t.Parallel()
	f := queuetest.NewFixture(t)
	if err := events.Of(f.DB).Record(t.Context(), "", true); err != nil {
		t.Fatal(err)
	}
	last := func() int64 { return queuetest.Query[int64](f, `SELECT enotify.last_event()`) }
	f.Enqueue("menu", 1, "a.example")
	number(t, f.DB)
	f.Exec(`CREATE TABLE dump AS TABLE enotify.event_head`)
	f.Enqueue("forgotten", 1, "a.example")
	number(t, f.DB)
	given := last()
	f.Exec(`TRUNCATE enotify.event_head`)
	f.Exec(`INSERT INTO enotify.event_head SELECT * FROM dump`)
	f.Enqueue("another", 1, "a.example")
	number(t, f.DB)
	if got := queuetest.Query[int64](f, `SELECT min(e.first) FROM enotify.event e JOIN enotify.batch b ON b.id = e.batch_id WHERE b.idem_key = 'another'`); got <= given {
		t.Errorf("the first number after the restore: got %d, want one after %d, which was given before", got, given)
	}
	f.Enqueue("next", 1, "a.example")
	before := last()
	number(t, f.DB)
	if got := last(); got > before+10 {
		t.Errorf("the number after that: got %d, want the one after %d", got, before)
	}
}
