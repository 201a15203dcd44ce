package queuetest

import (
	"context"
	"crypto/rand"
	"fmt"
	"net/url"
	"strings"
	"testing"

	"github.com/jackc/pgx/v5"

	"enotify/queue/localpg"
)

// New returns the URL of a migrated database that belongs to the test, for a
// superuser. It is dropped when the test ends, and its connections are closed.
func New(tb testing.TB) string {
	tb.Helper()
	if err := templateMade(); err != nil {
		tb.Fatalf("queuetest: %v", err)
	}
	return create(tb, template())
}

// Empty is [New] for tests that migrate by themselves: nothing has been.
func Empty(tb testing.TB) string {
	tb.Helper()
	return create(tb, "template0")
}

func create(tb testing.TB, from string) string {
	tb.Helper()
	server, err := serverURL()
	if err != nil {
		tb.Fatalf("queuetest: %v", err)
	}
	name := uniqueName()
	do(tb, server, createSQL(name, from))
	tb.Cleanup(func() {
		do(tb, server, `DROP DATABASE `+name+` WITH (FORCE)`)
	})
	return withDatabase(tb, server, name)
}

// createSQL makes a database by copying the files of another. The other way,
// through the WAL, takes several times as long.
func createSQL(name, from string) string {
	return fmt.Sprintf(`CREATE DATABASE %s TEMPLATE %s STRATEGY file_copy`, name, from)
}

// Login makes a login that is a member of roles, and returns the URL with
// which it opens the database of the given URL. Its name is the user of that
// URL. It is dropped when the test ends, with all it has in that database and
// whoever is connected.
func Login(tb testing.TB, database string, roles ...string) string {
	tb.Helper()
	name, password := uniqueName(), rand.Text()
	sql := fmt.Sprintf(`CREATE ROLE %s LOGIN PASSWORD '%s'`, name, localpg.Verifier(password))
	if len(roles) > 0 {
		sql += ` IN ROLE ` + strings.Join(roles, ", ")
	}
	do(tb, database, sql)
	tb.Cleanup(func() {
		do(tb, database,
			`SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = current_database() AND pid <> pg_backend_pid()`,
			`DROP OWNED BY `+name,
			`DROP ROLE `+name)
	})
	u := parse(tb, database)
	u.User = url.UserPassword(name, password)
	return u.String()
}

// uniqueName returns a name that neither this process nor another has given
// to a database or role.
func uniqueName() string { return "enotify_test_" + strings.ToLower(rand.Text()) }

func withDatabase(tb testing.TB, server, name string) string {
	tb.Helper()
	u := parse(tb, server)
	u.Path = "/" + name
	return u.String()
}

func parse(tb testing.TB, rawURL string) *url.URL {
	tb.Helper()
	u, err := url.Parse(rawURL)
	if err != nil {
		tb.Fatalf("queuetest: %v", err)
	}
	return u
}

// do runs statements one by one, on a connection of their own.
func do(tb testing.TB, url string, statements ...string) {
	tb.Helper()
	ctx := context.Background() // tb.Context has ended when a cleanup runs
	conn, err := pgx.Connect(ctx, url)
	if err != nil {
		tb.Fatalf("queuetest: %v", err)
	}
	defer conn.Close(ctx)
	for _, sql := range statements {
		if _, err := conn.Exec(ctx, sql); err != nil {
			tb.Fatalf("queuetest: %s: %v", sql, err)
		}
	}
}
