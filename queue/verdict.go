package queue

import (
	"context"
	"net/netip"
	"time"

	"github.com/jackc/pgx/v5"
)

// A StoredVerdict is a verdict with its history.
type StoredVerdict struct {
	Verdict
	Since        time.Time  // first seen so
	CheckedAt    time.Time  // last seen so
	SupersededAt *time.Time // when it changed; nil: it is the current one
}

const verdictsSQL = `
SELECT v.identity, v.domain, v.egress, v.result, v.blocks, v.record, v.explanation, v.fix, v.since, v.checked_at, v.superseded_at
FROM enotify.verdict v JOIN enotify.client c ON c.id = v.client_id WHERE c.domain = $1
ORDER BY v.superseded_at DESC NULLS FIRST, v.identity, v.egress LIMIT $2`

// Verdicts lists the latest verdicts on a client, current ones first.
func (db *DB) Verdicts(ctx context.Context, client string, limit int) ([]StoredVerdict, error) {
	rows, err := db.pool.Query(ctx, verdictsSQL, client, limit)
	if err != nil {
		return nil, err
	}
	return pgx.CollectRows(rows, func(row pgx.CollectableRow) (v StoredVerdict, err error) {
		var egress netip.Prefix
		err = row.Scan(&v.Identity, &v.Domain, &egress, &v.Result, &v.Blocks, &v.Record, &v.Explanation, &v.Fix, &v.Since, &v.CheckedAt, &v.SupersededAt)
		v.Egress = egress.Addr()
		return v, err
	})
}
