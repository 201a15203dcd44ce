package main_test

import (
	"fmt"
	"os/exec"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"enotify/queue/queuetest"
	"enotify/sender/smtptest"
)

// A holder is a receiver that takes some messages, and then holds its last
// reply back to all.
type holder struct {
	takes   int32
	ends    atomic.Int32
	held    chan struct{} // one for each that waits
	release chan struct{}
}

func newHolder(takes int32) *holder {
	return &holder{takes: takes, held: make(chan struct{}, 1000), release: make(chan struct{})}
}

func (h *holder) reply(c smtptest.Command) string {
	if c.Verb == "." && h.ends.Add(1) > h.takes {
		h.held <- struct{}{}
		<-h.release
	}
	return ""
}

// startLogged starts a verb, and returns its log, and how it ends.
func (s *site) startLogged(text string, args ...string) (cmd *exec.Cmd, log *awaited, ended chan error) {
	s.Helper()
	return s.startCmd(text, s.Enotify(args...))
}

func (s *site) startCmd(text string, cmd *exec.Cmd) (_ *exec.Cmd, log *awaited, ended chan error) {
	s.Helper()
	log = &awaited{text: text, seen: make(chan struct{})}
	cmd.Stderr = log
	if err := cmd.Start(); err != nil {
		s.Fatal(err)
	}
	ended = make(chan error, 1)
	gone := make(chan struct{})
	go func() { ended <- cmd.Wait(); close(gone) }()
	s.Cleanup(func() { _ = cmd.Process.Kill(); <-gone })
	return cmd, log, ended
}

const stopping = "msg=stopping"

// SIGTERM has what is under way finish, and nothing new begin.
func TestSIGTERMWaitsForWhatIsUnderWay(t *testing.T) {
	t.Parallel()
	const n, few = 1000, 4
	h := newHolder(100)
	s := newSite(t, smtptest.Config{Reply: h.reply})
	batch := s.Enqueue("menu", "Soup.", n, 50)
	node, log, ended := s.startLogged(stopping, "run", "--grace", "5m", "--max-in-flight", "200")
	for range few {
		<-h.held
	}
	if err := node.Process.Signal(syscall.SIGTERM); err != nil {
		t.Fatal(err)
	}
	<-log.seen
	select {
	case err := <-ended:
		t.Fatalf("run ended with transactions under way: %v\n%s", err, log)
	case <-time.After(500 * time.Millisecond): // as long as we like to wait for what must not be
	}
	close(h.release)
	if err := <-ended; err != nil {
		t.Errorf("run: %v, want exit 0\n%s", err, log)
	}
	sent := s.SMTP.Delivered()
	if got, want := ask[string](s, `SELECT format('%s delivered, %s to be sent', delivered, pending + deferred) FROM enotify.batch_status WHERE id = $1`, batch),
		fmt.Sprintf("%d delivered, %d to be sent", sent, n-sent); got != want || sent < 100+few || sent == n {
		t.Errorf("states: got %s, want %s", got, want)
	}
	if got := ask[int](s, `SELECT count(*)::int FROM enotify.node`); got != 0 {
		t.Errorf("nodes afterwards: got %d, want 0", got)
	}
}

