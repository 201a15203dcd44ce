package main_test

import (
	"bufio"
	"io"
	"net"
	"net/url"
	"strings"
	"testing"

	"enotify/cmd/enotify/sitetest"
	"enotify/queue/queuetest"
	"enotify/sender/smtptest"
)

// A node waits for a database that is away when it starts, and says so, without the
// password; then it sends.
func TestRunWaitsForTheDatabase(t *testing.T) {
	t.Parallel()
	s := newSite(t, smtptest.Config{})
	batch := s.Enqueue("menu", "Soup.", 20, 2)
	database, err := url.Parse(queuetest.Login(t, s.URL, "enotify_sender"))
	if err != nil {
		t.Fatal(err)
	}
	secret, _ := database.User.Password()
	host := database.Host
	database.Host = sitetest.FreePort(t)

	node := s.Enotify("run", "--until-idle")
	node.Env = append(node.Env, "DATABASE_URL="+database.String())
	log, err := node.StderrPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := node.Start(); err != nil {
		t.Fatal(err)
	}
	lines := bufio.NewScanner(log)
	if !lines.Scan() {
		t.Fatal("the node ended, want it to wait")
	}
	if got := lines.Text(); !strings.Contains(got, "the database is away; waiting for it") ||
		!strings.Contains(got, database.Host) || strings.Contains(got, secret) {
		t.Errorf("got %q, want that the database at %s is away, without the password", got, database.Host)
	}
	forward(t, database.Host, host) // there it is
	for lines.Scan() {
	}
	if err := node.Wait(); err != nil {
		t.Errorf("run: got %v, want no error", err)
	}
	s.Until(`SELECT state = 'done' FROM enotify.batch WHERE id = $1`, batch)
}

// forward passes connections to from on to another address.
func forward(t *testing.T, from, to string) {
	t.Helper()
	l, err := net.Listen("tcp", from)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { l.Close() })
	go func() {
		for {
			in, err := l.Accept()
			if err != nil {
				return
			}
			out, err := net.Dial("tcp", to)
			if err != nil {
				in.Close()
				continue
			}
			go func() { _, _ = io.Copy(out, in); out.Close() }()
			go func() { _, _ = io.Copy(in, out); in.Close() }()
		}
	}()
}
