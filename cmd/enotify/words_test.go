package main_test

import (
	"net/url"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"enotify/queue/queuetest"
)

// jargon is what PostgreSQL, its driver and the Go libraries say, and no person
// should have to read.
var jargon = regexp.MustCompile(`SQLSTATE|violates|pgx|ERROR:|_check\b|_pkey|_fkey|strconv|failed to connect to|dial tcp|hostname resolving|cannot parse|relation "|null value`)

// Whatever is typed wrong, whoever types it, on whatever database: one line in
// words for people, and no exit code 0.
func TestErrorsAreForPeople(t *testing.T) {
	t.Parallel()
	f := queuetest.NewFixture(t)
	f.Enqueue("menu", 2, "a.example")
	dir := t.TempDir()
	text, people := filepath.Join(dir, "text.txt"), filepath.Join(dir, "people.csv")
	for file, content := range map[string]string{text: "Soup.", people: "address\nann@one.example\n"} {
		if err := os.WriteFile(file, []byte(content), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	create := func(more ...string) []string {
		return append([]string{"batch", "create", "--text", text, "--recipients", people, "--from", "info@town.example",
			"--subject", "Menu"}, more...)
	}
	long := strings.Repeat("x", 1000)
	for _, args := range [][]string{
		create("--subject", "Menu\r\nBcc: x@y.example"), create("--subject", long), create("--subject", "{{.name"),
		create("--from", "info@nowhere.example"), create("--from", "info"),
		create("--from", "info@town.example\r\nBcc: x@y.example"), create("--from-name", "Town\nHall"),
		create("--from-name", long), create("--reply-to", "a@b.example\r\nX: y"), create("--reply-to", long),
		create("--list-unsubscribe", "ftp://x"), create("--list-unsubscribe", "https://x/ y"), create("--header", "X"),
		create("--header", "X Y: z"), create("--header", "X-Y: a\r\nb"),
		create("--key", long), create("--priority", "99999999999"), create("--priority", "x"),
		create("--not-before", "soon"), create("--not-before", "9999-12-31T23:59:59+14:00"),
		create("--expires", "0001-01-01T00:00:00Z"),
		create("--text", "/nonexistent"), create("--attach", dir), create("--recipients", text),
		create("--on-unknown", "guess"),
		{"client", "add", "foo bar"}, {"client", "add", long + ".example"}, {"client", "add", "-.example"},
		{"client", "add", "😀"}, {"client", "add", "a\x00b.example"}, {"client", "add", "\xff.example"},
		{"client", "add", "town.example", "--role", "nobody_of_this_name"},
		{"client", "add", "town.example", "--role", "enotify_app"}, {"client", "add", "town.example"},
		{"client", "set", "town.example", "--return-path", "a b@c"},
		{"client", "set", "town.example", "--return-path", long + "@c.example"},
		{"client", "set", "town.example", "--dkim-selector", "a,b,c,d,e"},
		{"client", "set", "town.example", "--dkim-selector", "_x"},
		{"client", "set", "town.example", "--bounce-domain", "x"},
		{"client", "set", "town.example", "--bounce-domain", strings.Repeat("a.", 94) + "ab"},
		{"client", "set", "town.example", "--max-priority", "9999999999"},
		{"client", "set", "town.example", "--max-priority", "-1"}, {"client", "rm", "town.example", "--yes"},
		{"client", "show", "nowhere.example"},
		{"destination", "set", "gmail.com", "--rate", "99999999999999/s"},
		{"destination", "set", "gmail.com", "--rate", "1/0s"},
		{"destination", "set", "gmail.com", "--burst", "99999999999"}, {"destination", "set", "gm ail", "--burst", "1"},
		{"destination", "reset", "nowhere.example", "--yes"},
		{"suppression", "add", "no address"}, {"suppression", "add", long + "@a.example"},
		{"suppression", "add", "a\x00@b.example"}, {"suppression", "rm", "x@y.example", "--yes"},
		{"batch", "show", "99"}, {"batch", "show", "9999999999999999999"}, {"batch", "pause", "99"},
		{"batch", "list", "--before", "x"}, {"batch", "requeue", "1", "--class", "nonsense"},
		{"batch", "edit", "1", "--subject", "x\ny"},
		{"bounce", "report", "--since", "yesterday"}, {"bounce", "key", "retire", "zzzz", "--yes"}, {"health"},
		{"health", "--listen", "127.0.0.1:1"},
		{"run", "--listen", "127.0.0.1:99999", "--egress", "192.0.2.10"},
		{"run", "--listen", "198.51.100.77:80", "--egress", "192.0.2.10"}, {"run", "--egress", "10.0.0.5"},
		{"run", "--egress", "x"}, {"run", "--dkim-dir", "/nonexistent", "--egress", "192.0.2.10"},
	} {
		complain(t, args, f.URL)
	}

	// The database is not there, or lets nobody in.
	ours, err := url.Parse(f.URL)
	if err != nil {
		t.Fatal(err)
	}
	with := func(change func(u *url.URL)) string {
		u := *ours
		change(&u)
		return u.String()
	}
	for _, database := range []string{
		"foo", "postgres://127.0.0.1:99999/x", "postgres://127.0.0.1:port/x", "postgres://ann:secret@127.0.0.1:1/x",
		"host=127.0.0.1 port", "postgres://ann@nowhere.invalid/x",
		with(func(u *url.URL) { u.User = url.UserPassword("nobody_of_this_name", "x") }),
		with(func(u *url.URL) { u.User = url.User(u.User.Username()) }),
		with(func(u *url.URL) { u.User = url.UserPassword(u.User.Username(), "wrong") }),
		with(func(u *url.URL) { u.Path = "/nonexistent" }),
		with(func(u *url.URL) { u.RawQuery = "sslmode=require" }),
		with(func(u *url.URL) { u.RawQuery = "sslmode=nonsense" }),
		with(func(u *url.URL) { u.RawQuery = "sslmode=disable&sslrootcert=/nonexistent" }), queuetest.Empty(t),
	} {
		complain(t, []string{"batch", "list"}, database)
	}

	for next, database := range map[string]string{
		"correct the user and the password of the database URL": with(func(u *url.URL) {
			u.User = url.UserPassword(u.User.Username(), "wrong")
		}),
		`make the database: CREATE DATABASE "nonexistent"`: with(func(u *url.URL) { u.Path = "/nonexistent" }),
	} {
		if _, out := invoke(t.Context(), []string{"batch", "list"}, "DATABASE_URL", database); !strings.Contains(out, next) {
			t.Errorf("batch list on %s: got %q, want it to say what to do: %s", database, out, next)
		}
	}

	// Each role, at what it may not do.
	for _, role := range [][]string{nil, {"enotify_app"}, {"enotify_sender"}, {"enotify_admin"}} {
		login := queuetest.Login(t, f.URL, role...)
		if len(role) == 0 || role[0] != "enotify_admin" {
			for _, args := range []string{"batch pause 1", "batch cancel 1 --yes", "client add b.example",
				"destination set gmail.com --burst 3", "bounce key rotate --yes", "client rm town.example --yes"} {
				complain(t, strings.Fields(args), login)
			}
		}
		if len(role) == 0 || role[0] != "enotify_sender" {
			complain(t, []string{"run", "--egress", "192.0.2.10", "--until-idle"}, login)
			complain(t, []string{"migrate", "--database-url", strings.Replace(login, ours.Path, "/template1", 1)},
				login)
		}
	}
	f.Exec(`SELECT enotify.cancel_batch(1, '')`)
	f.Exec(`UPDATE enotify.batch SET finished_at = now()`)
	complain(t, []string{"client", "rm", "town.example", "--with-batches", "--yes"},
		queuetest.Login(t, f.URL, "enotify_admin"))
}

// complain runs a command line that must fail with one line for people.
func complain(t *testing.T, args []string, database string) {
	t.Helper()
	code, out := invoke(t.Context(), args, "DATABASE_URL", database, "ENOTIFY_STATE_DIR", "/dev/null/journals")
	line := out[strings.LastIndex(strings.TrimSuffix(out, "\n"), "\n")+1:] // after what a node has logged
	if code == 0 || !strings.HasPrefix(line, "enotify: ") || jargon.MatchString(out) || len(line) > 700 &&
		!strings.Contains(line, "xxx") {
		t.Errorf("%q on %s: got exit %d, %q, want an error in words for people", args, database, code, out)
	}
}
