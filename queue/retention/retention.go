package retention

import (
	"context"
	"errors"
	"time"

	"github.com/jackc/pgx/v5"

	"enotify/queue"
)

// A Store deletes data of a database.
type Store struct{ db *queue.DB }

// Of is the store of a database.
func Of(db *queue.DB) Store { return Store{db} }

// A Rule is how long a kind of data is kept.
type Rule struct {
	Kind      string         `json:"kind"`
	Keep      *time.Duration `json:"-"` // nil: for good
	About     string         `json:"about"`
	UpdatedAt *time.Time     `json:"updated_at"` // nil: not known, as of events
	UpdatedBy string         `json:"updated_by"`
}

// Events is the kind of data that the outbox holds. Package queue/events drops its oldest events.
const Events = "events"

const (
	rulesSQL = `
SELECT kind, keep, about, updated_at, updated_by::text FROM enotify.retention
UNION ALL SELECT 'events', s.keep, 'events, of all clients', NULL, '' FROM enotify.event_setting s ORDER BY kind`
	keepSQL = `
WITH events AS (
	UPDATE enotify.event_setting SET keep = $2 WHERE $1 = 'events' AND $2::interval IS NOT NULL RETURNING 1
), others AS (
	UPDATE enotify.retention SET keep = $2, updated_at = now(), updated_by = session_user WHERE kind = $1 RETURNING 1
)
SELECT (SELECT count(*) FROM events) + (SELECT count(*) FROM others) > 0`
	dropSQL = `SELECT enotify.retain($1, $2)`
)

// Rules lists how long each kind of data is kept.
func (s Store) Rules(ctx context.Context) ([]Rule, error) {
	rows, err := s.db.Pool().Query(ctx, rulesSQL)
	if err != nil {
		return nil, queue.AsRefusal(err)
	}
	all, err := pgx.CollectRows(rows, pgx.RowToStructByName[Rule])
	return all, queue.AsRefusal(err)
}

// Keep sets how long a kind is kept, at least a day; nil is for good. The
// error wraps ErrNotFound when there is no such kind.
func (s Store) Keep(ctx context.Context, kind string, keep *time.Duration) error {
	if kind == Events && keep == nil {
		return errors.New("events cannot be kept for good: they would fill the disk; name a time, such as 400d")
	}
	var found bool
	err := s.db.Pool().QueryRow(ctx, keepSQL, kind, keep).Scan(&found)
	if err == nil && !found {
		return queue.NotFound(queue.NounRetention, kind)
	}
	return queue.AsRefusal(err)
}

// Drop drops at most so many rows of a kind that are kept no longer, and returns
// about how many; 0 when there are none, or another node is deleting.
func (s Store) Drop(ctx context.Context, kind string, most int) (n int, err error) {
	err = s.db.Pool().QueryRow(ctx, dropSQL, kind, most).Scan(&n)
	return n, err
}

const emptyStagingSQL = `SELECT enotify.empty_staging()`

// EmptyStaging gives the disk back that staged recipients of submitted batches took,
// and returns how many octets; 0 when a draft has recipients, or a transaction is at them.
func (s Store) EmptyStaging(ctx context.Context) (octets int64, err error) {
	err = s.db.Pool().QueryRow(ctx, emptyStagingSQL).Scan(&octets)
	return octets, err
}
