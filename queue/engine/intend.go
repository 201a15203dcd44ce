package engine

import (
	"context"
	"encoding/json"
	"errors"
	"time"

	"github.com/jackc/pgx/v5"

	"enotify/queue"
)

// A lane is what waits for one recipient domain: first tries of a batch that is
// sending or draining, or retries of any batch that are due. Recipients whose first try was
// put off before it began are due as retries are, in a lane of their own: it takes its turn
// in the domain as first tries do.
type lane struct {
	batch     int64
	domainID  int32
	domain    string
	site      string // "": not known yet
	grp       int16
	waiting   int
	priority  int // of the batch
	retry     bool
	putOff    bool // of a retry lane: what was put off, and not tried yet
	parkings  int  // see lanes.park
	served    int  // the later messages of it began last, the higher; see lanes.serve
	deferring bool // it is in deferrals
}

// exclusive reports whether no other batch may be sent to the domain meanwhile.
func (l *lane) exclusive() bool { return !l.retry || l.putOff }

// urgent reports whether the lane goes before others: its batch has a priority
// above the ordinary.
func (l *lane) urgent() bool { return l.priority > 0 }

const lanesSQL = `
SELECT d.batch_id, d.domain_id, k.name, coalesce(s.name, ''), d.grp, d.last_seq - d.intent_seq, false
FROM enotify.batch_domain d CROSS JOIN LATERAL ` + domainSQL + ` LEFT JOIN LATERAL ` + siteSQL + ` ON true
WHERE d.batch_id = $1 AND d.intent_seq < d.last_seq AND d.grp = ANY ($2)
ORDER BY d.last_seq - d.intent_seq DESC`

// lanes lists the domains of the batch that have untried recipients, in the
// given groups, the longest first: it ends last.
func (db *store) lanes(ctx context.Context, batch int64, grps []int16) ([]lane, error) {
	return db.collectLanes(ctx, false, lanesSQL, batch, grps)
}

const retryLanesSQL = `
SELECT d.batch_id, d.domain_id, k.name, coalesce(s.name, ''), d.grp, d.n, d.put_off FROM (
SELECT t.batch_id, t.domain_id, t.grp, count(*)::int AS n, t.class IS NOT DISTINCT FROM 'not_begun' AS put_off
FROM enotify.retry t JOIN enotify.batch b ON b.id = t.batch_id
WHERE t.intent_at IS NULL AND t.due_at <= now() AND t.grp = ANY ($1) AND b.expires_at > now()
  AND b.id IN (SELECT o.id FROM enotify.batch o
    WHERE o.finished_at IS NULL AND o.state IN ('sending', 'draining', 'retrying'))
GROUP BY t.batch_id, t.domain_id, t.grp, put_off) d
CROSS JOIN LATERAL ` + domainSQL + ` LEFT JOIN LATERAL ` + siteSQL + ` ON true`

// retryLanes lists the domains that have retries due, in the given groups.
func (db *store) retryLanes(ctx context.Context, grps []int16) ([]lane, error) {
	return db.collectLanes(ctx, true, retryLanesSQL, grps)
}

func (db *store) collectLanes(ctx context.Context, retry bool, sql string, args ...any) ([]lane, error) {
	rows, err := db.pool.Query(ctx, sql, args...)
	if err != nil {
		return nil, err
	}
	return pgx.CollectRows(rows, func(row pgx.CollectableRow) (lane, error) {
		l := lane{retry: retry}
		return l, row.Scan(&l.batch, &l.domainID, &l.domain, &l.site, &l.grp, &l.waiting, &l.putOff)
	})
}

// A pick is a number of messages of a lane that may begin now.
type pick struct {
	*lane
	n     int
	epoch int64          // of the lease under which it was picked
	from  []*address     // that they leave from
	leave []queue.Egress // the same, for the handler
	costs []cost         // what each of them counts against
}

// A picked recipient has its intent in the database: it may be sent to.
type picked struct {
	batch      int64
	seq        int32
	domainID   int32
	address    string
	data       json.RawMessage
	attempts   int          // so far, without tries that do not count
	tries      int          // so far
	class      *queue.Class // of the suppression, if any
	suppressed *string      // why it must not be sent to; nil: it may
	started    time.Time    // when the batch took the turn; only of small batches
	counted    bool         // replies of the address are counted, see table counted_reply
}

// One statement moves the intents of the chosen domains and reads their ranges by
// primary key. Its fences: the batch is sending or draining; the caller holds the
// lease, in the same epoch, and it has not run out; the guard lets the caller's
// addresses send for the client; the plan of the client allows it. Where messages are
// limited, the statement counts them.
//
// The domains are few among those of a batch, so each is found by its key. The planner
// cannot know that: it takes an array for ten rows and knows nothing of a table that was
// not analysed, and read all domains of a batch to move a few. Three conditions that hold
// for every row have it count on one row: those on n and grp, and that the question
// about the leases is no join.
const intendSQL = intendMovedSQL + intendReadSQL

