package main_test

import (
	"net/mail"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"runtime"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

// demo is enotify demo, small and quick, as a process of its own.
func demo(t *testing.T, args ...string) *exec.Cmd {
	t.Helper()
	exe, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.CommandContext(t.Context(), exe,
		append([]string{"demo", "--size", "0.05", "--first-retry", "1s"}, args...)...)
	cmd.Args[0] = "enotify" // testscript.Main makes this main()
	cmd.Env = []string{"PATH=" + os.Getenv("PATH"), "HOME=" + t.TempDir(), "TMPDIR=" + os.TempDir(),
		"GORACE=atexit_sleep_ms=0"}
	return cmd
}

var spaces = regexp.MustCompile(` +`)

// holds reports lines that the output lacks; runs of spaces count as one.
func holds(t *testing.T, output string, lines ...string) {
	t.Helper()
	squeezed := spaces.ReplaceAllString(output, " ")
	for _, line := range lines {
		if !strings.Contains(squeezed, line) {
			t.Errorf("not in the output: %q", line)
		}
	}
	if t.Failed() {
		t.Logf("output:\n%s", output)
	}
}

func TestDemo(t *testing.T) {
	t.Parallel()
	dir := filepath.Join(t.TempDir(), "out")
	cmd := demo(t, "--out", dir)
	cmd.Env = append(cmd.Env, "DATABASE_URL=postgres://127.0.0.1:1/not-to-be-touched")
	output, err := cmd.CombinedOutput()
	if err != nil {
		t.Fatalf("demo: %v\n%s", err, output)
	}
	holds(t, string(output),
		"SELECT enotify.create_batch(", "COPY enotify.recipient_in (batch_id, address, data) FROM STDIN;",
		"SELECT enotify.submit_batch(1, expected => 124);",
		"-- 123 recipients; 1 repeated an address\n",
		"bakery-offer is blocked before anything of it is sent\n record v=spf1 ip4:198.51.100.7 -all\n",
		" publish bakery.example. IN TXT \"v=spf1 ip4:192.0.2.10 ip4:198.51.100.7 -all\"\n",
		"flood-warning has the turn\n",
		"BATCH TOTAL DELIVERED DEFERRED BOUNCED SUPPRESSED INVALID BLOCKED\n"+
			"newsletter 123 116 2 2 1 2 0\n"+
			"bakery-offer 15 0 0 0 0 0 15\n"+
			"agenda 5 4 0 0 1 0 0\n"+
			"flood-warning 5 5 0 0 0 0 0\n"+
			"all 148 125 2 2 2 2 15\n",
		"connection refused\n", "550 5.1.1 ", "anna@@accepts.example: more than one @\n",
		"The receivers have all 125 messages that are recorded as delivered, and none of\nthem twice.\n")

	files := map[string]int{}
	for _, name := range emlFiles(t, dir) {
		files[filepath.Dir(name)]++
	}
	want := map[string]int{"accepts.example": 88, "limited.example": 11, "busy.example": 14, "gone.example": 5,
		"greylist.example": 7}
	if diff := cmp.Diff(want, files); diff != "" {
		t.Errorf("files (-want +got):\n%s", diff)
	}
}

func TestDemoWithOwnInput(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	out := filepath.Join(dir, "out")
	for name, content := range map[string]string{
		"people.csv": "address,name\nann@somewhere.test,Ann\nno address,Bob\nZoë@own.test,Zoë\n",
		"letter.txt": "Hello {{.name}}\n",
	} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(content), 0o666); err != nil {
			t.Fatal(err)
		}
	}
	own := []string{"--text", filepath.Join(dir, "letter.txt"), "--from", "me@own.test", "--out", out}
	output, err := demo(t, append(own, "--recipients", filepath.Join(dir, "people.csv"), "--subject",
		"To {{.name}}")...).CombinedOutput()
	if err != nil {
		t.Fatalf("demo: %v\n%s", err, output)
	}
	holds(t, string(output), "your-input 3 2 0 0 0 1 0\n", "no address: no @\n")
	files := emlFiles(t, out)
	if len(files) != 2 {
		t.Fatalf("files: got %q, want two", files)
	}
	for _, name := range files {
		f, err := os.Open(filepath.Join(out, name))
		if err != nil {
			t.Fatal(err)
		}
		defer f.Close()
		m, err := mail.ReadMessage(f)
		if err != nil {
			t.Fatal(err)
		}
		if got := m.Header.Get("Return-Path") + m.Header.Get("From"); got != "<me@own.test><me@own.test>" {
			t.Errorf("%s: got Return-Path and From %q, want me@own.test", name, got)
		}
	}

	for _, tt := range []struct {
		args []string
		code int
		want string
	}{
		{own, 64, "--text and --html go with --recipients FILE.csv\n"},
		{append(own, "--recipients", filepath.Join(dir, "people.csv")), 64, "the folder is not empty"},
		{append(own, "--recipients", filepath.Join(dir, "letter.txt")), 1, "no column is called address"},
		{append(own, "--recipients", filepath.Join(dir, "people.csv"), "--subject", "{{.district}}"), 1,
			"people.csv has no column of that name"},
	} {
		cmd := demo(t, tt.args...)
		output, _ := cmd.CombinedOutput() // the exit code says it
		if got := cmd.ProcessState.ExitCode(); got != tt.code || !strings.Contains(string(output), tt.want) {
			t.Errorf("demo %q: got exit code %d and %q, want %d and %q", tt.args, got, output, tt.code, tt.want)
		}
	}
}

