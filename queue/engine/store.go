package engine

import (
	"context"
	"errors"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/pgxpool"

	"enotify/queue"
)

// A store has the SQL that only the engine runs. Its methods stand with the
// step that calls them.
type store struct {
	pool *pgxpool.Pool
}

func newStore(db *queue.DB) *store { return &store{pool: db.Pool()} }

// inTx runs f in a transaction, read committed.
func (db *store) inTx(ctx context.Context, f func(tx pgx.Tx) error) error {
	return pgx.BeginTxFunc(ctx, db.pool, pgx.TxOptions{IsoLevel: pgx.ReadCommitted}, f)
}

// inLightTx is inTx for what may be lost by a crash of the server: its commit does not wait for
// the disk. An intent that rests on it does, and writes it to the disk before itself.
func (db *store) inLightTx(ctx context.Context, f func(tx pgx.Tx) error) error {
	return pgx.BeginTxFunc(ctx, db.pool, pgx.TxOptions{
		BeginQuery: `BEGIN ISOLATION LEVEL READ COMMITTED; SET LOCAL synchronous_commit = off`}, f)
}

// shortWaitSQL is for steps that move batches. An application that replaces the
// content of a batch locks it until its transaction ends: the step gives up, the
// other batches go on, and the next heartbeat tries again.
const shortWaitSQL = `SET LOCAL lock_timeout = '200ms'`

// locked reports whether a step gave up since somebody has locked what it needs.
func locked(err error) bool {
	var no *pgconn.PgError
	return errors.As(err, &no) && no.Code == "55P03" // lock_not_available
}

// execShort runs a statement in a transaction of its own that waits for no lock
// for long.
func (db *store) execShort(ctx context.Context, sql string, args ...any) (tag pgconn.CommandTag, err error) {
	err = db.inTx(ctx, func(tx pgx.Tx) error {
		if _, err := tx.Exec(ctx, shortWaitSQL); err != nil {
			return err
		}
		tag, err = tx.Exec(ctx, sql, args...)
		return err
	})
	return tag, err
}

// orNull has the zero value stored as NULL.
func orNull[T comparable](v T) *T {
	var zero T
	if v == zero {
		return nil
	}
	return &v
}

const installationSQL = `SELECT installation::text FROM enotify.era`

// installation identifies the database.
func (db *store) installation(ctx context.Context) (id string, err error) {
	err = db.pool.QueryRow(ctx, installationSQL).Scan(&id)
	return id, err
}
