package main_test

import (
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"sync"
	"testing"
	"time"

	"enotify/queue/queuetest"
	"enotify/sender/smtptest"
)

// A node whose wall clock is a day ahead shares the work with one that is
// right: retries come in time, nothing expires early, both keep their leases,
// nobody is lost or gets two.
func TestClockADayAhead(t *testing.T) {
	t.Parallel()
	ahead := buildAhead(t)
	const n = 2000
	var mu sync.Mutex
	tries := map[string]int{}
	s := newSite(t, smtptest.Config{Delay: time.Millisecond, Reply: func(c smtptest.Command) string {
		if c.Verb != "RCPT" || hash(c.Arg)%10 != 0 {
			return ""
		}
		mu.Lock()
		defer mu.Unlock()
		if tries[c.Arg]++; tries[c.Arg] == 1 {
			return "450 4.2.1 Mailbox temporarily disabled"
		}
		return ""
	}})
	s.Start("run", "--node", "right", "--helo", "right.host.example", "--retry-first", "1s")
	wrong := s.Enotify("run", "--node", "ahead", "--helo", "ahead.host.example", "--retry-first", "1s")
	wrong.Path = ahead
	_, log, _ := s.startCmd("msg=leased", wrong)
	<-log.seen
	if today := time.Now().Format("time=2006-01-02"); strings.Contains(log.String(), today) {
		t.Fatalf("the node's clock is right:\n%s", log)
	}
	shared := `SELECT count(*) = 2 FROM (SELECT FROM enotify.lease WHERE node_id IS NOT NULL AND until > now() GROUP BY node_id HAVING count(*) = 32) n`
	s.Until(shared)
	epochs := ask[int64](s, `SELECT sum(epoch)::bigint FROM enotify.lease`)
	batch := ask[int64](s, `SELECT enotify.enqueue('menu', 'info@town.example', 'Lunch menu', 'Soup.',
		ARRAY(SELECT format('user%s@d%s.alone', i, i % 100) FROM generate_series(1, $1) i), expires_at => now() + interval '1 hour')`, n)
	s.Until(`SELECT state = 'done' FROM enotify.batch WHERE id = $1`, batch)

	if got, want := s.States(batch), "delivered 2000"; got != want {
		t.Errorf("states: got %s, want %s\n%s", got, want, log)
	}
	if got := ask[int64](s, `SELECT sum(epoch)::bigint FROM enotify.lease`); got != epochs || !ask[bool](s, shared) {
		t.Errorf("leases changed hands while both nodes ran: epochs sum up to %d, before %d", got, epochs)
	}
	if late := ask[int](s, `SELECT count(*)::int FROM enotify.outcome WHERE at > now() + interval '1 minute'`); late != 0 {
		t.Errorf("outcomes of tomorrow: got %d, want 0", late)
	}
	by := map[string]int{}
	for _, m := range s.SMTP.Messages() {
		by[m.Helo]++
	}
	if len(by) != 2 {
		t.Errorf("messages by node: got %v, want some of both", by)
	}
	queuetest.Copies(t, s.SMTP.Copies(), n, 1)
}

// buildAhead builds the program with a package time whose wall clock is a day
// ahead (go help build, -overlay); the monotonic one is as it was. It compiles
// all that imports time, once for each change: go keeps the rest.
func buildAhead(t *testing.T) string {
	t.Helper()
	root, err := exec.Command("go", "env", "GOROOT").Output()
	if err != nil {
		t.Fatal(err)
	}
	source := filepath.Join(strings.TrimSpace(string(root)), "src/time/time.go")
	text, err := os.ReadFile(source)
	if err != nil {
		t.Fatal(err)
	}
	const read = "\tsec, nsec, mono := runtimeNow()\n"
	if strings.Count(string(text), read) != 1 {
		t.Fatalf("time.Now of %s is not as this test knows it", runtime.Version())
	}
	dir := t.TempDir()
	patched, overlay, program := filepath.Join(dir, "time.go"), filepath.Join(dir, "overlay.json"), filepath.Join(dir,
		"enotify")
	replace, err := json.Marshal(map[string]any{"Replace": map[string]string{source: patched}})
	if err != nil {
		t.Fatal(err)
	}
	for path, text := range map[string][]byte{patched: []byte(strings.Replace(string(text), read, read+
		"\tsec += 24 * 60 * 60\n", 1)), overlay: replace} {
		if err := os.WriteFile(path, text, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	build := exec.CommandContext(t.Context(), "go", "build", "-overlay", overlay, "-o", program, ".")
	build.Env = append(os.Environ(), "CGO_ENABLED=0")
	if out, err := build.CombinedOutput(); err != nil {
		t.Fatalf("go build: %v\n%s", err, out)
	}
	return program
}
