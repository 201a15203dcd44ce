package queue

import (
	"context"
	"errors"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
)

// putOff has what the results do to their addresses done later, by [DB.SuppressDue]: another
// transaction has locked one of the addresses. It is part of the transaction of the outcomes
// too, so that none is lost.
func (p *suppressing) putOff(b *pgx.Batch) {
	due := func(c *columns, s Suppresses) {
		b.Queue(putOffSQL, c.batch, c.seq, c.at, c.reply, c.class, s.Replies, s.Over, s.Forget, s.For)
	}
	if len(p.atOnce.batch) > 0 {
		due(&p.atOnce, Suppresses{Replies: 1})
	}
	for _, s := range p.kinds() {
		due(p.repeated[s], s)
	}
}

const putOffSQL = `
INSERT INTO enotify.suppression_due (batch_id, seq, at, reply, class, replies, span, forget, lasts)
SELECT *, $6, $7, $8, $9
FROM unnest($1::bigint[], $2::int[], $3::timestamptz[], $4::text[], $5::text[]::enotify.reply_class[])`

// due is a row of suppression_due.
type due struct {
	ID      int64
	Batch   int64
	Seq     int32
	At      time.Time
	Reply   string
	Class   string
	Replies int
	Over    time.Duration
	Forget  time.Duration
	For     time.Duration
}

func (d *due) suppressing() (p suppressing) {
	c := columns{batch: []int64{d.Batch}, seq: []int32{d.Seq}, at: []time.Time{d.At}, reply: []string{d.Reply},
		class: []*string{&d.Class}}
	if d.Replies == 1 {
		p.atOnce = c
	} else {
		p.repeated = map[Suppresses]*columns{{Replies: d.Replies, Over: d.Over, Forget: d.Forget, For: d.For}: &c}
	}
	return p
}

const (
	anyDueSQL  = `SELECT EXISTS (SELECT FROM enotify.suppression_due)`
	takeDueSQL = `
DELETE FROM enotify.suppression_due WHERE id = (
	SELECT id FROM enotify.suppression_due WHERE id > $1 ORDER BY id LIMIT 1 FOR UPDATE SKIP LOCKED
) RETURNING id, batch_id, seq, at, reply, class::text, replies, span, forget, lasts`
)

// dueWaits is for how many locked addresses SuppressDue waits.
const dueWaits = 3

// SuppressDue does what recorded replies still have to do to their addresses, which another
// transaction had locked then, each in a transaction of its own. It returns how many are
// done. Those whose addresses are still locked stay due.
func (db *DB) SuppressDue(ctx context.Context) (done int, err error) {
	var some bool
	if err := db.pool.QueryRow(ctx, anyDueSQL).Scan(&some); err != nil || !some {
		return 0, AsRefusal(err)
	}
	var d due
	for waited := 0; waited < dueWaits; {
		err := db.inTx(ctx, func(tx pgx.Tx) error {
			rows, err := tx.Query(ctx, takeDueSQL, d.ID)
			if err != nil {
				return err
			}
			if d, err = pgx.CollectExactlyOneRow(rows, pgx.RowToStructByPos[due]); err != nil {
				return err
			}
			var b pgx.Batch
			p := d.suppressing()
			p.queue(&b)
			return tx.SendBatch(ctx, &b).Close()
		})
		locked := (*pgconn.PgError)(nil)
		switch {
		case err == nil:
			done++
		case errors.Is(err, pgx.ErrNoRows):
			return done, nil
		case errors.As(err, &locked) && locked.Code == "55P03": // lock_not_available
			waited++
		default:
			return done, AsRefusal(err)
		}
	}
	return done, nil
}
