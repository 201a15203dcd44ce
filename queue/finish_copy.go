package queue

import (
	"bytes"
	"cmp"
	"context"
	"encoding/binary"
	"errors"
	"slices"

	"github.com/jackc/pgx/v5"
)

// minCopy is how many final outcomes go by COPY. It takes two round trips more than a
// statement, half of its CPU for each row, and half of the WAL of the table: one
// record for a page of rows.
const minCopy = 100

// errNotPlain says that some of the recipients need finishSQL.
var errNotPlain = errors.New("a recipient was requeued or forgotten")

// COPY cannot leave a row out or change it. So it is for first tries alone, where no
// recipient was requeued (a row in retry) and no address was forgotten. It fails for
// recipients that have an outcome already.
//
// Recipients go as ranges, from the first to the last: those of a domain follow each other.
// Each range is looked up in retry by its key, with one plan for all. Otherwise PostgreSQL
// planned every statement again once a batch had a deferred recipient, and some of the plans
// read all deferred recipients.
const (
	beginPlainSQL = `SELECT enotify.write_results(VARIADIC $1::bigint[]),
  set_config('plan_cache_mode', 'force_generic_plan', true)`
	plainSQL = `
SELECT NOT (EXISTS (SELECT FROM enotify.retry t WHERE t.batch_id = ANY ($4)) AND EXISTS (
         SELECT FROM unnest($1::bigint[], $2::int[], $3::int[]) f (batch_id, first, last) CROSS JOIN LATERAL (
           SELECT FROM enotify.retry t WHERE t.batch_id = f.batch_id AND t.seq BETWEEN f.first AND f.last
           ORDER BY t.batch_id, t.seq LIMIT 1) t))
   AND NOT (EXISTS (SELECT FROM enotify.forgotten g WHERE g.batch_id = ANY ($4)) AND EXISTS (
         SELECT FROM unnest($1::bigint[], $2::int[], $3::int[]) f (batch_id, first, last) CROSS JOIN LATERAL (
           SELECT FROM enotify.forgotten g WHERE g.batch_id = f.batch_id AND g.seq BETWEEN f.first AND f.last
           ORDER BY g.batch_id, g.seq LIMIT 1) g)),
  set_config('plan_cache_mode', 'auto', true)`
)

const copyOutcomesSQL = `
COPY enotify.outcome (batch_id, seq, state, class, code, enhanced, reply, at) FROM STDIN (FORMAT binary)`

// copyable reports whether final outcomes may go by COPY.
func copyable(final []*Result) bool {
	return len(final) >= minCopy && !slices.ContainsFunc(final, func(r *Result) bool { return r.Try != 1 })
}

// copyFinal writes final outcomes, and then what else b does, in one transaction. It
// writes nothing and returns errNotPlain where finishSQL is needed.
func (db *DB) copyFinal(ctx context.Context, final []*Result, batches []int64, b *pgx.Batch) error {
	// Two transactions with the same recipients wait for each other instead of a deadlock, and the
	// index grows in one place.
	slices.SortFunc(final, func(a, b *Result) int {
		return cmp.Or(cmp.Compare(a.Batch, b.Batch), cmp.Compare(a.Seq, b.Seq))
	})
	of, firsts, lasts := rangesOf(final)
	return db.WithConn(ctx, func(conn *pgx.Conn) (err error) {
		defer func() {
			if err != nil && conn.PgConn().TxStatus() != 'I' {
				_, _ = conn.Exec(ctx, `ROLLBACK`) // else the pool closes the connection, which does the same
			}
		}()
		plain := false
		var first pgx.Batch
		first.Queue(`BEGIN ISOLATION LEVEL READ COMMITTED`)
		first.Queue(beginPlainSQL, batches)
		first.Queue(plainSQL, of, firsts, lasts, batches).QueryRow(func(row pgx.Row) error {
			return row.Scan(&plain, nil)
		})
		if err := conn.SendBatch(ctx, &first).Close(); err != nil {
			return err
		}
		if !plain {
			return errNotPlain
		}
		if _, err := conn.PgConn().CopyFrom(ctx, bytes.NewReader(binaryOf(final)), copyOutcomesSQL); err != nil {
			return err
		}
		b.Queue(`COMMIT`)
		return conn.SendBatch(ctx, b).Close()
	})
}

// rangesOf returns recipients as ranges without a gap: a batch, and its first and last
// recipient. They must be in order.
func rangesOf(final []*Result) (of []int64, firsts, lasts []int32) {
	for i, r := range final {
		if i > 0 && r.Batch == final[i-1].Batch && r.Seq <= final[i-1].Seq+1 {
			lasts[len(lasts)-1] = r.Seq
			continue
		}
		of, firsts, lasts = append(of, r.Batch), append(firsts, r.Seq), append(lasts, r.Seq)
	}
	return of, firsts, lasts
}

// year2000 is the epoch of PostgreSQL, in microseconds since 1970.
const year2000 = 946684800_000000

// binaryOf returns outcomes in COPY's binary format (COPY in PostgreSQL's reference).
func binaryOf(final []*Result) []byte {
	size := 32
	for _, r := range final {
		size += 128 + min(len(r.Reply.Text), maxReply)
	}
	be := binary.BigEndian
	text := func(to []byte, s string) []byte { return append(be.AppendUint32(to, uint32(len(s))), s...) }
	orNull := func(to []byte, s string) []byte {
		if s == "" {
			return be.AppendUint32(to, ^uint32(0)) // NULL
		}
		return text(to, storable(s))
	}
	rows := make([]byte, 0, size)
	rows = append(rows, "PGCOPY\n\xff\r\n\x00\x00\x00\x00\x00\x00\x00\x00\x00"...)
	for _, r := range final {
		rows = be.AppendUint16(rows, 8)
		rows = be.AppendUint64(be.AppendUint32(rows, 8), uint64(r.Batch))
		rows = be.AppendUint32(be.AppendUint32(rows, 4), uint32(r.Seq))
		rows = text(rows, string(r.State))
		rows = orNull(rows, string(r.Class))
		if r.Reply.Code == 0 {
			rows = be.AppendUint32(rows, ^uint32(0))
		} else {
			rows = be.AppendUint16(be.AppendUint32(rows, 2), uint16(r.Reply.Code))
		}
		rows = orNull(rows, r.Reply.Enhanced)
		rows = text(rows, storable(r.Reply.Text))
		rows = be.AppendUint64(be.AppendUint32(rows, 8), uint64(r.At.UnixMicro()-year2000))
	}
	return be.AppendUint16(rows, ^uint16(0))
}
