package localpg_test

import (
	"context"
	"net"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/jackc/pgx/v5"

	"enotify/queue/localpg"
)

func start(t *testing.T, o localpg.Options) *localpg.Server {
	t.Helper()
	s, err := localpg.Start(t.Context(), o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { stop(t, s) })
	return s
}

func stop(t *testing.T, s *localpg.Server) {
	t.Helper()
	if err := s.Stop(context.Background()); err != nil {
		t.Errorf("Stop: %v", err)
	}
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

func execute(t *testing.T, url, sql string) {
	t.Helper()
	if _, err := connect(t, url).Exec(t.Context(), sql); err != nil {
		t.Fatal(err)
	}
}

func query[T any](t *testing.T, url, sql string) T {
	t.Helper()
	rows, _ := connect(t, url).Query(t.Context(), sql) // CollectExactlyOneRow returns the error
	v, err := pgx.CollectExactlyOneRow(rows, pgx.RowTo[T])
	if err != nil {
		t.Fatalf("%s: %v", sql, err)
	}
	return v
}

func port(t *testing.T, rawURL string) string {
	t.Helper()
	u, err := url.Parse(rawURL)
	if err != nil {
		t.Fatal(err)
	}
	return u.Port()
}

func TestServerIsPrivate(t *testing.T) {
	t.Parallel()
	dir := openDir(t, nil)
	s := start(t, localpg.Options{Dir: dir})

	got := map[string]string{}
	for _, name := range []string{"listen_addresses", "unix_socket_directories", "server_encoding", "fsync",
		"password_encryption"} {
		got[name] = query[string](t, s.URL(), "SHOW "+name)
	}
	want := map[string]string{
		"listen_addresses":        "127.0.0.1",
		"unix_socket_directories": "",
		"server_encoding":         "UTF8",
		"fsync":                   "on",
		"password_encryption":     "scram-sha-256",
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("settings (-want +got):\n%s", diff)
	}

	u, err := url.Parse(s.URL())
	if err != nil {
		t.Fatal(err)
	}
	u.User = url.UserPassword(u.User.Username(), "guess")
	if _, err := pgx.Connect(t.Context(), u.String()); err == nil ||
		!strings.Contains(err.Error(), "password authentication failed") {
		t.Errorf("a wrong password: got %v, want it refused", err)
	}
	info, err := os.Stat(filepath.Join(dir, "url"))
	if err != nil {
		t.Fatal(err)
	}
	if got, want := info.Mode().Perm(), os.FileMode(0o600); got != want {
		t.Errorf("mode of the file with the password: got %v, want %v", got, want)
	}
}

func TestServerKeepsDataPortAndPassword(t *testing.T) {
	t.Parallel()
	o := localpg.Options{Dir: openDir(t, nil), Unsafe: true}

	first := start(t, o)
	execute(t, first.URL(), `CREATE TABLE kept AS SELECT 'Ärger' AS word`)
	stop(t, first)
	second := start(t, o)

	if got, want := query[string](t, second.URL(), `SELECT lower(word) FROM kept`), "ärger"; got != want {
		t.Errorf("after a restart: got %q, want %q", got, want)
	}
	if got, want := second.URL(), first.URL(); got != want {
		t.Errorf("URL after a restart: got %s, want %s", got, want)
	}
}

func TestEphemeralServerLeavesNothing(t *testing.T) {
	t.Parallel()
	parent := openDir(t, nil)
	s := start(t, localpg.Options{Dir: parent, Ephemeral: true, Unsafe: true})
	if got, want := query[string](t, s.URL(), "SHOW fsync"), "off"; got != want {
		t.Errorf("fsync: got %s, want %s", got, want)
	}
	if got, want := len(servers(t, parent)), 1; got != want {
		t.Fatalf("folders while it runs: got %d, want %d", got, want)
	}

	stop(t, s)

	if got := servers(t, parent); len(got) != 0 {
		t.Errorf("folders after its end: got %v, want none", got)
	}
	if conn, err := net.Dial("tcp", "127.0.0.1:"+port(t, s.URL())); err == nil {
		conn.Close()
		t.Error("its port is still listened on")
	}
}

// servers returns the folders of ephemeral servers.
func servers(t *testing.T, parent string) []string {
	t.Helper()
	dirs, err := filepath.Glob(filepath.Join(parent, "server-*"))
	if err != nil {
		t.Fatal(err)
	}
	return dirs
}

func TestPortOfAnother(t *testing.T) {
	t.Parallel()
	o := localpg.Options{Dir: openDir(t, nil), Unsafe: true}
	first := start(t, o)
	stop(t, first)
	taken, err := net.Listen("tcp", "127.0.0.1:"+port(t, first.URL())) // it accepts and says nothing
	if err != nil {
		t.Fatal(err)
	}
	defer taken.Close()

	second := start(t, o)

	if port(t, second.URL()) == port(t, first.URL()) {
		t.Errorf("got port %s, which another listens on", port(t, second.URL()))
	}
	if got, want := query[int](t, second.URL(), "SELECT 1"), 1; got != want {
		t.Errorf("got %d, want %d", got, want)
	}
}

func TestInterruptedInitdb(t *testing.T) {
	t.Parallel()
	dir := openDir(t, nil)
	if err := os.MkdirAll(filepath.Join(dir, "data.new", "base"), 0o700); err != nil {
		t.Fatal(err)
	}
	s := start(t, localpg.Options{Dir: dir, Unsafe: true})
	if got, want := query[int](t, s.URL(), "SELECT 1"), 1; got != want {
		t.Errorf("got %d, want %d", got, want)
	}
}

func TestErrorsSayWhy(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		spoil func(t *testing.T, dir string)
		want  string
	}{
		"server does not start": {
			func(t *testing.T, dir string) {
				stop(t, start(t, localpg.Options{Dir: dir, Unsafe: true}))
				write(t, filepath.Join(dir, "data/postgresql.auto.conf"), "no_such_setting = 1\n")
			},
			`unrecognized configuration parameter \"no_such_setting\"`,
		},
		"password lost": {
			func(t *testing.T, dir string) {
				stop(t, start(t, localpg.Options{Dir: dir, Unsafe: true}))
				if err := os.Remove(filepath.Join(dir, "url")); err != nil {
					t.Fatal(err)
				}
			},
			"the password of the data in",
		},
		"version not installed": {
			func(t *testing.T, dir string) { write(t, filepath.Join(dir, "data/PG_VERSION"), "8\n") },
			"PostgreSQL 8 is needed, but only",
		},
		"a link": {
			func(t *testing.T, dir string) {
				if err := os.Remove(dir); err != nil {
					t.Fatal(err)
				}
				if err := os.Symlink(openDir(t, nil), dir); err != nil {
					t.Fatal(err)
				}
			},
			"should be a folder that belongs to user",
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			dir := openDir(t, nil)
			test.spoil(t, dir)
			s, err := localpg.Start(t.Context(), localpg.Options{Dir: dir})
			if err == nil {
				stop(t, s)
				t.Fatal("Start succeeded")
			}
			if !strings.Contains(err.Error(), test.want) {
				t.Errorf("got %q, want it to say %q", err, test.want)
			}
			if strings.Contains(err.Error(), "\n") {
				t.Errorf("got %q, want one line", err)
			}
		})
	}
}

