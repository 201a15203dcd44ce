package engine

import (
	"context"
	"slices"

	"github.com/jackc/pgx/v5"
)

const nextSmallSQL = `
SELECT b.id, b.priority, b.edits, coalesce(d.known, b.surveyed_at IS NOT NULL), coalesce(d.fits, false)
  AND ` + contentOctetsSQL + ` <= $7
  AND c.per_day IS NULL AND c.per_month IS NULL AND c.max_batches IS NULL, d.ids, d.names, d.sites, d.grps, d.ns,
  p.name,
       ARRAY(SELECT n.id FROM enotify.node n WHERE (n.live_until > now() OR n.id = $5)
         AND enotify.may_send(n.id, b.client_id, p.name) ORDER BY n.id)
FROM enotify.next_batches($4, false) WITH ORDINALITY n (id, place) JOIN enotify.batch b ON b.id = n.id
  JOIN enotify.client c ON c.id = b.client_id
CROSS JOIN LATERAL (SELECT enotify.batch_pool(b.pool, b.priority, b.client_id) AS name) p
LEFT JOIN LATERAL (
	SELECT bool_and(b.surveyed_at IS NOT NULL OR $2 OR NOT ` + unknownDomainSQL + ` AND k.no_mail IS NULL) AS known,
	       bool_and(d.grp = ANY ($1) AND k.grp = d.grp AND (s.id IS NULL OR s.grp = k.grp)) AS fits,
	       array_agg(d.domain_id ORDER BY d.first_seq) AS ids, array_agg(k.name ORDER BY d.first_seq) AS names,
	       array_agg(coalesce(s.name, '') ORDER BY d.first_seq) AS sites, array_agg(d.grp ORDER BY d.first_seq) AS grps,
	       array_agg(d.last_seq - d.intent_seq ORDER BY d.first_seq) AS ns
	FROM enotify.batch_domain d CROSS JOIN LATERAL ` + domainSQL + ` LEFT JOIN LATERAL ` + siteSQL + ` ON true
	WHERE d.batch_id = b.id AND d.intent_seq < d.last_seq AND b.started_at IS NULL AND b.sendable <= $3
) d ON true
WHERE b.sendable > 0 AND b.priority > coalesce((SELECT max(t.priority) FROM enotify.batch t
  WHERE t.state IN ('sending', 'draining') AND t.id <> ALL ($6)), -2147483648)
ORDER BY n.place`

// nextSmall lists the batches that are next in turn, small or not. A batch whose
// turn another one of at least the same priority has is not next, unless a stranger
// has locked that one at its end. It reads the addresses behind them, in the same round
// trip: the guard let the batches go for the addresses as they were at that moment, no earlier.
func (db *store) nextSmall(ctx context.Context, node int32, grps []int16, anyway bool, held []int64,
	counted map[tallyKey]counted) (next []*small, found *egressFound, err error) {
	var b pgx.Batch
	b.Queue(nextSmallSQL, grps, anyway, smallBatch, smallBatches, node, held, smallContent).Query(
		func(rows pgx.Rows) (err error) {
			next, err = pgx.CollectRows(rows, func(row pgx.CollectableRow) (*small, error) { return scanSmall(row, node) })
			return err
		})
	found = queueEgress(&b, node, counted)
	err = db.pool.SendBatch(ctx, &b).Close()
	return next, found, err
}

func scanSmall(row pgx.CollectableRow, node int32) (*small, error) {
	var s small
	var ids, ns []int32
	var names, sites []string
	var grps []int16
	if err := row.Scan(&s.ID, &s.Priority, &s.edits, &s.known, &s.fits, &ids, &names, &sites, &grps, &ns, &s.pool,
		&s.nodes); err != nil {
		return nil, err
	}
	s.here = slices.Contains(s.nodes, node)
	s.want = make(map[string]int, len(ids))
	for i := range ids {
		s.lanes = append(s.lanes, &lane{batch: s.ID, domainID: ids[i], domain: names[i], site: sites[i],
			grp: grps[i], waiting: int(ns[i]), priority: s.Priority})
		s.want[names[i]] += int(ns[i])
	}
	return &s, nil
}
