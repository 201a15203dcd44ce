package engine

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"time"

	"enotify/queue"

	"github.com/jackc/pgx/v5"
)

// groups is the number of lease groups: a recipient domain belongs to one for good.
const groups = 64

// leaseMargin is how much sooner the holder stops to believe in its lease: the
// time by which the two clocks, counted from the heartbeat, may drift apart.
const leaseMargin = 500 * time.Millisecond

// A node is this one, and the name of this run for good.
type node struct {
	queue.Node
	incarnation string
}

const joinSQL = `
WITH swept AS (DELETE FROM enotify.node n WHERE n.live_until < now() - interval '30 days' RETURNING n.id),
     forgotten AS (DELETE FROM enotify.doubt d USING swept WHERE d.node_id = swept.id)
INSERT INTO enotify.node (name, egress, helo, version, incarnation, live_until, turn)
VALUES ($1, $2, $3, $4, $5::uuid, now() + $6, $7) RETURNING id, clock_timestamp()`

// join registers a node; it holds no groups yet. A dead one is kept for a
// month, in case its journal comes back; then it stays unknown what it had begun.
func (db *store) join(ctx context.Context, n node) (id int32, c clock, err error) {
	c.here = time.Now()
	err = db.pool.QueryRow(ctx, joinSQL, n.Name, n.Egress, n.HELO, n.Version, n.incarnation, queue.LeaseTTL, cmp.Or(n.Turn, queue.Strict)).Scan(&id, &c.there)
	return id, c, err
}

// A lease is one group of domains, held until the node's next heartbeat fails.
type lease struct {
	grp   int16
	epoch int64
}

const (
	// A node whose row was removed, since the machine slept for long, has it back.
	liveSQL = `
INSERT INTO enotify.node AS n (id, name, egress, helo, version, incarnation, live_until, turn, waits_for, message_time) OVERRIDING SYSTEM VALUE
VALUES ($1, $2, $3, $4, $5, $6::uuid, now() + $7, $8, nullif($9::bigint, 0), nullif($10::interval, '0'))
ON CONFLICT (id) DO UPDATE SET live_until = excluded.live_until, waits_for = excluded.waits_for, message_time = excluded.message_time WHERE n.incarnation = excluded.incarnation
RETURNING (SELECT count(*) FROM enotify.node o WHERE o.live_until > now() AND o.id <> $1) + 1, clock_timestamp()`
	renewSQL = `UPDATE enotify.lease SET until = now() + $2 WHERE node_id = $1 RETURNING grp, epoch`
)

// beat renews the node's leases and says how many nodes are alive. The node
// only waits for slow sites of the batch waitsFor, if that is not 0.
func (db *store) beat(ctx context.Context, n node, waitsFor int64) (held []lease, alive int, c clock, err error) {
	err = db.inTx(ctx, func(tx pgx.Tx) error {
		c.here = time.Now()
		err := tx.QueryRow(ctx, liveSQL, n.ID, n.Name, n.Egress, n.HELO, n.Version, n.incarnation, queue.LeaseTTL, cmp.Or(n.Turn, queue.Strict), waitsFor, n.MessageTime).Scan(&alive, &c.there)
		if errors.Is(err, pgx.ErrNoRows) { // the database was set back to a state before we joined
			return fmt.Errorf("another node has our number %d: start this one again", n.ID)
		}
		if err != nil {
			return fmt.Errorf("heartbeat of node %d: %w", n.ID, err)
		}
		rows, err := tx.Query(ctx, renewSQL, n.ID, queue.LeaseTTL)
		if err != nil {
			return err
		}
		held, err = pgx.CollectRows(rows, scanLease)
		return err
	})
	return held, alive, c, err
}

func scanLease(row pgx.CollectableRow) (l lease, err error) {
	return l, row.Scan(&l.grp, &l.epoch)
}

const (
	vacantSQL = `
SELECT grp, coalesce(node_id, 0) FROM enotify.lease
WHERE until < clock_timestamp() AND node_id IS DISTINCT FROM $1
ORDER BY grp LIMIT $2 FOR UPDATE SKIP LOCKED`
	heldSQL = `SELECT grp, node_id FROM enotify.lease WHERE node_id = $1 ORDER BY grp FOR UPDATE`
	// A takeover waits for the ticks of the node it replaces, and keeps new ones
	// out: each tick takes the lock of its own node.
	lockNodesSQL = `SELECT enotify.lock_nodes(VARIADIC $1::int[])`
	takeSQL      = `UPDATE enotify.lease SET node_id = $1, epoch = epoch + 1, until = now() + $2 WHERE grp = ANY ($3) RETURNING grp, epoch`
)

