package queue

import (
	"context"
	"time"
)

// A TokenKey signs return paths and unsubscribe addresses.
type TokenKey struct {
	ID     string
	Secret []byte
}

const tokenKeysSQL = `
SELECT id, secret FROM enotify.token_key WHERE retired_at IS NULL ORDER BY created_at DESC, id DESC`

// TokenKeys returns the keys in use, the newest first. When there is none, it
// makes the first. It takes a member of enotify_sender.
func (db *DB) TokenKeys(ctx context.Context) ([]TokenKey, error) {
	keys, err := Collect[TokenKey](ctx, db, tokenKeysSQL)
	if err != nil || len(keys) > 0 {
		return keys, err
	}
	if _, err := db.pool.Exec(ctx, `SELECT enotify.make_token_key(true)`); err != nil {
		return nil, AsRefusal(err)
	}
	return Collect[TokenKey](ctx, db, tokenKeysSQL)
}

// A KeyState is the public part of a TokenKey. The key signs while SignedUntil is nil,
// and what it signed is valid until it is retired.
type KeyState struct {
	ID         string     `json:"id"`
	Since      time.Time  `json:"since"`
	SignedTill *time.Time `json:"signed_until"` // nil: it signs
	RetiredAt  *time.Time `json:"retired_at"`   // nil: it verifies
}

const keyStatesSQL = `
SELECT id, created_at, lead(created_at) OVER (ORDER BY created_at, id), retired_at
FROM enotify.token_key ORDER BY created_at DESC, id DESC`

// TokenKeyStates lists all keys, newest first.
func (db *DB) TokenKeyStates(ctx context.Context) ([]KeyState, error) {
	return Collect[KeyState](ctx, db, keyStatesSQL)
}

// TokenKeyState finds a key. The error wraps [ErrNotFound] when there is none.
func (db *DB) TokenKeyState(ctx context.Context, id string) (KeyState, error) {
	states, err := db.TokenKeyStates(ctx)
	if err != nil {
		return KeyState{}, err
	}
	for _, k := range states {
		if k.ID == id {
			return k, nil
		}
	}
	return KeyState{}, NotFound(NounTokenKey, id)
}

// RotateTokenKey adds a key, which signs from now on, and returns its name.
// Earlier keys verify until they are retired.
func (db *DB) RotateTokenKey(ctx context.Context) (id string, err error) {
	err = db.pool.QueryRow(ctx, `SELECT enotify.make_token_key()`).Scan(&id)
	return id, AsRefusal(err)
}

// RetireTokenKey makes everything that a key signed invalid. It returns since when: the key
// may have been retired before. The key that signs cannot be retired.
func (db *DB) RetireTokenKey(ctx context.Context, id string) (since time.Time, err error) {
	err = db.pool.QueryRow(ctx, `SELECT enotify.retire_token_key($1)`, id).Scan(&since)
	return since, AsRefusal(err)
}
