package engine

import (
	"context"
	"fmt"
	"strings"

	"github.com/jackc/pgx/v5"
)

// missing is what nobody speaks for in an era that is not settled.
type missing struct {
	nodes  []int32 // that were alive at the last heartbeat before it, and have not entered
	names  []string
	groups []int16 // that a missing node may have held
}

func (m missing) any() bool { return len(m.nodes)+len(m.groups) > 0 }

// String names the nodes.
func (m missing) String() string {
	if len(m.names) == 0 {
		return fmt.Sprintf("the node that held %d groups of domains", len(m.groups))
	}
	return "node " + strings.Join(m.names, ", ")
}

// A database that went back has also forgotten which groups changed hands. So each
// node tells every lease that it had: group, epoch, and whether it still has it.
const (
	// A lease of ours that is not among them is one whose answer was lost: nothing
	// began under it. But when this node had one of that epoch in an earlier era, it had
	// run out before this era was settled: another node took the group, whom this one may
	// not have seen. The result tells whether the database has forgotten a change:
	// it knows an earlier epoch than this node, or takes a lease that was given back, or
	// had run out, for ours.
	tellLeasesSQL = `
WITH had AS MATERIALIZED (
	SELECT * FROM unnest($3::smallint[], $4::bigint[], $5::boolean[]) h (grp, epoch, held)
), other AS MATERIALIZED (
	SELECT l.grp, l.epoch, EXISTS (SELECT FROM unnest($7::smallint[], $8::bigint[]) e (grp, epoch)
		WHERE e.grp = l.grp AND e.epoch >= l.epoch) AS ran_out
	FROM enotify.lease l
	WHERE l.node_id = $1 AND NOT EXISTS (SELECT FROM had h WHERE h.grp = l.grp AND h.epoch >= l.epoch)
), told AS (
	INSERT INTO enotify.lease_told (era, grp, epoch, held)
	SELECT $2::bigint, grp, epoch, held FROM had
	UNION ALL
	SELECT $2::bigint, grp, epoch, NOT ran_out FROM other
	ON CONFLICT (era, grp, epoch) DO UPDATE SET held = lease_told.held OR excluded.held
), lived AS (
	UPDATE enotify.era SET alive = greatest(alive, $6, (SELECT 2 FROM other WHERE ran_out LIMIT 1))
)
SELECT EXISTS (SELECT FROM other WHERE ran_out) OR EXISTS (SELECT FROM had h JOIN enotify.lease l ON l.grp = h.grp
	WHERE h.epoch > l.epoch OR h.epoch = l.epoch AND l.node_id = $1 AND NOT h.held)`
	// A group is vouched for when nodes that have entered tell every lease of it since
	// the one that the database knows, and that they still have the last; the last may
	// also have been given back, where all nodes have entered that lived. $2: the database
	// may have forgotten who took a group.
	unvouchedSQL = `
WITH told AS (
	SELECT l.grp, coalesce(max(t.epoch), l.epoch) - l.epoch AS since,
	       count(t.epoch) FILTER (WHERE t.epoch > l.epoch) AS known,
	       coalesce(bool_or(t.held AND t.epoch = t.last), false) AS held
	FROM enotify.lease l CROSS JOIN enotify.era e
	LEFT JOIN (SELECT *, max(epoch) OVER (PARTITION BY era, grp) AS last FROM enotify.lease_told) t
		ON t.era = e.number AND t.grp = l.grp AND t.epoch >= l.epoch
	GROUP BY l.grp, l.epoch
)
SELECT l.grp FROM enotify.lease l JOIN told t ON t.grp = l.grp CROSS JOIN enotify.era e
WHERE l.node_id = ANY ($1) OR $2 AND (t.known < t.since OR NOT t.held AND (cardinality($1) > 0
	OR e.alive > (SELECT count(*) FROM enotify.node n WHERE n.era = e.number)))
ORDER BY l.grp`
)

