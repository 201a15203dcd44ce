package retention_test

import (
	"context"
	"testing"
	"time"

	"enotify/queue/queuetest"
)

// What a large batch took in the staging table goes back to the disk once it is
// submitted. A staged row keeps it, and so does an application's open transaction,
// which nobody waits for.
func TestStagingIsEmptied(t *testing.T) {
	t.Parallel()
	f := queuetest.NewFixture(t)
	app := queuetest.Connect(t, queuetest.Login(t, f.URL, "enotify_app"))
	node := queuetest.Connect(t, queuetest.Login(t, f.URL, "enotify_sender"))
	empty := func(what string, want bool) {
		t.Helper()
		ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
		defer cancel()
		var octets int64
		if err := node.QueryRow(ctx, `SELECT enotify.empty_staging(65536)`).Scan(&octets); err != nil {
			t.Fatalf("%s: got %v, want an answer at once: nobody is waited for", what, err)
		}
		if got := octets > 0; got != want {
			t.Errorf("%s: got %d octets given back, want some: %v", what, octets, want)
		}
	}
	run := func(sql string) {
		t.Helper()
		if _, err := app.Exec(t.Context(), sql); err != nil {
			t.Fatalf("%s: %v", sql, err)
		}
	}
	run(`SELECT enotify.create_batch('menu', 'info@town.example', 's', 't')`)
	run(`INSERT INTO enotify.recipient_in (batch_id, address)
		SELECT 1, format('user%s@a.example', i) FROM generate_series(1, 2000) i`)
	empty("a draft", false)
	run(`SELECT enotify.submit_batch(1)`)
	run(`SELECT enotify.create_batch('next', 'info@town.example', 's', 't')`)
	run(`BEGIN`)
	run(`INSERT INTO enotify.recipient_in (batch_id, address) VALUES (2, 'x@a.example')`)
	empty("an open transaction", false)
	run(`COMMIT`)
	empty("a staged row", false)
	run(`SELECT enotify.submit_batch(2)`)
	empty("all submitted", true)
	if got, want := queuetest.Query[int](f, `SELECT pg_relation_size('enotify.recipient_in')::int`), 0; got != want {
		t.Errorf("octets of the table: got %d, want %d", got, want)
	}
	empty("nothing left", false)
}
