package queue

import (
	"context"
	"time"
)

// A Requeueable is how many recipients of a batch ended alike in one domain,
// and so can be sent to again together.
type Requeueable struct {
	Class           string `json:"class"` // of the reply; or expired, or unknown
	Domain          string `json:"domain"`
	N               int    `json:"recipients"`
	Suppressed      int    `json:"suppressed"`       // of N: those are not sent to again
	Alike           int    `json:"alike"`            // recipients that ended so, at all domains
	AlikeSuppressed int    `json:"alike_suppressed"` // of Alike
	Domains         int    `json:"alike_domains"`    // those domains
}

const requeueableSQL = `
WITH ended AS (
	SELECT w.class, r.domain_id, 1 AS n, (s.reply IS NOT NULL)::int AS suppressed
	FROM enotify.outcome o
	JOIN enotify.batch b ON b.id = o.batch_id
	JOIN enotify.recipient r ON r.batch_id = o.batch_id AND r.seq = o.seq
	CROSS JOIN unnest(ARRAY[CASE WHEN o.state IN ('bounced', 'expired') THEN o.class::text END, CASE
		WHEN o.state IN ('expired', 'unknown') THEN o.state::text END]) w (class)
	LEFT JOIN LATERAL enotify.suppressed(r.address, b.client_id) s ON true
	WHERE o.batch_id = $1 AND o.state IN ('bounced', 'expired', 'unknown') AND $2 IN ('', w.class)
	UNION ALL
	SELECT 'expired', d.domain_id, d.last_seq - d.intent_seq, 0
	FROM enotify.batch_domain d JOIN enotify.batch b ON b.id = d.batch_id
	WHERE d.batch_id = $1 AND b.state = 'done' AND d.intent_seq < d.last_seq AND $2 IN ('', 'expired')
), counted AS (
	SELECT class, domain_id, sum(n)::int AS n, sum(suppressed)::int AS suppressed FROM ended GROUP BY 1, 2
), alike AS (
	SELECT class, sum(n)::int AS n, sum(suppressed)::int AS suppressed, count(*)::int AS domains FROM counted GROUP BY 1
), ranked AS (
	SELECT *, row_number() OVER (PARTITION BY class ORDER BY n DESC, domain_id) AS rank FROM counted
)
SELECT class, d.name, r.n, r.suppressed, a.n, a.suppressed, a.domains
FROM ranked r JOIN alike a USING (class) JOIN enotify.domain d ON d.id = r.domain_id WHERE r.rank <= $3
ORDER BY a.n DESC, class, r.rank`

// Requeueable lists the recipients of a batch that [DB.Requeue] would send to again:
// with "" of every class, the most frequent first, of each up to limit domains.
func (db *DB) Requeueable(ctx context.Context, batch int64, class string, limit int) ([]Requeueable, error) {
	return Collect[Requeueable](ctx, db, requeueableSQL, batch, class, limit)
}

const requeueSQL = `SELECT requeued, suppressed FROM enotify.requeue_batch($1, $2, $3)`

// Requeue sends again to the recipients of a batch that ended in one way: class is that
// of their reply, or "expired", or "unknown". Recipients suppressed meanwhile stay as
// they are. The guard checks the client first. A batch that has expired goes on until
// expires, or with nil for three days.
func (db *DB) Requeue(ctx context.Context, batch int64, class string, expires *time.Time) (requeued, suppressed int,
	err error) {
	err = db.pool.QueryRow(ctx, requeueSQL, batch, class, expires).Scan(&requeued, &suppressed)
	return requeued, suppressed, AsRefusal(err)
}

const markDeliveredSQL = `SELECT enotify.mark_delivered($1)`

// MarkDelivered changes the recipients of a batch in state unknown to delivered.
// Nothing is sent.
func (db *DB) MarkDelivered(ctx context.Context, batch int64) (marked int, err error) {
	err = db.pool.QueryRow(ctx, markDeliveredSQL, batch).Scan(&marked)
	return marked, AsRefusal(err)
}
