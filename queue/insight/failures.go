package insight

import (
	"context"
	"time"

	"enotify/queue"
)

// A Said is the last reply about a recipient that the message was not delivered to.
type Said struct {
	Class    queue.Class
	Deferred bool   // not given up
	Domain   string // "" when the batch was pruned
	Code     int    // 0: the receiver said nothing
	Enhanced string
	Text     string
}

// Scope chooses the recipients; its zero value is all of them.
type Scope struct {
	Client string    // domain; "" is all
	Batch  int64     // 0 is all
	Since  time.Time // of the reply
}

// Beside years of older batches it reads those of the time alone, each of three kinds by
// an index, and of their outcomes those that were refused.
const refusalsOfSQL = `
WITH recent AS (
	SELECT id FROM enotify.batch WHERE finished_at IS NULL AND state <> 'draft' AND ($2::bigint = 0 OR id = $2)
	UNION SELECT id FROM enotify.batch WHERE finished_at >= $3 AND ($2 = 0 OR id = $2)
	UNION SELECT batch_id FROM enotify.report WHERE received_at >= $3 AND ($2 = 0 OR batch_id = $2)
), scope AS (
	SELECT b.id FROM recent t JOIN enotify.batch b ON b.id = t.id JOIN enotify.client c ON c.id = b.client_id
	WHERE $1 IN ('', c.domain)
), said AS (
	SELECT o.batch_id, o.seq, o.class, false AS deferred, o.code, o.enhanced, o.reply
	FROM scope s CROSS JOIN LATERAL (
		SELECT * FROM enotify.outcome o WHERE o.batch_id = s.id AND o.state IN ('bounced', 'expired')
			AND o.at >= $3 OFFSET 0) o
	UNION ALL
	SELECT t.batch_id, t.seq, t.class, true, t.code, t.enhanced, t.reply
	FROM scope s JOIN enotify.retry t ON t.batch_id = s.id WHERE t.class <> 'not_begun'
)
SELECT coalesce(s.class::text, 'other'), s.deferred, coalesce(d.name, ''), coalesce(s.code, 0)::int,
  coalesce(s.enhanced, ''), coalesce(s.reply, '')
FROM said s
LEFT JOIN LATERAL (SELECT r.domain_id FROM enotify.recipient r WHERE r.batch_id = s.batch_id
  AND r.seq = s.seq OFFSET 0) r ON true -- OFFSET: one by one; few are refused, and hashing all costs more
LEFT JOIN enotify.domain d ON d.id = r.domain_id`

// Refusals calls each with the last reply about every recipient in scope, in no
// order. There may be millions.
func (r Reader) Refusals(ctx context.Context, in Scope, each func(Said)) error {
	if in.Client != "" {
		c, err := r.db.Client(ctx, in.Client)
		if err != nil {
			return err
		}
		in.Client = c.Domain
	}
	if in.Batch != 0 {
		if _, err := r.db.Status(ctx, in.Batch); err != nil {
			return err
		}
	}
	var s Said
	dest := []any{&s.Class, &s.Deferred, &s.Domain, &s.Code, &s.Enhanced, &s.Text}
	return r.each(ctx, dest, func() { each(s) }, refusalsOfSQL, in.Client, in.Batch, in.Since)
}
