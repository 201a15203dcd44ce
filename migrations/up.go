package migrations

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
)

// LockTimeout is how long a migration waits for a table in use before it gives
// up and lets the sessions through that wait behind it. It is shorter than the
// server's deadlock_timeout of 1 s, so that of two transactions that wait for each
// other the migration is the one that yields.
const LockTimeout = 500 * time.Millisecond

// retryPause is the time between two tries, in which everybody else may use the
// table.
const retryPause = time.Second

// An Upgrade says how a database is brought up to date. The zero value is ready
// to use.
type Upgrade struct {
	// Patience is how long it is tried again while others use a table that must
	// change; 0 means a minute.
	Patience time.Duration

	// Waiting is told who holds such a table, once for each. It may be nil.
	Waiting func(Holder)
}

// Up applies what the database lacks of the schema, and returns the names of
// what it applied itself ("001_types", "functions/enqueue"): none when the
// database is up to date. Callers may run it at the same time.
//
// On an error nothing stays applied, except what a new value of an enumeration
// had committed before. A server older than [OldestPostgres], a database whose
// encoding is not UTF8, and a schema newer than this binary are refused untouched.
func Up(ctx context.Context, conn *pgx.Conn) (applied []string, err error) {
	return Upgrade{}.Up(ctx, conn)
}

// Up is [Up] in the way that u says.
func (u Upgrade) Up(ctx context.Context, conn *pgx.Conn) (applied []string, err error) {
	return u.up(ctx, conn, files)
}

func (u Upgrade) up(ctx context.Context, conn *pgx.Conn, fsys fs.FS) (applied []string, err error) {
	if err := checkServer(conn.PgConn().ParameterStatus("server_version")); err != nil {
		return nil, err
	}
	want, err := load(fsys)
	if err != nil {
		return nil, err
	}
	now, err := look(ctx, conn)
	if err == nil {
		err = now.refuse(want)
	}
	if err != nil {
		return nil, fmt.Errorf("migrate: %w", err)
	}
	if now.upToDate(want) {
		return nil, nil
	}
	if now.owner != "" && !now.mayAlter {
		return nil, fmt.Errorf("migrate: database %s lacks %s, and login %s may not add it: "+
			"run enotify migrate as %s, the owner of the schema enotify",
			now.database, now.lacks(want), now.login, now.owner)
	}
	patience := cmp.Or(u.Patience, time.Minute)
	for begun, watch := time.Now(), (*watcher)(nil); ; {
		done, complete, err := want.step(ctx, conn, watch)
		applied = append(applied, done...)
		switch {
		case err == nil && complete:
			return applied, nil
		case err == nil || errors.Is(err, errMadeMeanwhile):
			continue
		case !isCode(err, "55P03", "40P01"): // lock_not_available, deadlock_detected
			return applied, fmt.Errorf("migrate: %w", err)
		}
		held := watch.last()
		if time.Since(begun) >= patience {
			return applied, fmt.Errorf("migrate: %w", held.inTheWay(err))
		}
		if watch == nil {
			watch = &watcher{config: conn.Config(), tell: u.Waiting}
		}
		select {
		case <-ctx.Done():
			return applied, fmt.Errorf("migrate: %w", held.inTheWay(ctx.Err()))
		case <-time.After(retryPause):
		}
	}
}

// errMadeMeanwhile says that another caller made the schema at the same moment.
var errMadeMeanwhile = errors.New("made by another caller at the same moment")

// sessionSQL keeps the settings of the database and the login from changing what
// the files mean, or from ending them early. Unknown settings belong to newer
// servers.
const sessionSQL = `
SELECT set_config(s.name, s.value, true) FROM (VALUES
	('search_path', 'pg_catalog, pg_temp'), ('standard_conforming_strings', 'on'), ('client_encoding', 'UTF8'),
	('check_function_bodies', 'off'), ('lock_timeout', '0'), ('statement_timeout', '0'),
	('idle_in_transaction_session_timeout', '0'), ('transaction_timeout', '0')
) s (name, value) WHERE s.name IN (SELECT p.name FROM pg_settings p)`