const intendMovedSQL = `
WITH want AS (
	SELECT * FROM unnest($2::int[], $3::int[], $4::smallint[], $5::bigint[]) w (domain_id, n, grp, epoch)
	WHERE w.n > 0 AND w.grp >= 0 AND ((w.grp, w.epoch) IN (
		SELECT l.grp, l.epoch FROM enotify.lease l WHERE l.node_id = $6 AND l.until > clock_timestamp())) IS TRUE
), allowed AS MATERIALIZED (
	SELECT b.client_id FROM enotify.batch b
	WHERE b.id = $1 AND b.state IN ('sending', 'draining', 'retrying') AND b.expires_at > now()
	  AND (SELECT enotify.may_begin($6))
	  AND (SELECT enotify.may_send($6, x.client_id, enotify.batch_pool(x.pool, x.priority, x.client_id))
	    FROM enotify.batch x WHERE x.id = $1)
	  AND (SELECT enotify.may_take($1, (SELECT sum(n) FROM want)::bigint))
	  ` + noCosts + `
), moved AS (
	UPDATE enotify.batch_domain d SET intent_seq = d.intent_seq + w.n
	FROM want w CROSS JOIN allowed b
	WHERE d.batch_id = $1 AND d.domain_id = w.domain_id AND d.grp = w.grp AND d.intent_seq + w.n <= d.last_seq
`

// countMovedSQL counts first tries for the quotas of clients: moved has, of each
// watermark, the client and its intent_seq before and after.
const countMovedSQL = `
), counted AS (
	INSERT INTO enotify.client_sent AS s (client_id, day, n)
	SELECT c.id, (now() AT TIME ZONE c.zone)::date, sum(m.upto - m.before) FROM moved m
		JOIN enotify.client c ON c.id = m.client_id
	WHERE c.per_day IS NOT NULL OR c.per_month IS NOT NULL GROUP BY c.id
	ON CONFLICT (client_id, day) DO UPDATE SET n = s.n + excluded.n`

const intendReadSQL = `
	RETURNING d.domain_id, d.intent_seq - w.n AS before, d.intent_seq AS upto, b.client_id` + countMovedSQL + `
)
SELECT $1::bigint, r.seq, r.domain_id, r.address, r.data, 0, 0, ` + suppressedSQL + `, ` + countedSQL + `
FROM moved b CROSS JOIN LATERAL (
	SELECT r.*, lower(r.address) AS lower FROM enotify.recipient r WHERE r.batch_id = $1 AND r.seq > b.before
		AND r.seq <= b.upto OFFSET 0 -- by primary key, whatever the planner thinks of sizes
) r`

// suppressedSQL is the class and the reason where a recipient r of a client b is suppressed,
// else NULL. What suppressed() does takes 3 µs, so it is asked only where it may find
// something: where the address has a suppression of any client, or was forgotten, or any
// address that was forgotten is suppressed. LIMIT has one row read by its index; EXISTS
// would read the whole table once where the planner takes it for a small one.
const suppressedSQL = `CASE WHEN r.address = '' OR (SELECT EXISTS (SELECT FROM enotify.hash_key))
	OR (SELECT true FROM enotify.suppression s WHERE s.address = r.lower LIMIT 1)
	THEN (SELECT ARRAY[s.class::text, s.reply] FROM enotify.suppressed(r.address, b.client_id) s) END`

// countedSQL is whether replies of a recipient r are counted.
const countedSQL = `coalesce((SELECT true FROM enotify.counted_reply f WHERE f.address = r.lower LIMIT 1), false)`

// One more fence: no batch that goes before this one has untried recipients in the
// domain.
const intendBehindSQL = intendMovedSQL + `
	  AND NOT EXISTS (SELECT FROM enotify.batch e JOIN enotify.batch_domain o ON o.batch_id = e.id
	                  WHERE e.id = ANY ($7) AND e.state IN ('sending', 'draining', 'retrying')
	                    AND o.domain_id = w.domain_id AND o.intent_seq < o.last_seq)` + intendReadSQL

