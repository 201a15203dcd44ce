package engine

import (
	"context"
	"fmt"

	"github.com/jackc/pgx/v5"

	"enotify/queue"
)

const (
	// Groups that are for this node come first, and do not count. Those that are for
	// another are left to it while it lives.
	vacantSQL = `
SELECT l.grp, coalesce(l.node_id, 0) FROM enotify.lease l
WHERE l.until < clock_timestamp() AND l.node_id IS DISTINCT FROM $1
  AND (l.for_node = $1 OR l.grp IN (
	SELECT o.grp FROM enotify.lease o WHERE o.until < clock_timestamp() AND o.node_id IS DISTINCT FROM $1
	  AND (o.for_node IS NULL OR NOT EXISTS (SELECT FROM enotify.node n
	    WHERE n.id = o.for_node AND n.live_until > now()))
	ORDER BY o.grp LIMIT greatest(0, $2)))
ORDER BY l.grp FOR UPDATE OF l SKIP LOCKED`
	heldSQL = `SELECT grp, node_id FROM enotify.lease WHERE node_id = $1 ORDER BY grp FOR UPDATE`
	// A takeover waits for the intents of the node it replaces, and keeps new ones
	// out: each intent takes the lock of its own node.
	lockNodesSQL = `SELECT enotify.lock_nodes(VARIADIC $1::int[])`
	takeSQL      = `UPDATE enotify.lease SET node_id = $1, epoch = epoch + 1, until = now() + $2, for_node = CASE WHEN for_node = $1 THEN for_node END
WHERE grp = ANY ($3) RETURNING grp, epoch, coalesce(for_node = $1, false)`
)

// adopt takes the groups that are for this node, and up to limit others that no live
// node holds, and settles what a dead holder left in doubt.
func (db *store) adopt(ctx context.Context, node int32, limit int) (taken []lease, settled bool, err error) {
	return db.take(ctx, node, vacantSQL, node, limit)
}

// takeFrom takes all groups of a node that is known to be dead, before its
// leases run out, and settles what it left in doubt.
func (db *store) takeFrom(ctx context.Context, node, dead int32) (taken []lease, err error) {
	taken, _, err = db.take(ctx, node, heldSQL, dead)
	return taken, err
}

func (db *store) take(ctx context.Context, node int32, whichSQL string, args ...any) (taken []lease, settled bool,
	err error) {
	err = db.inTx(ctx, func(tx pgx.Tx) error {
		rows, err := tx.Query(ctx, whichSQL, args...)
		if err != nil {
			return err
		}
		var all, abandoned []int16
		var holders []int32 // of the abandoned ones
		var grp int16
		var holder int32
		if _, err := pgx.ForEachRow(rows, []any{&grp, &holder}, func() error {
			all = append(all, grp)
			if holder != 0 {
				abandoned, holders = append(abandoned, grp), append(holders, holder)
			}
			return nil
		}); err != nil || len(all) == 0 {
			return err
		}
		if _, err := tx.Exec(ctx, lockNodesSQL, holders); err != nil {
			return err
		}
		rows, err = tx.Query(ctx, takeSQL, node, queue.LeaseTTL, all)
		if err != nil {
			return err
		}
		if taken, err = pgx.CollectRows(rows, scanLease); err != nil || len(abandoned) == 0 {
			return err
		}
		settled = true
		_, err = settle(ctx, tx, abandoned, holders)
		return err
	})
	return taken, settled, err
}

