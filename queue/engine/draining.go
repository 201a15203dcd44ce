package engine

import (
	"context"

	"github.com/jackc/pgx/v5"
)

// maxDraining is how many batches may drain at once: each costs memory on every
// node, and delays the next in its domains.
const maxDraining = 8

const byDestinationSQL = `SELECT coalesce(bool_and(n.turn = 'destination'), false) FROM enotify.node n WHERE n.live_until > now()`

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

func yes(ctx context.Context, q querier, sql string, args ...any) (bool, error) {
	rows, err := q.Query(ctx, sql, args...)
	if err != nil {
		return false, err
	}
	return pgx.CollectExactlyOneRow(rows, pgx.RowTo[bool])
}

// behind reports whether a lane must wait since its domain is another batch's
// just now: one that took the turn earlier has untried recipients there, or any
// other has first tries under way. Retries do not wait so.
func (v *serving) behind(l *lane) bool {
	if len(v.batches.order) < 2 || l.retry {
		return false
	}
	earlier := true
	for _, batch := range v.batches.order {
		if batch == l.batch {
			earlier = false
			continue
		}
		key := laneKey{batch, l.domainID, false}
		if v.flights.tries(key) > 0 {
			return true
		}
		if other := v.lanes.known[key]; earlier && other != nil && other.waiting > 0 {
			return true
		}
	}
	return false
}

// through is the name under which lanes wait, as for a site, until no other batch
// is sent to a domain. No site is named so.
func through(domain string) string { return "through " + domain }
