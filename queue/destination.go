package queue

import (
	"context"
	"time"

	"github.com/jackc/pgx/v5"
)

// A Destination is the limits that an operator set for a recipient domain or site. For
// zero fields the row * decides, and then the built-in value.
type Destination struct {
	Name          string // domain or site in lower case, or * for all that have no row
	Rate          *Rate  // nil says nothing
	Burst         int    // messages that may begin at once after a quiet time
	Connections   int    // open at once
	PerConnection int    // messages before a connection is closed
	TLS           string // opportunistic, required or verified; "" says nothing
	UpdatedAt     time.Time
	UpdatedBy     string // login
	Person        string // at the command line or the console; "" when it was set by SQL
}

// Who says who set the limits.
func (d *Destination) Who() string {
	if d.Person != "" {
		return d.Person + " (login " + d.UpdatedBy + ")"
	}
	return d.UpdatedBy
}

// A Rate is so many messages per time; 0 messages is no limit.
type Rate struct {
	Messages int
	Per      time.Duration
}

const destinationsSQL = `
SELECT name, coalesce(rate_messages, -1), coalesce(rate_per, '0'), coalesce(burst, 0), coalesce(connections, 0),
  coalesce(per_connection, 0), coalesce(tls, ''), updated_at, updated_by, person
FROM enotify.destination ORDER BY name <> '*', name`

// Destinations lists the limits that were set, * first.
func (db *DB) Destinations(ctx context.Context) ([]Destination, error) {
	rows, err := db.pool.Query(ctx, destinationsSQL)
	if err != nil {
		return nil, err
	}
	return pgx.CollectRows(rows, func(row pgx.CollectableRow) (d Destination, err error) {
		var r Rate
		err = row.Scan(&d.Name, &r.Messages, &r.Per, &d.Burst, &d.Connections, &d.PerConnection, &d.TLS, &d.UpdatedAt,
			&d.UpdatedBy, &d.Person)
		d.Person = Unescaped(d.Person)
		if r.Messages >= 0 {
			d.Rate = &r
		}
		return d, err
	})
}

const policiesMarkSQL = `
SELECT hashtextextended(concat_ws(E'\n', (SELECT string_agg(d::text, E'\n' ORDER BY d.name) FROM enotify.destination d),
  '', (SELECT string_agg(k.id, E'\n' ORDER BY k.created_at, k.id) FROM enotify.token_key k
    WHERE k.retired_at IS NULL)), 0)`

// PoliciesMark returns a number that changes with what Destinations and TokenKeys return:
// a node that asks once a second reads them only then. It takes a member of enotify_sender.
func (db *DB) PoliciesMark(ctx context.Context) (mark int64, err error) {
	err = db.pool.QueryRow(ctx, policiesMarkSQL).Scan(&mark)
	return mark, AsRefusal(err)
}

const setDestinationSQL = `
INSERT INTO enotify.destination AS d (name, rate_messages, rate_per, burst, connections, per_connection, tls)
VALUES ($1, $2, $3, nullif($4, 0), nullif($5, 0), nullif($6, 0), nullif($7, ''))
ON CONFLICT (name) DO UPDATE
SET rate_messages = coalesce(excluded.rate_messages, d.rate_messages),
  rate_per = coalesce(excluded.rate_per, d.rate_per),
    burst = coalesce(excluded.burst, d.burst), connections = coalesce(excluded.connections, d.connections),
    per_connection = coalesce(excluded.per_connection, d.per_connection), tls = coalesce(excluded.tls, d.tls),
      updated_at = now(), updated_by = session_user, person = excluded.person`

// SetDestination changes the limits of a destination; zero fields of d leave what was
// set before. Running nodes follow at once.
func (db *DB) SetDestination(ctx context.Context, d Destination) error {
	var messages *int
	var per *time.Duration
	if d.Rate != nil {
		messages, per = &d.Rate.Messages, &d.Rate.Per
	}
	_, err := db.pool.Exec(ctx, setDestinationSQL, d.Name, messages, per, d.Burst, d.Connections, d.PerConnection,
		d.TLS)
	return AsRefusal(err)
}

const resetDestinationSQL = `DELETE FROM enotify.destination WHERE name = $1`

// ResetDestination forgets what was set for a destination.
func (db *DB) ResetDestination(ctx context.Context, name string) error {
	tag, err := db.pool.Exec(ctx, resetDestinationSQL, name)
	if err != nil {
		return AsRefusal(err)
	}
	if tag.RowsAffected() == 0 {
		return NotFound(NounLimits, name)
	}
	return nil
}
