package insight

import (
	"context"
	"errors"
	"time"

	"github.com/jackc/pgx/v5"
)

const clientDaysSQL = `
WITH o AS (
	SELECT o.at FROM enotify.outcome o JOIN enotify.batch b ON b.id = o.batch_id
		JOIN enotify.client c ON c.id = b.client_id
	WHERE c.domain = $1 AND b.started_at > now() - interval '40 days' AND o.at > now() - interval '30 days'
		AND o.state IN ('delivered', 'bounced')
)
SELECT coalesce((SELECT max(n)::int FROM (SELECT count(*) AS n FROM o GROUP BY date_trunc('day', at)) d), 0),
       (SELECT count(*)::int FROM o WHERE at > now() - interval '1 day')`

// Volume is how much a client has sent.
type Volume struct {
	LargestDay int // most messages of a day in the last 30
	LastDay    int // in the last 24 hours
}

// Volume counts what was sent for a client.
func (r Reader) Volume(ctx context.Context, client string) (v Volume, err error) {
	err = r.row(ctx, clientDaysSQL, client)(&v.LargestDay, &v.LastDay)
	return v, err
}

const sentThereSQL = `
SELECT d.name AS domain, coalesce(s.name, '') AS site, count(*)::int AS n
FROM enotify.client c JOIN enotify.batch b ON b.client_id = c.id
JOIN enotify.batch_domain p ON p.batch_id = b.id
JOIN enotify.domain d ON d.id = p.domain_id LEFT JOIN enotify.site s ON s.id = d.site_id
JOIN enotify.outcome o ON o.batch_id = b.id AND o.seq BETWEEN p.first_seq AND p.intent_seq AND o.state = 'delivered'
  AND o.at > now() - interval '1 day'
WHERE c.domain = $1 AND b.id <> $2 AND b.started_at IS NOT NULL
  AND (b.finished_at IS NULL OR b.finished_at > now() - interval '1 day')
AND (d.name = ANY ($3) OR s.name = ANY ($4))
GROUP BY 1, 2 ORDER BY 1, 2`

// A TakenThere is how many messages a recipient domain took, and the site that serves
// it; "" when that is not known.
type TakenThere struct {
	Domain, Site string
	N            int
}

// SentThere counts, by recipient domain, what domains and sites took of a client's mail
// in the last 24 hours, without one batch.
func (r Reader) SentThere(ctx context.Context, client string, except int64, domains, sites []string) ([]TakenThere,
	error) {
	return collect[TakenThere](ctx, r, sentThereSQL, client, except, domains, sites)
}

const lastBatchesSQL = `
SELECT id, started_at, delivered + bounced, bounced FROM enotify.batch_status
WHERE client = $1 AND id <> $2 AND started_at IS NOT NULL AND delivered + bounced > 0 ORDER BY id DESC LIMIT $3`

// PastBatch is the outcome of an earlier batch.
type PastBatch struct {
	ID      int64
	At      time.Time // when it began
	Sent    int       // delivered or bounced
	Bounced int
}

// LastBatches lists a client's n most recent batches, newest first, leaving out batch
// `but`.
func (r Reader) LastBatches(ctx context.Context, client string, but int64, n int) ([]PastBatch, error) {
	return collect[PastBatch](ctx, r, lastBatchesSQL, client, but, n)
}

// A RecipientID names a recipient of a batch.
type RecipientID struct {
	Batch int64
	Seq   int32
}

const someRecipientSQL = `
SELECT r.batch_id, r.seq FROM enotify.batch b JOIN enotify.client c ON c.id = b.client_id
  JOIN enotify.recipient r ON r.batch_id = b.id AND r.seq <= b.sendable
WHERE c.domain = $1 AND NOT EXISTS (SELECT FROM enotify.suppressed(r.address, b.client_id))
  ORDER BY r.batch_id DESC, r.seq LIMIT 1`

// SomeRecipient returns a recipient of the client's latest batch that is not
// suppressed; nil when there is none.
func (r Reader) SomeRecipient(ctx context.Context, client string) (*RecipientID, error) {
	var some RecipientID
	err := r.row(ctx, someRecipientSQL, client)(&some.Batch, &some.Seq)
	if errors.Is(err, pgx.ErrNoRows) {
		return nil, nil
	}
	return &some, err
}

const suppressedNowSQL = `
SELECT EXISTS (SELECT FROM enotify.recipient r JOIN enotify.batch b ON b.id = r.batch_id
  CROSS JOIN LATERAL enotify.suppressed(r.address, b.client_id)
WHERE r.batch_id = $1 AND r.seq = $2)`

// Suppressed reports whether a recipient is suppressed by now.
func (r Reader) Suppressed(ctx context.Context, who RecipientID) (yes bool, err error) {
	err = r.row(ctx, suppressedNowSQL, who.Batch, who.Seq)(&yes)
	return yes, err
}

const bulkSinceSQL = `SELECT max(bulk_since) FROM enotify.client WHERE domain = $1`

// BulkSince is when Gmail began to hold a client to the rules for bulk senders; nil when
// it does not.
func (r Reader) BulkSince(ctx context.Context, client string) (since *time.Time, err error) {
	err = r.row(ctx, bulkSinceSQL, client)(&since)
	return since, err
}
