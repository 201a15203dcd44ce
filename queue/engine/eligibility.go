package engine

import "context"

// Groups that are for a live node do not count for the fair shares of the others.
const shareSQL = `
SELECT (count(*) FILTER (WHERE n.id IS NOT NULL))::int,
  coalesce(bool_or(l.for_node = $1 AND l.node_id IS DISTINCT FROM $1), false)
FROM enotify.lease l LEFT JOIN enotify.node n ON n.id = l.for_node AND n.live_until > now()`

// share is how many groups this node should have that are for no node, when so many
// nodes are alive. Offered says that there are groups for it to take.
func (v *serving) share(ctx context.Context, alive int) (share int, offered bool, err error) {
	directed := 0
	if alive > 1 { // else there is no node to leave them to
		if err := v.store.pool.QueryRow(ctx, shareSQL, v.node.ID).Scan(&directed, &offered); err != nil {
			return 0, false, err
		}
	}
	return (groups - directed + alive - 1) / alive, offered, nil
}

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
