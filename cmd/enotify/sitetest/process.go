package sitetest

import (
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// Enotify is the program as a process of its own, with a clean environment but
// for what the site has to say. The test binary has to be the program when it
// is called enotify, as testscript.Main makes it.
func (s *Site) Enotify(args ...string) *exec.Cmd {
	s.Helper()
	exe, err := os.Executable()
	if err != nil {
		s.Fatal(err)
	}
	cmd := exec.CommandContext(s.Context(), exe, args...)
	cmd.Args[0] = "enotify"
	cmd.Env = []string{
		"PATH=" + os.Getenv("PATH"), "HOME=" + s.Home, "ENOTIFY_STATE_DIR=" + filepath.Join(s.Home, "journals"),
		"GORACE=atexit_sleep_ms=0", "DATABASE_URL=" + s.URL,
		"ENOTIFY_RESOLVER=" + s.DNS.Addr, "ENOTIFY_SMTP_PORT=" + s.portText(), "ENOTIFY_ALLOW_MX=127.0.0.0/8",
		"ENOTIFY_EGRESS=" + Egress.String(), "ENOTIFY_HELO=mail.host.example",
	}
	return cmd
}

// Run runs a verb to its end, and returns what it printed to stdout.
func (s *Site) Run(args ...string) string {
	s.Helper()
	cmd := s.Enotify(args...)
	var stdout, stderr strings.Builder
	cmd.Stdout, cmd.Stderr = &stdout, &stderr
	if err := cmd.Run(); err != nil {
		s.Fatalf("enotify %s: %v\n%s", strings.Join(args, " "), err, stderr.String())
	}
	return stdout.String()
}

// Start starts a verb. The process is killed at the end of the test, if it is still there.
func (s *Site) Start(args ...string) *exec.Cmd {
	s.Helper()
	cmd := s.Enotify(args...)
	if err := cmd.Start(); err != nil {
		s.Fatal(err)
	}
	s.Cleanup(func() { _ = cmd.Process.Kill(); _ = cmd.Wait() })
	return cmd
}

// FreePort is an address on loopback that nobody listens at.
func FreePort(tb testing.TB) string {
	tb.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		tb.Fatal(err)
	}
	defer l.Close()
	return l.Addr().String()
}
