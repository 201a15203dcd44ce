package queue

import (
	"cmp"
	"maps"
	"slices"

	"github.com/jackc/pgx/v5"
)

// suppressing sorts results by what they do to their addresses.
type suppressing struct {
	atOnce   columns
	repeated map[Suppresses]*columns
}

// add takes in a result. A reply of a class that is final counts only when it
// was: a site that wants the message once more has not given the address up.
func (p *suppressing) add(r *Result, t Treatment) {
	s := t.Suppresses
	switch {
	case t.Final && r.State != Bounced:
	case s.Replies == 1:
		p.atOnce.add(r)
	case s.Replies > 1:
		if p.repeated == nil {
			p.repeated = map[Suppresses]*columns{}
		}
		if p.repeated[s] == nil {
			p.repeated[s] = &columns{}
		}
		p.repeated[s].add(r)
	}
}

func (p *suppressing) empty() bool { return len(p.atOnce.batch) == 0 && len(p.repeated) == 0 }

// queue adds the statements, to be run in the transaction of the outcomes. They wait for no
// lock for long: an operator may have an address in an open transaction.
func (p *suppressing) queue(b *pgx.Batch) {
	if p.empty() {
		return
	}
	b.Queue(lockTimeoutSQL, "500ms")
	defer func() { b.Queue(lockTimeoutSQL, "0") }()
	if c := &p.atOnce; len(c.batch) > 0 {
		b.Queue(suppressSQL, c.batch, c.seq, c.reply, c.class)
	}
	for _, s := range p.kinds() {
		c := p.repeated[s]
		b.Queue(countReplySQL, c.batch, c.seq, c.at, c.class, s.Forget)
		b.Queue(suppressRepeatedSQL, c.batch, c.seq, c.reply, c.class, s.Replies, s.Over, s.For)
	}
}

// kinds lists the rules of repeated replies in one order, in which all transactions lock.
func (p *suppressing) kinds() []Suppresses {
	return slices.SortedFunc(maps.Keys(p.repeated), func(a, b Suppresses) int {
		return cmp.Or(cmp.Compare(a.Replies, b.Replies), cmp.Compare(a.For, b.For))
	})
}

// SET is no statement that a pipeline without BEGIN may hold.
const lockTimeoutSQL = `SELECT set_config('lock_timeout', $1, true)`

// A suppression for good outlasts one that would have ended.
const suppressSQL = `
INSERT INTO enotify.suppression AS s (address, client_id, cause, batch_id, seq, note)
SELECT DISTINCT ON (lower(r.address)) lower(r.address), NULL::int, f.cause, r.batch_id, r.seq, f.note
FROM unnest($1::bigint[], $2::int[], $3::text[], $4::text[]) f (batch_id, seq, note, cause)
JOIN enotify.recipient r ON r.batch_id = f.batch_id AND r.seq = f.seq AND r.address <> ''
ORDER BY lower(r.address)
ON CONFLICT (address, client_id) DO UPDATE
SET cause = excluded.cause, until = NULL, batch_id = excluded.batch_id, seq = excluded.seq, note = excluded.note,
  added_at = now(), added_by = session_user
WHERE s.until IS NOT NULL`

// Replies no newer than the last counted one are skipped.
const countReplySQL = `
INSERT INTO enotify.counted_reply AS c (address, class, first_at, last_at, replies)
SELECT lower(r.address), f.class, min(f.at), max(f.at), count(*)
FROM unnest($1::bigint[], $2::int[], $3::timestamptz[], $4::text[]::enotify.reply_class[]) f (batch_id, seq, at, class)
JOIN enotify.recipient r ON r.batch_id = f.batch_id AND r.seq = f.seq AND r.address <> ''
GROUP BY 1, 2 ORDER BY 1, 2
ON CONFLICT (address, class) DO UPDATE SET
	first_at = CASE WHEN c.last_at < excluded.first_at - $5::interval THEN excluded.first_at ELSE c.first_at END,
	replies = CASE WHEN c.last_at < excluded.first_at - $5::interval THEN 0 ELSE c.replies END + excluded.replies,
	last_at = excluded.last_at
WHERE c.last_at < excluded.last_at`

const suppressRepeatedSQL = `
WITH ripe AS (
	DELETE FROM enotify.counted_reply c
	USING unnest($1::bigint[], $2::int[], $3::text[], $4::text[]::enotify.reply_class[]) f (batch_id, seq, reply,
		class), enotify.recipient r
	WHERE r.batch_id = f.batch_id AND r.seq = f.seq AND c.address = lower(r.address) AND c.class = f.class
	  AND c.replies >= $5 AND c.last_at - c.first_at >= $6::interval
	RETURNING c.address, c.class, c.replies, c.first_at, c.last_at, r.batch_id, r.seq, f.reply
)
INSERT INTO enotify.suppression AS s (address, client_id, cause, until, batch_id, seq, note)
SELECT DISTINCT ON (address) address, NULL::int, class::text, last_at + nullif($7::interval, '0'), batch_id, seq,
       format('said %s times since %s: %s', replies, to_char(first_at, 'YYYY-MM-DD'), reply)
FROM ripe ORDER BY address
ON CONFLICT (address, client_id) DO UPDATE
SET cause = excluded.cause, until = excluded.until, batch_id = excluded.batch_id, seq = excluded.seq,
  note = excluded.note, added_at = now(), added_by = session_user
WHERE s.until <= now() OR s.until IS NOT NULL AND excluded.until IS NULL`

// It writes only for recipients with counted replies; any other delivery costs nothing here.
const takenSQL = `
DELETE FROM enotify.counted_reply c
USING unnest($1::bigint[], $2::int[]) f (batch_id, seq), enotify.recipient r
WHERE r.batch_id = f.batch_id AND r.seq = f.seq AND c.address = lower(r.address)`
