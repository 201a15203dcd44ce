package migrations_test

import (
	"context"
	"io/fs"
	"strings"
	"sync"
	"testing"
	"testing/fstest"

	"github.com/google/go-cmp/cmp"
	"github.com/jackc/pgx/v5"

	"enotify/migrations"
	"enotify/queue/queuetest"
)

func TestMain(m *testing.M) { queuetest.Main(m) }

// upgrade migrates with the default options.
var upgrade migrations.Upgrade

// files makes the migrations of a test, as in files("001_a", "SELECT 1").
func files(namesAndSQL ...string) fs.FS {
	fsys := fstest.MapFS{}
	for i := 0; i < len(namesAndSQL); i += 2 {
		fsys[namesAndSQL[i]+".sql"] = &fstest.MapFile{Data: []byte(namesAndSQL[i+1])}
	}
	return fsys
}

func connect(t *testing.T, url string) *pgx.Conn {
	t.Helper()
	conn, err := pgx.Connect(t.Context(), url)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { conn.Close(context.Background()) })
	return conn
}

func query[T any](t *testing.T, conn *pgx.Conn, sql string, args ...any) T {
	t.Helper()
	rows, _ := conn.Query(t.Context(), sql, args...) // CollectExactlyOneRow returns the error
	v, err := pgx.CollectExactlyOneRow(rows, pgx.RowTo[T])
	if err != nil {
		t.Fatalf("%s: %v", sql, err)
	}
	return v
}

func execute(t *testing.T, conn *pgx.Conn, statements ...string) {
	t.Helper()
	for _, sql := range statements {
		if _, err := conn.Exec(t.Context(), sql); err != nil {
			t.Fatalf("%s: %v", sql, err)
		}
	}
}

func mustUp(t *testing.T, conn *pgx.Conn, fsys fs.FS) []string {
	t.Helper()
	applied, err := upgrade.UpFS(t.Context(), conn, fsys)
	if err != nil {
		t.Fatal(err)
	}
	return applied
}

// recorded returns what the database says has been applied.
func recorded(t *testing.T, conn *pgx.Conn) []string {
	t.Helper()
	rows, _ := conn.Query(t.Context(), // CollectRows returns the error
		`SELECT version || ' ' || name FROM enotify.schema_version WHERE applied_at <= now() ORDER BY version`)
	got, err := pgx.CollectRows(rows, pgx.RowTo[string])
	if err != nil {
		t.Fatal(err)
	}
	return got
}

func TestUpIsIdempotent(t *testing.T) {
	t.Parallel()
	conn := connect(t, queuetest.Empty(t))
	first, err := migrations.Up(t.Context(), conn)
	if err != nil {
		t.Fatal(err)
	}
	if len(first) == 0 || !strings.HasPrefix(first[0], "001_") {
		t.Errorf("first run: applied %v, want 001_… and all others", first)
	}
	second, err := migrations.Up(t.Context(), conn)
	if err != nil || len(second) != 0 {
		t.Errorf("second run: applied %v, error %v, want neither", second, err)
	}
}

func TestUpAppliesWhatIsMissing(t *testing.T) {
	t.Parallel()
	conn := connect(t, queuetest.Empty(t))
	old := files("001_one", `CREATE TABLE enotify.one (); CREATE TABLE enotify.uno ()`)
	if diff := cmp.Diff([]string{"001_one"}, mustUp(t, conn, old)); diff != "" {
		t.Errorf("applied (-want +got):\n%s", diff)
	}
	now := files("001_one", `never again`, "002_two", `CREATE TABLE enotify.two ()`, "003_three",
		`DROP TABLE enotify.two`)
	if diff := cmp.Diff([]string{"002_two", "003_three"}, mustUp(t, conn, now)); diff != "" {
		t.Errorf("applied (-want +got):\n%s", diff)
	}
	if diff := cmp.Diff([]string{"1 one", "2 two", "3 three"}, recorded(t, conn)); diff != "" {
		t.Errorf("recorded (-want +got):\n%s", diff)
	}
}

func TestUpAppliesAllOrNothing(t *testing.T) {
	t.Parallel()
	conn := connect(t, queuetest.Empty(t))
	applied, err := upgrade.UpFS(t.Context(), conn, files(
		"001_good", `CREATE TABLE enotify.good ()`,
		"002_bad", "CREATE TABLE enotify.half (); -- ä\n\nSELEKT 1;"))
	if len(applied) != 0 {
		t.Errorf("applied: got %v, want nothing", applied)
	}
	if want := "002_bad, line 3:"; err == nil || !strings.Contains(err.Error(), want) {
		t.Errorf("got error %v, want one that says %q", err, want)
	}
	if got := query[bool](t, conn, `SELECT to_regnamespace('enotify') IS NULL`); !got {
		t.Error("the schema was made, want nothing made")
	}
}

