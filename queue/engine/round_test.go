package engine_test

import (
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/jackc/pgx/v5"

	"enotify/queue/insight"
)

// The turn goes round the clients: 200 batches of one login, which are older, come between
// those of the others one at a time, and a batch of higher priority comes first. The
// forecast has the same order.
func TestTurnGoesRoundTheClients(t *testing.T) {
	t.Parallel()
	n := newNeighbourhood(t)
	n.server()
	n.send("before", domains(20)) // every other client has had the turn; the one of the poison has not
	n.Exec(`BEGIN`)
	n.Exec(`SET LOCAL SESSION AUTHORIZATION ` + n.bad.Config().User)
	enqueue := `SELECT count(enotify.enqueue($1 || i || '-' || j, 'info@c' || i || '.example', 'S', 'x', '{x@d1.example}',
		not_before => now() + interval '1 h', priority => $2)) FROM generate_series($3::int, $4::int) i,
		generate_series(1, $5::int) j`
	n.Exec(enqueue, "flood", 0, 0, 0, 200)
	n.Exec(`RESET SESSION AUTHORIZATION`)
	n.Exec(enqueue, "other", 0, 0, crowd-1, 1)
	n.Exec(enqueue, "more", 0, 30, 32, 2)
	n.Exec(enqueue, "urgent", 5, 49, 49, 1)
	n.Exec(`COMMIT`)
	ahead, err := insight.Of(n.DB).Queue(t.Context(), 0)
	if err != nil {
		t.Fatal(err)
	}
	var forecast []int64
	for _, a := range ahead {
		forecast = append(forecast, a.Batch)
	}
	// Surveyed: a batch whose survey is just being written gives its turn to the next one.
	n.Exec(`UPDATE enotify.batch SET not_before = now(), surveyed_at = now() WHERE not_before IS NOT NULL`)
	await(n.Fixture, `SELECT bool_and(state = 'done') FROM enotify.batch`)

	rows, err := n.Conn.Query(t.Context(), `
SELECT id, idem_key FROM enotify.batch WHERE not_before IS NOT NULL ORDER BY turn_at`)
	if err != nil {
		t.Fatal(err)
	}
	var turns []int64
	var id int64
	var key string
	place := map[string]int{}
	if _, err := pgx.ForEachRow(rows, []any{&id, &key}, func() error {
		turns = append(turns, id)
		place[key] = len(turns)
		return nil
	}); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(forecast, turns); diff != "" {
		t.Errorf("order of the turns (-forecast +got):\n%s", diff)
	}
	for key, most := range map[string]int{"urgent49-1": 1, "flood0-1": 3, "other0-1": 3, "other1-1": crowd + 2,
		"other48-1": crowd + 2, "more30-1": crowd + 7, "more32-2": crowd + 13} {
		if got := place[key]; got == 0 || got > most {
			t.Errorf("turn of batch %s: got number %d, want at most %d", key, got, most)
		}
	}
	for key, least := range map[string]int{"flood0-2": crowd + 2, "flood0-3": crowd + 5} {
		if got := place[key]; got < least {
			t.Errorf("turn of batch %s: got number %d, want at least %d", key, got, least)
		}
	}
}