const intendRetriesSQL = `
WITH want AS (
	SELECT * FROM unnest($1::bigint[], $2::int[], $3::int[], $4::smallint[], $5::bigint[]) w (batch_id, domain_id, n,
		grp, epoch)
), allowed AS MATERIALIZED (
	SELECT b.id FROM enotify.batch b
	WHERE b.id = ANY ($1) AND b.state IN ('sending', 'draining', 'retrying') AND b.expires_at > now()
		AND enotify.may_send($6, b.client_id, enotify.batch_pool(b.pool, b.priority, b.client_id))
		AND (SELECT enotify.may_begin($6))
	  AND enotify.window_allows(b.client_id, b.priority, b.send_window)
	  ` + noCosts + `
), due AS (
	SELECT t.batch_id, t.seq FROM want w JOIN allowed a ON a.id = w.batch_id CROSS JOIN LATERAL (
		SELECT t.batch_id, t.seq FROM enotify.retry t
		JOIN enotify.lease l ON l.grp = w.grp AND l.node_id = $6 AND l.epoch = w.epoch AND l.until > clock_timestamp()
		WHERE t.batch_id = w.batch_id AND t.domain_id = w.domain_id AND t.grp = w.grp AND t.intent_at IS NULL
			AND t.due_at <= now() AND (t.class IS NOT DISTINCT FROM 'not_begun') = $7
		ORDER BY t.due_at LIMIT w.n
	) t
), moved AS (
	UPDATE enotify.retry t SET intent_at = now() FROM due WHERE t.batch_id = due.batch_id AND t.seq = due.seq
		AND t.intent_at IS NULL
	RETURNING t.batch_id, t.seq, t.attempts, t.tries
)
SELECT r.batch_id, r.seq, r.domain_id, r.address, r.data, m.attempts, m.tries, ` + suppressedSQL + `, ` + countedSQL + `
FROM moved m JOIN enotify.batch b ON b.id = m.batch_id CROSS JOIN LATERAL (
	SELECT r.*, lower(r.address) AS lower FROM enotify.recipient r WHERE r.batch_id = m.batch_id AND r.seq = m.seq OFFSET 0
) r`

// beginIntendSQL is the lock of intend, and has the server keep one plan of its statement.
// After the statistics of a table became known, PostgreSQL took the plan that it had kept
// for dearer than those of before, and planned every intent: for 2 to 5 ms.
const beginIntendSQL = `
SELECT enotify.lock_nodes(VARIADIC $1::int[]), set_config('plan_cache_mode', 'force_generic_plan', true)`

// intend writes the intents of the picks and returns their recipients: all of a
// pick, or none where a fence stopped it. First tries must all be of one batch. Of
// retries either all were put off, or none was.
// The batches before go before that one where they have the same domain.
//
// The lock lets a takeover wait for this transaction, see adopt. With limited, a
// second lock has the intents of the client counted one after the other.
func (db *store) intend(
	ctx context.Context, node int32, picks []pick, before []int64, limited bool,
) (got []picked, mark int64, err error) {
	var batches []int64
	var domains, counts []int32
	var grps []int16
	var epochs []int64
	for _, p := range picks {
		batches = append(batches, p.batch)
		domains = append(domains, p.domainID)
		counts = append(counts, int32(p.n))
		grps = append(grps, p.grp)
		epochs = append(epochs, p.epoch)
	}
	var b pgx.Batch
	b.Queue(beginIntendSQL, []int32{node})
	b.Queue(queue.MarkSQL, node, intents)
	limited = limited && !picks[0].retry
	if limited {
		b.Queue(`SELECT enotify.lock_quota($1)`, batches[0])
	}
	sql, args := intendSQL, []any{any(batches[0]), domains, counts, grps, epochs, node}
	switch {
	case picks[0].retry:
		sql, args = intendRetriesSQL, []any{batches, domains, counts, grps, epochs, node, picks[0].putOff}
	case len(before) > 0:
		sql, args = intendBehindSQL, append(args, before)
	}
	if costs := costsOf(picks); len(costs.addrs) > 0 {
		sql, args = costs.fence(sql, args)
	}
	b.Queue(sql, args...)
	results := db.pool.SendBatch(ctx, &b)
	defer results.Close()
	if _, err := results.Exec(); err != nil {
		return nil, 0, err
	}
	if err := scanMark(results.QueryRow(), &mark); err != nil {
		return nil, 0, err
	}
	if limited {
		if _, err := results.Exec(); err != nil {
			return nil, 0, err
		}
	}
	rows, err := results.Query()
	if err != nil {
		return nil, 0, err
	}
	got = make([]picked, 0, count(picks))
	var p picked
	var why []*string
	into := []any{&p.batch, &p.seq, &p.domainID, &p.address, &p.data, &p.attempts, &p.tries, nil, &p.counted}
	for rows.Next() {
		into[7] = nil
		if rows.RawValues()[7] != nil {
			into[7] = &why
		}
		p = picked{} // else a value that is NULL stays as it was
		if err := rows.Scan(into...); err != nil {
			rows.Close()
			return nil, 0, err
		}
		if into[7] != nil && len(why) == 2 {
			p.class, p.suppressed = (*queue.Class)(why[0]), why[1]
		}
		got = append(got, p)
	}
	if err := rows.Err(); err != nil {
		return nil, 0, err
	}
	if err := results.Close(); err != nil { // the commit: only after it may anything begin
		return nil, 0, err
	}
	return got, mark, nil
}

// scanMark reads the number of a transaction; a node that the database does not
// know has none.
func scanMark(row pgx.Row, mark *int64) error {
	if err := row.Scan(mark); !errors.Is(err, pgx.ErrNoRows) {
		return err
	}
	return nil
}
