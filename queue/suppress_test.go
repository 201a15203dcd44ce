package queue_test

import (
	"context"
	"fmt"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"enotify/queue"
	"enotify/queue/engine"
	"enotify/queue/queuetest"
)

func full(_ context.Context, m queue.Message) queue.Outcome {
	o := queue.Outcome{State: queue.Deferred, Class: queue.MailboxFull,
		Reply: queue.Reply{Code: 452, Enhanced: "4.2.2", Text: "over quota"}}
	if m.Domain == "five.example" { // that some say 5yz changes nothing
		o.Reply = queue.Reply{Code: 552, Enhanced: "5.2.2", Text: "mailbox full"}
	}
	return o
}

// fullOnce sends a batch to one full mailbox of each kind, so many days after the last time.
func fullOnce(f *queuetest.Fixture, key string, days int, handle queue.Handler) (batch int64) {
	f.Helper()
	f.Exec(`UPDATE enotify.counted_reply SET first_at = first_at - $1 * interval '1 day', last_at = last_at - $1 * interval '1 day'`, days)
	batch = queuetest.Query[int64](f, `SELECT enotify.enqueue($1, 'info@town.example', 's', 't', '{Ann@four.example, bob@five.example}')`, key)
	s := f.Server("n-"+key, handle)
	s.Schedule = engine.Schedule{First: time.Hour, Max: time.Hour}
	f.Serve(s)
	f.Exec(`SELECT enotify.cancel_batch(id) FROM enotify.batch WHERE id = $1 AND finished_at IS NULL`, batch)
	return batch
}

// A mailbox that stays full is left alone for a while; then it is tried again.
func TestFullMailboxIsSuppressedForAWhile(t *testing.T) {
	t.Parallel()
	f := queuetest.NewFixture(t)
	suppressions := func() int { return queuetest.Query[int](f, `SELECT count(*)::int FROM enotify.suppression`) }
	for _, key := range []string{"1", "2", "3", "4", "5"} { // often, but all on one day
		fullOnce(f, key, 0, full)
	}
	if got := suppressions(); got != 0 {
		t.Fatalf("suppressions after one day: got %d, want 0", got)
	}
	fullOnce(f, "6", 2, full)
	if got := suppressions(); got != 0 {
		t.Fatalf("suppressions after two days: got %d, want 0", got)
	}
	last := fullOnce(f, "7", 1, full)
	got := queuetest.Query[string](f, `SELECT string_agg(format('%s %s %s %s %s', address, client_id IS NULL, cause, batch_id, round(extract(epoch FROM until - now()) / 86400)), ', ' ORDER BY address) FROM enotify.suppression`)
	if want := "ann@four.example t mailbox_full 7 30, bob@five.example t mailbox_full 7 30"; got != want || last != 7 {
		t.Errorf("suppressions: got %q, want %q", got, want)
	}
	if got, want := queuetest.Query[string](f,
		`SELECT regexp_replace(note, '\d{4}-\d\d-\d\d', 'DAY') FROM enotify.suppression WHERE address LIKE 'ann%'`),
		"said 7 times since DAY: over quota"; got != want {
		t.Errorf("note: got %q, want %q", got, want)
	}
	batch := fullOnce(f, "8", 0, full)
	if got, want := f.States(batch), map[string]int{"suppressed": 2}; !cmp.Equal(got, want) {
		t.Errorf("the next batch: got %v, want %v", got, want)
	}

	f.Exec(`UPDATE enotify.suppression SET until = now()`)
	batch = enqueueTo(f, "9", "ann@four.example", "bob@five.example")
	f.Serve(f.Server("n9", queuetest.Deliver))
	if got, want := f.States(batch), map[string]int{"delivered": 2}; !cmp.Equal(got, want) {
		t.Errorf("when the time is over: got %v, want %v", got, want)
	}
}

