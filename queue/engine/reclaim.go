package engine

import (
	"context"
	"fmt"

	"github.com/jackc/pgx/v5"
)

// When the answer to an intent is lost, the intent may have been written. The node
// knows that it began none of those messages: recipients under the intent of its
// groups that have no outcome and are not in flight go back to be tried. The fence
// is the transaction of an intent; and the lock, which intents share,
// waits for the one whose answer was lost, should the server still be at it.
const (
	oursSQL = `
WITH ours AS (
	SELECT l.grp FROM unnest($2::smallint[], $3::bigint[]) w (grp, epoch)
	JOIN enotify.lease l ON l.grp = w.grp AND l.epoch = w.epoch AND l.node_id = $1 AND l.until > clock_timestamp()
), flying AS (
	SELECT * FROM unnest($4::bigint[], $5::int[]) f (batch_id, seq)
)`
	reclaimRetriesSQL = oursSQL + `
UPDATE enotify.retry t SET intent_at = NULL
WHERE t.intent_at IS NOT NULL AND t.grp IN (SELECT grp FROM ours)
  AND (t.batch_id, t.seq) NOT IN (SELECT batch_id, seq FROM flying)`
	reclaimFirstSQL = oursSQL + `
INSERT INTO enotify.retry (batch_id, seq, domain_id, grp, due_at, first_at, attempts, tries, class)
SELECT r.batch_id, r.seq, r.domain_id, d.grp, now(), now(), 0, 0, 'not_begun'
FROM enotify.batch b
JOIN enotify.batch_domain d ON d.batch_id = b.id AND d.grp IN (SELECT grp FROM ours) AND d.intent_seq >= d.first_seq
JOIN enotify.recipient r ON r.batch_id = d.batch_id AND r.seq BETWEEN d.first_seq AND d.intent_seq
LEFT JOIN enotify.outcome o ON o.batch_id = r.batch_id AND o.seq = r.seq
LEFT JOIN enotify.retry t ON t.batch_id = r.batch_id AND t.seq = r.seq
WHERE b.finished_at IS NULL AND b.state <> 'draft' AND o.seq IS NULL AND t.seq IS NULL
  AND (r.batch_id, r.seq) NOT IN (SELECT batch_id, seq FROM flying)`
)

// reclaim returns the recipients that the node intended and did not begin.
func (db *store) reclaim(ctx context.Context, node int32, held map[int16]int64, flying []flight) (n int64, err error) {
	var grps []int16
	var epochs []int64
	for grp, epoch := range held {
		grps, epochs = append(grps, grp), append(epochs, epoch)
	}
	batches, seqs := make([]int64, len(flying)), make([]int32, len(flying))
	for i, f := range flying {
		batches[i], seqs[i] = f.batch, f.seq
	}
	err = db.inTx(ctx, func(tx pgx.Tx) error {
		if _, err := tx.Exec(ctx, lockNodesSQL, []int32{node}); err != nil {
			return err
		}
		for _, sql := range []string{reclaimRetriesSQL, reclaimFirstSQL} {
			tag, err := tx.Exec(ctx, sql, node, grps, epochs, batches, seqs)
			if err != nil {
				return fmt.Errorf("take back what was not begun: %w", err)
			}
			n += tag.RowsAffected()
		}
		return nil
	})
	return n, err
}

// reclaim takes back what the node intended and did not begin, after an intent whose answer
// was lost.
func (v *serving) reclaim(ctx context.Context) error {
	if v.phase < unsure {
		return nil
	}
	n, err := v.store.reclaim(ctx, v.node.ID, v.leases.held, v.flights.list())
	if err != nil {
		return err
	}
	v.phase = halted
	v.log.Info("took back what was intended and not begun", "recipients", n)
	return nil
}
