package queue

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strconv"

	"github.com/jackc/pgx/v5"
)

// A Sample is one recipient of a batch, whose message somebody wants to see.
type Sample struct {
	Seq     int32 // 0 while the batch is a draft
	Address string
	Data    json.RawMessage // nil: none
}

const (
	sealedSQL = `
SELECT r.seq, r.address, r.data FROM enotify.recipient r
WHERE r.batch_id = $1 AND ($2::int IS NULL OR r.seq = $2)
  AND ($3::text IS NULL OR lower(r.address) = lower(enotify.mailbox($3)))
ORDER BY r.seq LIMIT 1`
	stagedSQL = `
SELECT 0, coalesce(enotify.mailbox(r.address), ''), r.data FROM enotify.recipient_in r
WHERE r.batch_id = $1 AND ($3::text IS NULL OR lower(enotify.mailbox(r.address)) = lower(enotify.mailbox($3)))
ORDER BY r.ctid OFFSET greatest(coalesce($2::int, 1), 1) - 1 LIMIT 1`
)

// Recipient finds a recipient of a batch: by number, from 1, by address, or, with
// who "", the first one. Those of a draft are in the order in which they were
// staged. The error wraps ErrNotFound when there is none.
func (db *DB) Recipient(ctx context.Context, batch int64, who string) (s Sample, err error) {
	status, err := db.Status(ctx, batch)
	if err != nil {
		return s, err
	}
	sql := sealedSQL
	if status.State == "draft" {
		sql = stagedSQL
	}
	var n *int64
	var address *string
	if number, err := strconv.ParseInt(who, 10, 32); err == nil {
		n = &number
	} else if who != "" {
		address = &who
	}
	err = db.pool.QueryRow(ctx, sql, batch, n, address).Scan(&s.Seq, &s.Address, &s.Data)
	switch {
	case errors.Is(err, pgx.ErrNoRows) && status.PrunedAt != nil:
		return s, fmt.Errorf("the recipients of batch %d were pruned: %w", batch, ErrNotFound)
	case errors.Is(err, pgx.ErrNoRows) && who == "":
		return s, fmt.Errorf("batch %d has no recipients yet: %w", batch, ErrNotFound)
	case errors.Is(err, pgx.ErrNoRows):
		return s, fmt.Errorf("batch %d has no recipient %s: %w; give a number from 1 to its total, or an address", batch, who,
			ErrNotFound)
	}
	return s, AsRefusal(err)
}

const asMailboxSQL = `
SELECT coalesce(enotify.mailbox($1), ''), coalesce(enotify.mailbox_problem(enotify.mailbox($1)), '')`

// Mailbox returns an address as the database has it, or an error that says why
// it is none.
func (db *DB) Mailbox(ctx context.Context, address string) (mailbox string, err error) {
	var problem string
	if err := db.pool.QueryRow(ctx, asMailboxSQL, address).Scan(&mailbox, &problem); err != nil {
		return "", AsRefusal(err)
	}
	if problem != "" {
		return "", fmt.Errorf("%q is no mailbox: %s", address, problem)
	}
	return mailbox, nil
}
