package queue

import (
	"context"
	"errors"
	"slices"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
)

// A Result is an outcome on its way to the database.
type Result struct {
	Batch    int64
	Seq      int32
	DomainID int32
	Try      int           // number of the try, from 1
	Attempts int           // tries that count, this one included if it does
	Wait     time.Duration // of a deferred one, from At
	At       time.Time     // by the database's clock
	Counted  bool          // replies of the address were counted when it was read, see table counted_reply
	Aside    bool          // deferred since its site is closed: there was no attempt
	Warming  bool          // it left from an address that warms up
	Outcome
}

// A transaction that counts the results of a batch, to finish it, or takes some back, to
// requeue, and the transactions that write results wait for each other.
const writeResultsSQL = `SELECT enotify.write_results(VARIADIC $1::bigint[])`

// Final outcomes are appended. A late result from a try before a requeue is ignored, unless
// the message was delivered. For a recipient whose address is forgotten no reply is kept:
// replies often quote the address.
const finishSQL = `
WITH f AS (
	SELECT batch_id, seq, f.state, f.class, f.code, f.enhanced, CASE WHEN g.at IS NULL THEN f.reply END AS reply, f.at
	FROM unnest($1::bigint[], $2::int[], $3::text[]::enotify.recipient_state[], $4::text[]::enotify.reply_class[],
		$5::smallint[], $6::text[], $7::text[], $8::timestamptz[], $9::int[]) f (batch_id, seq, state, class, code,
			enhanced, reply, at, try)
	LEFT JOIN LATERAL (SELECT t.tries FROM enotify.retry t WHERE t.batch_id = f.batch_id AND t.seq = f.seq OFFSET 0) t
		ON true -- by primary key: there may be many more rows than results
	LEFT JOIN enotify.forgotten g USING (batch_id, seq)
	WHERE t.tries IS NULL OR t.tries < f.try OR f.state = 'delivered'
), gone AS (
	DELETE FROM enotify.retry t USING f WHERE t.batch_id = f.batch_id AND t.seq = f.seq
)
INSERT INTO enotify.outcome AS o (batch_id, seq, state, class, code, enhanced, reply, at)
SELECT * FROM f ORDER BY batch_id, seq`

// When recipients have an outcome already, that one stays, except unknown, which a
// late fact replaces. ON CONFLICT costs a second WAL record for each row, so it is
// for the transaction that found such recipients.
const finishAgainSQL = finishSQL + `
ON CONFLICT (batch_id, seq) DO UPDATE
SET state = excluded.state, class = excluded.class, code = excluded.code, enhanced = excluded.enhanced,
  reply = excluded.reply, at = excluded.at
WHERE o.state = 'unknown'`

// A late result that a recipient in doubt was not delivered to brings back a batch
// that has ended. Its domains may have moved to other groups since.
const reviveSQL = `
UPDATE enotify.batch b SET state = 'queued', finished_at = NULL, requeues = requeues + 1,
  reason = 'a node reported late that it had not delivered to some recipients'
WHERE b.id = ANY ($1) AND b.state = 'done' AND b.expires_at > now() AND b.pruned_at IS NULL
  AND EXISTS (SELECT FROM unnest($1::bigint[], $2::int[]) f (batch_id, seq) JOIN enotify.outcome o USING (batch_id, seq)
    WHERE f.batch_id = b.id AND o.state = 'unknown')`

