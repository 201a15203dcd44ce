package engine

import (
	"context"
	"time"

	"github.com/jackc/pgx/v5"
)

// headSQL lists the batches that are next.
const headSQL = `SELECT n FROM enotify.next_batches(20, false) n`

// Deferred recipients of a batch that was cancelled or has expired get a final
// outcome, with the last reply.
const endRetriesSQL = `
WITH ended AS (
	DELETE FROM enotify.retry t USING enotify.batch b
	WHERE b.id = t.batch_id AND t.intent_at IS NULL AND b.finished_at IS NULL
		AND (b.state = 'cancelled' OR b.expires_at <= now())
	RETURNING t.*, b.state
)
INSERT INTO enotify.outcome (batch_id, seq, state, class, code, enhanced, reply)
SELECT batch_id, seq, CASE WHEN state = 'cancelled' THEN 'cancelled' ELSE 'expired' END::enotify.recipient_state, class,
  code, enhanced, reply
FROM ended ORDER BY batch_id, seq
ON CONFLICT (batch_id, seq) DO NOTHING` // a recipient that has an outcome must not stop all others

// Every batch under way moves on by its counts: to retrying when every recipient was
// tried, or is put off for long, as by the cap of a day; to done when every recipient has
// an outcome, or when it has expired and nothing is under way. A cancelled batch is
// finished when nothing is under way.
const (
	standingSQL = `
WITH standing AS (
	SELECT b.id, b.state, b.total, b.sendable, b.expires_at <= now() AS expired, o.n AS outcomes, r.tried,
		r.n AS deferred, d.intents
	FROM enotify.batch b
	CROSS JOIN LATERAL (SELECT coalesce(sum(c.n), 0) AS n FROM enotify.batch_count c WHERE c.batch_id = b.id) o
	CROSS JOIN LATERAL (SELECT b.state = 'cancelled' OR b.expires_at <= now() AS ends) e
	CROSS JOIN LATERAL ( -- there may be many: they are counted when it matters
		SELECT count(*) AS n, count(*) FILTER (WHERE t.class <> 'not_begun'
			OR t.due_at > now() + interval '1 minute') AS tried FROM enotify.retry t
		WHERE t.batch_id = b.id AND (e.ends OR b.state IN ('sending', 'draining')
			AND NOT EXISTS (SELECT FROM enotify.batch_domain p
				WHERE p.batch_id = b.id AND p.intent_seq < p.last_seq))) r
	CROSS JOIN LATERAL (SELECT CASE WHEN e.ends THEN
		(SELECT coalesce(sum(p.intent_seq - p.first_seq + 1), 0) FROM enotify.batch_domain p
			WHERE p.batch_id = b.id) END AS intents) d
	WHERE b.state <> 'draft' AND `
	// By their numbers: without statistics the planner takes unfinished batches to be very few, and reads them all.
	// Not every batch that waits: there may be very many. Those that never began end when they are next, or expire.
	mayMoveSQL = `b.id = ANY (ARRAY(
		SELECT o.id FROM enotify.batch o WHERE o.finished_at IS NULL AND o.started_at IS NOT NULL
		UNION ALL SELECT o.id FROM enotify.batch o WHERE o.finished_at IS NULL AND o.state = 'cancelled'
		UNION ALL SELECT o.id FROM enotify.batch o WHERE o.finished_at IS NULL AND o.sendable = 0 AND o.state <> 'draft'
		UNION ALL SELECT o.id FROM enotify.batch o WHERE o.finished_at IS NULL AND o.expires_at <= now()
		UNION ALL (` + headSQL + `)))`
	movesSQL = `
), moves AS (
	SELECT id, state, CASE
		WHEN state <> 'cancelled' AND outcomes = total THEN 'done'
		WHEN state <> 'cancelled' AND expired AND deferred = 0 AND intents = outcomes - (total - sendable) THEN 'done'
		WHEN state IN ('sending', 'draining') AND outcomes + tried = total THEN 'retrying'
		WHEN state = 'cancelled' AND deferred = 0
			AND (total = 0 OR intents = outcomes - (total - sendable)) THEN 'cancelled'
		END::enotify.batch_state AS next, outcomes < total AND expired AND state <> 'cancelled' AS late
	FROM standing
)`
	// Those that have the turn first; of the others any, so that some that cannot move now are not always the first.
	movableSQL = standingSQL + mayMoveSQL + movesSQL + `
SELECT id FROM moves WHERE next IS NOT NULL ORDER BY state IN ('sending', 'draining') DESC, random()`
	// While results of the batch are written, its counts change: the next heartbeat counts again.
	countableSQL = `SELECT enotify.try_lock_results($1)`
	advanceSQL   = standingSQL + `b.id = $1` + movesSQL + `
UPDATE enotify.batch b
SET state = m.next, finished_at = CASE WHEN m.next <> 'retrying' THEN now() END,
    reason = CASE WHEN m.late THEN 'expired before everyone was tried' WHEN m.next = 'cancelled' THEN b.reason
      ELSE '' END
FROM moves m WHERE m.id = b.id AND b.id = $1 AND m.next IS NOT NULL AND b.finished_at IS NULL AND b.state = m.state
RETURNING b.id, b.state::text`
)

