package insight

import (
	"context"
	"time"
)

// A Flow is how many recipients got an outcome within a step of time.
type Flow struct {
	At        time.Time // when the step began
	Delivered int
	Failed    int // bounced or expired
}

const (
	flowSQL = `
WITH active AS (
	SELECT b.id FROM enotify.batch b
	WHERE b.started_at IS NOT NULL AND b.pruned_at IS NULL
		AND (b.finished_at IS NULL OR b.finished_at >= now() - $1::interval)
)
SELECT date_bin($2::interval, o.at, '2000-01-01 00:00+00') AS at,
       count(*) FILTER (WHERE o.state = 'delivered')::int,
         count(*) FILTER (WHERE o.state IN ('bounced', 'expired'))::int
FROM active a JOIN enotify.outcome o ON o.batch_id = a.id
WHERE o.at >= now() - $1::interval GROUP BY 1 ORDER BY 1`
	// Reading every outcome of a month would take minutes: some recipients of each batch, at
	// equal distances, stand for the others, which are exact in small batches. A batch whose
	// recipients were pruned has its counts alone; they are spread from its start to its end.
	coarseFlowSQL = `
WITH counted AS MATERIALIZED (
	SELECT b.id, b.total, b.pruned_at IS NOT NULL AS pruned, b.started_at,
		least(coalesce(b.finished_at, now()), now()) AS ended_at, n.delivered, n.failed
	FROM enotify.batch b CROSS JOIN LATERAL (
		SELECT coalesce(sum(k.n) FILTER (WHERE k.state = 'delivered'), 0) AS delivered,
		       coalesce(sum(k.n) FILTER (WHERE k.state IN ('bounced', 'expired')), 0) AS failed
		FROM enotify.batch_count k WHERE k.batch_id = b.id) n
	WHERE b.started_at IS NOT NULL AND (b.finished_at IS NULL OR b.finished_at >= now() - $1::interval)
		AND n.delivered + n.failed > 0
), each AS (
	SELECT least(greatest($3::int / count(*), 10), 500)::int AS n FROM counted
), looked AS (
	SELECT c.id, c.delivered, c.failed, o.at, o.state = 'delivered' AS good
	FROM counted c CROSS JOIN each CROSS JOIN LATERAL generate_series(1, c.total, greatest(c.total / each.n, 1)) s (seq)
	CROSS JOIN LATERAL (SELECT o.at, o.state FROM enotify.outcome o WHERE o.batch_id = c.id AND o.seq = s.seq LIMIT 1) o
	WHERE NOT c.pruned AND o.state IN ('delivered', 'bounced', 'expired')
), seen AS (
	SELECT id, at, CASE WHEN good THEN delivered::float / count(*) FILTER (WHERE good) OVER (PARTITION BY id)
		ELSE 0 END AS delivered,
	       CASE WHEN NOT good THEN failed::float / count(*) FILTER (WHERE NOT good) OVER (PARTITION BY id)
	         ELSE 0 END AS failed
	FROM looked
	UNION ALL -- none of the few that failed, or were delivered, was looked at
	SELECT c.id, coalesce(l.last, c.ended_at), CASE WHEN coalesce(l.good, 0) = 0 THEN c.delivered ELSE 0 END, CASE
		WHEN coalesce(l.bad, 0) = 0 THEN c.failed ELSE 0 END
	FROM counted c LEFT JOIN (SELECT id, max(at) AS last, count(*) FILTER (WHERE good) AS good,
		count(*) FILTER (WHERE NOT good) AS bad FROM looked GROUP BY id) l ON l.id = c.id
	WHERE NOT c.pruned
), spread AS (
	SELECT s.at, greatest(extract(epoch FROM least(c.ended_at, s.at + $2::interval) - greatest(c.started_at, s.at)), 0)
	             / greatest(extract(epoch FROM c.ended_at - c.started_at), 0.001) AS share, c.delivered, c.failed
	FROM counted c CROSS JOIN LATERAL generate_series(
		date_bin($2::interval, greatest(c.started_at, now() - $1::interval), '2000-01-01 00:00+00'), c.ended_at,
			$2::interval) s (at)
	WHERE c.pruned
), stepped AS (
	SELECT date_bin($2::interval, at, '2000-01-01 00:00+00') AS at, delivered, failed FROM seen
		WHERE at >= now() - $1::interval
	UNION ALL SELECT at, delivered * share, failed * share FROM spread
)
SELECT at, round(sum(delivered))::int, round(sum(failed))::int FROM stepped GROUP BY 1
  HAVING sum(delivered) + sum(failed) >= 0.5 ORDER BY 1`
)

// Flow counts the outcomes of the last while by steps; steps without any are left out. It
// reads every outcome of the batches that were active.
func (r Reader) Flow(ctx context.Context, last, step time.Duration) ([]Flow, error) {
	return collect[Flow](ctx, r, flowSQL, last, step)
}

// recipientsLooked is about how many recipients a coarse flow looks at, over all batches.
const recipientsLooked = 20_000

// CoarseFlow is Flow for a long while. Some recipients of a large batch stand for the
// others; its counts are exact.
func (r Reader) CoarseFlow(ctx context.Context, last, step time.Duration) ([]Flow, error) {
	return collect[Flow](ctx, r, coarseFlowSQL, last, step, recipientsLooked)
}
