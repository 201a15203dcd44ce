package main_test

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"enotify/queue/queuetest"
)

// Verbs that only read ask the standby of --read-url, which takes no write, and the
// database itself may be away.
func TestReadersAskAStandby(t *testing.T) {
	t.Parallel()
	f := queuetest.NewOwnServer(t, true)
	f.Enqueue("menu", 3, "a.example")
	f.Serve(f.Server("n1", queuetest.Deliver))
	run := func(database, reader string, args ...string) (string, error) {
		exe, err := os.Executable()
		if err != nil {
			t.Fatal(err)
		}
		cmd := exec.CommandContext(t.Context(), exe, args...)
		cmd.Args[0] = "enotify" // testscript.Main makes this main()
		cmd.Env = []string{"HOME=" + t.TempDir(), "GORACE=atexit_sleep_ms=0", "DATABASE_URL=" + database,
			"ENOTIFY_READ_URL=" + reader}
		out, err := cmd.CombinedOutput()
		return string(out), err
	}
	if out, err := run(f.URL, "", "suppression", "add", "gone@a.example"); err != nil {
		t.Fatalf("suppression add: %v\n%s", err, out)
	}
	if err := f.PostgreSQL.Stop(t.Context()); err != nil {
		t.Fatal(err)
	}
	queuetest.StartStandby(t, filepath.Join(f.Dir, "data"))
	queuetest.ConnectWhenUp(t, f.URL)

	const away = "postgres://127.0.0.1:1/none"
	for _, tt := range []struct{ args, want string }{
		{"batch list --all", "menu"},
		{"batch show 1", "delivered"},
		{"batch audit", "balances"},
		{"bounce report --batch 1", "Total: 3"},
		{"client list", "town.example"},
		{"client show town.example", "town.example"},
		{"destination list", "google"},
		{"suppression list", "gone@a.example"},
		{"suppression export", "gone@a.example"},
		{"suppression explain gone@a.example", "gone@a.example"},
	} {
		if out, err := run(away, f.URL, strings.Fields(tt.args)...); err != nil || !strings.Contains(out, tt.want) {
			t.Errorf("%s of the standby: got %v and\n%s\nwant %q", tt.args, err, out, tt.want)
		}
	}
	if out, err := run(away, f.URL, "batch", "cancel", "1", "--yes"); err == nil ||
		!strings.Contains(out, "127.0.0.1:1") {
		t.Errorf("batch cancel: got %v and %q, want the database itself to be asked", err, out)
	}
}
