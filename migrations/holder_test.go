package migrations_test

import (
	"fmt"
	"io/fs"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/jackc/pgx/v5"

	"enotify/migrations"
	"enotify/queue/queuetest"
)

// before002 are the migrations of a table that an application reads, without and
// with one that alters it.
func before002() (old, all fs.FS) {
	first := []string{"001_t", `
		CREATE TABLE enotify.t (a int);
		GRANT USAGE ON SCHEMA enotify TO enotify_app;
		GRANT SELECT ON enotify.t TO enotify_app`}
	return files(first...), files(append(first, "002_column", `ALTER TABLE enotify.t ADD b int`)...)
}

// An application has looked at a table and forgotten its transaction. A migration
// that must change the table waits and tries again; everybody else waits behind
// it for LockTimeout at most; and it goes through when the application ends.
func TestAnIdleTransactionStopsOnlyTheMigration(t *testing.T) {
	t.Parallel()
	database := queuetest.Empty(t)
	conn, other := connect(t, database), connect(t, database)
	old, fsys := before002()
	mustUp(t, conn, old)

	application := connect(t, queuetest.Login(t, database, "enotify_app"))
	execute(t, application, `BEGIN`, `SELECT a FROM enotify.t`)
	execute(t, other, `SET statement_timeout = '10s'`) // to fail, not to hang
	waiting := make(chan migrations.Holder, 1)
	patient := migrations.Upgrade{Waiting: func(h migrations.Holder) { waiting <- h }}
	type result struct {
		applied []string
		err     error
	}
	ended := make(chan result, 1)
	go func() {
		applied, err := patient.UpFS(t.Context(), conn, fsys)
		ended <- result{applied, err}
	}()
	// Everybody else goes on meanwhile; the migration has been told who is in the
	// way by the time that it has tried twice.
	var longest time.Duration
	var holder migrations.Holder
	for holder.PID == 0 {
		begun := time.Now()
		execute(t, other, `SELECT a FROM enotify.t`)
		longest = max(longest, time.Since(begun))
		select {
		case holder = <-waiting:
		case r := <-ended:
			t.Fatalf("the migration ended while the table was in use: %v, %v", r.applied, r.err)
		default:
		}
	}
	if limit := 3 * migrations.LockTimeout; longest > limit {
		t.Errorf("another session waited %v for the table, want at most %v", longest, limit)
	}
	want := application.Config().User
	if holder.Login != want || holder.State != "idle in transaction" || holder.Since.IsZero() {
		t.Errorf("in the way: got %v, want login %s, idle in transaction since some time", holder, want)
	}
	execute(t, application, `COMMIT`)
	r := <-ended
	if r.err != nil || !cmp.Equal(r.applied, []string{"002_column"}) {
		t.Errorf("after the application's end: got %v and error %v, want 002_column", r.applied, r.err)
	}
}

// When patience ends, one line says who holds the table and what to do. An owner
// who is no superuser cannot see since when, and says the rest.
func TestTheHolderIsNamed(t *testing.T) {
	t.Parallel()
	somewhere := queuetest.New(t)
	owner := queuetest.Login(t, somewhere)
	database := queuetest.Empty(t)
	super := connect(t, database)
	asOwner := connect(t, as(t, database, owner))
	execute(t, super, `ALTER DATABASE `+super.Config().Database+` OWNER TO `+asOwner.Config().User)
	old, fsys := before002()
	mustUp(t, asOwner, old)
	application := connect(t, queuetest.Login(t, database, "enotify_app"))
	execute(t, application, `BEGIN`, `SELECT a FROM enotify.t`)
	pid := query[int](t, application, `SELECT pg_backend_pid()`)
	since := query[time.Time](t, application, `SELECT now()`)

	who := fmt.Sprintf("process %d of login %s", pid, application.Config().User)
	const fix = ": end that transaction (SELECT pg_terminate_backend(%d)), then run enotify migrate"
	for name, test := range map[string]struct {
		conn *pgx.Conn
		want string
	}{
		"superuser": {super, who + ", idle in transaction since " + since.Format(time.DateTime+" MST")},
		"owner":     {asOwner, who},
	} {
		impatient := migrations.Upgrade{Patience: 2 * time.Second}
		applied, err := impatient.UpFS(t.Context(), test.conn, fsys)
		want := "migrate: a table that must change is in use by " + test.want + fmt.Sprintf(fix, pid)
		if len(applied) > 0 || err == nil || err.Error() != want {
			t.Errorf("%s: got %v and error\n%v, want\n%s", name, applied, err, want)
		}
	}
	if got := query[int](t, super, `SELECT count(*)::int FROM enotify.schema_version`); got != 1 {
		t.Errorf("migrations recorded: got %d, want 1", got)
	}
}

// No lock that an application can take delays a migration: not an advisory one,
// whatever its number, and none on the table of versions.
func TestApplicationsCannotLockMigrationsOut(t *testing.T) {
	t.Parallel()
	database := queuetest.New(t)
	conn := connect(t, database)
	application := connect(t, queuetest.Login(t, database, "enotify_app"))
	var held []string
	mode := func(name string) bool {
		_, err := application.Exec(t.Context(), `LOCK TABLE enotify.schema_version IN `+name+` MODE NOWAIT`)
		return err == nil
	}
	for _, name := range []string{"ACCESS SHARE", "ROW SHARE", "ROW EXCLUSIVE", "SHARE UPDATE EXCLUSIVE", "SHARE",
		"SHARE ROW EXCLUSIVE", "EXCLUSIVE", "ACCESS EXCLUSIVE"} {
		execute(t, application, `BEGIN`)
		if mode(name) {
			held = append(held, name)
		}
		execute(t, application, `ROLLBACK`)
	}
	if diff := cmp.Diff([]string{"ACCESS SHARE"}, held); diff != "" {
		t.Errorf("modes in which an application may lock the table of versions (-want +got):\n%s", diff)
	}
	execute(t, application, `BEGIN`, `LOCK TABLE enotify.schema_version IN ACCESS SHARE MODE`,
		`SELECT * FROM enotify.schema_version`)
	execute(t, conn, `UPDATE enotify.schema_function SET hash = 'old' WHERE name = 'enqueue'`)
	applied, err := migrations.Upgrade{Patience: time.Nanosecond}.Up(t.Context(), conn)
	if err != nil || !cmp.Equal(applied, []string{"functions/enqueue"}) {
		t.Errorf("got %v and error %v, want functions/enqueue", applied, err)
	}
	for name, text := range eachFile() {
		if strings.Contains(text, "advisory_") {
			t.Errorf("%s takes an advisory lock, want a row of engine_lock", name)
		}
	}
}