// A second signal leaves at once, unless it comes within a second, as from
// timeout(1), which signals the process and its group. It is no worse than a kill:
// another node, on another host, holds the messages whose reply was not seen, and
// sends the rest.
func TestSecondSignalLeavesAtOnce(t *testing.T) {
	t.Parallel()
	const n, few = 1000, 4
	h := newHolder(100)
	s := newSite(t, smtptest.Config{Reply: h.reply})
	batch := s.Enqueue("menu", "Soup.", n, 50)
	node, log, ended := s.startLogged(stopping, "run", "--grace", "5m", "--max-in-flight", "200")
	for range few {
		<-h.held
	}
	if err := node.Process.Signal(syscall.SIGTERM); err != nil {
		t.Fatal(err)
	}
	<-log.seen
	first := time.Now() // a moment after the first signal
	var gone error
	for again := time.NewTicker(100 * time.Millisecond); ; {
		if err := node.Process.Signal(syscall.SIGTERM); err != nil {
			t.Fatal(err)
		}
		select {
		case gone = <-ended:
		case <-again.C:
			continue
		}
		again.Stop()
		break
	}
	if lasted := time.Since(first); lasted < 800*time.Millisecond {
		t.Errorf("run ended %v after the first of many signals (%v), want it to take those of a second for one", lasted,
			gone)
	}
	if status, ok := node.ProcessState.Sys().(syscall.WaitStatus); !ok || status.Signal() != syscall.SIGTERM {
		t.Errorf("run ended with %v, want by the signal\n%s", node.ProcessState, log)
	}
	if took := time.Since(first); took > 30*time.Second { // a second where nobody else has the machine
		t.Errorf("run went on for %v under signals, want it to leave soon after one second", took)
	}
	close(h.release) // the receiver has taken them: to send them again would be twice
	s.Run("run", "--until-idle", "--state-dir", t.TempDir())

	s.Run("batch", "audit", fmt.Sprint(batch))
	delivered, unknown := ask[int](s, `SELECT delivered FROM enotify.batch_status WHERE id = $1`, batch), ask[int](s,
		`SELECT unknown FROM enotify.batch_status WHERE id = $1`, batch)
	// In doubt are the held recipients, and those with an intent that were not begun.
	if delivered+unknown != n || unknown < few || delivered < 100 {
		t.Errorf("states: got %s, want all %d delivered or in doubt, and those %d or more in doubt whose reply nobody saw", s.States(batch), n, few)
	}
	if s.SMTP.Delivered() < delivered+few {
		t.Errorf("messages: got %d, want %d or more", s.SMTP.Delivered(), delivered+few)
	}
	queuetest.Copies(t, s.SMTP.Copies(), s.SMTP.Delivered(), 1)
}

// Pause and cancel stop all nodes: no transaction begins on any once they are felt.
func TestPauseAndCancelStopAllNodes(t *testing.T) {
	t.Parallel()
	const n = 20000
	var mu sync.Mutex
	var last time.Time // when the last transaction began
	s := newSite(t, smtptest.Config{Delay: 2 * time.Millisecond, Reply: func(c smtptest.Command) string {
		if c.Verb == "MAIL" {
			mu.Lock()
			last = time.Now()
			mu.Unlock()
		}
		return ""
	}})
	for _, name := range []string{"n1", "n2"} {
		s.Start("run", "--node", name, "--helo", name+".host.example")
	}
	s.Until(`SELECT count(*) = 2 FROM (SELECT FROM enotify.lease WHERE node_id IS NOT NULL GROUP BY node_id HAVING count(*) = 32) n`)
	batch := ask[int64](s, `SELECT enotify.enqueue('menu', 'info@town.example', 'Lunch menu', 'Soup.', ARRAY(SELECT format('user%s@d%s.alone', i, i % 200) FROM generate_series(1, $1) i))`, n)
	for _, verb := range [][]string{{"pause"}, {"cancel", "--yes"}} {
		before := len(s.SMTP.Messages())
		for by := map[string]int{}; by["n1.host.example"] < 50 ||
			by["n2.host.example"] < 50; time.Sleep(5 * time.Millisecond) {
			clear(by)
			for _, m := range s.SMTP.Messages()[before:] {
				by[m.Helo]++
			}
		}
		s.Run(append([]string{"batch", verb[0], fmt.Sprint(batch)}, verb[1:]...)...)
		stopped := time.Now()
		// Both nodes look at the queue a few times more.
		s.Until(`SELECT count(*) = 2 FROM enotify.node WHERE live_until > $1::timestamptz + interval '3 seconds'`,
			ask[time.Time](s, `SELECT max(live_until) FROM enotify.node`))
		s.Until(`SELECT sending = 0 FROM enotify.batch_status WHERE id = $1`, batch)
		mu.Lock()
		late := last.Sub(stopped)
		mu.Unlock()
		if late > 10*time.Second { // it is under 1 s where nobody else has the machine
			t.Errorf("%s: the last transaction began %v later, want at most 10 s", verb[0], late)
		}
		if verb[0] == "pause" {
			s.Run("batch", "resume", fmt.Sprint(batch))
		}
	}
	s.Run("batch", "audit", fmt.Sprint(batch))
	if sent := s.SMTP.Delivered(); sent == n ||
		s.States(batch) != fmt.Sprintf("cancelled %d, delivered %d", n-sent, sent) {
		t.Errorf("states: got %s, want some cancelled and %d delivered", s.States(batch), sent)
	}
}
