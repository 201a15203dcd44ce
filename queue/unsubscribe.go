package queue

import (
	"context"
	"errors"
	"fmt"

	"github.com/jackc/pgx/v5"
)

// An Addressee is a recipient, and the client that its mail is from.
type Addressee struct {
	Address  string // as sealed
	Client   string // domain
	FromName string // of the batch; may be ""
	Lang     string // of the batch; may be ""
}

const addresseeSQL = `
SELECT r.address, c.domain, b.from_name, b.lang
FROM enotify.recipient r JOIN enotify.batch b ON b.id = r.batch_id JOIN enotify.client c ON c.id = b.client_id
WHERE r.batch_id = $1 AND r.seq = $2 AND r.domain_id IS NOT NULL AND r.address <> ''`

// Addressee finds a recipient of a batch. The error wraps ErrNotFound when there is no
// such recipient, the batch was pruned, or the address was forgotten.
func (db *DB) Addressee(ctx context.Context, batch int64, seq int32) (a Addressee, err error) {
	return readAddressee(db.pool.QueryRow(ctx, addresseeSQL, batch, seq), batch, seq)
}

// readAddressee reads the row of addresseeSQL or turnAwaySQL.
func readAddressee(row pgx.Row, batch int64, seq int32) (a Addressee, err error) {
	err = row.Scan(&a.Address, &a.Client, &a.FromName, &a.Lang)
	return a, addresseeError(err, batch, seq)
}

func addresseeError(err error, batch int64, seq int32) error {
	if errors.Is(err, pgx.ErrNoRows) {
		return NotFound(NounRecipient, fmt.Sprintf("%d of batch %d", seq, batch))
	}
	return AsRefusal(err)
}

// A suppression by the reader replaces one by an operator, and one that would have
// ended.
const turnAwaySQL = `
WITH who AS (
	SELECT r.address, c.domain, b.client_id, b.from_name, b.lang
	FROM enotify.recipient r JOIN enotify.batch b ON b.id = r.batch_id JOIN enotify.client c ON c.id = b.client_id
	WHERE r.batch_id = $1 AND r.seq = $2 AND r.domain_id IS NOT NULL AND r.address <> ''
), said AS (
	INSERT INTO enotify.suppression AS s (address, client_id, cause, batch_id, seq, note)
	SELECT lower(address), client_id, $3, $1, $2, $4 FROM who
	ON CONFLICT (address, client_id) DO UPDATE
	SET cause = excluded.cause, until = NULL, note = excluded.note, batch_id = excluded.batch_id, seq = excluded.seq,
		added_at = now(), added_by = session_user,
		before = CASE WHEN s.cause = 'operator' AND s.until IS NULL THEN 'operator' ELSE '' END
	WHERE s.until IS NOT NULL OR s.cause = 'operator'
)
SELECT address, domain, from_name, lang FROM who`

// Unsubscribe records that a recipient of a batch wants no more mail of its client; how
// is the way, such as "one-click". It is idempotent. Batches in progress leave the
// address out from the next try on. The error wraps ErrNotFound, as Addressee's does.
func (db *DB) Unsubscribe(ctx context.Context, batch int64, seq int32, how string) (Addressee, error) {
	return turnAway(ctx, db.pool, "unsubscribe", batch, seq, how)
}

const againSQL = `SELECT r.address, c.domain, b.from_name, b.lang, enotify.subscribe_again($1, $2)
FROM enotify.recipient r JOIN enotify.batch b ON b.id = r.batch_id JOIN enotify.client c ON c.id = b.client_id
WHERE r.batch_id = $1 AND r.seq = $2 AND r.domain_id IS NOT NULL AND r.address <> ''`

// SubscribeAgain undoes Unsubscribe, and nothing else that keeps mail from the address:
// gets is whether it gets mail of the client again. The error wraps ErrNotFound, as
// Addressee's does.
func (db *DB) SubscribeAgain(ctx context.Context, batch int64, seq int32) (a Addressee, gets bool, err error) {
	err = db.pool.QueryRow(ctx, againSQL, batch, seq).Scan(&a.Address, &a.Client, &a.FromName, &a.Lang, &gets)
	return a, gets, addresseeError(err, batch, seq)
}

// Complain records that a recipient of a batch called it spam. Otherwise it does what
// Unsubscribe does.
func (db *DB) Complain(ctx context.Context, batch int64, seq int32, note string) (Addressee, error) {
	return turnAway(ctx, db.pool, "complaint", batch, seq, note)
}

type rowQuerier interface {
	QueryRow(ctx context.Context, sql string, args ...any) pgx.Row
}

// turnAway suppresses a recipient for the client of the batch alone.
func turnAway(ctx context.Context, q rowQuerier, cause string, batch int64, seq int32, note string) (Addressee, error) {
	return readAddressee(q.QueryRow(ctx, turnAwaySQL, batch, seq, cause, storable(note)), batch, seq)
}
