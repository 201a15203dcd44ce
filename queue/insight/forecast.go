package insight

import (
	"context"
	"time"
)

// An Ahead is a batch that has the turn before another one.
type Ahead struct {
	Batch     int64
	NotBefore time.Time // zero: at once
	Domains   []SiteCount
}

const retriesSQL = `
SELECT k.name, coalesce(s.name, k.name), count(*)::int
FROM enotify.retry t JOIN enotify.domain k ON k.id = t.domain_id LEFT JOIN enotify.site s ON s.id = k.site_id
WHERE t.batch_id <> $1 AND t.intent_at IS NULL GROUP BY 1, 2`

// Retries counts the recipients of other batches than `but` that wait for another
// try.
func (r Reader) Retries(ctx context.Context, but int64) ([]SiteCount, error) {
	return collect[SiteCount](ctx, r, retriesSQL, but)
}

// A SiteCount is how many messages wait for a recipient domain, and the site that
// takes its mail; the domain itself while that is unknown.
type SiteCount struct {
	Domain, Site string
	N            int
}

// In the order of their turns, as the engine gives them. A batch that is not queued
// yet comes after all of its priority. A batch that waits for an operator or for DNS
// is ahead of no other.
const aheadSQL = `
WITH own AS (
	SELECT priority, CASE WHEN state = 'draft' THEN 'infinity' ELSE submitted_at END AS submitted_at, id, not_before FROM enotify.batch WHERE id = $1
	UNION ALL SELECT 0, 'infinity', 0, NULL WHERE NOT EXISTS (SELECT FROM enotify.batch WHERE id = $1)
), b AS (
	SELECT b.id, b.not_before, row_number() OVER (ORDER BY (b.state = 'sending' AND b.priority >= o.priority) DESC, b.priority DESC, b.submitted_at, b.id) AS place
	FROM enotify.batch b, own o
	WHERE b.id <> o.id AND b.finished_at IS NULL AND b.state IN ('sending', 'queued') AND b.expires_at > now()
	  AND (b.state = 'sending' AND b.priority >= o.priority OR b.priority > o.priority OR b.priority = o.priority AND (b.submitted_at, b.id) < (o.submitted_at, o.id))
	  AND (b.not_before IS NULL OR b.not_before <= greatest(now(), o.not_before))
)
SELECT b.id, coalesce(b.not_before, '-infinity'::timestamptz) > now(), coalesce(b.not_before, now()), k.name, coalesce(s.name, k.name), d.last_seq - d.intent_seq
FROM b JOIN enotify.batch_domain d ON d.batch_id = b.id JOIN enotify.domain k ON k.id = d.domain_id LEFT JOIN enotify.site s ON s.id = k.site_id
WHERE d.intent_seq < d.last_seq AND k.no_mail IS NULL
ORDER BY b.place`

// Ahead lists the batches that have the turn before a batch, in the order of their
// turns, with the recipients they have not tried. For a batch not yet submitted, that
// is every batch.
func (r Reader) Ahead(ctx context.Context, batch int64) ([]Ahead, error) {
	var all []Ahead
	var id int64
	var later bool
	var notBefore time.Time
	var c SiteCount
	err := r.each(ctx, []any{&id, &later, &notBefore, &c.Domain, &c.Site, &c.N}, func() {
		if len(all) == 0 || all[len(all)-1].Batch != id {
			all = append(all, Ahead{Batch: id})
			if later {
				all[len(all)-1].NotBefore = notBefore
			}
		}
		last := &all[len(all)-1]
		last.Domains = append(last.Domains, c)
	}, aheadSQL, batch)
	return all, err
}
