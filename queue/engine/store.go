package engine

import (
	"context"

	"github.com/jackc/pgx/v5"
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

// orNull has the zero value stored as NULL.
func orNull[T comparable](v T) *T {
	var zero T
	if v == zero {
		return nil
	}
	return &v
}
