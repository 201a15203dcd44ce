package queue

import (
	"context"
	"time"
)

// An MTASTS is the MTA-STS policy of a recipient domain (RFC 8461).
type MTASTS struct {
	Domain    string
	ID        string // of the DNS record under which it was fetched
	Policy    string // in the form of RFC 8461 §3.2
	FetchedAt time.Time
	Until     time.Time // it ends then, unless it is fetched again
}

const mtastsSQL = `SELECT domain, id, policy, fetched_at, until FROM enotify.mta_sts WHERE until > now()`

// MTASTS lists the policies that hold.
func (db *DB) MTASTS(ctx context.Context) ([]MTASTS, error) {
	return Collect[MTASTS](ctx, db, mtastsSQL)
}

const keepMTASTSSQL = `
WITH over AS (DELETE FROM enotify.mta_sts WHERE until < now() AND domain <> $1)
INSERT INTO enotify.mta_sts AS m (domain, id, policy, fetched_at, until) VALUES ($1, $2, $3, $4, $5)
ON CONFLICT (domain) DO UPDATE SET id = excluded.id, policy = excluded.policy, fetched_at = excluded.fetched_at,
  until = excluded.until
WHERE m.fetched_at < excluded.fetched_at`

// KeepMTASTS replaces the stored policy of a domain, unless the stored one is newer.
func (db *DB) KeepMTASTS(ctx context.Context, p MTASTS) error {
	_, err := db.pool.Exec(ctx, keepMTASTSSQL, p.Domain, p.ID, p.Policy, p.FetchedAt, p.Until)
	return AsRefusal(err)
}
