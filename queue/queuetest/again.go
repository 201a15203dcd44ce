package queuetest

import (
	"bytes"
	"context"
	"os"
	"os/exec"
	"path/filepath"
	"syscall"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
)

// StartStandby starts the server of a data folder again, as it ran the last time,
// but in recovery until it is promoted.
func StartStandby(t *testing.T, data string) *exec.Cmd {
	t.Helper()
	signal := filepath.Join(data, "standby.signal")
	if err := os.WriteFile(signal, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if owner := AsOwner(t, data); owner != nil {
		if err := os.Chown(signal, int(owner.Credential.Uid), int(owner.Credential.Gid)); err != nil {
			t.Fatal(err)
		}
	}
	return StartAgain(t, data)
}

// StartAgain starts the server of a data folder as it ran the last time.
func StartAgain(t *testing.T, data string) *exec.Cmd {
	t.Helper()
	command, err := os.ReadFile(filepath.Join(data, "postmaster.opts")) // the line of the last start
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command("sh", "-c", "exec "+string(command))
	cmd.Dir = "/"
	cmd.Env = []string{"PATH=" + os.Getenv("PATH"), "LC_ALL=C"}
	cmd.SysProcAttr = AsOwner(t, data)
	var log bytes.Buffer
	cmd.Stdout, cmd.Stderr = &log, &log
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = cmd.Process.Signal(syscall.SIGQUIT)
		_ = cmd.Wait()
		if t.Failed() {
			t.Log(log.String())
		}
	})
	return cmd
}

// AsOwner has root start a process as the user that the server runs as; another
// user is that already.
func AsOwner(t *testing.T, data string) *syscall.SysProcAttr {
	t.Helper()
	if os.Getuid() != 0 {
		return nil
	}
	info, err := os.Stat(data)
	if err != nil {
		t.Fatal(err)
	}
	owner := info.Sys().(*syscall.Stat_t)
	return &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: owner.Uid, Gid: owner.Gid}}
}

// ConnectWhenUp is a connection to url once a server answers there, until the test ends.
func ConnectWhenUp(t *testing.T, url string) *pgx.Conn {
	t.Helper()
	for {
		conn, err := pgx.Connect(t.Context(), url)
		if err == nil {
			t.Cleanup(func() { conn.Close(context.Background()) })
			return conn
		}
		if t.Context().Err() != nil {
			t.Fatal(err)
		}
		time.Sleep(10 * time.Millisecond)
	}
}
