package guard

import (
	"context"
	"net/netip"
	"time"

	"github.com/jackc/pgx/v5"

	"enotify/queue"
)

// A client is checked for the active addresses of its pools.
const (
	liveSQL = `
WITH RECURSIVE live AS (
	SELECT DISTINCT ON (e.address) e.address AS ip, e.helo, e.pool FROM enotify.live_egress e WHERE e.state = 'active'
		ORDER BY e.address, e.node_id
)`
	ofPoolsSQL = `CROSS JOIN LATERAL (SELECT enotify.client_pools(c.id) AS names) p
CROSS JOIN LATERAL (SELECT array_agg(l.ip ORDER BY l.ip) AS ips, array_agg(l.helo ORDER BY l.ip) AS helos,
  array_agg(l.pool ORDER BY l.ip) AS pools FROM live l WHERE l.pool = ANY (p.names)) e`
)

// A node that lacks a key of a client leaves it to the nodes that have it: they would
// undo each other's verdicts.
const leftSQL = `
AND NOT (EXISTS (SELECT FROM enotify.node_bar r WHERE r.node_id = $1 AND r.client_id = c.id)
  AND enotify.others_can($1, c.id))`

// Both lists in one statement, which is asked once a second.
const dueSQL = liveSQL + `, clients AS ( -- one by one: one may have very many batches
	(SELECT client_id FROM enotify.batch WHERE finished_at IS NULL ORDER BY client_id LIMIT 1)
	UNION ALL
	SELECT (SELECT b.client_id FROM enotify.batch b WHERE b.finished_at IS NULL AND b.client_id > c.client_id
		ORDER BY b.client_id LIMIT 1)
	FROM clients c WHERE c.client_id IS NOT NULL
), waiting AS (
	SELECT w.* FROM clients o CROSS JOIN LATERAL (
		SELECT b.client_id, b.from_address, b.priority, b.submitted_at FROM enotify.batch b
		WHERE b.client_id = o.client_id AND b.finished_at IS NULL
			AND b.state IN ('queued', 'sending', 'draining', 'retrying', 'blocked')
		ORDER BY b.priority DESC, b.submitted_at, b.id LIMIT 1
	) w
), unjudged AS MATERIALIZED (
	SELECT c.id, w.from_address, row_number() OVER (ORDER BY w.priority DESC, w.submitted_at, c.id) AS place,
	       e.ips, e.helos, e.pools
	FROM waiting w JOIN enotify.client c ON c.id = w.client_id ` + ofPoolsSQL + `
	WHERE e.ips IS NOT NULL ` + leftSQL + ` AND (EXISTS (SELECT FROM unnest(e.ips) l (ip) WHERE NOT EXISTS (
		SELECT FROM enotify.verdict v
		WHERE v.client_id = c.id AND v.identity = 'mailfrom' AND v.egress = l.ip AND v.superseded_at IS NULL
			AND v.valid_until > now()))
	   OR EXISTS (SELECT FROM enotify.verdict v JOIN enotify.batch b ON b.client_id = v.client_id
		WHERE v.client_id = c.id AND v.superseded_at IS NULL AND v.blocks
		  AND b.state = 'queued' AND b.submitted_at
		    > greatest(v.checked_at - interval '2 seconds', now() - interval '1 minute'))
	   OR EXISTS (SELECT FROM enotify.batch b
		WHERE b.client_id = c.id AND b.state = 'blocked' AND b.fault = '' AND c.refused_at IS NULL AND NOT EXISTS (
			SELECT FROM enotify.verdict v LEFT JOIN live l ON l.ip = v.egress
			WHERE v.client_id = c.id AND v.superseded_at IS NULL AND (v.blocks OR v.result = 'temperror')
			  AND coalesce(l.pool, '') IN ('', enotify.batch_pool(b.pool, b.priority, b.client_id)))))
), kept AS ( -- ready: they may be submitted at any time
	SELECT b.client_id FROM enotify.ready_draft r JOIN enotify.batch b ON b.id = r.batch_id
), unseen AS (
	SELECT c.id, 'postmaster@' || c.domain AS from_address, e.ips, e.helos, e.pools
	FROM enotify.client c ` + ofPoolsSQL + `
	WHERE c.id NOT IN (SELECT u.id FROM unjudged u) ` + leftSQL + `
	  AND EXISTS (SELECT FROM unnest(e.ips) l (ip) WHERE NOT EXISTS (
		SELECT FROM enotify.verdict v
		WHERE v.client_id = c.id AND v.identity = 'mailfrom' AND v.egress = l.ip AND v.superseded_at IS NULL
			AND (v.valid_until > now()
			  OR v.checked_at > now() - $2::interval AND c.id NOT IN (SELECT k.client_id FROM kept k))))
	ORDER BY c.id LIMIT 100
)
SELECT d.place IS NULL, c.id, c.domain, d.from_address, coalesce(c.return_path, ''), c.bounce,
  coalesce(c.bounce_domain, ''), c.dkim_selectors, c.from_spf, d.ips, d.helos, d.pools
FROM (SELECT id, from_address, place, ips, helos, pools FROM unjudged
	UNION ALL SELECT id, from_address, NULL, ips, helos, pools FROM unseen) d JOIN enotify.client c ON c.id = d.id
ORDER BY d.place, c.id`

// Due lists the clients that the guard has to check, each with the egress addresses of
// its pools at live nodes. It leaves out clients that only other nodes than this one can
// sign for; node 0 is none.
//
// Unjudged are those that have batches under way and no verdict that still holds: the
// client whose batch is next in turn comes first. Among them is a client whose verdict
// blocks and who has submitted a batch since, so that this batch is blocked at once and
// says why; within a minute, so that a DNS without an answer is not asked in every round
// (a batch may be committed a little after its submitted_at). And a client with a blocked
// batch whose pool has no address that blocks any more.
//
// Unseen are up to 100 others that nobody has checked for so long, whether they have
// batches or not: a record that drifts is seen before the next campaign. Clients with a
// draft that is kept ready are among them as soon as their verdict has run out.
func Due(ctx context.Context, db *queue.DB, node int32, since time.Duration) (unjudged, unseen []queue.Subject,
	err error) {
	rows, err := db.Pool().Query(ctx, dueSQL, node, since)
	if err != nil {
		return nil, nil, err
	}
	var late bool
	s := queue.Subject{Node: node}
	var ips []netip.Prefix // inet
	var helos, pools []string
	_, err = pgx.ForEachRow(rows, []any{&late, &s.ClientID, &s.Client, &s.From, &s.ReturnPath, &s.Bounces.Mode,
		&s.Bounces.Domain, &s.Selectors, &s.FromSPF, &ips, &helos, &pools}, func() error {
		one := s
		for i, ip := range ips {
			one.Egress = append(one.Egress, queue.Egress{Addr: ip.Addr(), HELO: helos[i], Pool: pools[i]})
		}
		if late {
			unseen = append(unseen, one)
		} else {
			unjudged = append(unjudged, one)
		}
		s.Selectors, ips, helos, pools = nil, nil, nil, nil // the next row has slices of its own
		return nil
	})
	return unjudged, unseen, err
}
