package insight

import (
	"context"

	"github.com/jackc/pgx/v5"
)

// Exec runs a statement as the questions of the reader do; the statements of
// tables come before it.
func (r Reader) Exec(ctx context.Context, sql string, tables ...string) error {
	return r.read(ctx, func(tx pgx.Tx) error {
		_, err := tx.Exec(ctx, sql)
		return err
	}, tables...)
}
