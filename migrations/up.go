package migrations

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"strconv"
	"strings"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
)

// Up applies the migrations that the database still lacks, and returns the
// names of those it applied itself ("001_schema"): none when the database is
// up to date. Callers may run it at the same time; they take turns, file by
// file.
//
// On an error the files applied before it stay applied. A server older than
// [OldestPostgres] and a schema newer than this binary are refused untouched.
func Up(ctx context.Context, conn *pgx.Conn) (applied []string, err error) {
	return up(ctx, conn, files)
}

func up(ctx context.Context, conn *pgx.Conn, fsys fs.FS) (applied []string, err error) {
	if err := checkServer(conn.PgConn().ParameterStatus("server_version")); err != nil {
		return nil, err
	}
	all, err := load(fsys)
	if err != nil {
		return nil, err
	}
	for {
		name, err := next(ctx, conn, all)
		if err != nil {
			return applied, fmt.Errorf("migrate: %w", err)
		}
		if name == "" {
			return applied, nil
		}
		applied = append(applied, name)
	}
}

// checkServer refuses a server by its version as it names it at the start of
// a session: "15.8 (Debian 15.8-0+deb12u1)", "18beta2", "9.6.24".
func checkServer(version string) error {
	digits := strings.IndexFunc(version+".", func(r rune) bool { return r < '0' || r > '9' })
	major, err := strconv.Atoi(version[:digits])
	if err != nil {
		return fmt.Errorf("the server calls its version %q: enotify needs PostgreSQL %d or newer", version, OldestPostgres)
	}
	if major < OldestPostgres {
		return fmt.Errorf("the server is PostgreSQL %s: enotify needs version %d or newer", version, OldestPostgres)
	}
	return nil
}

// The lock is the transaction's, not the session's, so that it is given back
// whatever happens, a connection pooler between us and the server included.
// Its number is "enotify" in ASCII.
const lockSQL = `SELECT pg_advisory_xact_lock(x'656e6f74696679'::bigint)`

const createVersionSQL = `
CREATE SCHEMA IF NOT EXISTS enotify;
CREATE TABLE IF NOT EXISTS enotify.schema_version (
	version    int         PRIMARY KEY,
	name       text        NOT NULL,
	applied_at timestamptz NOT NULL DEFAULT now()
);
COMMENT ON TABLE enotify.schema_version IS 'migrations that were applied to this database';
COMMENT ON COLUMN enotify.schema_version.version IS 'number of the migration';
COMMENT ON COLUMN enotify.schema_version.name IS 'its name, without the number';
COMMENT ON COLUMN enotify.schema_version.applied_at IS 'when'`

// next applies the first migration that is missing and returns its name, or
// "" when none is.
func next(ctx context.Context, conn *pgx.Conn, all []migration) (name string, err error) {
	// Read committed, whatever the database's default: what others committed
	// while we waited for the lock must be seen.
	err = pgx.BeginTxFunc(ctx, conn, pgx.TxOptions{IsoLevel: pgx.ReadCommitted}, func(tx pgx.Tx) error {
		if _, err := tx.Exec(ctx, lockSQL); err != nil {
			return err
		}
		version, err := current(ctx, tx)
		if err != nil {
			return err
		}
		if version > len(all) {
			return fmt.Errorf("the database has schema version %d, but this enotify knows only up to %d: use a newer enotify",
				version, len(all))
		}
		if version == len(all) {
			return nil
		}
		m := all[version]
		name = m.String()
		return apply(ctx, tx, m)
	})
	return name, err
}

// apply runs the statements of one migration and records it.
func apply(ctx context.Context, tx pgx.Tx, m migration) error {
	if m.version == 1 {
		if _, err := tx.Exec(ctx, createVersionSQL); err != nil {
			return err
		}
	}
	if _, err := tx.Exec(ctx, m.sql); err != nil {
		var at *pgconn.PgError
		if errors.As(err, &at) && at.Position > 0 {
			line := 1 + strings.Count(string([]rune(m.sql)[:at.Position-1]), "\n") // Position counts characters from 1
			return fmt.Errorf("%s, line %d: %w", m, line, err)
		}
		return fmt.Errorf("%s: %w", m, err)
	}
	_, err := tx.Exec(ctx, `INSERT INTO enotify.schema_version (version, name) VALUES ($1, $2)`, m.version, m.name)
	return err
}

// current returns the version of the database's schema, 0 when it has none.
func current(ctx context.Context, tx pgx.Tx) (version int, err error) {
	var exists bool
	if err := tx.QueryRow(ctx, `SELECT to_regclass('enotify.schema_version') IS NOT NULL`).Scan(&exists); err != nil || !exists {
		return 0, err
	}
	err = tx.QueryRow(ctx, `SELECT coalesce(max(version), 0) FROM enotify.schema_version`).Scan(&version)
	return version, err
}
