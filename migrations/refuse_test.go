package migrations_test

import (
	"context"
	"net"
	"net/url"
	"strings"
	"testing"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgproto3"

	"enotify/migrations"
	"enotify/queue/localpg"
	"enotify/queue/queuetest"
)

func TestUpRefusesOldServer(t *testing.T) {
	t.Parallel()
	for version, want := range map[string]string{
		"14.18 (Debian 14.18-1)": "the server is PostgreSQL 14.18 (Debian 14.18-1): enotify needs version 15 or newer",
		"9.6.24":                 "the server is PostgreSQL 9.6.24: enotify needs version 15 or newer",
		"nonsense":               `the server calls its version "nonsense": enotify needs PostgreSQL 15 or newer`,
		"":                       `the server calls its version "": enotify needs PostgreSQL 15 or newer`,
	} {
		t.Run(version, func(t *testing.T) {
			t.Parallel()
			_, err := migrations.Up(t.Context(), connectToVersion(t, version))
			if err == nil || err.Error() != want {
				t.Errorf("got %v, want %q", err, want)
			}
		})
	}
}

// connectToVersion opens a session with a server that says its version and no
// more.
func connectToVersion(t *testing.T, version string) *pgx.Conn {
	t.Helper()
	ours, theirs := net.Pipe()
	go func() {
		server := pgproto3.NewBackend(theirs, theirs)
		if _, err := server.ReceiveStartupMessage(); err != nil {
			t.Error(err)
		}
		server.Send(&pgproto3.AuthenticationOk{})
		server.Send(&pgproto3.ParameterStatus{Name: "server_version", Value: version})
		server.Send(&pgproto3.ReadyForQuery{TxStatus: 'I'})
		if err := server.Flush(); err != nil {
			t.Error(err)
		}
		theirs.Close() // a further query gets an error
	}()
	config, err := pgx.ParseConfig("postgres://test@server.invalid/test?sslmode=disable")
	if err != nil {
		t.Fatal(err)
	}
	config.LookupFunc = func(context.Context, string) ([]string, error) { return []string{"pipe"}, nil }
	config.DialFunc = func(context.Context, string, string) (net.Conn, error) { return ours, nil }
	conn, err := pgx.ConnectConfig(t.Context(), config)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { ours.Close() })
	return conn
}

// A database of another encoding cannot hold every address: it is refused before
// anything is made.
func TestUpRefusesOtherEncodings(t *testing.T) {
	t.Parallel()
	for _, encoding := range []string{"SQL_ASCII", "LATIN1"} {
		conn := connect(t, database(t, `ENCODING '`+encoding+`' LC_COLLATE 'C' LC_CTYPE 'C'`))
		_, err := migrations.Up(t.Context(), conn)
		want := "migrate: database " + conn.Config().Database + " has the encoding " + encoding +
			", enotify needs UTF8: " +
			"CREATE DATABASE name ENCODING 'UTF8' TEMPLATE template0, and name that one in the database URL"
		if err == nil || err.Error() != want {
			t.Errorf("%s: got error %v, want %q", encoding, err, want)
		}
		if got := query[bool](t, conn, `SELECT to_regnamespace('enotify') IS NULL`); !got {
			t.Errorf("%s: the schema was made, want nothing made", encoding)
		}
	}
}

// database makes a database with options that queuetest has not.
func database(t *testing.T, options string) (url string) {
	t.Helper()
	server := connect(t, queuetest.Empty(t))
	name := query[string](t, server, `SELECT 'enotify_test_' || replace(gen_random_uuid()::text, '-', '_')`)
	execute(t, server, `CREATE DATABASE `+name+` `+options+` TEMPLATE template0`)
	t.Cleanup(func() {
		if _, err := server.Exec(context.Background(), `DROP DATABASE `+name+` WITH (FORCE)`); err != nil {
			t.Error(err)
		}
	})
	return onDatabase(t, server.Config().ConnString(), name)
}

