package queue_test

import (
	"errors"
	"testing"

	"github.com/google/go-cmp/cmp"

	"enotify/queue"
	"enotify/queue/queuetest"
)

// Who unsubscribes from one client still gets the mail of the others, and a
// second click changes nothing.
func TestUnsubscribeHoldsForOneClient(t *testing.T) {
	t.Parallel()
	f := queuetest.NewFixture(t)
	f.Exec(`INSERT INTO enotify.client (domain) VALUES ('city.example')`)
	batch := queuetest.Query[int64](f, `SELECT enotify.enqueue('menu', 'info@town.example', 's', 't', '{Ann@A.example, bob@a.example}')`)
	seq := queuetest.Query[int32](f, `SELECT seq FROM enotify.recipient WHERE batch_id = $1 AND address LIKE 'Ann@%'`,
		batch)
	for _, how := range []string{"one-click", "by mail"} {
		got, err := f.DB.Unsubscribe(t.Context(), batch, seq, how)
		if want := (queue.Addressee{Address: "Ann@a.example", Client: "town.example"}); err != nil || got != want {
			t.Errorf("Unsubscribe: got %+v, %v; want %+v", got, err, want)
		}
	}
	got := queuetest.Query[string](f, `SELECT string_agg(concat_ws(' ', s.address, c.domain, s.cause, s.note, s.batch_id, s.seq), ',') FROM enotify.suppression s LEFT JOIN enotify.client c ON c.id = s.client_id`)
	if want := "ann@a.example town.example unsubscribe one-click 1 1"; got != want {
		t.Errorf("suppressions: got %q, want %q", got, want)
	}

	// the batch was sealed before: she is asked for again when she is read
	f.Serve(f.Server("n1", queuetest.Deliver))
	if got, want := f.States(batch), map[string]int{"delivered": 1, "suppressed": 1}; !cmp.Equal(got, want) {
		t.Errorf("the batch in progress: got %v, want %v", got, want)
	}
	other := queuetest.Query[int64](f, `SELECT enotify.enqueue('o', 'info@city.example', 's', 't', '{ann@a.example}')`)
	f.Serve(f.Server("n2", queuetest.Deliver))
	if got, want := f.States(other), map[string]int{"delivered": 1}; !cmp.Equal(got, want) {
		t.Errorf("another client's batch: got %v, want %v", got, want)
	}
}

// A reader's word outranks the operator's, and what would have ended; what was said before it stands.
func TestComplaintAndOthers(t *testing.T) {
	t.Parallel()
	f := queuetest.NewFixture(t)
	batch := queuetest.Query[int64](f, `SELECT enotify.enqueue('menu', 'info@town.example', 's', 't', '{a@a.example, b@a.example, c@a.example}')`)
	f.Exec(`INSERT INTO enotify.suppression (address, client_id, cause, until) SELECT v.*, c.id, w.* FROM enotify.client c,
		LATERAL (VALUES ('a@a.example')) v, LATERAL (VALUES ('operator', now() + interval '1 day')) w`)
	f.Exec(`INSERT INTO enotify.suppression (address, client_id, cause) SELECT 'b@a.example', c.id, 'unsubscribe' FROM enotify.client c`)
	for seq := range int32(3) {
		if _, err := f.DB.Complain(t.Context(), batch, seq+1, "abuse report"); err != nil {
			t.Fatal(err)
		}
	}
	got := queuetest.Query[string](f, `SELECT string_agg(format('%s %s %s', address, cause, until IS NULL), ', ' ORDER BY address) FROM enotify.suppression`)
	if want := "a@a.example complaint t, b@a.example unsubscribe t, c@a.example complaint t"; got != want {
		t.Errorf("suppressions: got %q, want %q", got, want)
	}
}

func TestUnsubscribeOfNobody(t *testing.T) {
	t.Parallel()
	f := queuetest.NewFixture(t)
	batch := queuetest.Query[int64](f, `SELECT enotify.enqueue('menu', 'info@town.example', 's', 't', '{a@a.example, nonsense}')`)
	for seq, what := range map[int32]string{2: "an invalid address", 3: "nobody"} {
		if _, err := f.DB.Unsubscribe(t.Context(), batch, seq, ""); !errors.Is(err, queue.ErrNotFound) {
			t.Errorf("Unsubscribe of %s: got %v, want ErrNotFound", what, err)
		}
	}
	if got := queuetest.Query[int](f, `SELECT count(*)::int FROM enotify.suppression`); got != 0 {
		t.Errorf("suppressions: got %d, want 0", got)
	}
}
