package engine

import (
	"context"
	"fmt"
	"time"

	"enotify/queue"

	"github.com/jackc/pgx/v5"
)

const (
	// longClosure is how long a destination is closed at least before anybody is
	// put aside: a slow one is tried again within a minute.
	longClosure = time.Minute

	maxAside = 20_000 // recipients put aside in one statement
)

// An aside is a number of recipients of a lane that are to be put aside.
type aside struct {
	*lane
	n     int
	epoch int64
	wait  time.Duration
	queue.Closure
}

// closed says whether a domain is closed to us for longer than the first retry
// would wait, and how long whoever was not tried yet is then put aside:
// deferred, with the reply that closed it. That costs no attempt, and the turn
// goes on to those who can be sent to.
func (v *serving) closed(domain string, now time.Time) (c queue.Closure, wait time.Duration, closed bool) {
	if c = v.Admission.Closure(domain, now); c.Class == "" {
		return c, 0, false
	}
	first := v.Schedule.Backoff(1, 0.5)
	long := max(first, longClosure)
	wait = c.Until.Sub(now)
	closed = wait > long || !c.Since.IsZero() && now.Sub(c.Since) > long
	return c, max(first, wait), closed
}

// jitter spreads those that are put aside together, as a retry would be.
func (v *serving) jitter() time.Duration {
	return v.Schedule.Backoff(1, 1) - v.Schedule.Backoff(1, 0.5)
}

// shut notes whom of a lane to put aside, if its domain is closed.
func (v *serving) shut(l *lane, epoch int64, now time.Time) {
	n := l.waiting
	if l.retry {
		n = l.untried
	}
	if n = min(n, maxAside-v.aside); n == 0 {
		return
	}
	if c, wait, closed := v.closed(l.domain, now); closed {
		v.asides = append(v.asides, aside{l, n, epoch, wait, c})
		v.aside += n
	}
}

// Fenced as an intent is. It is written in the statement that defers them: a
// crash leaves nobody of them in doubt.
const (
	asideWantSQL = `
WITH allowed AS MATERIALIZED (
	SELECT b.id FROM enotify.batch b
	WHERE b.id = ANY ($2) AND (b.state IN ('sending', 'draining') OR $13 AND b.state = 'retrying') AND b.expires_at > now() AND enotify.may_send($1, b.client_id)
), want AS (
	SELECT w.* FROM unnest($2::bigint[], $3::int[], $4::int[], $5::smallint[], $6::bigint[], $7::interval[], $8::text[]::enotify.reply_class[], $9::smallint[], $10::text[], $11::text[])
	              w (batch_id, domain_id, n, grp, epoch, wait, class, code, enhanced, reply)
	JOIN allowed a ON a.id = w.batch_id
	JOIN enotify.lease l ON l.grp = w.grp AND l.epoch = w.epoch AND l.node_id = $1 AND l.until > clock_timestamp()
)`
	asideFirstSQL = asideWantSQL + `, moved AS (
	UPDATE enotify.batch_domain d SET intent_seq = d.intent_seq + w.n
	FROM want w WHERE d.batch_id = w.batch_id AND d.domain_id = w.domain_id AND d.grp = w.grp AND d.intent_seq + w.n <= d.last_seq
	RETURNING w.*, d.intent_seq AS upto
), put AS (
	INSERT INTO enotify.retry (batch_id, seq, domain_id, grp, due_at, first_at, attempts, tries, class, code, enhanced, reply)
	SELECT r.batch_id, r.seq, r.domain_id, m.grp, clock_timestamp() + m.wait + random() * $12::interval, now(), 0, 0, m.class, m.code, m.enhanced, m.reply
	FROM moved m CROSS JOIN LATERAL (
		SELECT * FROM enotify.recipient r WHERE r.batch_id = m.batch_id AND r.seq > m.upto - m.n AND r.seq <= m.upto OFFSET 0 -- by primary key, as intents are
	) r
	RETURNING batch_id, domain_id
)
SELECT batch_id, domain_id, count(*)::int FROM put GROUP BY batch_id, domain_id`
	// Of those that wait in retry, who was requeued, or was to be sent to and was not.
	asideRetriesSQL = asideWantSQL + `, put AS (
	UPDATE enotify.retry t SET due_at = clock_timestamp() + d.wait + random() * $12::interval, class = d.class, code = d.code, enhanced = d.enhanced, reply = d.reply
	FROM (SELECT w.*, t.seq FROM want w CROSS JOIN LATERAL (
		SELECT t.seq FROM enotify.retry t
		WHERE t.batch_id = w.batch_id AND t.domain_id = w.domain_id AND t.grp = w.grp AND t.intent_at IS NULL AND t.class = 'not_begun' AND t.due_at <= now()
		ORDER BY t.due_at LIMIT w.n
	) t) d
	WHERE t.batch_id = d.batch_id AND t.seq = d.seq AND t.intent_at IS NULL AND t.class = 'not_begun'
	RETURNING t.batch_id, t.domain_id
)
SELECT batch_id, domain_id, count(*)::int FROM put GROUP BY batch_id, domain_id`
)

