package main_test

import (
	"fmt"
	"strings"
	"syscall"
	"testing"
	"time"

	"enotify/cmd/enotify/sitetest"
	"enotify/sender/smtptest"
)

// A site is a [sitetest.Site] with what only processes need.
type site struct{ *sitetest.Site }

func newSite(tb testing.TB, receiver smtptest.Config) *site {
	tb.Helper()
	return &site{sitetest.New(tb, receiver)}
}

// newBouncingSite is a site whose client has return paths of its own, at
// bounce.town.example. Its receiver takes every message.
func newBouncingSite(tb testing.TB) *site {
	tb.Helper()
	s := newSite(tb, smtptest.Config{})
	s.DNS.PutTXT("bounce.town.example", "v=spf1 ip4:192.0.2.10 -all")
	s.Exec(`UPDATE enotify.client SET bounce = 'own', bounce_domain = 'bounce.town.example'`)
	return s
}

// ask runs a query of one value.
func ask[T any](s *site, sql string, args ...any) T {
	s.Helper()
	return sitetest.Ask[T](s.Site, sql, args...)
}

// Killed in the middle, and started again: nobody is lost, nobody gets two.
func TestKillLosesNobodyAndSendsNobodyTwo(t *testing.T) {
	t.Parallel()
	const n = 3000
	s := newSite(t, smtptest.Config{Delay: time.Millisecond})
	batch := s.Enqueue("menu", "Soup.", n, 50)
	for _, share := range []int{4, 2} {
		node := s.Start("run")
		s.Until(`SELECT delivered > $2 FROM enotify.batch_status WHERE id = $1`, batch, n/share)
		if err := node.Process.Signal(syscall.SIGKILL); err != nil {
			t.Fatal(err)
		}
		_ = node.Wait()
	}
	s.Run("run", "--until-idle")

	s.Run("batch", "audit", fmt.Sprint(batch))
	if got := ask[string](s, `SELECT format('%s: %s', state, delivered + unknown) FROM enotify.batch_status WHERE id = $1`, batch); got != fmt.Sprintf("done: %d", n) {
		t.Errorf("batch: got %s, want done with all delivered or in doubt (%s)", got, s.States(batch))
	}
	copies := s.SMTP.Copies()
	for address, n := range copies {
		if n > 1 {
			t.Errorf("%s: got %d copies, want at most 1", address, n)
		}
	}
	unknown := ask[int](s, `SELECT unknown FROM enotify.batch_status WHERE id = $1`, batch)
	if len(copies) < n-unknown {
		t.Errorf("recipients that got a copy: got %d, want at least %d", len(copies), n-unknown)
	}
	// what 20 connections had, or had just handed to the next; of the others the journal knows
	if most := 2 * 2 * 20; unknown > most {
		t.Errorf("in doubt after two kills: got %d, want at most %d", unknown, most)
	}
	t.Logf("in doubt after two kills: %d of %d", unknown, n)
}

// After a kill only those are in doubt whose message had left: of the receiver
// that takes 60 ms for each reply, hundreds of transactions were under way.
func TestKillDoubtsOnlyWhatHadLeft(t *testing.T) {
	t.Parallel()
	const n, kills = 1000, 2
	s := newSite(t, smtptest.Config{Delay: 60 * time.Millisecond})
	s.Run("destination", "set", "*", "--connections", "200", "--per-connection", "1000")
	batch := s.Enqueue("menu", "Soup.", n, 50)
	for i := range kills {
		node := s.Start("run", "--max-connections", "200")
		s.Until(`SELECT delivered > $2 FROM enotify.batch_status WHERE id = $1`, batch, (i+1)*n/4)
		if err := node.Process.Signal(syscall.SIGKILL); err != nil {
			t.Fatal(err)
		}
		_ = node.Wait()
	}
	s.Run("run", "--until-idle", "--max-connections", "200")
	copies := s.SMTP.Copies()
	unknown, had := 0, 0
	for address := range strings.SplitSeq(ask[string](s,
		`SELECT coalesce(string_agg(address, ' '), '') FROM enotify.delivery WHERE batch_id = $1 AND state = 'unknown'`,
		batch), " ") {
		if address == "" {
			continue
		}
		unknown++
		had += copies[address]
	}
	if most := 2*had + kills; unknown > most {
		t.Errorf("in doubt after %d kills: got %d recipients, and %d of them had the message, want at most %d", kills,
			unknown, had, most)
	}
	if got := len(copies) + unknown - had; got != n {
		t.Errorf("recipients with the message or in doubt: got %d, want %d", got, n)
	}
	t.Logf("in doubt after %d kills: %d recipients, and %d of them had the message", kills, unknown, had)
}