// Domains are the same in every locale: in C, which knows no letters outside
// ASCII, and in Turkish, whose lower case of I is another letter.
func TestDomainsInOtherLocales(t *testing.T) {
	t.Parallel()
	for _, options := range []string{
		`ENCODING 'UTF8' LC_COLLATE 'C' LC_CTYPE 'C'`,
		`ENCODING 'UTF8' LOCALE_PROVIDER icu ICU_LOCALE 'tr-TR' LC_COLLATE 'C' LC_CTYPE 'C'`,
	} {
		conn := connect(t, database(t, options))
		if _, err := migrations.Up(t.Context(), conn); err != nil {
			t.Fatal(err)
		}
		for address, want := range map[string]string{
			"x@MÜNCHEN.EXAMPLE": "x@xn--mnchen-3ya.example",
			" x@INFO.EXAMPLE":   "x@info.example",
			"x@IŞIK.EXAMPLE":    "x@xn--iik-sza.example",
		} {
			if got := query[string](t, conn, `SELECT enotify.mailbox($1)`, address); got != want {
				t.Errorf("%s: %s: got %s, want %s", options, address, got, want)
			}
			if got := query[string](t, conn, `SELECT coalesce(enotify.mailbox_problem(enotify.mailbox($1)), '')`,
				address); got != "" {
				t.Errorf("%s: %s: got the problem %q, want none", options, address, got)
			}
		}
	}
}

func onDatabase(t *testing.T, rawURL, name string) string {
	t.Helper()
	u, err := url.Parse(rawURL)
	if err != nil {
		t.Fatal(err)
	}
	u.Path = "/" + name
	return u.String()
}

// as is the URL of a database for another login.
func as(t *testing.T, database, login string) string {
	t.Helper()
	u, err := url.Parse(database)
	if err != nil {
		t.Fatal(err)
	}
	l, err := url.Parse(login)
	if err != nil {
		t.Fatal(err)
	}
	u.User = l.User
	return u.String()
}

// A schema of before the first release has other migrations under the same
// numbers: it is not taken for one of these, nor for a newer one.
func TestUpRefusesASchemaOfBeforeTheFirstRelease(t *testing.T) {
	t.Parallel()
	conn := connect(t, queuetest.Empty(t))
	execute(t, conn, `CREATE SCHEMA enotify`,
		`CREATE TABLE enotify.schema_version (version int, name text)`,
		`INSERT INTO enotify.schema_version SELECT n, 'tables' FROM generate_series(1, 23) n`)
	_, err := migrations.Up(t.Context(), conn)
	want := `was made before the first release (its migration 1 is "tables", here it is "types")`
	if err == nil || !strings.Contains(err.Error(), want) || strings.Contains(err.Error(), "\n") {
		t.Errorf("got error %v, want one line that says %q", err, want)
	}
}

