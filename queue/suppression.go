package queue

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"
)

// A Suppression is an address that is never sent to.
type Suppression struct {
	Address string     `json:"address"` // lower case, domain in A-labels; of a forgotten address a keyed hash
	Client  string     `json:"client"`  // the client it holds for; "" for all
	Cause   string     `json:"cause"`   // no_such_user, mailbox_full, complaint, unsubscribe or operator
	Until   *time.Time `json:"until"`   // ends by itself then; nil: stays until removed
	AddedAt time.Time  `json:"added_at"`
	AddedBy string     `json:"added_by"` // login
	BatchID *int64     `json:"batch"`    // whose reply caused it
	Note    string     `json:"note"`     // the reply, or the operator's words
}

// Forgotten reports whether a keyed hash stands in place of the address, which means
// nothing in another database.
func (s *Suppression) Forgotten() bool { return strings.HasPrefix(s.Address, "hmac:") }

const suppressionsSQL = `
SELECT s.address, coalesce(c.domain, '') AS client, s.cause, s.until, s.added_at, s.added_by::text, s.batch_id, s.note
FROM enotify.suppression s LEFT JOIN enotify.client c ON c.id = s.client_id
WHERE (s.until IS NULL OR s.until > now()) AND ($1 = '' OR s.client_id IS NULL OR c.domain = $1)
  AND strpos(s.address, lower($2)) > 0
ORDER BY s.added_at DESC, s.address, client LIMIT nullif($3, 0)`

// Suppressions lists the suppressions in force whose address contains match, newest
// first; with a client, the ones that hold for it: its own and those for all clients.
// Limit 0 is no limit.
func (db *DB) Suppressions(ctx context.Context, client, match string, limit int) ([]Suppression, error) {
	if client != "" {
		c, err := db.Client(ctx, client)
		if err != nil {
			return nil, err
		}
		client = c.Domain
	}
	rows, err := db.pool.Query(ctx, suppressionsSQL, client, match, limit)
	if err != nil {
		return nil, AsRefusal(err)
	}
	found, err := pgx.CollectRows(rows, pgx.RowToStructByName[Suppression])
	return found, AsRefusal(err)
}

const mailboxSQL = `SELECT lower(m), coalesce(enotify.mailbox_problem(m), '') FROM (SELECT enotify.mailbox($1) AS m) s`

// Address returns an address as suppressions have it.
func (db *DB) Address(ctx context.Context, address string) (normal string, err error) {
	var problem string
	if err := db.pool.QueryRow(ctx, mailboxSQL, address).Scan(&normal, &problem); err != nil {
		return "", AsRefusal(err)
	}
	if problem != "" {
		return "", fmt.Errorf("%q is no address: %s", address, problem)
	}
	return normal, nil
}

// A suppression for good by a receiver or a reader stays. One that would have ended,
// or that an operator made, is replaced.
const addSuppressionSQL = `
INSERT INTO enotify.suppression AS s (address, client_id, cause, until, note)
VALUES ($1, (SELECT id FROM enotify.client WHERE domain = $2), 'operator', $3, $4)
ON CONFLICT (address, client_id) DO UPDATE
SET cause = excluded.cause, until = excluded.until, note = excluded.note, added_at = now(), added_by = session_user,
  batch_id = NULL, seq = NULL
WHERE s.until IS NOT NULL OR s.cause = 'operator'`

// Suppress adds an address for an operator, for one client or with "" for all. The
// error wraps ErrExists when it is suppressed for good already.
func (db *DB) Suppress(ctx context.Context, s Suppression) (address string, err error) {
	if address, err = db.Address(ctx, s.Address); err != nil {
		return "", err
	}
	if s.Client != "" {
		c, err := db.Client(ctx, s.Client)
		if err != nil {
			return "", err
		}
		s.Client = c.Domain
	}
	tag, err := db.pool.Exec(ctx, addSuppressionSQL, address, s.Client, s.Until, s.Note)
	if err == nil && tag.RowsAffected() == 0 {
		err = &Problem{Noun: NounSuppression, Name: address, Err: ErrExists}
	}
	return address, AsRefusal(err)
}

const (
	releaseAddressSQL = `
DELETE FROM enotify.suppression s
WHERE s.address = ANY (ARRAY[$1, enotify.hashed_address($1)])
  AND s.client_id IS NOT DISTINCT FROM (SELECT c.id FROM enotify.client c WHERE c.domain = $2)`
	elsewhereSQL = `
SELECT coalesce(c.domain, '') FROM enotify.suppression s LEFT JOIN enotify.client c ON c.id = s.client_id
WHERE s.address = ANY (ARRAY[$1, enotify.hashed_address($1)]) ORDER BY 1 LIMIT 1`
)

// Release removes the suppression of an address: that for one client, or with "" that
// for all. The error wraps ErrNotFound when there is none.
func (db *DB) Release(ctx context.Context, address, client string) (normal string, err error) {
	if normal, err = db.Address(ctx, address); err != nil {
		return "", err
	}
	if client != "" {
		c, err := db.Client(ctx, client)
		if err != nil {
			return "", err
		}
		client = c.Domain
	}
	tag, err := db.pool.Exec(ctx, releaseAddressSQL, normal, client)
	if err != nil {
		return "", AsRefusal(err)
	}
	if tag.RowsAffected() > 0 {
		return normal, nil
	}
	p := &Problem{Noun: NounSuppression, Name: normal, Err: ErrNotFound, Client: client}
	var other string
	switch err := db.pool.QueryRow(ctx, elsewhereSQL, normal).Scan(&other); {
	case err == nil:
		p.Elsewhere = &other
	case !errors.Is(err, pgx.ErrNoRows):
		return "", AsRefusal(err)
	}
	return "", p
}
