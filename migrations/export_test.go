package migrations

import (
	"context"
	"io/fs"

	"github.com/jackc/pgx/v5"
)

// UpFS brings a database up to date with other files than the package's own.
func (u Upgrade) UpFS(ctx context.Context, conn *pgx.Conn, fsys fs.FS) ([]string, error) {
	return u.up(ctx, conn, fsys)
}

// HashFS is Hash of other files.
func HashFS(fsys fs.FS) (string, error) {
	s, err := load(fsys)
	return s.hash(), err
}

// Files are the package's own.
var Files = files
