package queuetest_test

import (
	"context"
	"net/url"
	"os"
	"os/exec"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/jackc/pgx/v5"

	"enotify/migrations"
	"enotify/queue/localpg"
	"enotify/queue/queuetest"
)

func TestMain(m *testing.M) { queuetest.Main(m) }

func connect(t *testing.T, url string) *pgx.Conn {
	t.Helper()
	conn, err := pgx.Connect(t.Context(), url)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { conn.Close(context.Background()) })
	return conn
}

func execute(t *testing.T, url, sql string) {
	t.Helper()
	if _, err := connect(t, url).Exec(t.Context(), sql); err != nil {
		t.Fatalf("%s: %v", sql, err)
	}
}

func query[T any](t *testing.T, url, sql string, args ...any) T {
	t.Helper()
	rows, _ := connect(t, url).Query(t.Context(), sql, args...) // CollectExactlyOneRow returns the error
	v, err := pgx.CollectExactlyOneRow(rows, pgx.RowTo[T])
	if err != nil {
		t.Fatalf("%s: %v", sql, err)
	}
	return v
}

func TestNewIsMigrated(t *testing.T) {
	t.Parallel()
	applied, err := migrations.Up(t.Context(), connect(t, queuetest.New(t)))
	if err != nil {
		t.Fatal(err)
	}
	if len(applied) != 0 {
		t.Errorf("migrations still missing: got %v, want none", applied)
	}
}

func TestEmptyIsNotMigrated(t *testing.T) {
	t.Parallel()
	const sql = `SELECT count(*) FROM pg_namespace WHERE nspname = 'enotify'`
	if got, want := query[int](t, queuetest.Empty(t), sql), 0; got != want {
		t.Errorf("schemas: got %d, want %d", got, want)
	}
}

func TestDatabasesAreSeparate(t *testing.T) {
	t.Parallel()
	a, b := queuetest.New(t), queuetest.New(t)
	execute(t, a, `CREATE TABLE mine ()`)
	if got, want := query[bool](t, b, `SELECT to_regclass('mine') IS NULL`), true; got != want {
		t.Errorf("the other's table is absent: got %v, want %v", got, want)
	}
}

// TestNothingStays looks at the server after a test has ended that left its
// connections open, with locks, and its login with a table.
func TestNothingStays(t *testing.T) {
	t.Parallel()
	other := queuetest.New(t)
	var names []string
	var left []*pgx.Conn
	leave := func(t *testing.T, rawURL, sql string) {
		conn, err := pgx.Connect(t.Context(), rawURL)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := conn.Exec(t.Context(), sql); err != nil {
			t.Fatal(err)
		}
		left = append(left, conn)
		names = append(names, path(t, rawURL)[1:], conn.Config().User)
	}
	t.Run("inner", func(t *testing.T) {
		leave(t, queuetest.New(t), `BEGIN`)
		database := queuetest.New(t)
		login := queuetest.Login(t, database, "pg_monitor")
		execute(t, database, `GRANT CREATE ON SCHEMA public TO PUBLIC`)
		execute(t, login, `CREATE TABLE owned ()`)
		leave(t, database, `BEGIN; SELECT FROM owned`)
		leave(t, login, `BEGIN; SELECT FROM owned`)
	})
	for _, conn := range left {
		conn.Close(t.Context())
	}
	const sql = `
		SELECT array_agg(name) FROM (SELECT datname FROM pg_database UNION SELECT rolname FROM pg_roles) x (name)
		WHERE name = ANY ($1) AND name LIKE 'enotify_test_%'`
	if got := query[[]string](t, other, sql, names); got != nil {
		t.Errorf("left after the test: got %v, want nothing", got)
	}
}

func TestLogin(t *testing.T) {
	t.Parallel()
	database := queuetest.New(t)
	login := queuetest.Login(t, database, "pg_monitor")
	for sql, want := range map[string]bool{
		`SELECT pg_has_role(session_user, 'pg_monitor', 'member')`:                  true,
		`SELECT pg_has_role(session_user, 'pg_checkpoint', 'member')`:               false,
		`SELECT rolsuper OR rolcreatedb FROM pg_roles WHERE rolname = session_user`: false,
		`SELECT current_database() = '` + path(t, database)[1:] + `'`:               true,
	} {
		if got := query[bool](t, login, sql); got != want {
			t.Errorf("%s: got %v, want %v", sql, got, want)
		}
	}
}

func path(t *testing.T, rawURL string) string {
	t.Helper()
	u, err := url.Parse(rawURL)
	if err != nil {
		t.Fatal(err)
	}
	return u.Path
}

// TestServerOfOnesOwn runs tests of this file in two processes at once, on a
// server that is not theirs.
func TestServerOfOnesOwn(t *testing.T) {
	t.Parallel()
	s, err := localpg.Start(t.Context(), localpg.Options{Ephemeral: true, Unsafe: true})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := s.Stop(context.Background()); err != nil {
			t.Error(err)
		}
	})
	first, second := rerun(t, s.URL()), rerun(t, s.URL())
	for _, cmd := range []*exec.Cmd{first, second} {
		if err := cmd.Wait(); err != nil {
			t.Errorf("%v: %v\n%v", cmd, err, cmd.Stdout)
		}
	}
	rows, _ := connect(t, s.URL()).Query(t.Context(), `SELECT datname FROM pg_database WHERE datname LIKE 'enotify%'`)
	got, err := pgx.CollectRows(rows, pgx.RowTo[string])
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff([]string{"enotify_template_" + migrations.Hash()}, got); diff != "" {
		t.Errorf("databases left on the server (-want +got):\n%s", diff)
	}
}

func TestNoServerFails(t *testing.T) {
	t.Parallel()
	cmd := rerun(t, "postgres://127.0.0.1:1/none")
	if err := cmd.Wait(); err == nil {
		t.Errorf("tests without a server passed:\n%v", cmd.Stdout)
	}
	if got, want := cmd.Stdout.(*strings.Builder).String(), "--- FAIL: TestNewIsMigrated"; !strings.Contains(got,
		want) {
		t.Errorf("got %q, want it to say %q", got, want)
	}
}

// rerun starts some tests of this file in a process of their own.
func rerun(t *testing.T, server string) *exec.Cmd {
	t.Helper()
	own, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command(own, "-test.run=^(TestNewIsMigrated|TestEmptyIsNotMigrated|TestDatabasesAreSeparate)$")
	cmd.Env = append(os.Environ(), "ENOTIFY_TEST_DATABASE_URL="+server)
	out := &strings.Builder{}
	cmd.Stdout, cmd.Stderr = out, out
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	return cmd
}

func BenchmarkNew(b *testing.B) {
	queuetest.New(b) // starts the server
	for b.Loop() {
		queuetest.New(b)
	}
}
