package main_test

import (
	"fmt"
	"net/url"
	"os/exec"
	"strings"
	"testing"

	"enotify/queue/queuetest"
	"enotify/sender/smtptest"
)

// Whatever goes well or wrong, and however much is logged, the password of the
// database is not shown: not in results, logs, errors, nor in the arguments.
func TestNoSecretIsShown(t *testing.T) {
	t.Parallel()
	s := newSite(t, smtptest.Config{})
	batch := s.Enqueue("menu", "Soup.", 20, 2)
	good := queuetest.Login(t, s.URL, "enotify_sender", "enotify_admin")
	u, err := url.Parse(good)
	if err != nil {
		t.Fatal(err)
	}
	login, host := u.User.Username(), u.Host
	secret, _ := u.User.Password()

	node := s.Enotify("run", "-v")
	node.Env = append(node.Env, "DATABASE_URL="+good)
	var log strings.Builder
	node.Stdout, node.Stderr = &log, &log
	if err := node.Start(); err != nil {
		t.Fatal(err)
	}
	s.Until(`SELECT state = 'done' FROM enotify.batch WHERE id = $1`, batch)
	arguments, err := exec.Command("ps", "-A", "-ww", "-o", "args").Output()
	if err != nil {
		t.Fatal(err)
	}
	if strings.Contains(string(arguments), secret) {
		t.Error("ps shows the password")
	}
	// and what is said of that
	s.Exec(`SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE usename = $1`, login)
	s.Exec(fmt.Sprintf(`ALTER ROLE %s PASSWORD 'changed'`, login))
	s.Until(`SELECT NOT EXISTS (SELECT FROM pg_stat_activity WHERE usename = $1)`, login)
	stopped := make(chan struct{})
	go func() { defer close(stopped); _ = node.Wait() }()
	s.Until(`SELECT NOT EXISTS (SELECT FROM enotify.node WHERE live_until > now())`) // so it has tried in vain
	_ = node.Process.Kill()
	<-stopped
	if text := log.String(); strings.Contains(text, secret) || !strings.Contains(text, "level=WARN") {
		t.Errorf("log of run -v: got\n%s\nwant warnings without the password", text)
	}

	for _, bad := range []string{
		good, // the password is another now
		strings.ReplaceAll(good, host, "127.0.0.1:1"),
		strings.ReplaceAll(good, host, "[::1"),
		good + "?sslmode=nonsense",
		fmt.Sprintf("host=127.0.0.1 port=1 user=%s password=%s", login, secret),
	} {
		for _, verb := range [][]string{{"node", "list", "-v"}, {"batch", "list", "-v"}, {"migrate"},
			{"batch", "list", "--database-url", bad}} {
			cmd := s.Enotify(verb...)
			cmd.Env = append(cmd.Env, "DATABASE_URL="+bad)
			out, err := cmd.CombinedOutput()
			if err == nil {
				t.Errorf("%v: got no error", verb)
			}
			if strings.Contains(string(out), secret) {
				t.Errorf("%v: the password is in %q", verb, out)
			}
		}
	}
}