// The roles of the schema belong to the whole server, so this test has one of its
// own. Owners of databases who are no superusers migrate: one who may not create
// roles is told what to ask for, before anything is made; one who may creates
// them; and after that the first one needs no more.
func TestOwnersWhoAreNoSuperusers(t *testing.T) {
	t.Parallel()
	server, err := localpg.Start(t.Context(), localpg.Options{Dir: queuetest.OwnDir(t, false), Unsafe: true})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := server.Stop(context.Background()); err != nil {
			t.Error(err)
		}
	})
	super := connect(t, server.URL())
	execute(t, super,
		`CREATE ROLE plain LOGIN PASSWORD 'p'`, `CREATE DATABASE plain_db OWNER plain TEMPLATE template0`,
		`CREATE ROLE maker LOGIN PASSWORD 'p' CREATEROLE`, `CREATE DATABASE maker_db OWNER maker TEMPLATE template0`,
		`CREATE ROLE guest LOGIN PASSWORD 'p'`)
	open := func(login, database string) *pgx.Conn {
		u, err := url.Parse(onDatabase(t, server.URL(), database))
		if err != nil {
			t.Fatal(err)
		}
		u.User = url.UserPassword(login, "p")
		return connect(t, u.String())
	}
	plain, maker, guest := open("plain", "plain_db"), open("maker", "maker_db"), open("guest", "plain_db")

	refused := func(conn *pgx.Conn, want string) {
		t.Helper()
		if _, err := migrations.Up(t.Context(), conn); err == nil || err.Error() != want {
			t.Errorf("%s: got error %v, want %q", conn.Config().User, err, want)
		}
	}
	refused(plain, "migrate: login plain may not create roles, "+
		"and enotify_app, enotify_admin, enotify_sender are missing: as a superuser, CREATE ROLE enotify_app NOLOGIN; CREATE ROLE enotify_admin NOLOGIN; "+
		"CREATE ROLE enotify_sender NOLOGIN, then run enotify migrate")
	if got := query[bool](t, plain, `SELECT to_regnamespace('enotify') IS NULL`); !got {
		t.Error("the schema was made without the roles, want nothing made")
	}
	for _, conn := range []*pgx.Conn{maker, plain} {
		if _, err := migrations.Up(t.Context(), conn); err != nil {
			t.Fatalf("%s: %v", conn.Config().User, err)
		}
		if got, want := query[string](t, conn, owners), conn.Config().User; got != want {
			t.Errorf("owners of the schema and of what is in it: got %s, want %s", got, want)
		}
	}

	// A login that does not own the schema is sent to its owner, as long as something is missing.
	execute(t, plain, `UPDATE enotify.schema_function SET hash = 'old' WHERE name = 'enqueue'`)
	refused(guest, "migrate: login guest may not read the schema enotify of database plain_db: "+
		`make it a member of enotify_app, enotify_admin or enotify_sender (GRANT enotify_app TO "guest")`)
	execute(t, super, `GRANT enotify_app TO guest`)
	refused(guest, "migrate: database plain_db lacks functions/enqueue, and login guest may not add it: "+
		"run enotify migrate as plain, the owner of the schema enotify")
	execute(t, plain, `REVOKE CONNECT ON DATABASE plain_db FROM PUBLIC`) // and a superuser keeps it the owner's
	superThere := connect(t, onDatabase(t, server.URL(), "plain_db"))
	if applied, err := migrations.Up(t.Context(), superThere); err != nil || len(applied) != 1 {
		t.Errorf("a superuser: got %v and error %v, want functions/enqueue", applied, err)
	}
	if got := query[string](t, plain, owners); got != "plain" {
		t.Errorf("owners after a superuser has migrated: got %s, want plain", got)
	}

	// A database in which the login may make no schema.
	execute(t, super, `CREATE DATABASE closed_db TEMPLATE template0`)
	refused(open("plain", "closed_db"), "migrate: login plain may not create the schema enotify in database closed_db: "+
		`as the owner of the database, GRANT CREATE ON DATABASE "closed_db" TO "plain", then run enotify migrate`)

	// The owner sees all batches, though it is a member of none of the roles.
	execute(t, plain, `INSERT INTO enotify.client (domain) VALUES ('town.example')`,
		`INSERT INTO enotify.client_login SELECT id, 'guest' FROM enotify.client`)
	batch := query[int64](t, plain, `SELECT enotify.enqueue('k', 'info@town.example', 's', 't', '{x@a.example}')`)
	if got := query[int64](t, plain, `SELECT coalesce(max(id), 0) FROM enotify.batch_status`); got != batch {
		t.Errorf("batch_status shows the owner batch %d, want %d", got, batch)
	}
}

const owners = `
SELECT string_agg(DISTINCT o::regrole::text, ' ') FROM (
	SELECT nspowner FROM pg_namespace WHERE nspname = 'enotify'
	UNION SELECT relowner FROM pg_class WHERE relnamespace = 'enotify'::regnamespace
	UNION SELECT proowner FROM pg_proc WHERE pronamespace = 'enotify'::regnamespace
	UNION SELECT typowner FROM pg_type WHERE typnamespace = 'enotify'::regnamespace) s (o)`
