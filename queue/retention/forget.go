package retention

import (
	"context"
	"errors"
	"fmt"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"

	"enotify/queue"
)

// Forgotten is what was erased of an address, in rows.
type Forgotten struct {
	Address      string `json:"address"`
	Batches      int    `json:"batches"`      // that held it
	Recipients   int    `json:"recipients"`   // address and merge data
	Replies      int    `json:"replies"`      // words of receivers: outcomes, tries, deferrals
	Reports      int    `json:"reports"`      // words of mail that came back, and the mail
	Events       int    `json:"events"`       // rows of the outbox with words of receivers
	Staged       int    `json:"staged"`       // of drafts
	Suppressions int    `json:"suppressions"` // by address
	Counted      int    `json:"counted"`      // counts of replies of the address
	Texts        int    `json:"texts"`        // notes, reasons, alerts and preflight reports that named it

	Kept  int   `json:"kept"`  // suppressions that hold on under a keyed hash
	Under []int `json:"under"` // processes of applications with recipients not committed yet, which may hold it
}

// Of recipients, those of the domain alone are looked at, and invalid ones, whose
// text may hold the address in any form.
const (
	findForgottenSQL = `
SELECT x.batch_id, array_agg(DISTINCT x.seq) FROM (
	SELECT r.batch_id, r.seq FROM enotify.recipient r
	WHERE r.domain_id IN (SELECT d.id FROM enotify.domain d WHERE d.name = split_part($1, '@', -1))
		AND lower(r.address) = $1
	   OR r.domain_id IS NULL AND strpos(lower(r.address), split_part($1, '@', 1)) > 0
	     AND (lower(enotify.mailbox(r.address)) = $1 OR strpos(lower(r.address), $1) > 0)
	UNION ALL SELECT o.batch_id, o.seq FROM enotify.outcome o WHERE strpos(lower(o.reply), $1) > 0
	UNION ALL SELECT t.batch_id, t.seq FROM enotify.attempt t WHERE strpos(lower(t.reply), $1) > 0
	UNION ALL SELECT t.batch_id, t.seq FROM enotify.retry t WHERE strpos(lower(t.reply), $1) > 0
	UNION ALL SELECT p.batch_id, p.seq FROM enotify.report p WHERE strpos(lower(p.reply), $1) > 0
) x GROUP BY 1 ORDER BY 1`
	forgetInBatchSQL = `SELECT recipients, replies, reports, events FROM enotify.forget_in_batch($1, $2, $3)`
	forgetAddressSQL = `SELECT suppressions, kept, counted, staged, texts FROM enotify.forget_address($1, $2)`
	// Others that have written recipients and did not commit yet.
	underWayForgetSQL = `
SELECT coalesce(array_agg(DISTINCT l.pid), '{}') FROM pg_locks l
WHERE l.relation IN ('enotify.recipient'::regclass, 'enotify.recipient_in'::regclass) AND l.mode = 'RowExclusiveLock'
  AND l.granted
  AND l.database = (SELECT d.oid FROM pg_database d WHERE d.datname = current_database()) AND l.pid <> pg_backend_pid()`
)

// holds are the recipients of a batch in whose rows an address is.
type holds struct {
	batch int64
	seqs  []int32
}

// Held counts the batches that hold an address, which it normalises.
func (s Store) Held(ctx context.Context, address string) (normal string, batches int, err error) {
	if normal, err = s.db.Address(ctx, address); err != nil {
		return "", 0, err
	}
	found, err := s.holding(ctx, normal)
	return normal, len(found), err
}

func (s Store) holding(ctx context.Context, address string) ([]holds, error) {
	rows, err := s.db.Pool().Query(ctx, findForgottenSQL, address)
	if err != nil {
		return nil, queue.AsRefusal(err)
	}
	found, err := pgx.CollectRows(rows, func(row pgx.CollectableRow) (h holds, err error) {
		return h, row.Scan(&h.batch, &h.seqs)
	})
	return found, queue.AsRefusal(err)
}

// Forget erases an address from all batches and lists. Recipients, their states and
// all counts stay. With keep a suppression in force goes on under a keyed hash; else
// the address may be sent to when a new batch has it. Forget works batch by batch, and
// may be interrupted and called again.
func (s Store) Forget(ctx context.Context, address string, keep bool) (f Forgotten, err error) {
	if f.Address, err = s.db.Address(ctx, address); err != nil {
		return f, err
	}
	found, err := s.holding(ctx, f.Address)
	if err != nil {
		return f, err
	}
	for _, h := range found {
		var recipients, replies, reports, events int
		if err := s.db.Pool().QueryRow(ctx, forgetInBatchSQL, h.batch, h.seqs, f.Address).Scan(&recipients, &replies,
			&reports, &events); err != nil {
			return f, heldUp(err, f.Address)
		}
		if recipients+replies+reports > 0 {
			f.Batches++
		}
		f.Recipients, f.Replies, f.Reports, f.Events = f.Recipients+recipients, f.Replies+replies, f.Reports+reports,
			f.Events+events
	}
	// After the batches, whose recipients could be suppressed meanwhile.
	err = s.db.Pool().QueryRow(ctx, forgetAddressSQL, f.Address, keep).Scan(&f.Suppressions, &f.Kept, &f.Counted,
		&f.Staged, &f.Texts)
	if err != nil {
		return f, heldUp(err, f.Address)
	}
	return f, queue.AsRefusal(s.db.Pool().QueryRow(ctx, underWayForgetSQL).Scan(&f.Under))
}

// heldUp says what to do when another session did not let go of a row in time.
func heldUp(err error, address string) error {
	var no *pgconn.PgError
	if errors.As(err, &no) && no.Code == "55P03" { // lock_not_available
		return fmt.Errorf("an open transaction of an application holds rows with %s; run this again when it has ended: what was erased so far stays erased", address)
	}
	return queue.AsRefusal(err)
}
