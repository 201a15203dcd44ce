package queue

import (
	"context"
	"crypto/rand"

	"github.com/jackc/pgx/v5"
)

// A TokenKey signs return paths and unsubscribe addresses.
type TokenKey struct {
	ID     string
	Secret []byte
}

const (
	tokenLock    = 0x656e6f746b6579 // "enotkey"
	tokenKeysSQL = `SELECT id, secret FROM enotify.token_key WHERE retired_at IS NULL ORDER BY created_at DESC, id DESC`
	// The name is the next number: a short one keeps tokens short.
	addTokenKeySQL = `INSERT INTO enotify.token_key (id, secret) SELECT (count(*) + 1)::text, $1 FROM enotify.token_key`
)

// TokenKeys returns the keys in use, the newest first. When there is none, it
// makes the first.
func (db *DB) TokenKeys(ctx context.Context) ([]TokenKey, error) {
	keys, err := tokenKeys(ctx, db.pool)
	if err != nil || len(keys) > 0 {
		return keys, err
	}
	err = db.inTx(ctx, func(tx pgx.Tx) error {
		if _, err := tx.Exec(ctx, `SELECT pg_advisory_xact_lock($1)`, tokenLock); err != nil {
			return err
		}
		if keys, err = tokenKeys(ctx, tx); err != nil || len(keys) > 0 {
			return err
		}
		if err := addTokenKey(ctx, tx); err != nil {
			return err
		}
		keys, err = tokenKeys(ctx, tx)
		return err
	})
	return keys, err
}

// RotateTokenKey adds a key, which signs from now on. Those before it verify
// until they are retired.
func (db *DB) RotateTokenKey(ctx context.Context) error {
	return db.inTx(ctx, func(tx pgx.Tx) error {
		if _, err := tx.Exec(ctx, `SELECT pg_advisory_xact_lock($1)`, tokenLock); err != nil {
			return err
		}
		return addTokenKey(ctx, tx)
	})
}

func addTokenKey(ctx context.Context, tx pgx.Tx) error {
	secret := make([]byte, 32)
	_, _ = rand.Read(secret) // never fails
	_, err := tx.Exec(ctx, addTokenKeySQL, secret)
	return err
}

func tokenKeys(ctx context.Context, q querier) ([]TokenKey, error) {
	rows, err := q.Query(ctx, tokenKeysSQL)
	if err != nil {
		return nil, err
	}
	return pgx.CollectRows(rows, pgx.RowToStructByPos[TokenKey])
}
