package events

import (
	"context"
	"encoding/json"
	"slices"
	"time"

	"github.com/jackc/pgx/v5"

	"enotify/queue"
)

// An Event is something that happened to a recipient, a batch or a client. It is
// recorded in the transaction of the fact, and numbered once that is committed; the
// comments of the table event say more.
type Event struct {
	ID      int64           `json:"id"` // below 2^53; higher is later
	At      time.Time       `json:"at"`
	Kind    string          `json:"kind"`
	Client  *string         `json:"client,omitempty"`
	Batch   *int64          `json:"batch,omitempty"`
	Key     *string         `json:"idem_key,omitempty"` // of the batch
	Seq     *int32          `json:"seq,omitempty"`
	Address *string         `json:"address,omitempty"` // absent when the recipient was pruned or forgotten
	Data    json.RawMessage `json:"data,omitempty"`
}

// Kinds are the kinds of events that a webhook may ask for.
func Kinds() []string {
	return []string{
		string(queue.Delivered), string(queue.Deferred), string(queue.Bounced), string(queue.Suppressed),
		string(queue.Invalid), string(queue.Expired), string(queue.Unknown), string(queue.Cancelled),
		"complained", "unsubscribed", "resubscribed", "batch", "client", "alert",
	}
}

const (
	eventsSQL       = `SELECT * FROM enotify.events($1, $2)`
	numberEventsSQL = `SELECT enotify.number_events($1)`
	dropEventsSQL   = `SELECT enotify.drop_events()`
)

// List lists events after one, in order, of the clients that this login may see.
func (s Store) List(ctx context.Context, after int64, most int) ([]Event, error) {
	return queue.Collect[Event](ctx, s.db, eventsSQL, after, most)
}

// numbered is how many rows of events Number takes in one transaction.
const numbered = 5000

// Number gives numbers to committed events, which makes them readable, and
// reports whether it gave any: there may be more then.
func (s Store) Number(ctx context.Context) (some bool, err error) {
	var last int64
	err = s.db.Pool().QueryRow(ctx, numberEventsSQL, numbered).Scan(&last)
	return last > 0, err
}

// Drop drops some of the events that are older than they are kept, and
// reports whether there may be more.
func (s Store) Drop(ctx context.Context) (some bool, err error) {
	var n int
	err = s.db.Pool().QueryRow(ctx, dropEventsSQL).Scan(&n)
	return n > 0, err
}

// Recording says which events are recorded, and for how long.
type Recording struct {
	Every   bool          `json:"every"`   // those of all clients
	Clients []string      `json:"clients"` // otherwise those of these
	Keep    time.Duration `json:"-"`
	KeepFor string        `json:"keep"`
	Last    int64         `json:"last"` // the last number given
}

const (
	recordingSQL = `
SELECT s.every, ARRAY(SELECT c.domain FROM enotify.event_client e JOIN enotify.client c ON c.id = e.client_id
  ORDER BY 1), s.keep, s.keep::text, h.next - 1
FROM enotify.event_setting s CROSS JOIN enotify.event_head h`
	recordEverySQL  = `UPDATE enotify.event_setting SET every = $1`
	recordClientSQL = `
INSERT INTO enotify.event_client (client_id) SELECT id FROM enotify.client WHERE domain = $1 ON CONFLICT DO NOTHING`
	omitClientSQL = `
DELETE FROM enotify.event_client e USING enotify.client c WHERE c.id = e.client_id AND c.domain = $1`
	keepEventsSQL = `UPDATE enotify.event_setting SET keep = $1`
)

// Recording returns what is recorded.
func (s Store) Recording(ctx context.Context) (Recording, error) {
	all, err := queue.Collect[Recording](ctx, s.db, recordingSQL)
	if err != nil {
		return Recording{}, err
	}
	return all[0], nil
}

// Record has events recorded from now on, or no longer; client is "" for all.
func (s Store) Record(ctx context.Context, client string, on bool) error {
	if client == "" {
		_, err := s.db.Pool().Exec(ctx, recordEverySQL, on)
		return queue.AsRefusal(err)
	}
	c, err := s.db.Client(ctx, client)
	if err != nil {
		return err
	}
	return s.inTx(ctx, func(tx pgx.Tx) error { return recordClient(ctx, tx, c.Domain, on) })
}

func recordClient(ctx context.Context, tx pgx.Tx, client string, on bool) error {
	sql := omitClientSQL
	if on {
		sql = recordClientSQL
	}
	_, err := tx.Exec(ctx, sql, client)
	return queue.AsRefusal(err)
}

// Keep sets for how long events are kept.
func (s Store) Keep(ctx context.Context, d time.Duration) error {
	_, err := s.db.Pool().Exec(ctx, keepEventsSQL, d)
	return queue.AsRefusal(err)
}

// Records reports whether events of a client are recorded.
func (r *Recording) Records(client string) bool {
	return r.Every || slices.Contains(r.Clients, client)
}
