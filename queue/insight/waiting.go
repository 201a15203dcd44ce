package insight

import "context"

// A Waiting is how many recipients of a batch are left at one site.
type Waiting struct {
	Site     string `json:"site"` // or the recipient domain, when its site is not known yet
	Domains  int    `json:"domains"`
	Untried  int    `json:"untried"`
	Deferred int    `json:"deferred"`
}

const waitingSQL = `
WITH deferred AS (
	SELECT domain_id, count(*) AS n FROM enotify.retry WHERE batch_id = $1 AND intent_at IS NULL GROUP BY 1
)
SELECT coalesce(s.name, k.name), count(*)::int, sum(d.last_seq - d.intent_seq)::int AS untried,
  coalesce(sum(t.n), 0)::int AS deferred
FROM enotify.batch_domain d
JOIN enotify.domain k ON k.id = d.domain_id
LEFT JOIN enotify.site s ON s.id = k.site_id
LEFT JOIN deferred t ON t.domain_id = d.domain_id
WHERE d.batch_id = $1 AND (d.last_seq > d.intent_seq OR t.n > 0)
GROUP BY 1 ORDER BY sum(d.last_seq - d.intent_seq) + coalesce(sum(t.n), 0) DESC, 1 LIMIT $2`

// Waiting lists the sites that most recipients of a batch wait for, up to limit.
func (r Reader) Waiting(ctx context.Context, batch int64, limit int) ([]Waiting, error) {
	return collect[Waiting](ctx, r, waitingSQL, batch, limit)
}

const turnOfSQL = `SELECT coalesce(max(id), 0) FROM enotify.batch WHERE state = 'sending'`

// Turn is the batch that has the turn; 0: none has.
func (r Reader) Turn(ctx context.Context) (batch int64, err error) {
	err = r.row(ctx, turnOfSQL)(&batch)
	return batch, err
}