// A recipient under the intent that has no outcome may have been delivered to.
const (
	settleFirstSQL = `
WITH doubt AS (
	SELECT r.batch_id, r.seq, r.domain_id, d.grp, l.node_id, b.on_unknown
	FROM enotify.batch b
	CROSS JOIN unnest($1::smallint[], $2::int[]) l (grp, node_id)
	JOIN enotify.batch_domain d ON d.batch_id = b.id AND d.grp = l.grp AND d.intent_seq >= d.first_seq
	JOIN enotify.recipient r ON r.batch_id = d.batch_id AND r.seq BETWEEN d.first_seq AND d.intent_seq
	LEFT JOIN enotify.outcome o ON o.batch_id = r.batch_id AND o.seq = r.seq
	LEFT JOIN enotify.retry t ON t.batch_id = r.batch_id AND t.seq = r.seq
	WHERE b.finished_at IS NULL AND b.state <> 'draft' AND o.seq IS NULL AND t.seq IS NULL
), again AS (
	INSERT INTO enotify.retry (batch_id, seq, domain_id, grp, due_at, first_at, attempts, tries, class, reply)
	SELECT batch_id, seq, domain_id, grp, now(), now(), 1, 1, 'other', $3 FROM doubt WHERE on_unknown = 'resend'
), whose AS (
	INSERT INTO enotify.doubt (batch_id, seq, node_id, attempts, tries)
	SELECT batch_id, seq, node_id, 0, 1 FROM doubt WHERE on_unknown = 'hold'
	ON CONFLICT (batch_id, seq) DO UPDATE SET at = excluded.at, node_id = excluded.node_id,
		attempts = excluded.attempts, tries = excluded.tries
)
INSERT INTO enotify.outcome (batch_id, seq, state, reply)
SELECT batch_id, seq, 'unknown', $3 FROM doubt WHERE on_unknown = 'hold'`
	settleRetrySQL = `
WITH doubt AS (
	SELECT t.batch_id, t.seq, t.attempts, t.tries, l.node_id, b.on_unknown
	FROM unnest($1::smallint[], $2::int[]) l (grp, node_id)
	JOIN enotify.retry t ON t.grp = l.grp AND t.intent_at IS NOT NULL JOIN enotify.batch b ON b.id = t.batch_id
), again AS (
	UPDATE enotify.retry t SET intent_at = NULL, due_at = now(), tries = t.tries + 1, requeued = false FROM doubt d
	WHERE t.batch_id = d.batch_id AND t.seq = d.seq AND d.on_unknown = 'resend'
), gone AS (
	DELETE FROM enotify.retry t USING doubt d WHERE t.batch_id = d.batch_id AND t.seq = d.seq AND d.on_unknown = 'hold'
), whose AS (
	INSERT INTO enotify.doubt (batch_id, seq, node_id, attempts, tries)
	SELECT batch_id, seq, node_id, attempts, tries + 1 FROM doubt WHERE on_unknown = 'hold'
	ON CONFLICT (batch_id, seq) DO UPDATE SET at = excluded.at, node_id = excluded.node_id,
		attempts = excluded.attempts, tries = excluded.tries
)
INSERT INTO enotify.outcome (batch_id, seq, state, reply)
SELECT batch_id, seq, 'unknown', $3 FROM doubt WHERE on_unknown = 'hold'`
	inDoubt = "the sending process died while this was under way; it may have been delivered"
)

// A requeue may lock the results of a batch for long. Our own leases must not run
// out meanwhile.
const (
	patienceSQL    = `SELECT set_config('lock_timeout', '2s', true)`
	openResultsSQL = `
SELECT enotify.lock_results(VARIADIC ARRAY(SELECT id FROM enotify.batch
  WHERE finished_at IS NULL AND state <> 'draft'))`
)

// settle decides about the recipients that the holders of the groups left in
// doubt. A holder that was only held up may be writing results at this moment:
// settle waits for it, and results that come later find what was settled. It
// returns how many are unknown now.
func settle(ctx context.Context, tx pgx.Tx, grps []int16, holders []int32) (unknown int64, err error) {
	if _, err := tx.Exec(ctx, patienceSQL); err != nil {
		return 0, err
	}
	if _, err := tx.Exec(ctx, openResultsSQL); err != nil {
		return 0, fmt.Errorf("wait for late results: %w", err)
	}
	for _, sql := range []string{settleRetrySQL, settleFirstSQL} {
		tag, err := tx.Exec(ctx, sql, grps, holders, inDoubt)
		if err != nil {
			return 0, fmt.Errorf("settle what a dead node left: %w", err)
		}
		unknown += tag.RowsAffected()
	}
	return unknown, nil
}
