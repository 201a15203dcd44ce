package engine

import (
	"context"

	"github.com/jackc/pgx/v5"
)

// maxDraining is how many batches may drain at once: each costs memory on every
// node, and delays the next in its domains.
const maxDraining = 8

const byDestinationSQL = `
SELECT coalesce(bool_and(n.turn = 'destination'), false) FROM enotify.node n WHERE n.live_until > now()`

func byDestination(ctx context.Context, q querier) (bool, error) {
	return yes(ctx, q, byDestinationSQL)
}

// A batch only waits for slow sites when every group of its untried recipients is
// held by a node that says so. A node says so when, at a moment since its last
// heartbeat but one, it had room for messages and every domain of the batch waited:
// for its rate, for a connection or the end of a backoff at its site, or for a
// batch before it.
const onlyWaitsSQL = `
SELECT NOT EXISTS (
	SELECT FROM enotify.batch_domain d
	LEFT JOIN enotify.lease l ON l.grp = d.grp
	LEFT JOIN enotify.node n ON n.id = l.node_id AND n.live_until > now()
	WHERE d.batch_id = $1 AND d.intent_seq < d.last_seq AND n.waits_for IS DISTINCT FROM $1)`

func onlyWaits(ctx context.Context, q querier, batch int64) (bool, error) {
	return yes(ctx, q, onlyWaitsSQL, batch)
}

// A batch is stuck when it does not move at any live node, and some node holds
// each group of its untried recipients.
const stuckSQL = `
SELECT b.id FROM enotify.batch b
WHERE b.id = ANY ($1) AND b.turn_at < clock_timestamp() - $2::interval
  AND NOT EXISTS (SELECT FROM enotify.node n WHERE n.live_until > now() AND b.id <> ALL (n.stuck))
  AND NOT EXISTS (
	SELECT FROM enotify.batch_domain d
	LEFT JOIN enotify.lease l ON l.grp = d.grp
	LEFT JOIN enotify.node n ON n.id = l.node_id AND n.live_until > now()
	WHERE d.batch_id = b.id AND d.intent_seq < d.last_seq AND n.id IS NULL)`

// stuck picks the batches that do not move. They give the turn away, also where
// nodes are strict: a site that is closed, dead or silent stops nobody else.
func stuck(ctx context.Context, q querier, batches []int64) ([]int64, error) {
	rows, err := q.Query(ctx, stuckSQL, batches, stallAfter-leaseMargin)
	if err != nil {
		return nil, err
	}
	return pgx.CollectRows(rows, pgx.RowTo[int64])
}

func yes(ctx context.Context, q querier, sql string, args ...any) (bool, error) {
	rows, err := q.Query(ctx, sql, args...)
	if err != nil {
		return false, err
	}
	return pgx.CollectExactlyOneRow(rows, pgx.RowTo[bool])
}

// behind reports whether a lane must wait since its domain is another batch's
// just now: one that goes before it has untried recipients there, or any other has
// first tries under way. Retries do not wait so, except those of first tries that were
// put off.
func (v *serving) behind(l *lane) bool {
	if !l.exclusive() {
		return false
	}
	if v.flights.others(l.domain, l.batch) || v.pipeline.others(l) {
		return true
	}
	for _, other := range v.lanes.at[l.domain] {
		if other.batch != l.batch && other.waiting > 0 && v.goesBefore(other, l) {
			return true
		}
	}
	return false
}

// goesBefore reports whether a lane goes before one of another batch at the same domain.
// Tries that were put off go before first tries of the same priority: they had the turn
// before them. A lane that this node may not send holds up no other.
func (v *serving) goesBefore(one, other *lane) bool {
	switch {
	case !one.putOff && !other.putOff:
		return v.batches.before(one.batch, other.batch)
	case !v.batches.active[one.batch].here:
		return false
	case one.priority != other.priority:
		return one.priority > other.priority
	case one.putOff != other.putOff:
		return one.putOff
	}
	return one.batch < other.batch
}

// through is the name under which lanes wait, as for a site, until no other batch
// is sent to a domain. No site is named so.
func through(domain string) string { return "through " + domain }