// A batch that has expired or was cancelled is not brought back: then the late result
// is final. A late result may also come after the domain moved to another group.
const deferSQL = `
WITH f AS (
	SELECT f.batch_id, f.seq, f.domain_id, f.due_at, f.attempts, f.tries, f.class, f.code, f.enhanced, f.at,
	       CASE WHEN g.at IS NULL THEN f.reply END AS reply, b.finished_at IS NULL AS open,
	         b.state = 'cancelled' AS cancelled
	FROM unnest($1::bigint[], $2::int[], $3::int[], $4::timestamptz[], $5::int[], $6::int[],
		$7::text[]::enotify.reply_class[],
		$8::smallint[], $9::text[], $10::text[], $11::timestamptz[]) f (batch_id, seq, domain_id, due_at, attempts,
			tries, class, code, enhanced, reply, at)
	JOIN enotify.batch b ON b.id = f.batch_id LEFT JOIN enotify.forgotten g ON g.batch_id = f.batch_id AND g.seq = f.seq
), known AS (
	DELETE FROM enotify.outcome o USING f WHERE f.open AND o.batch_id = f.batch_id AND o.seq = f.seq
		AND o.state = 'unknown'
), late AS (
	UPDATE enotify.outcome o SET state = CASE WHEN f.cancelled THEN 'cancelled'
		ELSE 'expired' END::enotify.recipient_state, class = f.class, code = f.code, enhanced = f.enhanced,
		reply = f.reply
	FROM f WHERE NOT f.open AND o.batch_id = f.batch_id AND o.seq = f.seq AND o.state = 'unknown'
)
INSERT INTO enotify.retry AS t (batch_id, seq, domain_id, grp, due_at, first_at, attempts, tries, class, code, enhanced,
  reply)
SELECT f.batch_id, f.seq, f.domain_id, d.grp, f.due_at, f.at, f.attempts, f.tries, f.class, f.code, f.enhanced, f.reply
FROM f JOIN enotify.batch_domain d ON d.batch_id = f.batch_id AND d.domain_id = f.domain_id
WHERE f.open AND NOT EXISTS (SELECT FROM enotify.outcome o WHERE o.batch_id = f.batch_id AND o.seq = f.seq
  AND o.state <> 'unknown')
ORDER BY f.batch_id, f.seq
ON CONFLICT (batch_id, seq) DO UPDATE SET intent_at = NULL, due_at = excluded.due_at, attempts = excluded.attempts,
	tries = excluded.tries, requeued = false, class = excluded.class, code = excluded.code,
		enhanced = excluded.enhanced, reply = excluded.reply
WHERE t.tries < excluded.tries`

const logAttemptsSQL = `
INSERT INTO enotify.attempt (batch_id, seq, n, class, code, enhanced, reply, host, at)
SELECT f.batch_id, f.seq, f.n, f.class, f.code, f.enhanced, CASE WHEN g.at IS NULL THEN f.reply END, f.host, f.at
FROM unnest($1::bigint[], $2::int[], $3::int[], $4::text[]::enotify.reply_class[], $5::smallint[], $6::text[],
  $7::text[], $8::text[], $9::timestamptz[])
	f (batch_id, seq, n, class, code, enhanced, reply, host, at)
LEFT JOIN enotify.forgotten g ON g.batch_id = f.batch_id AND g.seq = f.seq`

// A batch ends at once with its last result; where two writers have the last ones at the
// same time, the next heartbeat ends it. A batch with a recipient in doubt does not end
// here: a late result may just take the doubt back. The statement waits for no lock on the
// batch.
const endSQL = `
WITH over AS (
	SELECT b.id FROM enotify.batch b
	WHERE b.id = ANY ($1) AND b.state = 'retrying' AND b.passed_at IS NULL AND b.finished_at IS NULL
	  AND (SELECT sum(c.n) = b.total AND coalesce(sum(c.n) FILTER (WHERE c.state = 'unknown'), 0) = 0
	    FROM enotify.batch_count c WHERE c.batch_id = b.id)
	ORDER BY b.id FOR NO KEY UPDATE SKIP LOCKED
)
UPDATE enotify.batch b SET state = 'done', finished_at = now(), reason = '' FROM over WHERE b.id = over.id`

// A Mark counts the transactions that a writer of a node has committed (table
// node_mark). The zero Mark counts nothing.
type Mark struct {
	Node   int32
	Writer int16
}

// MarkSQL counts one more transaction of a writer ($2) of a node ($1), and
// returns how many there are. It inserts no row for a node that is not there.
const MarkSQL = `
INSERT INTO enotify.node_mark AS m (node_id, writer, n) SELECT n.id, $2, 1 FROM enotify.node n WHERE n.id = $1
ON CONFLICT (node_id, writer) DO UPDATE SET n = m.n + 1 RETURNING n`

