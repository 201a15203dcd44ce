package main_test

import (
	"context"
	"fmt"
	"net"
	"os"
	"os/exec"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"enotify/queue/queuetest"
	"enotify/sender/smtptest"
	"enotify/spfguard/dns/dnstest"
)

// A site is a database, an internet of one receiver for all domains, and the
// client town.example, whose record authorises 192.0.2.10. To the sender the
// domains in .test are one site, those in .alone one each.
type site struct {
	testing.TB
	url  string
	conn *pgx.Conn
	dns  *dnstest.Server
	smtp *smtptest.Server
	home string // of every process
}

func newSite(tb testing.TB, receiver smtptest.Config) *site {
	tb.Helper()
	return newSiteOn(tb, queuetest.New(tb), receiver)
}

// newSiteOn is a site on a migrated database.
func newSiteOn(tb testing.TB, url string, receiver smtptest.Config) *site {
	tb.Helper()
	s := &site{TB: tb, url: url, home: tb.TempDir()}
	s.dns = dnstest.New(tb, `
town.example.  TXT "v=spf1 ip4:192.0.2.10 -all"
mx.test.       A   127.0.0.1
*.test.        MX  10 mx.test.
*.alone.       A   127.0.0.1
`)
	var err error
	if s.smtp, err = smtptest.Start(receiver); err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(func() { s.smtp.Close() })
	if s.conn, err = pgx.Connect(tb.Context(), s.url); err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(func() { s.conn.Close(context.Background()) })
	s.exec(`INSERT INTO enotify.client (domain) VALUES ('town.example')`)
	s.exec(`INSERT INTO enotify.destination (name, rate_messages, rate_per, connections) VALUES ('*', 0, '1 s', 20)`)
	return s
}

func (s *site) exec(sql string, args ...any) {
	s.Helper()
	if _, err := s.conn.Exec(s.Context(), sql, args...); err != nil {
		s.Fatalf("%s: %v", sql, err)
	}
}

// ask runs a query of one value.
func ask[T any](s *site, sql string, args ...any) (v T) {
	s.Helper()
	if err := s.conn.QueryRow(s.Context(), sql, args...).Scan(&v); err != nil {
		s.Fatalf("%s: %v", sql, err)
	}
	return v
}

// until waits for the query to say true.
func (s *site) until(sql string, args ...any) {
	s.Helper()
	for !ask[bool](s, sql, args...) {
		time.Sleep(5 * time.Millisecond)
	}
}

// enqueue submits a batch to n recipients over so many domains.
func (s *site) enqueue(key, body string, n, domains int) int64 {
	s.Helper()
	return ask[int64](s, `SELECT enotify.enqueue($1, 'info@town.example', 'Lunch menu', $2,
		ARRAY(SELECT format('user%s@d%s.test', i, i % $4) FROM generate_series(1, $3) i))`, key, body, n, domains)
}

// enotify is the program, as a process of its own, with a clean environment
// but for what the site has to say.
func (s *site) enotify(args ...string) *exec.Cmd {
	s.Helper()
	exe, err := os.Executable()
	if err != nil {
		s.Fatal(err)
	}
	_, port, err := net.SplitHostPort(s.smtp.Addr)
	if err != nil {
		s.Fatal(err)
	}
	cmd := exec.CommandContext(s.Context(), exe, args...)
	cmd.Args[0] = "enotify" // testscript.Main makes this main()
	cmd.Env = []string{
		"PATH=" + os.Getenv("PATH"), "HOME=" + s.home, "ENOTIFY_STATE_DIR=" + s.home + "/journals", "GORACE=atexit_sleep_ms=0", "DATABASE_URL=" + s.url,
		"ENOTIFY_RESOLVER=" + s.dns.Addr, "ENOTIFY_SMTP_PORT=" + port, "ENOTIFY_EGRESS=192.0.2.10", "ENOTIFY_HELO=mail.host.example",
	}
	return cmd
}

// run runs a verb to its end, and returns what it printed to stdout.
func (s *site) run(args ...string) string {
	s.Helper()
	cmd := s.enotify(args...)
	var stdout, stderr strings.Builder
	cmd.Stdout, cmd.Stderr = &stdout, &stderr
	if err := cmd.Run(); err != nil {
		s.Fatalf("enotify %s: %v\n%s", strings.Join(args, " "), err, stderr.String())
	}
	return stdout.String()
}

// start starts a verb. The process is killed at the end of the test, if it is still there.
func (s *site) start(args ...string) *exec.Cmd {
	s.Helper()
	cmd := s.enotify(args...)
	if err := cmd.Start(); err != nil {
		s.Fatal(err)
	}
	s.Cleanup(func() { _ = cmd.Process.Kill(); _ = cmd.Wait() })
	return cmd
}

