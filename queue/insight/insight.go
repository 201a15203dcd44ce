package insight

import (
	"context"

	"github.com/jackc/pgx/v5"

	"enotify/queue"
)

// A Reader answers questions about the queue. Its transactions are READ ONLY:
// PostgreSQL refuses whatever would change a table.
type Reader struct {
	db *queue.DB
}

// Of is the reader of a database.
func Of(db *queue.DB) Reader { return Reader{db} }

// read runs f in one snapshot. The statements of tables make temporary tables
// that f fills, and that end with the transaction.
func (r Reader) read(ctx context.Context, f func(tx pgx.Tx) error, tables ...string) error {
	mode := pgx.TxOptions{IsoLevel: pgx.RepeatableRead, AccessMode: pgx.ReadOnly}
	if len(tables) > 0 {
		mode.AccessMode = pgx.ReadWrite
	}
	return queue.AsRefusal(pgx.BeginTxFunc(ctx, r.db.Pool(), mode, func(tx pgx.Tx) error {
		if len(tables) == 0 {
			return f(tx)
		}
		for _, sql := range append(tables, `SET TRANSACTION READ ONLY`) { // which no later statement can undo
			if _, err := tx.Exec(ctx, sql); err != nil {
				return err
			}
		}
		return f(tx)
	}))
}

// row asks for one row, which the function that it returns scans.
func (r Reader) row(ctx context.Context, sql string, args ...any) (scan func(dest ...any) error) {
	return func(dest ...any) error {
		return r.read(ctx, func(tx pgx.Tx) error { return tx.QueryRow(ctx, sql, args...).Scan(dest...) })
	}
}

// each calls f with every row, scanned into dest.
func (r Reader) each(ctx context.Context, dest []any, f func(), sql string, args ...any) error {
	return r.read(ctx, func(tx pgx.Tx) error {
		rows, err := tx.Query(ctx, sql, args...)
		if err != nil {
			return err
		}
		_, err = pgx.ForEachRow(rows, dest, func() error { f(); return nil })
		return err
	})
}

// list reads all rows.
func list[T any](ctx context.Context, r Reader, as pgx.RowToFunc[T], sql string, args ...any) (all []T, err error) {
	err = r.read(ctx, func(tx pgx.Tx) error {
		rows, err := tx.Query(ctx, sql, args...)
		if err != nil {
			return err
		}
		all, err = pgx.CollectRows(rows, as)
		return err
	})
	return all, err
}

// collect reads rows into structs whose fields are the columns in order.
func collect[T any](ctx context.Context, r Reader, sql string, args ...any) ([]T, error) {
	return list(ctx, r, pgx.RowToStructByPos[T], sql, args...)
}

// query is collect within a transaction.
func query[T any](ctx context.Context, tx pgx.Tx, sql string, args ...any) ([]T, error) {
	rows, err := tx.Query(ctx, sql, args...)
	if err != nil {
		return nil, err
	}
	return pgx.CollectRows(rows, pgx.RowToStructByPos[T])
}
