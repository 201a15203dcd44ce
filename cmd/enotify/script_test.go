package main_test

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/rogpeppe/go-internal/testscript"

	"enotify/cmd/enotify/sitetest"
	"enotify/queue/queuetest"
	"enotify/sender/smtptest"
	"enotify/spfguard/dns/dnstest"
)

// What an operator does, a script per story. Each has a database of its own.
func TestScripts(t *testing.T) {
	t.Parallel()
	program := plain(t)
	testscript.Run(t, testscript.Params{
		Dir:                 "testdata/script",
		RequireExplicitExec: true,
		Setup: func(env *testscript.Env) error {
			tb := env.T().(testing.TB)
			env.Values[testKey{}] = tb
			env.Values[internetKey{}] = &internet{}
			env.Setenv("DATABASE_URL", queuetest.New(tb))
			env.Setenv("PATH", program+string(os.PathListSeparator)+env.Getenv("PATH"))
			env.Setenv("TZ", "UTC")
			env.Setenv("ENOTIFY_STATE_DIR", filepath.Join(env.WorkDir, "journals"))
			return nil
		},
		Cmds: map[string]func(ts *testscript.TestScript, neg bool, args []string){
			"sql": runSQL, "login": newLogin, "exits": exits,
			"internet": newInternet, "reply": setReply, "dns": putRecords, "passes": passes, "returned": bounceBack,
			"until": until,
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
	if strings.Count(stderr, "\n") != 1 || !strings.HasPrefix(stderr, "enotify: ") ||
		strings.Contains(stderr, "SQLSTATE") || strings.Contains(stderr, "ERROR") {
		ts.Fatalf("enotify %s: got stderr %q, want one clear line", strings.Join(args[1:], " "), stderr)
	}
}

// An internet is what a script has around it once it says internet.
type internet struct {
	receivers sitetest.Receivers
	dns       *dnstest.Server // nil before that
}

type internetKey struct{}

// scriptZone has every domain of a script's recipients served by one mail host.
const scriptZone = `
town.example.   TXT "v=spf1 ip4:192.0.2.10 -all"
mx.example.     A   127.0.0.1
*.example.      MX  10 mx.example.
`

// newInternet is the command internet: DNS and receivers, which nodes of the
// script find.
func newInternet(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) > 0 {
		ts.Fatalf("usage: internet")
	}
	n := ts.Value(internetKey{}).(*internet)
	n.dns = dnstest.New(ts.Value(testKey{}).(testing.TB), scriptZone)
	smtp, err := smtptest.Start(n.receivers.Config())
	ts.Check(err)
	ts.Defer(func() { smtp.Close() })
	_, port, err := net.SplitHostPort(smtp.Addr)
	ts.Check(err)
	ts.Setenv("ENOTIFY_RESOLVER", n.dns.Addr)
	ts.Setenv("ENOTIFY_SMTP_PORT", port)
	ts.Setenv("ENOTIFY_ALLOW_MX", "127.0.0.0/8")
	ts.Setenv("ENOTIFY_EGRESS", sitetest.Egress.String())
	ts.Setenv("ENOTIFY_HELO", "mail.host.example")
}

// setReply is the command reply WHO VERB [REPLY]: what receivers say to it from
// now on. WHO is an address or a domain; REPLY may be drop.
func setReply(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) < 2 || len(args) > 3 {
		ts.Fatalf("usage: reply ADDRESS|DOMAIN VERB [REPLY|drop]")
	}
	ts.Value(internetKey{}).(*internet).receivers.Answer(args[0], args[1], strings.Join(args[2:], ""))
}

// putRecords is the command dns RECORD...: changes the DNS.
func putRecords(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) == 0 {
		ts.Fatalf("usage: dns RECORD...")
	}
	ts.Check(ts.Value(internetKey{}).(*internet).dns.Put(strings.Join(args, "\n") + "\n"))
}

// passes is the command passes INTERVAL: so much time goes by for what has
// happened, without anybody waiting for it.
func passes(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 1 {
		ts.Fatalf("usage: passes INTERVAL")
	}
	ctx := context.Background()
	conn, err := pgx.Connect(ctx, ts.Getenv("DATABASE_URL"))
	ts.Check(err)
	defer conn.Close(ctx)
	for table, columns := range map[string][]string{
		"batch": {"finished_at"}, "outcome": {"at"}, "attempt": {"at"}, "verdict": {"valid_until"},
		"suppression": {"until"}, "retry": {"due_at"},
	} {
		for _, column := range columns {
			_, err := conn.Exec(ctx, fmt.Sprintf("UPDATE enotify.%s SET %s = %[2]s - $1::interval WHERE %[2]s IS NOT NULL", table, column), args[0])
			ts.Check(err)
		}
	}
}

// bounceBack is the command returned RECIPIENT FILE: writes what comes back of
// the last message to a recipient, who is gone.
func bounceBack(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 2 {
		ts.Fatalf("usage: returned RECIPIENT FILE")
	}
	m, ok := ts.Value(internetKey{}).(*internet).receivers.Last(args[0])
	if !ok {
		ts.Fatalf("%s got no message", args[0])
	}
	ts.Check(os.WriteFile(ts.MkAbs(args[1]), []byte(sitetest.Gone(m.From, args[0])), 0o644))
}

// until is the command until SQL: waits for a query to say true.
func until(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 1 {
		ts.Fatalf("usage: until SQL")
	}
	ctx := context.Background()
	conn, err := pgx.Connect(ctx, ts.Getenv("DATABASE_URL"))
	ts.Check(err)
	defer conn.Close(ctx)
	for done := false; !done; time.Sleep(10 * time.Millisecond) {
		ts.Check(conn.QueryRow(ctx, args[0]).Scan(&done))
	}
}
