package main_test

import (
	"bytes"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"enotify/queue/queuetest"
	"enotify/sender/smtptest"
)

// Where the journal has no room, nothing is sent, the log says what to do, and batch
// list names the node; with room it goes on by itself. The folder is a file system of 1 MB in a mount
// namespace of the node's own (mount(8), user_namespaces(7)).
func TestJournalOnAFullDisk(t *testing.T) {
	t.Parallel()
	s := newSite(t, smtptest.Config{Delay: time.Millisecond})
	const n = 3000
	batch := s.Enqueue("menu", "Soup.", n, 50)
	gate := filepath.Join(t.TempDir(), "gate")
	if err := syscall.Mkfifo(gate, 0o600); err != nil {
		t.Fatal(err)
	}
	node := s.Enotify("run", "--until-idle", "--node", "n1")
	node.Args = append([]string{"sh", "-c", `
		mkdir -p "$ENOTIFY_STATE_DIR" && mount -t tmpfs -o size=1m tmpfs "$ENOTIFY_STATE_DIR" || exit 9
		head -c 960k /dev/zero >"$ENOTIFY_STATE_DIR/filler"
		( read room <"$GATE" && rm "$ENOTIFY_STATE_DIR/filler" ) &
		exe=$0; exec -a enotify "$exe" "$@"`, node.Path}, node.Args[1:]...)
	var err error
	if node.Path, err = exec.LookPath("bash"); err != nil {
		t.Fatal(err)
	}
	node.Env = append(node.Env, "GATE="+gate)
	node.SysProcAttr = &syscall.SysProcAttr{
		Cloneflags:  syscall.CLONE_NEWUSER | syscall.CLONE_NEWNS,
		UidMappings: []syscall.SysProcIDMap{{HostID: os.Getuid(), Size: 1}},
		GidMappings: []syscall.SysProcIDMap{{HostID: os.Getgid(), Size: 1}},
	}
	full := &awaited{text: "the journal cannot be written, so nothing is sent", seen: make(chan struct{})}
	node.Stderr = full
	if err := node.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = node.Process.Kill(); _ = node.Wait() })
	ended := make(chan error, 1)
	go func() { ended <- node.Wait() }()
	select {
	case <-full.seen:
	case err := <-ended:
		t.Fatalf("run ended before its disk was full: %v\n%s", err, full)
	}
	s.Until(`SELECT sending = 0 FROM enotify.batch_status WHERE id = $1`, batch)
	if sent := len(s.SMTP.Copies()); sent == 0 || sent == n {
		t.Errorf("sent when the disk was full: got %d, want some and not all %d", sent, n)
	}
	if !strings.Contains(full.String(), "no space left on device; make room there, or start the node with another state folder") {
		t.Errorf("log: got %s, want it to say what to do", full)
	}
	s.Until(`SELECT trouble = 'disk full' FROM enotify.node WHERE name = 'n1'`)
	if got := s.Run("batch", "list"); !strings.Contains(got, "disk full on node n1") {
		t.Errorf("batch list: got %s, want it to name the node whose disk is full", got)
	}
	if err := os.WriteFile(gate, []byte("room\n"), 0); err != nil {
		t.Fatal(err)
	}
	if err := <-ended; err != nil {
		t.Fatalf("run: %v\n%s", err, full)
	}
	if got, want := s.States(batch), "delivered 3000"; got != want {
		t.Errorf("states: got %s, want %s", got, want)
	}
	queuetest.Copies(t, s.SMTP.Copies(), 3000, 1)
}

// awaited is a log that tells when it holds a text.
type awaited struct {
	text string
	seen chan struct{}

	mu   sync.Mutex
	held bytes.Buffer
	told bool
}

func (a *awaited) Write(p []byte) (int, error) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.held.Write(p)
	if !a.told && bytes.Contains(a.held.Bytes(), []byte(a.text)) {
		a.told = true
		close(a.seen)
	}
	return len(p), nil
}

func (a *awaited) String() string {
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.held.String()
}
