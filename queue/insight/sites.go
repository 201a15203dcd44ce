package insight

import "context"

const siteQueuesSQL = `
WITH deferred AS (
	SELECT t.domain_id, count(*) AS n FROM enotify.retry t JOIN enotify.batch b ON b.id = t.batch_id
		AND b.finished_at IS NULL
	WHERE t.intent_at IS NULL GROUP BY 1
), untried AS (
	SELECT d.domain_id, sum(d.last_seq - d.intent_seq) AS n
	FROM enotify.batch b JOIN enotify.batch_domain d ON d.batch_id = b.id
	WHERE b.finished_at IS NULL AND b.state::text IN ('sending', 'draining', 'retrying') AND d.last_seq > d.intent_seq
		GROUP BY 1
)
SELECT coalesce(s.name, k.name), count(*)::int, coalesce(sum(u.n), 0)::int, coalesce(sum(t.n), 0)::int
FROM untried u FULL JOIN deferred t USING (domain_id) JOIN enotify.domain k ON k.id = domain_id
  LEFT JOIN enotify.site s ON s.id = k.site_id
GROUP BY 1 ORDER BY coalesce(sum(u.n), 0) + coalesce(sum(t.n), 0) DESC, 1 LIMIT $1`

// Busiest lists the sites that most recipients of all batches under way wait for, up to
// limit.
func (r Reader) Busiest(ctx context.Context, limit int) ([]Waiting, error) {
	return collect[Waiting](ctx, r, siteQueuesSQL, limit)
}