// states is how the recipients of a batch stand, as "delivered 5, unknown 2".
func (s *site) states(batch int64) string {
	s.Helper()
	return ask[string](s, `SELECT string_agg(format('%s %s', state, n), ', ' ORDER BY state) FROM (SELECT state, count(*) AS n FROM enotify.delivery WHERE batch_id = $1 GROUP BY state) d`, batch)
}

// Killed in the middle, and started again: nobody is lost, nobody gets two.
func TestKillLosesNobodyAndSendsNobodyTwo(t *testing.T) {
	t.Parallel()
	const n = 3000
	s := newSite(t, smtptest.Config{Delay: time.Millisecond})
	batch := s.enqueue("menu", "Soup.", n, 50)
	for _, share := range []int{4, 2} {
		node := s.start("run")
		s.until(`SELECT delivered > $2 FROM enotify.batch_status WHERE id = $1`, batch, n/share)
		if err := node.Process.Signal(syscall.SIGKILL); err != nil {
			t.Fatal(err)
		}
		_ = node.Wait()
	}
	s.run("run", "--until-idle")

	s.run("batch", "audit", fmt.Sprint(batch))
	if got := ask[string](s, `SELECT format('%s: %s', state, delivered + unknown) FROM enotify.batch_status WHERE id = $1`, batch); got != fmt.Sprintf("done: %d", n) {
		t.Errorf("batch: got %s, want done with all delivered or in doubt (%s)", got, s.states(batch))
	}
	copies := s.smtp.Copies()
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

// No transaction begins later than a second after the pause, and SIGTERM ends the node cleanly.
func TestPauseByCLI(t *testing.T) {
	t.Parallel()
	s := newSite(t, smtptest.Config{Delay: 2 * time.Millisecond})
	batch := s.enqueue("menu", "Soup.", 20000, 50)
	node := s.start("run")
	s.until(`SELECT delivered > 100 FROM enotify.batch_status WHERE id = $1`, batch)
	s.run("batch", "pause", fmt.Sprint(batch), "--reason", "a typo")
	paused := time.Now()
	s.until(`SELECT sending = 0 FROM enotify.batch_status WHERE id = $1`, batch)

	if err := node.Process.Signal(syscall.SIGTERM); err != nil {
		t.Fatal(err)
	}
	if err := node.Wait(); err != nil {
		t.Errorf("run after SIGTERM: %v, want exit 0", err)
	}
	var last time.Time
	for _, m := range s.smtp.Messages() {
		if m.At.After(last) {
			last = m.At
		}
	}
	if late := last.Sub(paused); late > time.Second {
		t.Errorf("the last message came %v after the pause, want at most 1 s", late)
	}
	s.run("batch", "audit", fmt.Sprint(batch))
	if got := ask[int](s, `SELECT count(*)::int FROM enotify.node`); got != 0 {
		t.Errorf("nodes after SIGTERM: got %d, want 0", got)
	}
}

// A client whose record does not authorise us gets nothing sent, and is told
// the line that cures it; after the cure it goes out by itself.
func TestGuardBlocksUntilTheRecordIsRight(t *testing.T) {
	t.Parallel()
	s := newSite(t, smtptest.Config{})
	s.dns.PutTXT("town.example", "v=spf1 ip4:198.51.100.1 -all")
	batch := s.enqueue("menu", "Soup.", 3, 1)
	s.start("run") // one node all along: what it saw before must not keep it from seeing the cure
	s.until(`SELECT state = 'blocked' FROM enotify.batch WHERE id = $1`, batch)
	if got := len(s.smtp.Messages()); got != 0 {
		t.Errorf("messages sent: got %d, want 0", got)
	}
	reason := ask[string](s, `SELECT state || ' ' || reason FROM enotify.batch_status WHERE id = $1`, batch)
	for _, want := range []string{"blocked", "town.example", "192.0.2.10", `town.example. IN TXT "v=spf1`, "ip4:192.0.2.10"} {
		if !strings.Contains(reason, want) {
			t.Errorf("reason: got %q, want it to hold %q", reason, want)
		}
	}
	s.dns.PutTXT("town.example", "v=spf1 ip4:198.51.100.1 ip4:192.0.2.10 -all")
	s.run("batch", "resume", fmt.Sprint(batch)) // has the guard look at once
	s.until(`SELECT state = 'done' FROM enotify.batch WHERE id = $1`, batch)
	if got, want := s.states(batch), "delivered 3"; got != want {
		t.Errorf("after the cure: got %s, want %s", got, want)
	}
}
