package queue

import "time"

// A mailbox that was full FullReplies times, over at least fullSpan, and took
// nothing in between, is left alone for fullPause. After fullSpell without
// such a reply the count begins anew. Whether the reply is 4yz or 5yz says
// more of the receiver than of the mailbox (RFC 3463 §3.3): both count.
const (
	FullReplies = 5
	fullSpan    = 3 * 24 * time.Hour
	fullSpell   = 30 * 24 * time.Hour
	fullPause   = 30 * 24 * time.Hour
)

// What is not newer than the last one has been counted.
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
