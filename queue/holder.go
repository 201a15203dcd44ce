package queue

import (
	"context"
	"errors"
	"fmt"
	"io"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
)

// A Holder is an application that has shown a token. What it does is done as the
// token's login: enotify.my_login() finds that login by the key, for one transaction,
// and the transaction has the rights of enotify_app alone where it can. The functions are those
// that the application would call by SQL, so the checks are too.
//
// This gives no login further rights: a key that belongs to no token is refused, a token is
// never an operator's, and a session that sets the key by SQL must know the token.
type Holder struct {
	db  *DB
	key string
}

// Holder returns the application that has shown the token with a key.
func (db *DB) Holder(key string) Holder { return Holder{db, key} }

// ErrToken says that a token is not accepted, or no longer.
var ErrToken = errors.New("the token is not accepted")

// The owner of the schema need not be a member of enotify_app: its rights on tables
// stay then, and what the functions and views show is still what the key opens.
const actSQL = `
SELECT set_config('role', CASE WHEN pg_has_role(session_user, 'enotify_app', 'MEMBER') THEN 'enotify_app'
  ELSE current_setting('role') END, true),
       set_config('enotify.token', $1, true), enotify.my_login()`

// act runs f in a transaction of the holder's.
func (h Holder) act(ctx context.Context, f func(tx pgx.Tx) error) error {
	err := h.db.inTx(ctx, func(tx pgx.Tx) error {
		if _, err := tx.Exec(ctx, actSQL, h.key); err != nil { // my_login() refuses a key that opens nothing
			return fmt.Errorf("act as an application: %w", err)
		}
		return f(tx)
	})
	var no *pgconn.PgError
	if errors.As(err, &no) && no.Code == "28000" { // invalid_authorization_specification, of my_login()
		return ErrToken
	}
	return AsRefusal(err)
}

// Create is [DB.Create], and returns the batch as it stands then. Repeated when the batch is
// no draft any more, it does not make it a ready one.
func (h Holder) Create(ctx context.Context, d Draft) (made Created, s Status, err error) {
	ready := d.Ready
	d.Ready = false
	err = h.act(ctx, func(tx pgx.Tx) error {
		if made, err = create(ctx, tx, d); err != nil {
			return err
		}
		if s, err = status(ctx, tx, made.ID); err != nil || !ready || s.State != "draft" {
			return err
		}
		_, err = tx.Exec(ctx, keepReadySQL, made.ID, true)
		return err
	})
	return made, s, err
}

// Stage adds recipients to a draft, all or none, from lines of [AppendRow].
func (h Holder) Stage(ctx context.Context, batch int64, rows io.Reader) (n int, err error) {
	err = h.act(ctx, func(tx pgx.Tx) error {
		n, err = copyRows(ctx, tx, batch, rows)
		return err
	})
	return n, err
}

// Submit is [DB.Submit]; with expected it submits nothing unless so many recipients
// are staged.
func (h Holder) Submit(ctx context.Context, batch int64, expected *int) (s Status, err error) {
	err = h.act(ctx, func(tx pgx.Tx) error {
		var n int
		if err := tx.QueryRow(ctx, submitSQL, batch, expected).Scan(&n); err != nil {
			return err
		}
		s, err = status(ctx, tx, batch)
		return err
	})
	return s, err
}

// Status finds a batch of the holder's clients.
func (h Holder) Status(ctx context.Context, batch int64) (s Status, err error) {
	err = h.act(ctx, func(tx pgx.Tx) error {
		s, err = status(ctx, tx, batch)
		return err
	})
	return s, err
}

const mayActSQL = `
SELECT pg_has_role('enotify_app', 'MEMBER') OR pg_has_role(nspowner, 'MEMBER') FROM pg_namespace
  WHERE nspname = 'enotify'`

// MayAct reports whether the login of db may act for holders: it is a member of
// enotify_app, or the owner of the schema.
func (db *DB) MayAct(ctx context.Context) (may bool, err error) {
	err = db.pool.QueryRow(ctx, mayActSQL).Scan(&may)
	return may, err
}
