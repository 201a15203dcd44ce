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
	WHERE b.started_at IS NOT NULL AND b.pruned_at IS NULL AND (b.finished_at IS NULL OR b.finished_at >= now() - $1::interval)
)
SELECT date_bin($2::interval, o.at, '2000-01-01 00:00+00') AS at,
       count(*) FILTER (WHERE o.state = 'delivered')::int, count(*) FILTER (WHERE o.state IN ('bounced', 'expired'))::int
FROM active a JOIN enotify.outcome o ON o.batch_id = a.id
WHERE o.at >= now() - $1::interval GROUP BY 1 ORDER BY 1`
	// Reading every outcome of a month would take minutes. The counts of a batch are spread
	// over the time from its start to its end instead.
	coarseFlowSQL = `
WITH counted AS (
	SELECT b.started_at, least(coalesce(b.finished_at, now()), now()) AS ended_at, n.delivered, n.failed
	FROM enotify.batch b CROSS JOIN LATERAL (
		SELECT coalesce(sum(k.n) FILTER (WHERE k.state = 'delivered'), 0) AS delivered,
		       coalesce(sum(k.n) FILTER (WHERE k.state IN ('bounced', 'expired')), 0) AS failed
		FROM enotify.batch_count k WHERE k.batch_id = b.id) n
	WHERE b.started_at IS NOT NULL AND (b.finished_at IS NULL OR b.finished_at >= now() - $1::interval) AND n.delivered + n.failed > 0
), spread AS (
	SELECT s.at, greatest(extract(epoch FROM least(c.ended_at, s.at + $2::interval) - greatest(c.started_at, s.at)), 0)
	             / greatest(extract(epoch FROM c.ended_at - c.started_at), 0.001) AS share, c.delivered, c.failed
	FROM counted c CROSS JOIN LATERAL generate_series(
		date_bin($2::interval, greatest(c.started_at, now() - $1::interval), '2000-01-01 00:00+00'), c.ended_at, $2::interval) s (at)
)
SELECT at, round(sum(delivered * share))::int, round(sum(failed * share))::int FROM spread GROUP BY 1 ORDER BY 1`
)

// Flow counts the outcomes of the last while by steps; steps without any are left out. It
// reads every outcome of the batches that were active.
func (r Reader) Flow(ctx context.Context, last, step time.Duration) ([]Flow, error) {
	return collect[Flow](ctx, r, flowSQL, last, step)
}

// CoarseFlow is Flow for a long while, from the counts of the batches: those of a batch
// are spread evenly from its start to its end.
func (r Reader) CoarseFlow(ctx context.Context, last, step time.Duration) ([]Flow, error) {
	return collect[Flow](ctx, r, coarseFlowSQL, last, step)
}