// putAside defers recipients without asking the receiver, and returns how many
// of each lane. It may be called again when nobody knows whether it committed.
func (db *store) putAside(ctx context.Context, node int32, asides []aside, jitter time.Duration) (put map[laneKey]int, err error) {
	put = map[laneKey]int{}
	for _, of := range []struct {
		retry bool
		sql   string
	}{{false, asideFirstSQL}, {true, asideRetriesSQL}} {
		var batches, epochs []int64
		var domains, counts []int32
		var grps []int16
		var waits []time.Duration
		var classes, replies []string
		var codes []*int16
		var enhanced []*string
		for _, a := range asides {
			if a.retry != of.retry {
				continue
			}
			batches, epochs = append(batches, a.batch), append(epochs, a.epoch)
			domains, counts = append(domains, a.domainID), append(counts, int32(a.n))
			grps, waits = append(grps, a.grp), append(waits, a.wait)
			reply := a.Reply.Storable()
			classes, replies = append(classes, string(a.Class)), append(replies, reply.Text)
			codes, enhanced = append(codes, orNull(int16(reply.Code))), append(enhanced, orNull(reply.Enhanced))
		}
		if len(batches) == 0 {
			continue
		}
		err := db.inTx(ctx, func(tx pgx.Tx) error {
			if _, err := tx.Exec(ctx, lockNodesSQL, []int32{node}); err != nil { // see intend
				return err
			}
			rows, err := tx.Query(ctx, of.sql, node, batches, domains, counts, grps, epochs, waits, classes, codes, enhanced, replies, jitter, of.retry)
			if err != nil {
				return err
			}
			key, n := laneKey{retry: of.retry}, 0
			_, err = pgx.ForEachRow(rows, []any{&key.batch, &key.domain, &n}, func() error { put[key] = n; return nil })
			return err
		})
		if err != nil {
			return put, fmt.Errorf("put aside who waits for a site that is closed: %w", err)
		}
	}
	return put, nil
}

// putAside does so with those that pick has found.
func (v *serving) putAside(ctx context.Context) error {
	if len(v.asides) == 0 {
		return nil
	}
	asides := v.asides
	v.asides, v.aside = nil, 0
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), roundTrip)
	defer cancel()
	put, err := v.store.putAside(ctx, v.id, asides, v.jitter())
	if err != nil {
		return err
	}
	n := 0
	for _, a := range asides {
		if a.retry {
			a.untried -= a.n
		} else {
			a.waiting -= a.n
		}
		v.stale = v.stale || put[a.key()] < a.n && !a.retry // stopped by a fence
		n += put[a.key()]
	}
	if n > 0 {
		v.log.Info("put aside who waits for sites that are closed to us", "recipients", n, "domains", len(put), "next", "enotify destination list")
		v.Wake() // perhaps everyone was tried
	}
	return nil
}
