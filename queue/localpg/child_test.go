package localpg_test

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"enotify/queue/localpg"
)

// The test binary is also the process that is killed: with this variable set
// it starts a server with these options (JSON), prints the URL or the error,
// and stops the server when its standard input ends.
const childEnv = "LOCALPG_TEST_CHILD"

func TestMain(m *testing.M) {
	if options := os.Getenv(childEnv); options != "" {
		if err := serve(options); err != nil {
			fmt.Println(err)
			os.Exit(1)
		}
		return
	}
	os.Exit(run(m))
}

// testBinary is a copy of this binary that every user can execute: go test
// keeps it where only we can. It is made before any test starts a process,
// which would hold it open for writing for a moment ("text file busy").
var testBinary string

func run(m *testing.M) int {
	dir, err := publicDir("/var/tmp", nil)
	if err != nil {
		panic(err)
	}
	defer os.RemoveAll(dir)
	own, err := os.Executable()
	if err != nil {
		panic(err)
	}
	code, err := os.ReadFile(own)
	if err != nil {
		panic(err)
	}
	testBinary = filepath.Join(dir, "localpg.test")
	if err := os.WriteFile(testBinary, code, 0o755); err != nil {
		panic(err)
	}
	return m.Run()
}

func serve(options string) error {
	var o localpg.Options
	if err := json.Unmarshal([]byte(options), &o); err != nil {
		return err
	}
	s, err := localpg.Start(context.Background(), o)
	if err != nil {
		return err
	}
	fmt.Println(s.URL())
	if _, err := io.Copy(io.Discard, os.Stdin); err != nil {
		return err
	}
	return s.Stop(context.Background())
}

// A child is a process of its own that has started a server.
type child struct {
	cmd   *exec.Cmd
	stdin io.Closer
	url   string
}

// users are those the tests run as: ourselves, and somebody else when we may.
func users() map[string]*syscall.Credential {
	users := map[string]*syscall.Credential{"self": nil}
	if os.Getuid() == 0 {
		users["nobody"] = &syscall.Credential{Uid: 65534, Gid: 65534}
	}
	return users
}

func startChild(t *testing.T, user *syscall.Credential, o localpg.Options) child {
	t.Helper()
	c, err := tryChild(t, user, o)
	if err != nil {
		t.Fatalf("child: %v", err)
	}
	return c
}

func tryChild(t *testing.T, user *syscall.Credential, o localpg.Options) (child, error) {
	t.Helper()
	options, err := json.Marshal(o)
	if err != nil {
		return child{}, err
	}
	cmd := exec.Command(testBinary)
	cmd.Dir = "/"
	cmd.Env = append(os.Environ(), childEnv+"="+string(options), "HOME=/nonexistent")
	cmd.SysProcAttr = &syscall.SysProcAttr{Credential: user, Setpgid: true}
	cmd.Stderr = os.Stderr
	stdin, err := cmd.StdinPipe()
	if err != nil {
		return child{}, err
	}
	stdout, err := cmd.StdoutPipe()
	if err != nil {
		return child{}, err
	}
	if err := cmd.Start(); err != nil {
		return child{}, err
	}
	c := child{cmd: cmd, stdin: stdin}
	t.Cleanup(c.stop)
	line, err := bufio.NewReader(stdout).ReadString('\n')
	if err != nil {
		return child{}, err
	}
	c.url = strings.TrimSpace(line)
	if !strings.HasPrefix(c.url, "postgres://") {
		return child{}, fmt.Errorf("%s", c.url)
	}
	return c, nil
}

// stop lets the child stop its server; no error is left when it was killed.
func (c child) stop() {
	c.stdin.Close()
	_ = c.cmd.Wait()
}

func (c child) kill(t *testing.T) {
	t.Helper()
	if err := c.cmd.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	_ = c.cmd.Wait() // "signal: killed"
}

// publicDir is t.TempDir, but other users may pass through it, and it belongs
// to the given one.
func publicDir(parent string, user *syscall.Credential) (string, error) {
	dir, err := os.MkdirTemp(parent, "localpg-test-")
	if err != nil {
		return "", err
	}
	if user != nil {
		err = os.Chown(dir, int(user.Uid), int(user.Gid))
	}
	return dir, errors.Join(err, os.Chmod(dir, 0o711))
}

// fastParent is in memory where there is room: initdb makes a thousand files.
func fastParent() string {
	const memory, enoughBytes = "/dev/shm", 4 << 30
	var fs syscall.Statfs_t
	if err := syscall.Statfs(memory, &fs); err != nil || fs.Bavail*uint64(fs.Bsize) < enoughBytes {
		return "/var/tmp"
	}
	return memory
}

func openDir(t *testing.T, user *syscall.Credential) string {
	t.Helper()
	dir, err := publicDir(fastParent(), user)
	t.Cleanup(func() { os.RemoveAll(dir) })
	if err != nil {
		t.Fatal(err)
	}
	return dir
}
