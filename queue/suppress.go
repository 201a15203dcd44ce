package queue

import "github.com/jackc/pgx/v5"

// suppressing sorts results by what they do to their addresses.
type suppressing struct {
	atOnce   columns
	repeated map[Suppresses]*columns
}

// add takes in a result whose reply suppresses by s. One reply is enough only
// when it was final; of those that are counted every one is.
func (p *suppressing) add(r *Result, s Suppresses) {
	switch {
	case s.Replies == 1 && r.State == Bounced:
		p.atOnce.add(r)
	case s.Replies > 1 && r.Class == MailboxFull: // the others are not counted yet, and so suppress nobody
		if p.repeated == nil {
			p.repeated = map[Suppresses]*columns{}
		}
		if p.repeated[s] == nil {
			p.repeated[s] = &columns{}
		}
		p.repeated[s].add(r)
	}
}

// queue adds the statements, to be run in the transaction of the outcomes.
func (p *suppressing) queue(b *pgx.Batch) {
	if c := &p.atOnce; len(c.batch) > 0 {
		b.Queue(suppressSQL, c.batch, c.seq, c.reply, c.class)
	}
	for s, c := range p.repeated {
		b.Queue(countFullSQL, c.batch, c.seq, c.at, s.Forget)
		b.Queue(suppressFullSQL, c.batch, c.seq, c.reply, s.Replies, s.Over, s.For)
	}
}

// A suppression for good outlasts one that would have ended.
const suppressSQL = `
INSERT INTO enotify.suppression AS s (address, client_id, cause, batch_id, seq, note)
SELECT DISTINCT ON (lower(r.address)) lower(r.address), NULL::int, f.cause, r.batch_id, r.seq, f.note
FROM unnest($1::bigint[], $2::int[], $3::text[], $4::text[]) f (batch_id, seq, note, cause)
JOIN enotify.recipient r ON r.batch_id = f.batch_id AND r.seq = f.seq
ORDER BY lower(r.address)
ON CONFLICT (address, client_id) DO UPDATE
SET cause = excluded.cause, until = NULL, batch_id = excluded.batch_id, seq = excluded.seq, note = excluded.note, added_at = now(), added_by = session_user
WHERE s.until IS NOT NULL`

// Replies no newer than the last counted one are skipped.
const countFullSQL = `
INSERT INTO enotify.full_mailbox AS m (address, first_at, last_at, replies)
SELECT lower(r.address), min(f.at), max(f.at), count(*)
FROM unnest($1::bigint[], $2::int[], $3::timestamptz[]) f (batch_id, seq, at)
JOIN enotify.recipient r ON r.batch_id = f.batch_id AND r.seq = f.seq
GROUP BY 1 ORDER BY 1
ON CONFLICT (address) DO UPDATE SET
	first_at = CASE WHEN m.last_at < excluded.first_at - $4::interval THEN excluded.first_at ELSE m.first_at END,
	replies = CASE WHEN m.last_at < excluded.first_at - $4::interval THEN 0 ELSE m.replies END + excluded.replies,
	last_at = excluded.last_at
WHERE m.last_at < excluded.last_at`

const suppressFullSQL = `
WITH ripe AS (
	DELETE FROM enotify.full_mailbox m
	USING unnest($1::bigint[], $2::int[], $3::text[]) f (batch_id, seq, reply), enotify.recipient r
	WHERE r.batch_id = f.batch_id AND r.seq = f.seq AND m.address = lower(r.address)
	  AND m.replies >= $4 AND m.last_at - m.first_at >= $5::interval
	RETURNING m.address, m.replies, m.first_at, m.last_at, r.batch_id, r.seq, f.reply
)
INSERT INTO enotify.suppression AS s (address, client_id, cause, until, batch_id, seq, note)
SELECT address, NULL, 'mailbox_full', last_at + $6::interval, batch_id, seq,
       format('full %s times since %s: %s', replies, to_char(first_at, 'YYYY-MM-DD'), reply)
FROM ripe ORDER BY address
ON CONFLICT (address, client_id) DO UPDATE
SET cause = excluded.cause, until = excluded.until, batch_id = excluded.batch_id, seq = excluded.seq, note = excluded.note, added_at = now(), added_by = session_user
WHERE s.until <= now()`

// Only of recipients who were known to be full when they were read: a delivery costs nothing else.
const emptiedSQL = `
DELETE FROM enotify.full_mailbox m
USING unnest($1::bigint[], $2::int[]) f (batch_id, seq), enotify.recipient r
WHERE r.batch_id = f.batch_id AND r.seq = f.seq AND m.address = lower(r.address)`
