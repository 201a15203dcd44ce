package main_test

import (
	"bufio"
	"encoding/json"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"enotify/sender/smtptest"
)

// With --log json both logs are JSON. The file of --log-attempts has each message
// from the queue to the database under one name, and is opened again at SIGHUP.
func TestLogs(t *testing.T) {
	t.Parallel()
	s := newSite(t, smtptest.Config{})
	file := filepath.Join(s.Home, "attempts.log")
	cmd := s.Enotify("run", "--log", "json", "--log-attempts", file)
	var log strings.Builder
	cmd.Stderr = &log
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = cmd.Process.Kill() })
	const done = `SELECT state = 'done' FROM enotify.batch WHERE id = $1`
	first := s.Enqueue("first", "Soup.", 3, 1)
	s.Until(done, first)
	if err := os.Rename(file, file+".1"); err != nil {
		t.Fatal(err)
	}
	if err := cmd.Process.Signal(syscall.SIGHUP); err != nil {
		t.Fatal(err)
	}
	for _, err := os.Stat(file); err != nil; _, err = os.Stat(file) {
		time.Sleep(5 * time.Millisecond)
	}
	second := s.Enqueue("second", "Soup.", 2, 1)
	s.Until(done, second)
	if err := cmd.Process.Signal(syscall.SIGTERM); err != nil {
		t.Fatal(err)
	}
	if err := cmd.Wait(); err != nil {
		t.Errorf("the node: %v\n%s", err, log.String())
	}

	type line struct{ Level, Msg, Message, State string }
	read := func(text string) (lines []line) {
		for scan := bufio.NewScanner(strings.NewReader(text)); scan.Scan(); {
			var l line
			if err := json.Unmarshal(scan.Bytes(), &l); err != nil {
				t.Errorf("%s: %v", scan.Text(), err)
			}
			lines = append(lines, l)
		}
		return lines
	}
	of := func(name, message string) (found []line) {
		text, err := os.ReadFile(name)
		if err != nil {
			t.Fatal(err)
		}
		if strings.Contains(string(text), "@") {
			t.Errorf("%s holds an address:\n%s", name, text)
		}
		for _, l := range read(string(text)) {
			if l.Message == message {
				found = append(found, l)
			}
		}
		return found
	}
	want := func(message string) []line {
		return []line{{"ATTEMPT", "picked", message, ""}, {"ATTEMPT", "attempt", message, "delivered"},
			{"ATTEMPT", "recorded", message, "delivered"}}
	}
	if diff := cmp.Diff(want("enotify.1.3"), of(file+".1", "enotify.1.3")); diff != "" {
		t.Errorf("the file before SIGHUP (-want +got):\n%s", diff)
	}
	if diff := cmp.Diff(want("enotify.2.2"), of(file, "enotify.2.2")); diff != "" {
		t.Errorf("the file after SIGHUP (-want +got):\n%s", diff)
	}
	if lines := read(log.String()); !slices.ContainsFunc(lines,
		func(l line) bool { return l.Msg == "batch has the turn" }) ||
		slices.ContainsFunc(lines, func(l line) bool { return l.Level == "ATTEMPT" }) {
		t.Errorf("the log: got\n%s\nwant steps of batches and no attempts", log.String())
	}
}