// tellLeases tells which leases this node had, and returns whether they show that
// the database went back.
func (db *store) tellLeases(ctx context.Context, node int32, number int64, l *leases) (back bool, err error) {
	var grps []int16
	var epochs []int64
	var held []bool
	for grp, had := range l.had {
		for _, epoch := range had {
			grps, epochs = append(grps, grp), append(epochs, epoch)
			held = append(held, l.held[grp] == epoch)
		}
	}
	var ever []int16
	var highest []int64
	for grp, epoch := range l.ever {
		ever, highest = append(ever, grp), append(highest, epoch)
	}
	err = db.pool.QueryRow(ctx, tellLeasesSQL, node, number, grps, epochs, held, l.alive, ever, highest).Scan(&back)
	return back, err
}

// missing finds whom and what nobody speaks for.
func (db *store) missing(ctx context.Context, tx pgx.Tx, e era) (m missing, err error) {
	rows, err := tx.Query(ctx, absentSQL)
	if err != nil {
		return m, err
	}
	var id int32
	var name string
	if _, err := pgx.ForEachRow(rows, []any{&id, &name}, func() error {
		m.nodes, m.names = append(m.nodes, id), append(m.names, name)
		return nil
	}); err != nil {
		return m, err
	}
	if rows, err = tx.Query(ctx, unvouchedSQL, m.nodes, e.Lost || e.Moved && len(m.nodes) > 0); err != nil {
		return m, err
	}
	m.groups, err = pgx.CollectRows(rows, pgx.RowTo[int16])
	return m, err
}

