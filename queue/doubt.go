package queue

import "context"

const unfinishedSQL = statusSQL + `WHERE finished_at IS NULL AND state <> 'draft' ORDER BY id`

// Unfinished lists the batches that were submitted and have not finished, the oldest first.
func (db *DB) Unfinished(ctx context.Context) ([]Status, error) {
	return collectStatus(ctx, db.pool, unfinishedSQL)
}

const doubtSQL = `SELECT enotify.doubt_batch($1)`

// Doubt records every recipient of an unfinished batch who has no outcome as
// [Unknown], after a backup was restored, and returns how many. No node may run.
func (db *DB) Doubt(ctx context.Context, batch int64) (n int, err error) {
	err = db.pool.QueryRow(ctx, doubtSQL, batch).Scan(&n)
	return n, err
}
