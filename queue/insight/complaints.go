package insight

import (
	"context"

	"github.com/jackc/pgx/v5"

	"enotify/queue"
)

// Complained is how many readers called mail spam.
type Complained struct {
	Client string // domain
	Site   string // mail provider; "" is all
	queue.ComplaintRate
}

const (
	// Days are 0 for a batch: it counts whole.
	complaintTotalsSQL = `
SELECT c.domain, '', r.days, r.accepted, r.complaints
FROM enotify.client c CROSS JOIN LATERAL enotify.complaint_rate(c.id) r
WHERE $2::bigint = 0 AND $1 IN ('', c.domain)
  AND EXISTS (SELECT FROM enotify.report p JOIN enotify.batch b ON b.id = p.batch_id
    WHERE b.client_id = c.id AND p.kind = 'complaint')
UNION ALL
SELECT c.domain, '', 0, (SELECT coalesce(sum(n), 0) FROM enotify.batch_count n
  WHERE n.batch_id = b.id AND n.state = 'delivered'),
       (SELECT count(DISTINCT r.seq) FROM enotify.report r WHERE r.batch_id = b.id AND r.kind = 'complaint')
FROM enotify.batch b JOIN enotify.client c ON c.id = b.client_id WHERE b.id = $2 AND $1 IN ('', c.domain)
ORDER BY 1, 3`
	// Only sites whose readers complained are counted. Recipients of pruned batches have no
	// site any more.
	complaintSitesSQL = `
WITH scope AS (
	SELECT b.id, c.domain AS client, b.started_at FROM enotify.batch b JOIN enotify.client c ON c.id = b.client_id
	WHERE $1 IN ('', c.domain) AND ($2::bigint = 0 OR b.id = $2)
		AND ($2 <> 0 OR b.started_at > now() - interval '30 days')
), at AS (
	SELECT DISTINCT s.client, d.site_id, CASE WHEN d.site_id IS NULL THEN d.id END AS domain_id
	FROM scope s JOIN enotify.report r ON r.batch_id = s.id AND r.kind = 'complaint'
	JOIN enotify.recipient x ON x.batch_id = r.batch_id AND x.seq = r.seq JOIN enotify.domain d ON d.id = x.domain_id
), sent AS (
	SELECT s.client, coalesce(t.name, d.name) AS site, s.started_at,
	       (SELECT count(*) FROM enotify.outcome o
	        WHERE o.batch_id = s.id AND o.seq BETWEEN p.first_seq AND p.intent_seq
	          AND o.state = 'delivered') AS accepted,
	       (SELECT count(DISTINCT r.seq) FROM enotify.report r
	        WHERE r.batch_id = s.id AND r.seq BETWEEN p.first_seq AND p.last_seq AND r.kind = 'complaint') AS complaints
	FROM at JOIN scope s ON s.client = at.client
	JOIN enotify.domain d ON d.site_id = at.site_id OR d.id = at.domain_id
	JOIN enotify.batch_domain p ON p.batch_id = s.id AND p.domain_id = d.id
	LEFT JOIN enotify.site t ON t.id = d.site_id
)
SELECT client, site, d.days, sum(accepted)::bigint, sum(complaints)::bigint
FROM sent JOIN unnest(CASE WHEN $2 = 0 THEN '{1,7,30}' ELSE '{0}' END::int[]) d (days)
  ON d.days = 0 OR sent.started_at > now() - make_interval(days => d.days)
GROUP BY 1, 2, 3 ORDER BY 1, max(sum(complaints)) OVER (PARTITION BY client, site) DESC, 2, 3`
)

// Complaints returns the rates of a batch, else of a client, else of each client whose
// mail was complained about, over 1, 7 and 30 days: in all first, then by site.
func (r Reader) Complaints(ctx context.Context, in Scope) (all []Complained, err error) {
	err = r.read(ctx, func(tx pgx.Tx) error {
		for _, sql := range []string{complaintTotalsSQL, complaintSitesSQL} {
			rows, err := tx.Query(ctx, sql, in.Client, in.Batch)
			if err != nil {
				return err
			}
			found, err := pgx.CollectRows(rows, scanComplained)
			if err != nil {
				return err
			}
			all = append(all, found...)
		}
		return nil
	})
	return all, err
}

func scanComplained(row pgx.CollectableRow) (c Complained, err error) {
	err = row.Scan(&c.Client, &c.Site, &c.Days, &c.Accepted, &c.Complaints)
	return c, err
}