// A draft that nobody has submitted for a week ends, with what was staged for it,
// unless it is kept ready.
const endDraftsSQL = `
WITH old AS (
	SELECT b.id FROM enotify.batch b WHERE b.state = 'draft'
		AND (b.created_at < now() - interval '7 days' OR b.expires_at <= now())
	  AND NOT EXISTS (SELECT FROM enotify.ready_draft r WHERE r.batch_id = b.id)
	ORDER BY b.id LIMIT 100 FOR NO KEY UPDATE SKIP LOCKED
), staged AS (
	DELETE FROM enotify.recipient_in r USING old WHERE r.batch_id = old.id
), sizes AS (
	DELETE FROM enotify.staged_size s USING old WHERE s.batch_id = old.id
)
UPDATE enotify.batch b SET state = 'cancelled', finished_at = now(), reason = 'a draft that was not submitted in time'
  FROM old WHERE b.id = old.id
RETURNING b.id, b.state::text`

// endDrafts ends drafts that are too old, some at a time.
func (db *store) endDrafts(ctx context.Context) ([]move, error) {
	rows, err := db.pool.Query(ctx, endDraftsSQL)
	if err != nil {
		return nil, err
	}
	return pgx.CollectRows(rows, pgx.RowToStructByPos[move])
}

// A move is a batch that changed its state by its counts.
type move struct {
	ID    int64
	State string
}

// advanceFor is how long a heartbeat moves batches on: an operator may have cancelled
// thousands, and the turn must not wait for all of them.
const advanceFor = 100 * time.Millisecond

// advance moves batches on that have come to the end of a state, and reports whether
// there are more than it had time for.
func (db *store) advance(ctx context.Context, s *strangers) (moves []move, more bool, err error) {
	if err := db.recheck(ctx, s); err != nil {
		return nil, false, err
	}
	if _, err := db.pool.Exec(ctx, endRetriesSQL); err != nil {
		return nil, false, err
	}
	rows, err := db.pool.Query(ctx, movableSQL)
	if err != nil {
		return nil, false, err
	}
	movable, err := pgx.CollectRows(rows, pgx.RowTo[int64])
	if err != nil {
		return nil, false, err
	}
	began := time.Now()
	for _, batch := range movable {
		if time.Since(began) > advanceFor {
			return moves, true, nil
		}
		moved, err := db.moveOn(ctx, batch, s)
		if locked(err) {
			continue
		}
		if err != nil {
			return moves, false, err
		}
		moves = append(moves, moved...)
	}
	return moves, false, nil
}

// moveOn counts once more, while no results of the batch are written.
func (db *store) moveOn(ctx context.Context, batch int64, s *strangers) (moved []move, err error) {
	err = db.inTx(ctx, func(tx pgx.Tx) error {
		var alone bool
		if err := tx.QueryRow(ctx, countableSQL, batch).Scan(&alone); err != nil || !alone {
			return err
		}
		if _, err := tx.Exec(ctx, shortWaitSQL); err != nil {
			return err
		}
		ids := []int64{batch}
		locked, err := lockFree(ctx, tx, ids) // it waits for none: there may be many
		if err != nil {
			return err
		}
		if s.found(ids, locked, time.Now()); len(locked) > 0 {
			s.over[batch] = true
			return nil
		}
		rows, err := tx.Query(ctx, advanceSQL, batch)
		if err != nil {
			return err
		}
		moved, err = pgx.CollectRows(rows, pgx.RowToStructByPos[move])
		return err
	})
	return moved, err
}
