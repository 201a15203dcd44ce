package engine

import (
	"context"

	"github.com/jackc/pgx/v5"
)

// A node that the guard does not let send for a client leaves its groups to nodes
// that may, while that client's batch is due. One batch at a time decides: the one
// that has the turn, else the client of the most overdue retry. With two, no node might
// take a group.
const excludedSQL = `
WITH due AS (
	(SELECT b.client_id, b.state <> 'sending' AS later, b.turn_at AS since FROM enotify.batch b
	 WHERE b.finished_at IS NULL AND (b.state IN ('sending', 'draining') OR b.state = 'retrying' AND b.passed_at IS NOT NULL) ORDER BY 2, 3 LIMIT 1)
	UNION ALL
	(SELECT b.client_id, NULL, t.due_at FROM enotify.retry t JOIN enotify.batch b ON b.id = t.batch_id
	 WHERE t.intent_at IS NULL AND t.due_at <= now() AND b.state = 'retrying' AND b.expires_at > now() ORDER BY t.due_at LIMIT 1)
), decides AS (
	SELECT client_id FROM due ORDER BY later NULLS LAST LIMIT 1
), may AS (
	SELECT n.id, enotify.may_send(n.id, d.client_id) AS it FROM decides d CROSS JOIN enotify.node n WHERE n.live_until > now() OR n.id = $1
)
SELECT NOT it, (SELECT count(*) FROM may WHERE it)::int FROM may WHERE id = $1 AND EXISTS (SELECT FROM may WHERE it) AND EXISTS (SELECT FROM may WHERE NOT it)`

// excluded reports whether the node must leave all groups to the nodes that may
// send, and how many nodes that is; 0 when all may, or none.
func (db *store) excluded(ctx context.Context, node int32) (excluded bool, others int, err error) {
	rows, err := db.pool.Query(ctx, excludedSQL, node)
	if err != nil {
		return false, 0, err
	}
	_, err = pgx.ForEachRow(rows, []any{&excluded, &others}, func() error { return nil })
	return excluded, others, err
}

// share is how many groups this node should have, when so many nodes are alive.
func (v *serving) share(ctx context.Context, alive int) (int, error) {
	excluded, may := false, 0
	if alive > 1 { // else there is no node to leave them to
		var err error
		if excluded, may, err = v.store.excluded(ctx, v.node.ID); err != nil {
			return 0, err
		}
	}
	if excluded && !v.leases.excluded {
		v.log.Warn("the batch that is due may not be sent from this node's addresses; other nodes send it",
			"egress", v.node.Egress, "next", "enotify batch list, then enotify spf check CLIENT")
	}
	v.leases.excluded = excluded
	if excluded {
		return 0, nil
	}
	if may > 0 {
		alive = may
	}
	return (groups + alive - 1) / alive, nil
}

// Batches that were queued after receivers had refused their client.
const stopRefusedSQL = `
WITH late AS MATERIALIZED (
	SELECT b.id, c.refused_why FROM enotify.batch b JOIN enotify.client c ON c.id = b.client_id
	WHERE EXISTS (SELECT FROM enotify.client r WHERE r.refused_at IS NOT NULL) -- mostly there is none: no batch is read
	  AND c.refused_at IS NOT NULL AND b.finished_at IS NULL AND b.state IN ('queued', 'sending', 'draining', 'retrying')
	ORDER BY b.id FOR NO KEY UPDATE OF b SKIP LOCKED
)
UPDATE enotify.batch b SET state = 'blocked', reason = late.refused_why FROM late WHERE b.id = late.id AND EXISTS (SELECT FROM enotify.client r WHERE r.refused_at IS NOT NULL)`

// stopRefused blocks the batches of clients that receivers refuse as not authorised.
func (db *store) stopRefused(ctx context.Context) error {
	_, err := db.pool.Exec(ctx, stopRefusedSQL)
	return err
}