// TestUpTakesTurns holds up the first caller inside a migration until all the
// others have come.
func TestUpTakesTurns(t *testing.T) {
	t.Parallel()
	const callers = 6
	url := queuetest.Empty(t)
	holder, watcher := connect(t, url), connect(t, url)
	fsys := files("001_a", `SET LOCAL lock_timeout = 0; LOCK TABLE public.gate`, "002_b", `CREATE TABLE enotify.b ()`)
	execute(t, holder, `CREATE TABLE gate ()`, `BEGIN`, `LOCK TABLE gate`)
	var (
		wg  sync.WaitGroup
		mu  sync.Mutex
		got = map[string]int{}
	)
	for range callers {
		wg.Go(func() {
			applied, err := upOnce(t, url, fsys)
			if err != nil {
				t.Error(err)
			}
			mu.Lock()
			defer mu.Unlock()
			for _, name := range applied {
				got[name]++
			}
		})
	}
	for waiting := 0; waiting < callers && !t.Failed(); {
		err := watcher.QueryRow(t.Context(), `
			SELECT count(*) FROM pg_locks JOIN pg_stat_activity USING (pid)
			WHERE NOT granted AND datname = current_database()`).Scan(&waiting)
		if err != nil {
			t.Error(err)
		}
	}
	if _, err := holder.Exec(t.Context(), `COMMIT`); err != nil {
		t.Error(err)
	}
	wg.Wait()
	if diff := cmp.Diff(map[string]int{"001_a": 1, "002_b": 1}, got); diff != "" {
		t.Errorf("times applied, over all callers (-want +got):\n%s", diff)
	}
}

func upOnce(t *testing.T, url string, fsys fs.FS) ([]string, error) {
	conn, err := pgx.Connect(t.Context(), url)
	if err != nil {
		return nil, err
	}
	defer conn.Close(context.Background())
	return upgrade.UpFS(t.Context(), conn, fsys)
}

func TestUpRefusesNewerSchema(t *testing.T) {
	t.Parallel()
	conn := connect(t, queuetest.Empty(t))
	mustUp(t, conn, files("001_a", `SELECT 1`, "002_b", `SELECT 1`))
	_, err := upgrade.UpFS(t.Context(), conn, files("001_a", `SELECT 1`))
	want := "migrate: the database has schema version 2, but this enotify knows only up to 1: use a newer enotify"
	if err == nil || err.Error() != want {
		t.Errorf("got %v, want %q", err, want)
	}
}

func TestUpRefusesBadNames(t *testing.T) {
	t.Parallel()
	conn := connect(t, queuetest.Empty(t))
	for name, fsys := range map[string]fs.FS{
		"a gap":       files("001_a", "", "003_c", ""),
		"no number":   files("a", ""),
		"no name":     files("001", ""),
		"same number": files("001_a", "", "001_b", ""),
	} {
		if _, err := upgrade.UpFS(t.Context(), conn, fsys); err == nil ||
			!strings.Contains(err.Error(), "want the name 00") {
			t.Errorf("%s: got %v, want the name that is expected", name, err)
		}
	}
}

func TestHash(t *testing.T) {
	t.Parallel()
	seen := map[string]string{}
	for name, fsys := range map[string]fs.FS{
		"some":             files("001_a", "x", "002_b", "y"),
		"other statements": files("001_a", "x", "002_b", "z"),
		"another name":     files("001_a", "x", "002_c", "y"),
		"one less":         files("001_a", "x"),
		"run together":     files("001_a", "x002_by"),
		"a function":       files("001_a", "x", "002_b", "y", "functions/f", "CREATE OR REPLACE FUNCTION enotify.f()"),
		"another function": files("001_a", "x", "002_b", "y", "functions/f",
			"CREATE OR REPLACE FUNCTION enotify.f(int)"),
	} {
		h, err := migrations.HashFS(fsys)
		if err != nil {
			t.Fatal(err)
		}
		if other, ok := seen[h]; ok {
			t.Errorf("%s and %s: the same hash %s", name, other, h)
		}
		seen[h] = name
	}
	if got := migrations.Hash(); len(got) != 16 {
		t.Errorf("got hash %q, want 16 digits", got)
	}
}
