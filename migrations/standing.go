package migrations

import (
	"context"
	"fmt"
	"strconv"
	"strings"

	"github.com/jackc/pgx/v5"
)

// OldestPostgres is the oldest major version of PostgreSQL that the schema
// runs on.
const OldestPostgres = 15

// A standing is what a database has of the schema.
type standing struct {
	database string
	login    string
	encoding string
	owner    string            // of the schema enotify; "" when there is none
	founded  bool              // the tables are there that say what was applied
	mayAlter bool              // login is a member of owner
	versions []string          // names of the migrations applied, by version
	hashes   map[string]string // of the functions and views applied, by name
}

// No statement is prepared under a name: a pooler between us and the server may
// give the next one to another session.
const unprepared = pgx.QueryExecModeExec

const (
	placeSQL = `
SELECT current_database(), session_user, current_setting('server_encoding'),
       coalesce(pg_get_userbyid(n.nspowner)::text, ''),
       coalesce(pg_has_role(session_user, n.nspowner, 'MEMBER'), false),
       EXISTS (SELECT FROM pg_class c WHERE c.relnamespace = n.oid AND c.relname = 'schema_version')
FROM (SELECT) one LEFT JOIN pg_namespace n ON n.nspname = 'enotify'`
	versionsSQL = `SELECT name FROM enotify.schema_version ORDER BY version`
	hashesSQL   = `SELECT name, hash FROM enotify.schema_function`
)

type querier interface {
	Query(ctx context.Context, sql string, args ...any) (pgx.Rows, error)
	QueryRow(ctx context.Context, sql string, args ...any) pgx.Row
}

// look reads how a database stands. It waits for nobody.
func look(ctx context.Context, q querier) (s standing, err error) {
	err = q.QueryRow(ctx, placeSQL, unprepared).
		Scan(&s.database, &s.login, &s.encoding, &s.owner, &s.mayAlter, &s.founded)
	if err != nil || !s.founded {
		return s, err
	}
	rows, _ := q.Query(ctx, versionsSQL, unprepared) // CollectRows returns the error
	if s.versions, err = pgx.CollectRows(rows, pgx.RowTo[string]); err != nil {
		return s, s.unreadable(err)
	}
	rows, _ = q.Query(ctx, hashesSQL, unprepared) // ForEachRow returns the error
	s.hashes = map[string]string{}
	var name, hash string
	_, err = pgx.ForEachRow(rows, []any{&name, &hash}, func() error { s.hashes[name] = hash; return nil })
	if isCode(err, "42P01") { // undefined_table: a schema of before the first release has none
		err = nil
	}
	return s, s.unreadable(err)
}

// unreadable says what a login lacks that may not read how the schema stands.
func (s standing) unreadable(err error) error {
	if !isCode(err, "42501") { // insufficient_privilege
		return err
	}
	return fmt.Errorf("login %s may not read the schema enotify of database %s: "+
		"make it a member of enotify_app, enotify_admin or enotify_sender (GRANT enotify_app TO %s)",
		s.login, s.database, pgx.Identifier{s.login}.Sanitize())
}

// Check reports in one line why this enotify cannot work on a database: it has no
// schema, an older or a newer one, or the login may not see it. It changes nothing.
func Check(ctx context.Context, conn *pgx.Conn) error {
	if err := checkServer(conn.PgConn().ParameterStatus("server_version")); err != nil {
		return err
	}
	want, err := load(files)
	if err != nil {
		return err
	}
	now, err := look(ctx, conn)
	switch {
	case err != nil:
		return err
	case !now.founded:
		return fmt.Errorf("database %s has no schema enotify: run enotify migrate, or name another database in the database URL",
			now.database)
	}
	if err := now.refuse(want); err != nil || now.upToDate(want) {
		return err
	}
	return fmt.Errorf("the schema enotify of database %s does not belong to this enotify: it lacks %s; "+
		"run enotify migrate as %s, or use the enotify that made the schema", now.database, now.lacks(want), now.owner)
}

// refuse says why the database cannot have the schema of these files; nil: it can.
func (s standing) refuse(want schema) error {
	if s.encoding != "UTF8" {
		return fmt.Errorf("database %s has the encoding %s, enotify needs UTF8: "+
			"CREATE DATABASE name ENCODING 'UTF8' TEMPLATE template0, and name that one in the database URL",
			s.database, s.encoding)
	}
	for i, name := range s.versions {
		if i < len(want.migrations) && want.migrations[i].name != name {
			return fmt.Errorf("the schema enotify of database %s was made before the first release "+
				"(its migration %d is %q, here it is %q) and cannot be upgraded: "+
				"DROP SCHEMA enotify CASCADE deletes it with all batches, then run enotify migrate",
				s.database, i+1, name, want.migrations[i].name)
		}
	}
	if len(s.versions) > len(want.migrations) {
		return fmt.Errorf("the database has schema version %d, but this enotify knows only up to %d: use a newer enotify",
			len(s.versions), len(want.migrations))
	}
	return nil
}

// upToDate reports whether nothing of the schema is missing.
func (s standing) upToDate(want schema) bool {
	if len(s.versions) < len(want.migrations) || len(s.hashes) != len(want.objects) {
		return false
	}
	for _, o := range want.objects {
		if s.hashes[o.name] != o.hash() {
			return false
		}
	}
	return true
}

// lacks names what is missing, for people.
func (s standing) lacks(want schema) string {
	var names []string
	for _, m := range want.migrations[len(s.versions):] {
		names = append(names, m.String())
	}
	for _, o := range want.objects {
		if s.hashes[o.name] != o.hash() {
			names = append(names, o.String())
		}
	}
	const shown = 3
	if len(names) > shown {
		return fmt.Sprintf("%s and %d more", strings.Join(names[:shown], ", "), len(names)-shown)
	}
	return strings.Join(names, ", ")
}

// checkServer refuses a server by its version as it names it at the start of
// a session: "15.8 (Debian 15.8-0+deb12u1)", "18beta2", "9.6.24".
func checkServer(version string) error {
	digits := strings.IndexFunc(version+".", func(r rune) bool { return r < '0' || r > '9' })
	major, err := strconv.Atoi(version[:digits])
	if err != nil {
		return fmt.Errorf("the server calls its version %q: enotify needs PostgreSQL %d or newer", version,
			OldestPostgres)
	}
	if major < OldestPostgres {
		return fmt.Errorf("the server is PostgreSQL %s: enotify needs version %d or newer", version, OldestPostgres)
	}
	return nil
}
