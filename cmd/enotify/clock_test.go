package main_test

import (
	"fmt"
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

// buildAhead links the program with a package time whose wall clock is a day ahead; the
// monotonic one is as it was. All that imports time is taken as it was compiled for
// [plain]: only the body of a function differs.
func buildAhead(t *testing.T) string {
	t.Helper()
	dir := t.TempDir()
	tool := func(args ...string) string {
		t.Helper()
		cmd := exec.CommandContext(t.Context(), "go", args...)
		var said strings.Builder
		cmd.Stderr = &said
		out, err := cmd.Output()
		if err != nil {
			t.Fatalf("%v: %v\n%s", cmd, err, said.String())
		}
		return strings.TrimSpace(string(out))
	}
	write := func(name, text string) string {
		t.Helper()
		path := filepath.Join(dir, name)
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		return path
	}

	compiled := filepath.Join(dir, "time.a")
	var packages strings.Builder
	program := ""
	for line := range strings.Lines(tool("list", "-trimpath=false", "-buildvcs=false", "-export", "-deps", "-f",
		"{{.ImportPath}} {{.Export}}", ".")) {
		name, archive, _ := strings.Cut(strings.TrimSpace(line), " ")
		switch {
		case name == "time":
			archive = compiled
		case archive == "": // unsafe
			continue
		}
		program = archive // the last is the package that needs the others
		fmt.Fprintf(&packages, "packagefile %s=%s\n", name, archive)
	}
	config := write("packages", packages.String())

	files := strings.Fields(tool("list", "-f", `{{range .GoFiles}}{{$.Dir}}/{{.}} {{end}}`, "time"))
	const read = "\tsec, nsec, mono := runtimeNow()\n"
	patched := 0
	for i, file := range files {
		text, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		if n := strings.Count(string(text), read); n > 0 {
			patched += n
			files[i] = write("time.go", strings.Replace(string(text), read,
				strings.TrimSuffix(read, "\n")+"; sec += 24 * 60 * 60\n", 1))
		}
	}
	if patched != 1 {
		t.Fatalf("time.Now of %s is not as this test knows it: got %d lines that read the clock, want 1", runtime.Version(),
			patched)
	}
	// The linker compares what packages export, which holds the paths of their files.
	tool(append([]string{"tool", "compile", "-p", "time", "-std", "-trimpath", dir + "=>$GOROOT/src/time",
		"-importcfg", config, "-o", compiled}, files...)...)
	ahead := filepath.Join(dir, "enotify")
	tool("tool", "link", "-importcfg", config, "-o", ahead, program)
	return ahead
}
