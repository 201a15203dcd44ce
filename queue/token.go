package queue

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"
)

// A Token lets an application that cannot speak SQL enqueue as a login, over HTTP.
type Token struct {
	ID        int32      `json:"id"`
	Login     string     `json:"login"`
	Note      string     `json:"note"`
	CreatedAt time.Time  `json:"created_at"`
	CreatedBy string     `json:"created_by"`
	RetiredAt *time.Time `json:"retired_at"`
}

// A TokenCheck is a key in the form that the database keeps: whoever reads it can
// tell whether a key is right, and has none.
type TokenCheck [sha256.Size]byte

// TokenKeyOf is the key of a token, which stands for it in the database's memory and
// logs: a token itself never gets there.
func TokenKeyOf(token string) (key string, check TokenCheck) {
	sum := sha256.Sum256([]byte(token))
	key = hex.EncodeToString(sum[:])
	return key, sha256.Sum256([]byte(key))
}

const (
	tokensSQL = `
SELECT id, login::text, note, created_at, created_by::text, retired_at FROM enotify.token ORDER BY id`
	addTokenSQL    = `INSERT INTO enotify.token (login, hash, note) VALUES ($1, $2, $3) RETURNING id`
	retireTokenSQL = `UPDATE enotify.token SET retired_at = coalesce(retired_at, now()) WHERE id = $1`
	tokenChecksSQL = `SELECT hash, id FROM enotify.token WHERE retired_at IS NULL`
	operatorSQL    = `
SELECT pg_has_role(oid, 'enotify_admin', 'MEMBER') OR pg_has_role(oid, 'enotify_sender', 'MEMBER')
    OR pg_has_role(oid, (SELECT nspowner FROM pg_namespace WHERE nspname = 'enotify'), 'MEMBER')
FROM pg_roles WHERE rolname = $1`
)

// Tokens lists all tokens.
func (db *DB) Tokens(ctx context.Context) ([]Token, error) { return Collect[Token](ctx, db, tokensSQL) }

// AddToken adds a token of an application's login.
func (db *DB) AddToken(ctx context.Context, login, note string, check TokenCheck) (id int32, err error) {
	err = db.inTx(ctx, func(tx pgx.Tx) error {
		if err := mayEnqueue(ctx, tx, login); err != nil {
			return err
		}
		return AsRefusal(tx.QueryRow(ctx, addTokenSQL, login, check[:], note).Scan(&id))
	})
	return id, err
}

// mayEnqueue refuses logins that belong to no application.
func mayEnqueue(ctx context.Context, tx pgx.Tx, login string) error {
	var canLogin, member, operator bool
	err := tx.QueryRow(ctx, loginSQL, login).Scan(&canLogin, &member)
	if err == nil {
		err = tx.QueryRow(ctx, operatorSQL, login).Scan(&operator)
	}
	switch {
	case errors.Is(err, pgx.ErrNoRows):
		return NotFound(NounLogin, login)
	case err != nil:
		return AsRefusal(err)
	case !canLogin:
		return fmt.Errorf("role %s cannot log in; name the login of the application, not a group", login)
	case operator:
		return &Problem{Noun: NounLogin, Name: login, Err: ErrOperator}
	case !member:
		return &Problem{Noun: NounLogin, Name: login, Err: ErrNotApp}
	}
	return nil
}

// RetireToken has a token refused from now on.
func (db *DB) RetireToken(ctx context.Context, id int32) error {
	tag, err := db.pool.Exec(ctx, retireTokenSQL, id)
	if err == nil && tag.RowsAffected() == 0 {
		return NotFound(NounToken, id)
	}
	return AsRefusal(err)
}

// TokenChecks lists the tokens that are accepted, by their checks, with their
// numbers.
func (db *DB) TokenChecks(ctx context.Context) (map[TokenCheck]int32, error) {
	rows, err := db.pool.Query(ctx, tokenChecksSQL)
	if err != nil {
		return nil, err
	}
	checks := map[TokenCheck]int32{}
	var hash []byte
	var id int32
	_, err = pgx.ForEachRow(rows, []any{&hash, &id}, func() error { checks[TokenCheck(hash)] = id; return nil })
	return checks, err
}
