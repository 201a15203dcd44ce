package engine

import (
	"context"
	"fmt"
	"net/netip"
	"time"

	"github.com/jackc/pgx/v5"

	"enotify/queue"
)

const (
	// longClosure is how long a destination is closed at least before recipients
	// are deferred for it: a slow one is tried again within a minute.
	longClosure = time.Minute

	maxDeferral = 20_000 // recipients deferred in one statement

	// gather is how long deferrals wait for others: hosts that refuse every connection are
	// found one by one, and a transaction for each costs more than what it writes.
	gather = 200 * time.Millisecond
	// maxGather is gather while many messages begin. Writing deferrals takes from those what a
	// message takes, and keeps nobody else waiting: the batch is not through yet anyway.
	maxGather = 5 * time.Second
)

// A deferral is a number of recipients of a lane that are deferred without asking
// the receiver, since it takes nothing from us.
type deferral struct {
	*lane
	n     int
	epoch int64
	wait  time.Duration // from when they are written
	queue.Closure
	ours bool       // our addresses put them off, and not the site
	by   netip.Addr // whose warm-up does; invalid: something else
}

// deferrals holds the deferrals that pick has found. It belongs to the loop.
type deferrals struct {
	all   []deferral
	n     int       // recipients
	since time.Time // when the first was found
	due   time.Time // when they are written; zero: there are none
}

// room is how many recipients of a lane may be added.
func (d *deferrals) room(l *lane) int {
	if l.deferring {
		return 0
	}
	return min(l.waiting, maxDeferral-d.n)
}

func (d *deferrals) add(one deferral, now time.Time) {
	one.deferring = true
	d.all = append(d.all, one)
	if d.n += one.n; d.due.IsZero() {
		d.since, d.due = now, now.Add(gather)
	}
}

// began notes that many messages begin.
func (d *deferrals) began(now time.Time) {
	if len(d.all) == 0 {
		return
	}
	d.due = now.Add(gather)
	if latest := d.since.Add(maxGather); d.due.After(latest) {
		d.due = latest
	}
}

// ripe reports whether the deferrals are to be written now.
func (d *deferrals) ripe(now time.Time) bool {
	return len(d.all) > 0 && (d.n >= maxDeferral || !now.Before(d.due))
}

// take empties it.
func (d *deferrals) take() []deferral {
	all := d.all
	*d = deferrals{}
	for i := range all {
		all[i].deferring = false
	}
	return all
}

// standing returns the deferrals of found that still hold. Since they were found, messages
// of a lane may have begun, or its site may have opened.
func (v *serving) standing(found []deferral, now time.Time) []deferral {
	rest := found[:0]
	for _, d := range found {
		d.n = min(d.n, d.waiting)
		closed := true
		if d.ours {
			d.wait = d.Until.Sub(now)
		} else {
			d.Closure, d.wait, closed = v.closed(d.domain, now)
		}
		if closed && d.n > 0 {
			rest = append(rest, d)
		}
	}
	return rest
}

// closed reports whether a domain is closed to us for longer than the first
// retry would wait, or so that each try would fail at once, and for how long its
// untried recipients are then deferred, with the reply that closed it. That costs
// no attempt, and the turn goes on to recipients that can be sent to.
func (v *serving) closed(domain string, now time.Time) (c queue.Closure, wait time.Duration, closed bool) {
	if c = v.Admission.Closure(domain, now); c.Class == "" {
		return c, 0, false
	}
	first := v.Schedule.Backoff(1, 0.5)
	long := max(first, longClosure)
	wait = c.Until.Sub(now)
	closed = c.Certain || wait > long || !c.Since.IsZero() && now.Sub(c.Since) > long
	return c, max(first, wait), closed
}

// jitter spreads recipients that are deferred together, as a retry would be.
func (v *serving) jitter() time.Duration {
	return v.Schedule.Backoff(1, 1) - v.Schedule.Backoff(1, 0.5)
}

// shut notes how many recipients of a lane to defer, if its domain is closed.
func (v *serving) shut(l *lane, epoch int64, now time.Time) {
	n := v.deferrals.room(l)
	if n == 0 {
		return
	}
	if _, _, closed := v.closed(l.domain, now); closed {
		v.deferrals.add(deferral{lane: l, n: n, epoch: epoch}, now)
	}
}