// A delivery says that there is room again.
func TestDeliveryEmptiesTheMailbox(t *testing.T) {
	t.Parallel()
	f := queuetest.NewFixture(t)
	for _, key := range []string{"1", "2", "3", "4"} {
		fullOnce(f, key, 1, full)
	}
	if got := queuetest.Query[int](f, `SELECT count(*)::int FROM enotify.counted_reply WHERE replies = 4`); got != 2 {
		t.Fatalf("mailboxes with four replies: got %d, want 2", got)
	}
	fullOnce(f, "5", 1, queuetest.Deliver)
	if got := queuetest.Query[int](f, `SELECT count(*)::int FROM enotify.counted_reply`); got != 0 {
		t.Errorf("full mailboxes after a delivery: got %d, want 0", got)
	}
	fullOnce(f, "6", 1, full)
	if got := queuetest.Query[int](f, `SELECT count(*)::int FROM enotify.suppression`); got != 0 {
		t.Errorf("suppressions: got %d, want 0", got)
	}
}

// What is long ago does not count.
func TestFullLongAgo(t *testing.T) {
	t.Parallel()
	f := queuetest.NewFixture(t)
	for _, key := range []string{"1", "2", "3", "4"} {
		fullOnce(f, key, 0, full)
	}
	fullOnce(f, "5", 31, full)
	if got := queuetest.Query[int](f, `SELECT count(*)::int FROM enotify.counted_reply WHERE replies = 1 AND first_at = last_at`); got != 2 {
		t.Errorf("mailboxes with one reply: got %d, want 2", got)
	}
}

// An address that is gone stays suppressed, whatever had been said of it for a while.
func TestGoneOutlastsFull(t *testing.T) {
	t.Parallel()
	f := queuetest.NewFixture(t)
	f.Exec(`INSERT INTO enotify.suppression (address, cause, until) VALUES ('user0@gone.example', 'mailbox_full', now() - interval '1 day')`)
	f.Enqueue("menu", 1, "gone.example")
	f.Serve(f.Server("n1", queuetest.AnswerByDomain))
	if got, want := queuetest.Query[string](f,
		`SELECT format('%s %s %s', cause, until IS NULL, batch_id) FROM enotify.suppression`),
		"no_such_user t 1"; got != want {
		t.Errorf("suppression: got %q, want %q", got, want)
	}
}

