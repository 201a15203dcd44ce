package engine

import (
	"context"
	"fmt"
	"time"
)

// A node with nothing to do sends two statements a second for what takes thirty when
// there is something: the heartbeat that renews its leases, and one question.
//
// The question is whether anything is there that any other step of a heartbeat would
// read or change: a batch that moves on, a retry that is due, a window that has no span,
// what another node has learned. A batch that merely waits, for the next try of deferred
// recipients, for an operator or for the guard, is no news. The mark changes with what the
// node keeps a copy of: addresses, their plans and rates, pools without an address. Which
// retries are due is asked as [retryLanesSQL] asks, batches as [mayMoveSQL] does.
const newsSQL = `
SELECT EXISTS (SELECT FROM enotify.batch b WHERE b.state IN ('sending', 'draining'))
    OR EXISTS (SELECT FROM enotify.batch b
		WHERE b.state = 'queued' AND (b.not_before IS NULL OR b.not_before <= now() + interval '1 minute'))
    OR EXISTS (SELECT FROM enotify.batch b WHERE b.finished_at IS NULL AND b.state = 'cancelled')
    OR EXISTS (SELECT FROM enotify.batch b WHERE b.finished_at IS NULL AND b.sendable = 0 AND b.state <> 'draft')
    OR EXISTS (SELECT FROM enotify.batch b WHERE b.finished_at IS NULL AND b.expires_at <= now() AND b.state <> 'draft')
    OR EXISTS (SELECT FROM enotify.batch b JOIN enotify.client c ON c.id = b.client_id
		WHERE b.finished_at IS NULL AND b.started_at IS NOT NULL
		AND ((SELECT sum(n.n) FROM enotify.batch_count n WHERE n.batch_id = b.id) >= b.total
			OR b.state = 'retrying' AND (b.passed_at IS NOT NULL OR c.refused_at IS NOT NULL
				OR (b.reason LIKE 'waits for an address of pool%') = EXISTS (
					SELECT FROM enotify.live_egress e WHERE e.state = 'active'
					AND e.pool = enotify.batch_pool(b.pool, b.priority, b.client_id)))))
    OR EXISTS (SELECT FROM enotify.retry t JOIN enotify.batch b ON b.id = t.batch_id
		WHERE t.intent_at IS NULL AND t.due_at <= now() AND t.grp = ANY ($2::smallint[]) AND b.finished_at IS NULL
		AND b.state = 'retrying')
    OR EXISTS (` + dueWindowsSQL + `)
    OR EXISTS (SELECT FROM enotify.pace p WHERE p.updated_at > $3),
	hashtextextended(concat_ws(E'\n',
		(SELECT string_agg(a::text, E'\n' ORDER BY a::text) FROM (` + addressesSQL + `) a),
		(SELECT string_agg(w::text, E'\n' ORDER BY w::text) FROM (` + plansSQL + `) w),
		(SELECT string_agg(r::text, E'\n' ORDER BY r::text) FROM (` + paidSQL + `) r),
		(SELECT string_agg(p::text, E'\n' ORDER BY p::text) FROM (` + emptyPoolsSQL + `) p)), 0)`

// still reports whether the node has nothing to do, as far as it knows by itself.
func (v *serving) still(now time.Time) bool {
	return v.phase == steady && !v.UntilIdle && now.Sub(v.swept) < sweep &&
		len(v.batches.order) == 0 && len(v.lanes.known) == 0 && v.flights.count() == 0 &&
		len(v.smalls.list) == 0 && !v.smalls.more && v.relay.waiting() == 0 &&
		len(v.strangers.since) == 0 && len(v.faults.list()) == 0 &&
		!v.leases.orphaned && len(v.leases.giving) == 0 && len(v.leases.ours) == 0 &&
		len(v.egress.putOff) == 0 && v.egress.counts.empty() &&
		(v.egress.ends.IsZero() || v.clock.Load().at(now).Before(v.egress.ends)) &&
		(v.Memory == nil || len(v.Memory.Changed(now)) == 0)
}

// news asks whether there is something to do, or something is not as the node last saw it.
func (v *serving) news(ctx context.Context) (news bool, err error) {
	was := v.mark
	err = v.store.pool.QueryRow(ctx, newsSQL, v.node.ID, v.leases.usable(), v.restored).Scan(&news, &v.mark)
	if err != nil {
		return false, fmt.Errorf("look for something to do: %w", err)
	}
	return news || v.mark != was, nil
}
