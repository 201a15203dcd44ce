package insight

import (
	"context"
	"time"

	"github.com/jackc/pgx/v5"

	"enotify/queue"
)

// Gauges is how much waits in the queue.
type Gauges struct {
	Batches  map[string]int // that are not finished, by state
	Pending  int64          // recipients that wait for their first try
	Deferred map[queue.Class]int64
	Oldest   map[queue.Class]time.Duration // since the oldest deferred recipient was first deferred
	Blocked  int                           // clients that the guard stops
	Holds    int                           // sites that are left alone since they block one of our addresses
	Slowed   int                           // sites to which mail goes more slowly since they asked for it
	Lost     int                           // nodes that died and did not come back
}

const (
	// Of what has begun only: recipients of batches that wait are their totals.
	pendingSQL = `
SELECT coalesce((SELECT sum(b.sendable) FROM enotify.batch b WHERE b.finished_at IS NULL AND b.started_at IS NULL
  AND b.state <> 'draft'), 0)
     + coalesce((SELECT sum(d.last_seq - d.intent_seq) FROM enotify.batch b
       JOIN enotify.batch_domain d ON d.batch_id = b.id
                 WHERE b.finished_at IS NULL AND b.started_at IS NOT NULL), 0)`
	deferredSQL = `
SELECT coalesce(t.class::text, 'other'), count(*), extract(epoch FROM now() - min(t.first_at))::float8
  FROM enotify.retry t WHERE t.intent_at IS NULL GROUP BY 1`
	stoppedSQL = `
SELECT (SELECT count(DISTINCT v.client_id) FROM enotify.verdict v WHERE v.superseded_at IS NULL AND v.blocks)::int,
       count(*) FILTER (WHERE jsonb_array_length(CASE jsonb_typeof(p.state -> 'holds')
         WHEN 'array' THEN p.state -> 'holds' ELSE '[]' END) > 0)::int,
       count(*) FILTER (WHERE p.state ? 'pace')::int,
       (SELECT count(*) FROM enotify.node n WHERE n.live_until < now())::int
FROM enotify.pace p WHERE p.kind = 'site'`
)

// Gauges counts what waits.
func (r Reader) Gauges(ctx context.Context) (g Gauges, err error) {
	if g.Batches, err = r.db.OpenBatches(ctx); err != nil {
		return g, err
	}
	g.Deferred, g.Oldest = map[queue.Class]int64{}, map[queue.Class]time.Duration{}
	err = r.read(ctx, func(tx pgx.Tx) error {
		if err := tx.QueryRow(ctx, pendingSQL).Scan(&g.Pending); err != nil {
			return err
		}
		rows, err := tx.Query(ctx, deferredSQL)
		if err != nil {
			return err
		}
		var class queue.Class
		var n int64
		var oldest float64
		if _, err := pgx.ForEachRow(rows, []any{&class, &n, &oldest}, func() error {
			g.Deferred[class], g.Oldest[class] = n, time.Duration(max(0, oldest)*float64(time.Second))
			return nil
		}); err != nil {
			return err
		}
		return tx.QueryRow(ctx, stoppedSQL).Scan(&g.Blocked, &g.Holds, &g.Slowed, &g.Lost)
	})
	return g, err
}

// Only of batches that began in the last day: one pass over them.
const complaintRatioSQL = `
WITH began AS (
	SELECT b.id, b.client_id FROM enotify.batch b WHERE b.started_at > now() - interval '1 day'
), each AS (
	SELECT g.client_id,
	       sum((SELECT coalesce(sum(c.n), 0) FROM enotify.batch_count c
	         WHERE c.batch_id = g.id AND c.state = 'delivered')) AS accepted,
	       sum((SELECT count(DISTINCT r.seq) FROM enotify.report r
	         WHERE r.batch_id = g.id AND r.kind = 'complaint')) AS complaints
	FROM began g GROUP BY 1
)
SELECT coalesce(sum(complaints) / nullif(sum(accepted), 0), 0)::float8,
       coalesce(max(complaints / nullif(accepted, 0)) FILTER (WHERE accepted >= 1000), 0)::float8 FROM each`

// ComplaintRatio is complaints by accepted messages of the batches that began in the
// last day: over all clients, and of the client with the most of those with 1,000
// messages.
func (r Reader) ComplaintRatio(ctx context.Context) (all, worst float64, err error) {
	err = r.row(ctx, complaintRatioSQL)(&all, &worst)
	return all, worst, err
}