// Finish records results, and what follows from them, in one transaction: one round
// trip, three for many final outcomes, and more for refusals of a client. It may be
// called again with the same results when nobody knows whether it committed.
func (db *DB) Finish(ctx context.Context, results []Result) (alerts []Alert, err error) {
	of := make([]*Result, len(results))
	for i := range results {
		of[i] = &results[i]
	}
	_, alerts, err = db.FinishMarked(ctx, Mark{}, of)
	return alerts, err
}

// FinishMarked is Finish for a writer that counts its transactions; n is their
// number now, 0 when the database does not know the node.
func (db *DB) FinishMarked(ctx context.Context, mark Mark, results []*Result) (n int64, alerts []Alert, err error) {
	var how finishing
	for {
		n, alerts, err = db.finish(ctx, mark, results, &how)
		known := (*pgconn.PgError)(nil)
		switch {
		case errors.Is(err, errNotPlain):
			how.sql = finishSQL
		case !errors.As(err, &known):
			return n, alerts, err
		case known.Code == "23505" && known.TableName == "outcome" && how.sql != finishAgainSQL:
			how.sql = finishAgainSQL
		case known.Code == "55P03" && !how.late: // lock_not_available
			how.late = true
		default:
			return n, alerts, err
		}
	}
}

// finishing is how results are recorded.
type finishing struct {
	sql  string // statement for the final outcomes; "" is COPY where it is possible and pays
	late bool   // suppressions follow later: another transaction has locked one of the addresses
}

// finish is one try of FinishMarked.
func (db *DB) finish(ctx context.Context, mark Mark, results []*Result, how *finishing) (n int64, alerts []Alert,
	err error) {
	sql := how.sql
	final := make([]*Result, 0, len(results))
	var deferred, taken, logged columns
	var refused []Result
	var suppressing suppressing
	var warmed warmed
	for _, r := range results {
		if r.State == Deferred {
			deferred.add(r)
		} else {
			final = append(final, r)
		}
		t := r.Treated()
		switch {
		case t.AsksGuard:
			refused = append(refused, *r)
		case r.State == Delivered && r.Counted:
			taken.add(r)
		}
		suppressing.add(r, t)
		warmed.add(r)
		if r.Class != NotBegun && !r.Aside && (r.State != Delivered || r.Try > 1) {
			logged.add(r)
		}
	}
	copied := sql == "" && len(refused) == 0 && copyable(final)
	if sql == "" {
		sql = finishSQL
	}
	batches := batchesOf(results)
	var b pgx.Batch
	if !copied {
		b.Queue(writeResultsSQL, batches)
	}
	if len(final) > 0 && !copied {
		c := columnsOf(final)
		b.Queue(sql, c.batch, c.seq, c.state, c.class, c.code, c.enhanced, c.reply, c.at, c.try)
	}
	if how.late {
		suppressing.putOff(&b)
	} else {
		suppressing.queue(&b)
	}
	warmed.queue(&b)
	if c := &taken; len(c.batch) > 0 {
		b.Queue(takenSQL, c.batch, c.seq)
	}
	if c := &deferred; len(c.batch) > 0 {
		b.Queue(reviveSQL, c.batch, c.seq)
		b.Queue(deferSQL, c.batch, c.seq, c.domain, c.due, c.attempts, c.try, c.class, c.code, c.enhanced, c.reply,
			c.at)
	}
	if c := &logged; len(c.batch) > 0 {
		b.Queue(logAttemptsSQL, c.batch, c.seq, c.try, c.class, c.code, c.enhanced, c.reply, c.host, c.at)
	}
	if len(final) > 0 {
		b.Queue(endSQL, batches)
	}
	if mark != (Mark{}) {
		b.Queue(MarkSQL, mark.Node, mark.Writer).QueryRow(func(row pgx.Row) error {
			if err := row.Scan(&n); !errors.Is(err, pgx.ErrNoRows) {
				return err
			}
			n = 0
			return nil
		})
	}
	if copied {
		err = db.copyFinal(ctx, final, batches, &b)
		return n, nil, err
	}
	if len(refused) == 0 {
		err = db.pool.SendBatch(ctx, &b).Close() // which sets n
		return n, nil, err
	}
	err = db.inTx(ctx, func(tx pgx.Tx) error {
		var clients []int32
		err := unlessLocked(ctx, tx, func(tx pgx.Tx) (err error) {
			clients, err = lockRefused(ctx, tx, refused)
			return err
		})
		if err != nil {
			return err
		}
		if err := tx.SendBatch(ctx, &b).Close(); err != nil {
			return err
		}
		return unlessLocked(ctx, tx, func(tx pgx.Tx) (err error) {
			alerts, err = refuse(ctx, tx, clients, refused)
			return err
		})
	})
	return n, alerts, err
}

