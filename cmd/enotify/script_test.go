package main_test

import (
	"context"
	"errors"
	"fmt"
	"net/url"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"github.com/jackc/pgx/v5"
	"github.com/rogpeppe/go-internal/testscript"

	"enotify/queue/queuetest"
)

// What an operator does, a script per story. Each has a database of its own.
func TestScripts(t *testing.T) {
	t.Parallel()
	testscript.Run(t, testscript.Params{
		Dir:                 "testdata/script",
		RequireExplicitExec: true,
		Setup: func(env *testscript.Env) error {
			tb := env.T().(testing.TB)
			env.Values[testKey{}] = tb
			env.Setenv("DATABASE_URL", queuetest.New(tb))
			env.Setenv("TZ", "UTC")
			env.Setenv("ENOTIFY_STATE_DIR", filepath.Join(env.WorkDir, "journals"))
			env.Setenv("GORACE", "atexit_sleep_ms=0") // under -race a process waits a second before it ends
			return nil
		},
		Cmds: map[string]func(ts *testscript.TestScript, neg bool, args []string){
			"sql": runSQL, "login": newLogin, "exits": exits,
		},
	})
}

type testKey struct{}

// runSQL is the command sql STATEMENT: runs it as a superuser. What it returns
// is the standard output, a row per line.
func runSQL(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 1 {
		ts.Fatalf("usage: sql STATEMENT")
	}
	ctx := context.Background()
	conn, err := pgx.Connect(ctx, ts.Getenv("DATABASE_URL"))
	ts.Check(err)
	defer conn.Close(ctx)
	rows, err := conn.Query(ctx, args[0])
	ts.Check(err)
	lines, err := pgx.CollectRows(rows, func(row pgx.CollectableRow) (string, error) {
		values, err := row.Values()
		return fmt.Sprintln(values...), err
	})
	ts.Check(err)
	_, err = fmt.Fprint(ts.Stdout(), strings.Join(lines, ""))
	ts.Check(err)
}

// newLogin is the command login NAME ROLE...: sets $NAME to a login that is a
// member of the roles, and $NAME_URL to the database opened as it.
func newLogin(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) < 1 {
		ts.Fatalf("usage: login NAME [ROLE...]")
	}
	login := queuetest.Login(ts.Value(testKey{}).(testing.TB), ts.Getenv("DATABASE_URL"), args[1:]...)
	u, err := url.Parse(login)
	ts.Check(err)
	ts.Setenv(args[0], u.User.Username())
	ts.Setenv(args[0]+"_URL", login)
}

// exits is the command exits CODE ENOTIFY-ARGUMENT...: the program ends so, and
// says why in one line, which is its standard error.
func exits(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) < 2 {
		ts.Fatalf("usage: exits CODE ARGUMENT...")
	}
	want, err := strconv.Atoi(args[0])
	ts.Check(err)
	err = ts.Exec("enotify", args[1:]...)
	var exit *exec.ExitError
	if !errors.As(err, &exit) || exit.ExitCode() != want {
		ts.Fatalf("enotify %s: got %v, want exit status %d", strings.Join(args[1:], " "), err, want)
	}
	stderr := ts.ReadFile("stderr")
	if strings.Count(stderr, "\n") != 1 || !strings.HasPrefix(stderr, "enotify: ") || strings.Contains(stderr, "SQLSTATE") || strings.Contains(stderr, "ERROR") {
		ts.Fatalf("enotify %s: got stderr %q, want one clear line", strings.Join(args[1:], " "), stderr)
	}
}
