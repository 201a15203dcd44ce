package queue

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"
)

// A Suppressible is a row to import: an address that must not be sent to.
type Suppressible struct {
	Line    int    // in its file
	Address string // as it stands there
	Client  string // domain; "" is all
	Cause   string // of a Suppression; "" is operator
	Until   *time.Time
	Note    string
}

// A BadRow is one that cannot be imported.
type BadRow struct {
	Line    int    `json:"line"`
	Problem string `json:"problem"`
}

const (
	importTableSQL = `
CREATE TEMP TABLE suppression_in (line int, address text, client text, cause text, until timestamptz, note text)
  ON COMMIT DROP`
	badRowsSQL = `
SELECT i.line, coalesce(
	quote_nullable(i.address) || ' is no address: ' || enotify.mailbox_problem(enotify.mailbox(i.address)),
	CASE WHEN i.client <> '' AND c.id IS NULL THEN 'client ' || i.client || ' is not registered' END,
	quote_literal(i.cause) || ' is no cause: it is one of no_such_user, mailbox_full, complaint, unsubscribe, operator')
FROM pg_temp.suppression_in i LEFT JOIN enotify.client c ON c.domain = enotify.a_labels(i.client)
WHERE enotify.mailbox_problem(enotify.mailbox(i.address)) IS NOT NULL OR i.client <> '' AND c.id IS NULL
   OR i.cause <> ALL ('{no_such_user,mailbox_full,complaint,unsubscribe,operator}')
ORDER BY i.line LIMIT $1`
	importRowsSQL = `
DECLARE importing NO SCROLL CURSOR FOR
SELECT DISTINCT ON (address, client_id) * FROM (
	SELECT lower(enotify.mailbox(i.address)) AS address, c.id AS client_id, i.cause, i.until, i.note
	FROM pg_temp.suppression_in i LEFT JOIN enotify.client c ON c.domain = enotify.a_labels(i.client)
) i ORDER BY address, client_id, until DESC NULLS FIRST`
	// As when an operator adds one: a suppression for good by a receiver or a reader stays.
	importSQL = `
INSERT INTO enotify.suppression AS s (address, client_id, cause, until, note)
SELECT * FROM unnest($1::text[], $2::int[], $3::text[], $4::timestamptz[], $5::text[])
ON CONFLICT (address, client_id) DO UPDATE
SET cause = excluded.cause, until = excluded.until, note = excluded.note, added_at = now(), added_by = session_user,
  batch_id = NULL, seq = NULL
WHERE s.until IS NOT NULL OR s.cause = 'operator'`
)

// importStep is how many rows are added in one transaction. A reply or a complaint about an
// address waits for the transaction that adds it.
const importStep = 10_000

// ImportSuppressions adds the rows that next returns, until it returns false or an error.
// All rows are read and checked first: when one is bad, none is added, and the first bad
// rows are returned, up to limit. Then they are added some thousands at a time. An error
// after that says how many were added; importing the same rows again adds the others.
func (db *DB) ImportSuppressions(ctx context.Context, limit int, next func() (Suppressible, bool, error)) (read int,
	added int64, bad []BadRow, err error) {
	if db.pool.Config().MaxConns < 2 {
		return 0, 0, nil, errors.New("an import needs two connections, and the database URL allows one: leave out " +
			"pool_max_conns, or set it to 2")
	}
	if _, err := db.pool.Exec(ctx, mayImportSQL); err != nil { // before all rows are sent
		return 0, 0, nil, AsRefusal(err)
	}
	err = db.inTx(ctx, func(tx pgx.Tx) (err error) {
		if read, bad, err = stageImport(ctx, tx, limit, next); err != nil || len(bad) > 0 {
			return AsRefusal(err)
		}
		if _, err := tx.Exec(ctx, importRowsSQL); err != nil {
			return AsRefusal(err)
		}
		for {
			some, n, err := db.importSome(ctx, tx)
			if added += n; err != nil && added > 0 {
				return fmt.Errorf("%w; the first %d suppressions were added: import the file once more to add the others",
					AsRefusal(err), added)
			}
			if err != nil || !some {
				return AsRefusal(err)
			}
		}
	})
	return read, added, bad, err
}

const mayImportSQL = `INSERT INTO enotify.suppression (address, cause) SELECT '', '' WHERE false`

// stageImport puts all rows into a table of its transaction, and looks for bad ones there.
func stageImport(ctx context.Context, tx pgx.Tx, limit int, next func() (Suppressible, bool, error)) (read int,
	bad []BadRow, err error) {
	if _, err := tx.Exec(ctx, importTableSQL); err != nil {
		return 0, nil, err
	}
	var failed error
	if _, err := tx.CopyFrom(ctx, pgx.Identifier{"pg_temp", "suppression_in"},
		[]string{"line", "address", "client", "cause", "until", "note"},
		pgx.CopyFromFunc(func() ([]any, error) {
			s, more, err := next()
			if err != nil || !more {
				failed = err
				return nil, err
			}
			read++
			if s.Cause == "" {
				s.Cause = "operator"
			}
			return []any{s.Line, s.Address, s.Client, s.Cause, s.Until, s.Note}, nil
		})); failed != nil {
		return read, nil, failed // not in the words of COPY
	} else if err != nil {
		return read, nil, err
	}
	rows, err := tx.Query(ctx, badRowsSQL, limit)
	if err != nil {
		return read, nil, err
	}
	bad, err = pgx.CollectRows(rows, pgx.RowToStructByPos[BadRow])
	return read, bad, err
}

// importSome adds the next staged rows, and reports whether there were any.
func (db *DB) importSome(ctx context.Context, staged pgx.Tx) (some bool, added int64, err error) {
	rows, err := staged.Query(ctx, fmt.Sprintf(`FETCH %d FROM importing`, importStep))
	if err != nil {
		return false, 0, err
	}
	var addresses, causes, notes []string
	var clients []*int32
	var untils []*time.Time
	var address, cause, note string
	var client *int32
	var until *time.Time
	if _, err := pgx.ForEachRow(rows, []any{&address, &client, &cause, &until, &note}, func() error {
		addresses, causes, notes = append(addresses, address), append(causes, cause), append(notes, note)
		clients, untils = append(clients, client), append(untils, until)
		return nil
	}); err != nil || len(addresses) == 0 {
		return false, 0, err
	}
	tag, err := db.pool.Exec(ctx, importSQL, addresses, clients, causes, untils, notes)
	return true, tag.RowsAffected(), err
}

const exportSQL = `
SELECT s.address, coalesce(c.domain, ''), s.cause, s.until, s.note, s.added_at
FROM enotify.suppression s LEFT JOIN enotify.client c ON c.id = s.client_id
WHERE (s.until IS NULL OR s.until > now()) AND ($1 = '' OR s.client_id IS NULL OR c.domain = $1)
ORDER BY s.address, 2`

// ExportSuppressions calls each with every suppression in force, by address;
// with a client, those that hold for it: its own and those for all. Those of
// forgotten addresses are among them, see [Suppression.Forgotten].
func (db *DB) ExportSuppressions(ctx context.Context, client string, each func(Suppression) error) error {
	if client != "" {
		c, err := db.Client(ctx, client)
		if err != nil {
			return err
		}
		client = c.Domain
	}
	rows, err := db.pool.Query(ctx, exportSQL, client)
	if err != nil {
		return AsRefusal(err)
	}
	var s Suppression
	_, err = pgx.ForEachRow(rows, []any{&s.Address, &s.Client, &s.Cause, &s.Until, &s.Note, &s.AddedAt},
		func() error { return each(s) })
	return AsRefusal(err)
}
