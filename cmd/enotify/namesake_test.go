package main_test

import (
	"strings"
	"syscall"
	"testing"

	"enotify/sender/smtptest"
)

// A node is refused the name of one that is alive, and enotify health knows which
// one is. One that was killed gives its name free with its leases.
func TestOneNodeOfAName(t *testing.T) {
	t.Parallel()
	s := newSite(t, smtptest.Config{})
	first := s.Start("run", "--node", "n1")
	s.Until(`SELECT count(*) = 1 FROM enotify.node WHERE live_until > now()`)
	code, out := invoke(t.Context(), []string{"run", "--node", "n1", "--egress", "192.0.2.10", "--state-dir",
		t.TempDir()}, "DATABASE_URL", s.URL)
	if want := "enotify: --node n1: a node of this name is running, from [192.0.2.10]; give this one another name\n"; code != 64 || !strings.HasSuffix(out, want) {
		t.Errorf("a second n1: got exit %d, %q, want exit 64, %q", code, out, want)
	}
	for name, want := range map[string]string{
		"n1": "node n1 is alive: heard ",
		"n2": "enotify: no node called n2 is alive; start it: enotify run --node n2\n",
	} {
		code, out := invoke(t.Context(), []string{"health", "--node", name}, "DATABASE_URL", s.URL)
		if alive := name == "n1"; (code == 0) != alive || !strings.HasPrefix(out, want) {
			t.Errorf("health of %s: got exit %d, %q, want it to begin %q", name, code, out, want)
		}
	}
	if err := first.Process.Signal(syscall.SIGKILL); err != nil {
		t.Fatal(err)
	}
	_ = first.Wait()
	s.Run("run", "--node", "n1", "--until-idle")
}