// adopt takes up to limit groups that nobody holds, or whose holder is dead,
// and settles what a dead holder left in doubt.
func (db *store) adopt(ctx context.Context, node int32, limit int) (taken []lease, settled bool, err error) {
	return db.take(ctx, node, vacantSQL, node, limit)
}

// inherit takes all groups of a node that is known to be dead, before its
// leases run out, and settles what it left in doubt.
func (db *store) inherit(ctx context.Context, node, dead int32) (taken []lease, err error) {
	taken, _, err = db.take(ctx, node, heldSQL, dead)
	return taken, err
}

func (db *store) take(ctx context.Context, node int32, whichSQL string, args ...any) (taken []lease, settled bool, err error) {
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
		return settle(ctx, tx, abandoned, holders)
	})
	return taken, settled, err
}

// What lies under the intent without an outcome may have been delivered.
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
	ON CONFLICT (batch_id, seq) DO UPDATE SET at = excluded.at, node_id = excluded.node_id, attempts = excluded.attempts, tries = excluded.tries
)
INSERT INTO enotify.outcome (batch_id, seq, state, reply)
SELECT batch_id, seq, 'unknown', $3 FROM doubt WHERE on_unknown = 'hold'`
	settleRetrySQL = `
WITH doubt AS (
	SELECT t.batch_id, t.seq, t.attempts, t.tries, l.node_id, b.on_unknown
	FROM unnest($1::smallint[], $2::int[]) l (grp, node_id)
	JOIN enotify.retry t ON t.grp = l.grp AND t.intent_at IS NOT NULL JOIN enotify.batch b ON b.id = t.batch_id
), again AS (
	UPDATE enotify.retry t SET intent_at = NULL, due_at = now(), tries = t.tries + 1 FROM doubt d
	WHERE t.batch_id = d.batch_id AND t.seq = d.seq AND d.on_unknown = 'resend'
), gone AS (
	DELETE FROM enotify.retry t USING doubt d WHERE t.batch_id = d.batch_id AND t.seq = d.seq AND d.on_unknown = 'hold'
), whose AS (
	INSERT INTO enotify.doubt (batch_id, seq, node_id, attempts, tries)
	SELECT batch_id, seq, node_id, attempts, tries + 1 FROM doubt WHERE on_unknown = 'hold'
	ON CONFLICT (batch_id, seq) DO UPDATE SET at = excluded.at, node_id = excluded.node_id, attempts = excluded.attempts, tries = excluded.tries
)
INSERT INTO enotify.outcome (batch_id, seq, state, reply)
SELECT batch_id, seq, 'unknown', $3 FROM doubt WHERE on_unknown = 'hold'`
	inDoubt = "the sending process died while this was under way; it may have been delivered"
)

// A requeue may hold the results of a batch for long; meanwhile our own leases
// must not run out.
const (
	patienceSQL    = `SELECT set_config('lock_timeout', '2s', true)`
	openResultsSQL = `
SELECT enotify.lock_results(VARIADIC ARRAY(SELECT id FROM enotify.batch WHERE finished_at IS NULL AND state <> 'draft'))`
)

// settle decides about whom the holders of the groups left in doubt when they
// died. One that was only held up may be writing results at this moment: they
// are waited for, and what comes later finds what was settled.
func settle(ctx context.Context, tx pgx.Tx, grps []int16, holders []int32) error {
	if _, err := tx.Exec(ctx, patienceSQL); err != nil {
		return err
	}
	if _, err := tx.Exec(ctx, openResultsSQL); err != nil {
		return fmt.Errorf("wait for late results: %w", err)
	}
	for _, sql := range []string{settleRetrySQL, settleFirstSQL} {
		if _, err := tx.Exec(ctx, sql, grps, holders, inDoubt); err != nil {
			return fmt.Errorf("settle what a dead node left: %w", err)
		}
	}
	return nil
}

const releaseSQL = `UPDATE enotify.lease SET node_id = NULL, until = '-infinity' WHERE node_id = $1 AND grp = ANY ($2)`

// release gives groups back. Nothing of them may be in flight or unrecorded.
func (db *store) release(ctx context.Context, node int32, grps []int16) error {
	_, err := db.pool.Exec(ctx, releaseSQL, node, grps)
	return err
}

const leaveSQL = `DELETE FROM enotify.node WHERE id = $1`

// leave removes the node. Groups it did not release are settled by whoever takes them.
func (db *store) leave(ctx context.Context, node int32) error {
	_, err := db.pool.Exec(ctx, leaveSQL, node)
	return err
}
