package migrations_test

import (
	"context"
	"fmt"
	"io/fs"
	"net"
	"strings"
	"sync"
	"testing"
	"testing/fstest"

	"github.com/google/go-cmp/cmp"
	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgproto3"

	"enotify/migrations"
	"enotify/queue/queuetest"
)

func TestMain(m *testing.M) { queuetest.Main(m) }

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

func mustUp(t *testing.T, conn *pgx.Conn, fsys fs.FS) []string {
	t.Helper()
	applied, err := migrations.UpFS(t.Context(), conn, fsys)
	if err != nil {
		t.Fatal(err)
	}
	return applied
}

// recorded returns what the database says has been applied.
func recorded(t *testing.T, conn *pgx.Conn) []string {
	t.Helper()
	rows, _ := conn.Query(t.Context(), // the error is also that of CollectRows
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
	now := files("001_one", `never again`, "002_two", `CREATE TABLE enotify.two ()`, "003_three", `DROP TABLE enotify.two`)
	if diff := cmp.Diff([]string{"002_two", "003_three"}, mustUp(t, conn, now)); diff != "" {
		t.Errorf("applied (-want +got):\n%s", diff)
	}
	if diff := cmp.Diff([]string{"1 one", "2 two", "3 three"}, recorded(t, conn)); diff != "" {
		t.Errorf("recorded (-want +got):\n%s", diff)
	}
}

func TestUpAppliesAFileWholeOrNotAtAll(t *testing.T) {
	t.Parallel()
	conn := connect(t, queuetest.Empty(t))
	applied, err := migrations.UpFS(t.Context(), conn, files(
		"001_good", `CREATE TABLE enotify.good ()`,
		"002_bad", "CREATE TABLE enotify.half (); -- ä\n\nSELEKT 1;"))
	if diff := cmp.Diff([]string{"001_good"}, applied); diff != "" {
		t.Errorf("applied (-want +got):\n%s", diff)
	}
	if want := "002_bad, line 3:"; err == nil || !strings.Contains(err.Error(), want) {
		t.Errorf("got error %v, want one that says %q", err, want)
	}
	if diff := cmp.Diff([]string{"1 good"}, recorded(t, conn)); diff != "" {
		t.Errorf("recorded (-want +got):\n%s", diff)
	}
	var half bool
	if err := conn.QueryRow(t.Context(), `SELECT to_regclass('enotify.half') IS NOT NULL`).Scan(&half); err != nil || half {
		t.Errorf("the first statement of the bad file stayed (%v, error %v)", half, err)
	}
}

// TestUpTakesTurns holds up the first caller inside a migration until all the
// others have come.
func TestUpTakesTurns(t *testing.T) {
	t.Parallel()
	const callers = 6
	url := queuetest.Empty(t)
	holder, watcher := connect(t, url), connect(t, url)
	fsys := files("001_a", `LOCK TABLE gate`, "002_b", `CREATE TABLE enotify.b ()`)
	for _, sql := range []string{`CREATE TABLE gate ()`, `BEGIN`, `LOCK TABLE gate`} {
		if _, err := holder.Exec(t.Context(), sql); err != nil {
			t.Fatal(err)
		}
	}
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
	return migrations.UpFS(t.Context(), conn, fsys)
}

func TestUpRefusesNewerSchema(t *testing.T) {
	t.Parallel()
	conn := connect(t, queuetest.Empty(t))
	mustUp(t, conn, files("001_a", `SELECT 1`, "002_b", `SELECT 1`))
	_, err := migrations.UpFS(t.Context(), conn, files("001_a", `SELECT 1`))
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
		if _, err := migrations.UpFS(t.Context(), conn, fsys); err == nil || !strings.Contains(err.Error(), "the name should be 00") {
			t.Errorf("%s: got %v, want the name that is expected", name, err)
		}
	}
}

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
		theirs.Close() // whoever asks for more gets an error
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

func TestHash(t *testing.T) {
	t.Parallel()
	seen := map[string]string{}
	for name, fsys := range map[string]fs.FS{
		"some":             files("001_a", "x", "002_b", "y"),
		"other statements": files("001_a", "x", "002_b", "z"),
		"another name":     files("001_a", "x", "002_c", "y"),
		"one less":         files("001_a", "x"),
		"run together":     files("001_a", "x002_by"),
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
	if got, want := fmt.Sprintf("%.16s", migrations.Hash()), migrations.Hash(); got != want {
		t.Errorf("got hash %q, want 16 digits", want)
	}
}
