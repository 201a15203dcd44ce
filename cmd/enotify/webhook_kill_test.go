package main_test

import (
	"bufio"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"enotify/cmd/enotify/sitetest"
	"enotify/sender/smtptest"
)

// A node that is killed while it pushes, and a receiver that is killed before it answers,
// lose no event and change no order; what comes twice has the id that it had.
func TestKillsDuringAPush(t *testing.T) {
	t.Parallel()
	s := sitetest.New(t, smtptest.Config{})
	address, file := sitetest.FreePort(t), filepath.Join(t.TempDir(), "got")
	receiver := func(hangs string) *exec.Cmd {
		exe, err := os.Executable()
		if err != nil {
			t.Fatal(err)
		}
		cmd := exec.CommandContext(t.Context(), exe, address, file, hangs)
		cmd.Args[0], cmd.Env = "hookreceiver", []string{"GORACE=atexit_sleep_ms=0"}
		if err := cmd.Start(); err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { kill(cmd) })
		return cmd
	}
	asked := 0
	waitForMessage := func() {
		t.Helper()
		asked++
		for deadline := time.Now().Add(time.Minute); ; time.Sleep(5 * time.Millisecond) {
			text, _ := os.ReadFile(file)
			if strings.Count(string(text), "asked\n") >= asked {
				return
			}
			if time.Now().After(deadline) {
				t.Fatalf("message %d has not come in a minute; the webhook says %s", asked,
					sitetest.Ask[string](s, `SELECT w::text FROM enotify.webhook w`))
			}
		}
	}
	// A node's claim, and the wait after a failure, end by the clock.
	const hurry = `UPDATE enotify.webhook SET held_until = '-infinity', due_at = now()`

	s.Run("event", "on", "--client", "town.example")
	s.Run("webhook", "add", "http://"+address+"/", "--client", "town.example")
	hanging, node := receiver("before"), s.Start("run", "--allow-webhook", "127.0.0.1")
	s.Enqueue("menu", "Soup.", 40, 4)
	waitForMessage()
	s.Until(`SELECT state = 'done' FROM enotify.batch`)
	kill(node)
	kill(hanging)

	s.Exec(hurry)
	hanging, node = receiver("after"), s.Start("run", "--allow-webhook", "127.0.0.1")
	waitForMessage()
	kill(node)
	kill(hanging)

	s.Exec(hurry)
	hanging = receiver("after")
	s.Start("run", "--allow-webhook", "127.0.0.1")
	waitForMessage()
	kill(hanging)
	receiver("never")
	s.Until(`SELECT failures > 0 FROM enotify.webhook`)
	s.Exec(hurry)
	s.Until(`SELECT after >= enotify.last_event() AND failures = 0 AND NOT EXISTS (SELECT FROM enotify.event WHERE first IS NULL) FROM enotify.webhook`)

	var got []int64
	twice := 0
	text, err := os.Open(file)
	if err != nil {
		t.Fatal(err)
	}
	defer text.Close()
	for lines := bufio.NewScanner(text); lines.Scan(); {
		if lines.Text() == "asked" {
			continue
		}
		id, err := strconv.ParseInt(lines.Text(), 10, 64)
		switch {
		case err != nil:
			t.Errorf("the receiver says %q, want the id of an event", lines.Text())
		case slices.Contains(got, id):
			twice++
		default:
			got = append(got, id)
		}
	}
	want := sitetest.Ask[[]int64](s, `SELECT array_agg(id ORDER BY id) FROM enotify.events(0, 10000)`)
	if diff := cmp.Diff(want, got); diff != "" || len(want) < 40 {
		t.Errorf("events in the order in which they came first (-want +got):\n%s", diff)
	}
	if twice == 0 {
		t.Error("no event came twice, although a node and a receiver were killed before it was acknowledged")
	}
}

// kill kills a process (SIGKILL) and waits for its end.
func kill(cmd *exec.Cmd) {
	_ = cmd.Process.Kill()
	_ = cmd.Wait()
}