const (
	// No application may take a lock that conflicts with this one: that needs more
	// than the right to read the table. Readers are not kept out.
	lockSQL   = `LOCK TABLE enotify.schema_version IN EXCLUSIVE MODE`
	ownerSQL  = `SELECT set_config('role', pg_get_userbyid(nspowner), true) FROM pg_namespace WHERE nspname = 'enotify'`
	hurrySQL  = `SELECT set_config('lock_timeout', $1, true), pg_backend_pid()`
	recordSQL = `INSERT INTO enotify.schema_version (version, name) VALUES ($1, $2)`
	// PostgreSQL lets PUBLIC execute every new function.
	revokeSQL = `
REVOKE ALL ON SCHEMA enotify FROM PUBLIC;
REVOKE ALL ON ALL TABLES IN SCHEMA enotify FROM PUBLIC;
REVOKE ALL ON ALL ROUTINES IN SCHEMA enotify FROM PUBLIC`
)

// step applies, in one transaction, all that is missing, or what comes up to a
// migration that ends the transaction: then it is not complete.
func (want schema) step(
	ctx context.Context, conn *pgx.Conn, watch *watcher,
) (applied []string, complete bool, err error) {
	// Read committed, whatever the database's default: what others committed
	// while we waited for the lock must be seen.
	options := pgx.TxOptions{IsoLevel: pgx.ReadCommitted, AccessMode: pgx.ReadWrite}
	err = pgx.BeginTxFunc(ctx, conn, options, func(tx pgx.Tx) error {
		if _, err := tx.Exec(ctx, sessionSQL); err != nil {
			return err
		}
		now, err := look(ctx, tx)
		if err != nil {
			return err
		}
		if err := found(ctx, tx, now); err != nil {
			return err
		}
		// Whichever login migrates, the new objects belong to the owner of the schema.
		if _, err := tx.Exec(ctx, ownerSQL); err != nil {
			return err
		}
		if _, err := tx.Exec(ctx, lockSQL); err != nil {
			return err
		}
		if now, err = look(ctx, tx); err != nil {
			return err
		}
		if err := now.refuse(want); err != nil {
			return err
		}
		var pid int32
		var ignored string
		timeout := fmt.Sprint(LockTimeout.Milliseconds())
		if err := tx.QueryRow(ctx, hurrySQL, unprepared, timeout).Scan(&ignored, &pid); err != nil {
			return err
		}
		stop := watch.start(ctx, pid)
		defer stop()
		applied, complete, err = want.apply(ctx, tx, now)
		return err
	})
	if err != nil {
		return nil, false, err
	}
	return applied, complete, nil
}

// apply is the part of step that may wait for others.
func (want schema) apply(ctx context.Context, tx pgx.Tx, now standing) (applied []string, complete bool, err error) {
	for _, m := range want.migrations[len(now.versions):] {
		if err := run(ctx, tx, m.String(), m.sql); err != nil {
			return nil, false, err
		}
		if _, err := tx.Exec(ctx, recordSQL, unprepared, m.version, m.name); err != nil {
			return nil, false, err
		}
		applied = append(applied, m.String())
		if m.endsTransaction() {
			if err := forgetDropped(ctx, tx); err != nil {
				return nil, false, err
			}
			_, err := tx.Exec(ctx, revokeSQL)
			return applied, false, err
		}
	}
	replaced, err := want.replaceObjects(ctx, tx)
	if err != nil {
		return nil, false, err
	}
	_, err = tx.Exec(ctx, revokeSQL)
	return append(applied, replaced...), true, err
}

// run executes the statements of a file.
func run(ctx context.Context, tx pgx.Tx, file, sql string) error {
	_, err := tx.Exec(ctx, sql)
	at := (*pgconn.PgError)(nil)
	if err == nil || !errors.As(err, &at) {
		return err
	}
	if at.Position > 0 {
		// Position counts characters from 1
		file = fmt.Sprintf("%s, line %d", file, 1+strings.Count(string([]rune(sql)[:at.Position-1]), "\n"))
	}
	text := file + ": " + at.Message
	// undefined_table, _column, _function, invalid_table_definition
	if isCode(err, "42P01", "42703", "42883", "42P16") {
		text += "; another version of enotify made this schema, with other tables: use that version, " +
			"or DROP SCHEMA enotify CASCADE, which deletes it with all batches, then run enotify migrate"
	}
	return &fault{text, at}
}

// A fault is what PostgreSQL says to a file, in words for people.
type fault struct {
	text  string
	cause *pgconn.PgError
}

func (f *fault) Error() string { return f.text }
func (f *fault) Unwrap() error { return f.cause }

func isCode(err error, codes ...string) bool {
	var e *pgconn.PgError
	if !errors.As(err, &e) {
		return false
	}
	for _, code := range codes {
		if e.Code == code {
			return true
		}
	}
	return false
}