// Fenced as an intent is. Intent and deferral are one statement, so that a crash
// leaves none of these recipients in doubt.
const (
	deferWantSQL = `
WITH allowed AS MATERIALIZED (
	SELECT b.id FROM enotify.batch b
	WHERE b.id = ANY ($2) AND b.state IN ('sending', 'draining', 'retrying') AND b.expires_at > now()
		AND enotify.may_send($1, b.client_id, enotify.batch_pool(b.pool, b.priority, b.client_id))
), want AS (
	SELECT w.* FROM unnest($2::bigint[], $3::int[], $4::int[], $5::smallint[], $6::bigint[], $7::interval[],
		$8::text[]::enotify.reply_class[], $9::smallint[], $10::text[], $11::text[])
	              w (batch_id, domain_id, n, grp, epoch, wait, class, code, enhanced, reply)
	JOIN allowed a ON a.id = w.batch_id
	JOIN enotify.lease l ON l.grp = w.grp AND l.epoch = w.epoch AND l.node_id = $1 AND l.until > clock_timestamp()
)`
	deferFirstSQL = deferWantSQL + `, moved AS (
	UPDATE enotify.batch_domain d SET intent_seq = d.intent_seq + w.n
	FROM want w WHERE d.batch_id = w.batch_id AND d.domain_id = w.domain_id AND d.grp = w.grp
		AND d.intent_seq + w.n <= d.last_seq
	RETURNING w.*, d.intent_seq AS upto
), put AS (
	INSERT INTO enotify.retry (batch_id, seq, domain_id, grp, due_at, first_at, attempts, tries, class, code, enhanced,
		reply)
	SELECT r.batch_id, r.seq, r.domain_id, m.grp, clock_timestamp() + m.wait + random() * $12::interval, now(), 0, 0,
		m.class, m.code, m.enhanced, m.reply
	FROM moved m CROSS JOIN LATERAL (
		SELECT * FROM enotify.recipient r WHERE r.batch_id = m.batch_id AND r.seq > m.upto - m.n
			AND r.seq <= m.upto OFFSET 0 -- by primary key, as intents are
	) r
	RETURNING batch_id, domain_id
)
SELECT batch_id, domain_id, count(*)::int FROM put GROUP BY batch_id, domain_id`
	// A recipient that has a reply keeps it.
	deferRetriesSQL = deferWantSQL + `, put AS (
	UPDATE enotify.retry t SET due_at = clock_timestamp() + d.wait + random() * $12::interval,
	       class = CASE WHEN t.class = 'not_begun' THEN d.class ELSE t.class END, code = CASE
	         WHEN t.class = 'not_begun' THEN d.code ELSE t.code END,
	       enhanced = CASE WHEN t.class = 'not_begun' THEN d.enhanced ELSE t.enhanced END, reply = CASE
	         WHEN t.class = 'not_begun' THEN d.reply ELSE t.reply END
	FROM (SELECT w.*, t.seq FROM want w CROSS JOIN LATERAL (
		SELECT t.seq FROM enotify.retry t
		WHERE t.batch_id = w.batch_id AND t.domain_id = w.domain_id AND t.grp = w.grp AND t.intent_at IS NULL
			AND t.due_at <= now() AND (t.class IS NOT DISTINCT FROM 'not_begun') = $13
		ORDER BY t.due_at LIMIT w.n
	) t) d
	WHERE t.batch_id = d.batch_id AND t.seq = d.seq AND t.intent_at IS NULL
	RETURNING t.batch_id, t.domain_id
)
SELECT batch_id, domain_id, count(*)::int FROM put GROUP BY batch_id, domain_id`
)

// deferClosed defers recipients without asking the receiver, and returns how many
// of each lane. It may be called again when it is unknown whether it committed.
func (db *store) deferClosed(
	ctx context.Context, node int32, deferrals []deferral, jitter time.Duration,
) (done map[laneKey]int, err error) {
	done = map[laneKey]int{}
	for _, of := range []struct {
		retry, putOff bool
		sql           string
	}{{false, false, deferFirstSQL}, {true, false, deferRetriesSQL}, {true, true, deferRetriesSQL}} {
		var batches, epochs []int64
		var domains, counts []int32
		var grps []int16
		var waits []time.Duration
		var classes, replies []string
		var codes []*int16
		var enhanced []*string
		for _, a := range deferrals {
			if a.retry != of.retry || a.putOff != of.putOff {
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
			args := []any{node, batches, domains, counts, grps, epochs, waits, classes, codes, enhanced, replies, jitter}
			if of.retry {
				args = append(args, of.putOff)
			}
			rows, err := tx.Query(ctx, of.sql, args...)
			if err != nil {
				return err
			}
			key, n := laneKey{retry: of.retry, putOff: of.putOff}, 0
			_, err = pgx.ForEachRow(rows, []any{&key.batch, &key.domain, &n},
				func() error { done[key] = n; return nil })
			return err
		})
		if err != nil {
			return done, fmt.Errorf("defer recipients at sites that are closed to us: %w", err)
		}
	}
	return done, nil
}

// deferClosed defers the recipients that pick has found.
func (v *serving) deferClosed(ctx context.Context) error {
	deferrals := v.standing(v.deferrals.take(), time.Now())
	if len(deferrals) == 0 {
		return nil
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), roundTrip)
	defer cancel()
	done, err := v.store.deferClosed(ctx, v.node.ID, deferrals, v.jitter())
	if err != nil {
		return err
	}
	n := 0
	for _, d := range deferrals {
		d.waiting -= d.n
		if !d.retry && done[d.key()] < d.n { // stopped by a fence
			v.phase.worsen(stale)
		}
		if d.by.IsValid() { // perhaps it has had room again since they were found, and putOn did not see them
			v.egress.waitsFor(d.by, d.batch)
		}
		n += done[d.key()]
	}
	if n > 0 {
		v.log.Info("deferred recipients at sites that are closed to us",
			"recipients", n, "domains", len(done), "next", "enotify destination list")
		v.Wake() // perhaps everyone was tried
	}
	return nil
}