// No transaction begins once the pause is felt, long before the batch is through, and
// SIGTERM ends the node cleanly.
func TestPauseByCLI(t *testing.T) {
	t.Parallel()
	s := newSite(t, smtptest.Config{Delay: 2 * time.Millisecond})
	batch := s.Enqueue("menu", "Soup.", 20000, 50)
	node := s.Start("run")
	s.Until(`SELECT delivered > 100 FROM enotify.batch_status WHERE id = $1`, batch)
	s.Run("batch", "pause", fmt.Sprint(batch), "--reason", "a typo")
	paused := time.Now()
	s.Until(`SELECT sending = 0 FROM enotify.batch_status WHERE id = $1`, batch)

	if err := node.Process.Signal(syscall.SIGTERM); err != nil {
		t.Fatal(err)
	}
	if err := node.Wait(); err != nil {
		t.Errorf("run after SIGTERM: %v, want exit 0", err)
	}
	var last time.Time
	for _, m := range s.SMTP.Messages() {
		if m.At.After(last) {
			last = m.At
		}
	}
	// it is under 1 s where nobody else has the machine
	if late := last.Sub(paused); late > 10*time.Second || s.SMTP.Delivered() == 20000 {
		t.Errorf("the last of %d messages came %v after the pause, want at most 10 s, and not all", s.SMTP.Delivered(), late)
	}
	s.Run("batch", "audit", fmt.Sprint(batch))
	if got := ask[int](s, `SELECT count(*)::int FROM enotify.node`); got != 0 {
		t.Errorf("nodes after SIGTERM: got %d, want 0", got)
	}
}

// A client whose record does not authorise us gets nothing sent, and is told
// the line that cures it; after the cure it goes out by itself.
func TestGuardBlocksUntilTheRecordIsRight(t *testing.T) {
	t.Parallel()
	s := newSite(t, smtptest.Config{})
	s.DNS.PutTXT("town.example", "v=spf1 ip4:198.51.100.1 -all")
	batch := s.Enqueue("menu", "Soup.", 3, 1)
	s.Start("run") // one node all along: what it saw before must not keep it from seeing the cure
	s.Until(`SELECT state = 'blocked' FROM enotify.batch WHERE id = $1`, batch)
	if got := len(s.SMTP.Messages()); got != 0 {
		t.Errorf("messages sent: got %d, want 0", got)
	}
	reason := ask[string](s, `SELECT state || ' ' || reason FROM enotify.batch_status WHERE id = $1`, batch)
	for _, want := range []string{"blocked", "town.example", "192.0.2.10", `town.example. IN TXT "v=spf1`,
		"ip4:192.0.2.10"} {
		if !strings.Contains(reason, want) {
			t.Errorf("reason: got %q, want it to hold %q", reason, want)
		}
	}
	s.DNS.PutTXT("town.example", "v=spf1 ip4:198.51.100.1 ip4:192.0.2.10 -all")
	// has the guard look at once, unless it has looked by itself meanwhile
	if out, err := s.Enotify("batch", "resume", fmt.Sprint(batch)).CombinedOutput(); err != nil &&
		!strings.Contains(string(out), "only a paused or blocked batch can be resumed") {
		t.Errorf("resume: %v: %s", err, out)
	}
	s.Until(`SELECT state = 'done' FROM enotify.batch WHERE id = $1`, batch)
	if got, want := s.States(batch), "delivered 3"; got != want {
		t.Errorf("after the cure: got %s, want %s", got, want)
	}
}