// TestFolderOfAnother is about /tmp, where others may have put what we look for.
func TestFolderOfAnother(t *testing.T) {
	t.Parallel()
	dir := "/" // of root
	if os.Getuid() == 0 {
		dir = openDir(t, users()["nobody"])
	}
	s, err := localpg.Start(t.Context(), localpg.Options{Dir: dir})
	if err == nil {
		stop(t, s)
		t.Fatal("Start succeeded")
	}
	if want := "should be a folder that belongs to user"; !strings.Contains(err.Error(), want) {
		t.Errorf("got %q, want it to say %q", err, want)
	}
}

func write(t *testing.T, path, text string) {
	t.Helper()
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
}

// Anybody on the machine can read the arguments of all processes.
func TestPasswordIsNoArgument(t *testing.T) {
	t.Parallel()
	s := start(t, localpg.Options{Dir: openDir(t, nil), Ephemeral: true, Unsafe: true})
	u, err := url.Parse(s.URL())
	if err != nil {
		t.Fatal(err)
	}
	password, _ := u.User.Password()
	arguments, err := exec.Command("ps", "-A", "-ww", "-o", "args").Output()
	if err != nil {
		t.Fatal(err)
	}
	if !strings.Contains(string(arguments), "-p "+u.Port()) {
		t.Errorf("ps does not show the server at port %s", u.Port())
	}
	if strings.Contains(string(arguments), password) {
		t.Error("ps shows the password")
	}
}