// What a missing node may have sent to since the point to which the database went
// back: everybody in these groups who has no outcome yet. A batch that had its turn
// only after that point has begun where a node has raised its watermarks.
const (
	shareFirstSQL = `
WITH share AS MATERIALIZED (
	SELECT d.batch_id, d.domain_id, d.intent_seq, d.last_seq
	FROM enotify.batch b
	JOIN enotify.batch_domain d ON d.batch_id = b.id AND d.grp = ANY ($1::smallint[]) AND d.intent_seq < d.last_seq
	WHERE b.on_unknown = 'hold' AND (b.state IN ('sending', 'draining', 'retrying')
		OR b.state = 'queued' AND EXISTS (SELECT FROM enotify.batch_domain s
			WHERE s.batch_id = b.id AND s.intent_seq >= s.first_seq))
), raised AS (
	UPDATE enotify.batch_domain d SET intent_seq = s.last_seq FROM share s WHERE d.batch_id = s.batch_id
		AND d.domain_id = s.domain_id
), moved AS (
	SELECT b.client_id, s.intent_seq AS before, s.last_seq AS upto FROM share s
	JOIN enotify.batch b ON b.id = s.batch_id` + countMovedSQL + `
), open AS MATERIALIZED (
	SELECT r.batch_id, r.seq FROM share s
	JOIN enotify.recipient r ON r.batch_id = s.batch_id AND r.seq > s.intent_seq AND r.seq <= s.last_seq
	WHERE NOT EXISTS (SELECT FROM enotify.outcome o WHERE o.batch_id = r.batch_id AND o.seq = r.seq)
	  AND NOT EXISTS (SELECT FROM enotify.retry t WHERE t.batch_id = r.batch_id AND t.seq = r.seq)
), whose AS (
	INSERT INTO enotify.doubt (batch_id, seq, node_id, attempts, tries) SELECT batch_id, seq, $3, 0, 1 FROM open
	ON CONFLICT (batch_id, seq) DO UPDATE SET at = excluded.at, node_id = excluded.node_id,
		attempts = excluded.attempts, tries = excluded.tries
), unknown AS (
	INSERT INTO enotify.outcome (batch_id, seq, state, reply) SELECT batch_id, seq, 'unknown', $2 FROM open RETURNING 1
)
SELECT count(*) FROM unknown`
	shareRetriesSQL = `
WITH gone AS (
	DELETE FROM enotify.retry t USING enotify.batch b
	WHERE t.grp = ANY ($1::smallint[]) AND b.id = t.batch_id AND b.on_unknown = 'hold'
		AND b.state IN ('sending', 'draining', 'retrying', 'queued')
	RETURNING t.batch_id, t.seq, t.attempts, t.tries
), whose AS (
	INSERT INTO enotify.doubt (batch_id, seq, node_id, attempts, tries) SELECT batch_id, seq, $3, attempts, tries + 1
		FROM gone
	ON CONFLICT (batch_id, seq) DO UPDATE SET at = excluded.at, node_id = excluded.node_id,
		attempts = excluded.attempts, tries = excluded.tries
), unknown AS (
	INSERT INTO enotify.outcome (batch_id, seq, state, reply) SELECT batch_id, seq, 'unknown', $2 FROM gone
	ON CONFLICT (batch_id, seq) DO NOTHING RETURNING 1
)
SELECT count(*) FROM unknown`
	missingText = "the database went back, and the node that may have sent this is missing"
	// The same against the caps of a day, of all batches: up to the cap of each address that
	// the missing node has, so that nothing more leaves from there than the cap. Of a node that
	// the database has forgotten ($2 is empty) it may be any address. A plan whose day was not
	// looked at yet may have gone on by a step.
	shareCostsSQL = `
WITH going AS (
	SELECT b.id, b.state, enotify.batch_pool(b.pool, b.priority, b.client_id) AS pool FROM enotify.batch b
	WHERE b.state IN ('sending', 'draining', 'retrying')
		OR b.state = 'queued' AND EXISTS (SELECT FROM enotify.batch_domain s
			WHERE s.batch_id = b.id AND s.intent_seq >= s.first_seq)
), share AS (
	SELECT s.pool, coalesce(o.name, k.name) AS site, sum(s.n) AS n
	FROM (
		SELECT b.pool, d.domain_id, (d.last_seq - d.intent_seq)::bigint AS n FROM going b
		JOIN enotify.batch_domain d ON d.batch_id = b.id AND d.grp = ANY ($1::smallint[]) AND d.intent_seq < d.last_seq
		UNION ALL
		SELECT b.pool, t.domain_id, count(*) FROM going b
		JOIN enotify.retry t ON t.batch_id = b.id AND t.grp = ANY ($1::smallint[]) GROUP BY 1, 2
	) s JOIN enotify.domain k ON k.id = s.domain_id LEFT JOIN enotify.site o ON o.id = k.site_id GROUP BY 1, 2
), plans AS (
	SELECT w.address, w.site, e.pool, t.day, CASE WHEN w.day = t.day THEN w.caps[w.step + 1]
		ELSE greatest(w.caps[w.step + 1], w.caps[w.step + 2]) END AS cap
	FROM enotify.warmup w JOIN enotify.egress e ON e.address = w.address
	CROSS JOIN LATERAL (SELECT (clock_timestamp() AT TIME ZONE w.zone)::date AS day) t
	WHERE w.step < cardinality(w.caps) AND (cardinality($2::int[]) = 0
		OR w.address IN (SELECT unnest(n.egress) FROM enotify.node n WHERE n.id = ANY ($2)))
)
INSERT INTO enotify.egress_day AS d (address, site, day, begun)
SELECT p.address, p.site, p.day, greatest(0, least(sum(s.n), p.cap - coalesce(h.begun, 0)))
FROM plans p JOIN share s ON s.pool = p.pool AND p.site IN ('*', s.site)
LEFT JOIN enotify.egress_day h ON h.address = p.address AND h.site = p.site AND h.day = p.day
GROUP BY p.address, p.site, p.day, p.cap, h.begun ORDER BY 1, 2, 3
ON CONFLICT (address, site, day) DO UPDATE SET begun = d.begun + excluded.begun`
)

// giveUpShare leaves in doubt what missing nodes may have sent, under hold, and counts
// it against the caps of their addresses. The journal of one that was missing alone
// takes it back when it comes. Of several, each journal knows what its own node did not
// send, and nothing of the others.
func (db *store) giveUpShare(ctx context.Context, tx pgx.Tx, m missing) (n int64, err error) {
	if _, err := tx.Exec(ctx, lockNodesSQL, m.nodes); err != nil {
		return 0, err
	}
	whose := int32(0)
	if len(m.nodes) == 1 {
		whose = m.nodes[0]
	}
	if _, err := tx.Exec(ctx, shareCostsSQL, m.groups, m.nodes); err != nil {
		return 0, err
	}
	for _, sql := range []string{shareFirstSQL, shareRetriesSQL} {
		var more int64
		if err := tx.QueryRow(ctx, sql, m.groups, missingText, whose).Scan(&more); err != nil {
			return 0, err
		}
		n += more
	}
	return n, nil
}