// unlessLocked does what follows from refusals. It does nothing while another transaction
// has locked the client or one of its batches: the results of all clients are recorded
// meanwhile, and the next refusal is weighed.
func unlessLocked(ctx context.Context, tx pgx.Tx, f func(tx pgx.Tx) error) error {
	err := pgx.BeginFunc(ctx, tx, func(tx pgx.Tx) error {
		if _, err := tx.Exec(ctx, shortWaitSQL); err != nil {
			return err
		}
		if err := f(tx); err != nil {
			return err
		}
		_, err := tx.Exec(ctx, `SET LOCAL lock_timeout = 0`)
		return err
	})
	if no := (*pgconn.PgError)(nil); errors.As(err, &no) && no.Code == "55P03" { // lock_not_available
		return nil
	}
	return err
}

// batchesOf lists the batches of the results, each once.
func batchesOf(results []*Result) []int64 {
	var batches []int64
	for i, r := range results {
		if i == 0 || r.Batch != results[i-1].Batch {
			batches = append(batches, r.Batch)
		}
	}
	slices.Sort(batches)
	return slices.Compact(batches)
}

// columns holds results as arguments of unnest().
type columns struct {
	batch                      []int64
	seq, domain, try, attempts []int32
	state, reply               []string
	class, enhanced, host      []*string
	code                       []*int16
	due, at                    []time.Time
}

func columnsOf(results []*Result) (c columns) {
	for _, r := range results {
		c.add(r)
	}
	return c
}

func (c *columns) add(r *Result) {
	c.batch = append(c.batch, r.Batch)
	c.seq = append(c.seq, r.Seq)
	c.domain = append(c.domain, r.DomainID)
	c.try = append(c.try, int32(r.Try))
	c.attempts = append(c.attempts, int32(r.Attempts))
	c.state = append(c.state, string(r.State))
	c.class = append(c.class, orNull(string(r.Class)))
	c.enhanced = append(c.enhanced, orNull(r.Reply.Enhanced))
	c.host = append(c.host, orNull(r.Host))
	c.reply = append(c.reply, storable(r.Reply.Text))
	var code *int16
	if r.Reply.Code != 0 {
		code = new(int16(r.Reply.Code))
	}
	c.code = append(c.code, code)
	c.due = append(c.due, r.At.Add(r.Wait))
	c.at = append(c.at, r.At)
}

func orNull(s string) *string {
	if s == "" {
		return nil
	}
	s = storable(s)
	return &s
}

// maxReply is how much of a reply is kept, in octets.
const maxReply = 1000

// Storable returns the reply as the database can hold it.
func (r Reply) Storable() Reply {
	r.Enhanced, r.Text = storable(r.Enhanced), storable(r.Text)
	return r
}

// storable makes text that came from a receiver fit for a text column, at the
// length that is kept.
func storable(s string) string { return Text(s[:min(len(s), maxReply)]) }

// Text makes text from outside fit for a text column: UTF-8 without NUL.
func Text(s string) string {
	if utf8.ValidString(s) && strings.IndexByte(s, 0) < 0 {
		return s
	}
	return strings.ReplaceAll(strings.ToValidUTF8(s, "\uFFFD"), "\x00", "\uFFFD")
}
