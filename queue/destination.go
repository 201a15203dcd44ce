package queue

import (
	"context"
	"time"

	"github.com/jackc/pgx/v5"
)

// A Destination is what an operator allows at a recipient domain or site.
// Zero fields say nothing: the row * decides, and then what is built in.
type Destination struct {
	Name          string // domain or site in lower case, or * for all that have no row
	Rate          *Rate  // nil says nothing
	Burst         int    // messages that may begin at once after a quiet time
	Connections   int    // open at once
	PerConnection int    // messages before a connection is closed
	UpdatedAt     time.Time
	UpdatedBy     string
}

// A Rate is so many messages per time; 0 messages is no limit.
type Rate struct {
	Messages int
	Per      time.Duration
}

const destinationsSQL = `
SELECT name, coalesce(rate_messages, -1), coalesce(rate_per, '0'), coalesce(burst, 0), coalesce(connections, 0), coalesce(per_connection, 0), updated_at, updated_by
FROM enotify.destination ORDER BY name <> '*', name`

// Destinations lists all that were set, * first.
func (db *DB) Destinations(ctx context.Context) ([]Destination, error) {
	rows, err := db.pool.Query(ctx, destinationsSQL)
	if err != nil {
		return nil, err
	}
	return pgx.CollectRows(rows, func(row pgx.CollectableRow) (d Destination, err error) {
		var r Rate
		err = row.Scan(&d.Name, &r.Messages, &r.Per, &d.Burst, &d.Connections, &d.PerConnection, &d.UpdatedAt, &d.UpdatedBy)
		if r.Messages >= 0 {
			d.Rate = &r
		}
		return d, err
	})
}
