package engine

import "context"

// Batches that were queued after receivers had refused their client.
const stopRefusedSQL = `
WITH late AS MATERIALIZED (
	SELECT b.id, c.refused_why FROM enotify.batch b JOIN enotify.client c ON c.id = b.client_id
	WHERE EXISTS (SELECT FROM enotify.client r WHERE r.refused_at IS NOT NULL) -- mostly there is none: no batch is read
	  AND c.refused_at IS NOT NULL AND b.finished_at IS NULL
	    AND b.state IN ('queued', 'sending', 'draining', 'retrying')
	ORDER BY b.id FOR NO KEY UPDATE OF b SKIP LOCKED
)
UPDATE enotify.batch b SET state = 'blocked', reason = late.refused_why FROM late
  WHERE b.id = late.id AND EXISTS (SELECT FROM enotify.client r WHERE r.refused_at IS NOT NULL)`

// stopRefused blocks the batches of clients that receivers refuse as not authorised.
func (db *store) stopRefused(ctx context.Context) error {
	_, err := db.pool.Exec(ctx, stopRefusedSQL)
	return err
}
