package events

import (
	"context"

	"github.com/jackc/pgx/v5"

	"enotify/queue"
)

// A Store holds the events and webhooks of a database.
type Store struct{ db *queue.DB }

// Of is the store in a database.
func Of(db *queue.DB) Store { return Store{db} }

func (s Store) inTx(ctx context.Context, f func(tx pgx.Tx) error) error {
	return pgx.BeginTxFunc(ctx, s.db.Pool(), pgx.TxOptions{IsoLevel: pgx.ReadCommitted}, f)
}