// Whenever the signal comes, the demo ends at once and well, and every process
// that it has started with it.
func TestDemoInterrupted(t *testing.T) {
	t.Parallel()
	for name, sign := range map[string]string{
		"while PostgreSQL starts":  "", // its folder for messages
		"while the stage is set":   "$ enotify client add",
		"while batches are queued": "SELECT enotify.submit_batch",
		"while it sends":           "newsletter has the turn",
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			marked := t.TempDir()
			output, err := os.Create(filepath.Join(marked, "output"))
			if err != nil {
				t.Fatal(err)
			}
			defer output.Close()
			read := func() string {
				text, err := os.ReadFile(output.Name())
				if err != nil {
					t.Fatal(err)
				}
				return string(text)
			}
			cmd := demo(t)
			// PostgreSQL inherits PATH
			cmd.Env = append(cmd.Env, "PATH="+os.Getenv("PATH")+":"+marked, "TMPDIR="+marked)
			cmd.Stdout, cmd.Stderr = output, output
			if err := cmd.Start(); err != nil {
				t.Fatal(err)
			}
			ended := make(chan error, 1)
			go func() { ended <- cmd.Wait() }()
			for len(folders(t, marked)) == 0 || !strings.Contains(read(), sign) {
				select {
				case err := <-ended:
					t.Fatalf("demo ended early: %v\n%s", err, read())
				case <-time.After(5 * time.Millisecond):
				}
			}
			if name == "while it sends" && runtime.GOOS == "linux" && len(processes(t, marked)) < 2 {
				t.Errorf("the processes of PostgreSQL are not found")
			}
			if err := cmd.Process.Signal(syscall.SIGINT); err != nil {
				t.Fatal(err)
			}
			if err := <-ended; err != nil {
				t.Fatalf("demo: %v\n%s", err, read())
			}
			holds(t, read(), "interrupted; nothing is left running\n")
			if left := processes(t, marked); len(left) > 0 {
				t.Errorf("left running: %q", left)
			}
		})
	}
}

// folders lists those for messages that are in dir.
func folders(t *testing.T, dir string) []string {
	t.Helper()
	found, err := filepath.Glob(filepath.Join(dir, "enotify-demo-*"))
	if err != nil {
		t.Fatal(err)
	}
	return found
}

// processes lists those in whose environment is mark, on systems with /proc.
func processes(t *testing.T, mark string) (found []string) {
	t.Helper()
	all, err := filepath.Glob("/proc/[0-9]*")
	if err != nil {
		t.Fatal(err)
	}
	for _, dir := range all {
		environ, err := os.ReadFile(filepath.Join(dir, "environ"))
		if err != nil || !strings.Contains(string(environ), mark) {
			continue // it is gone, or another user's
		}
		command, _ := os.ReadFile(filepath.Join(dir, "cmdline"))
		found = append(found, string(command))
	}
	return found
}

// emlFiles lists them by path below dir.
func emlFiles(t *testing.T, dir string) (names []string) {
	t.Helper()
	files, err := filepath.Glob(filepath.Join(dir, "*", "*.eml"))
	if err != nil {
		t.Fatal(err)
	}
	for _, file := range files {
		name, err := filepath.Rel(dir, file)
		if err != nil {
			t.Fatal(err)
		}
		names = append(names, name)
	}
	return names
}