// While an operator's transaction has an address, what receivers say is recorded, and the address
// is suppressed for good once the transaction ends.
func TestSuppressionOfALockedAddressFollows(t *testing.T) {
	t.Parallel()
	f := queuetest.NewFixture(t)
	tx, err := queuetest.Connect(t, f.URL).Begin(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if _, err := tx.Exec(t.Context(),
		`INSERT INTO enotify.suppression (address, cause, note) VALUES ('user0@gone.example', 'operator', 'mine')`); err != nil {
		t.Fatal(err)
	}
	batch := f.Enqueue("menu", 2, "gone.example")
	f.Serve(f.Server("n1", queuetest.AnswerByDomain))
	if got, want := f.States(batch), map[string]int{"bounced": 2}; !cmp.Equal(got, want) {
		t.Errorf("states: got %v, want %v", got, want)
	}
	for want := 1; want >= 0; want-- { // that of the locked address, until the other transaction has ended
		if _, err := f.DB.SuppressDue(t.Context()); err != nil {
			t.Error(err)
		}
		if got := queuetest.Query[int](f, `SELECT count(*)::int FROM enotify.suppression_due`); got != want {
			t.Errorf("suppressions that are due: got %d, want %d", got, want)
		}
		_ = tx.Rollback(t.Context())
	}
	if got, want := queuetest.Query[string](f, `SELECT string_agg(concat_ws(' ', address, cause, until, seq), ', ' ORDER BY address)
		FROM enotify.suppression WHERE note <> ''`), "user0@gone.example no_such_user 1, user1@gone.example no_such_user 2"; got != want {
		t.Errorf("suppressions: got %s, want %s", got, want)
	}
}

// An import of very many addresses adds some at a time: what a receiver says of one of them waits for a few thousand,
// not for all.
func TestLargeImportLocksFewAddresses(t *testing.T) {
	t.Parallel()
	f := queuetest.NewFixture(t)
	tx, err := queuetest.Connect(t, f.URL).Begin(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if _, err := tx.Exec(t.Context(), `INSERT INTO enotify.suppression (address, cause) VALUES ('z@z.example', 'operator')`); err != nil {
		t.Fatal(err)
	}
	const many = 10_000
	imported := make(chan error, 1)
	go func() {
		line := 0
		_, added, _, err := f.DB.ImportSuppressions(t.Context(), 1, func() (queue.Suppressible, bool, error) {
			if line++; line <= many {
				return queue.Suppressible{Line: line, Address: fmt.Sprintf("user%d@a.example", line)}, true, nil
			}
			return queue.Suppressible{Line: line, Address: "z@z.example"}, line == many+1, nil
		})
		if err == nil && added != many+1 {
			err = fmt.Errorf("added: got %d, want %d", added, many+1)
		}
		imported <- err
	}()
	f.Until(func() {}, `SELECT count(*) = $1 FROM enotify.suppression`, many) // the last address waits for the transaction
	if err := tx.Rollback(t.Context()); err != nil {
		t.Fatal(err)
	}
	if err := <-imported; err != nil {
		t.Error(err)
	}
}

func enqueueTo(f *queuetest.Fixture, key string, addresses ...string) int64 {
	f.Helper()
	return queuetest.Query[int64](f, `SELECT enotify.enqueue($1, 'info@town.example', 'Lunch menu', 'Soup.', $2)`, key,
		addresses)
}

// A site that calls living addresses unknown as well is believed when it repeats that, and a delivery clears the count.
func TestUnknownOnceRepeated(t *testing.T) {
	t.Parallel()
	f := queuetest.NewFixture(t)
	unknown := func(context.Context, queue.Message) queue.Outcome {
		o := queue.Outcome{State: queue.Bounced, Class: queue.NoSuchUser,
			Reply: queue.Reply{Code: 550, Text: "unknown user"}, Treatment: queue.NoSuchUser.Treatment()}
		o.Treatment.Suppresses = queue.OnceRepeated
		return o
	}
	suppressions := func() string {
		return queuetest.Query[string](f,
			`SELECT coalesce(string_agg(format('%s %s %s', address, cause, until IS NULL), ', ' ORDER BY address), '') FROM enotify.suppression`)
	}
	fullOnce(f, "1", 0, unknown)
	fullOnce(f, "2", 8, unknown)
	fullOnce(f, "3", 1, queuetest.Deliver)
	fullOnce(f, "4", 1, unknown)
	fullOnce(f, "5", 4, unknown)
	fullOnce(f, "6", 2, unknown)
	if got := suppressions(); got != "" {
		t.Fatalf("after three times in six days: got %q, want nobody", got)
	}
	fullOnce(f, "7", 1, unknown)
	if got, want := suppressions(), "ann@four.example no_such_user t, bob@five.example no_such_user t"; got != want {
		t.Errorf("after four times in seven days: got %q, want %q", got, want)
	}
}

// However many addresses another client suppresses, a batch is compared with the list of
// its own client and the one for all, or address by address where those are longer.
func TestSealReadsNoSuppressionsOfOthers(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct{ own, suppressed, read int }{
		"a short list": {10, 11, 100},
		"a long list":  {3000, 1200, 6000}, // counted up to the size of the batch, and few for each recipient
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			f := queuetest.NewFixture(t)
			f.Exec(`INSERT INTO enotify.client (domain) VALUES ('other.example')`)
			list := `INSERT INTO enotify.suppression (address, client_id, cause) SELECT 'user' || i || '@a.example', c.id, 'operator'
				FROM enotify.client c CROSS JOIN generate_series(0, $2::int - 1) i WHERE c.domain = $1`
			f.Exec(list, "town.example", test.own)
			f.Exec(`ANALYZE enotify.suppression`) // the planner takes all to be of this client
			f.Exec(list, "other.example", 20_000)
			f.Exec(`INSERT INTO enotify.suppression (address, cause) VALUES ('user500@a.example', 'no_such_user')`)
			f.Exec(`BEGIN`)
			batch := f.Enqueue("menu", 1200, "a.example")
			read := queuetest.Query[int](f, `SELECT coalesce(seq_tup_read, 0) + coalesce(idx_tup_fetch, 0)
				FROM pg_stat_xact_all_tables WHERE relid = 'enotify.suppression'::regclass`)
			f.Exec(`COMMIT`)
			if got := f.States(batch)["suppressed"]; got != test.suppressed {
				t.Errorf("suppressed: got %d, want %d", got, test.suppressed)
			}
			if read > test.read {
				t.Errorf("rows read of 20,000 suppressions of another client and %d of this one: got %d, want at most %d",
					test.own, read, test.read)
			}
		})
	}
}
