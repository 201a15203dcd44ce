package main_test

import (
	"encoding/json"
	"errors"
	"fmt"
	"os/exec"
	"regexp"
	"strings"
	"testing"

	"enotify/sender/smtptest"
)

// ended runs batch watch to its end, and returns what it printed and its exit code.
func (s *site) ended(args ...string) (stdout, stderr string, code int) {
	s.Helper()
	cmd := s.Enotify(append([]string{"batch", "watch"}, args...)...)
	var out, errs strings.Builder
	cmd.Stdout, cmd.Stderr = &out, &errs
	err := cmd.Run()
	var exit *exec.ExitError
	if errors.As(err, &exit) {
		code = exit.ExitCode()
	} else if err != nil {
		s.Fatal(err)
	}
	return out.String(), errs.String(), code
}

// In a pipe, a watch writes a line at each change and ends with the batch.
func TestBatchWatch(t *testing.T) {
	t.Parallel()
	s := newSite(t, smtptest.Config{Reply: func(c smtptest.Command) string {
		if c.Verb == "RCPT" && strings.Contains(c.Arg, "user1@") {
			return "550 5.1.1 No such user"
		}
		return ""
	}})
	batch := s.Enqueue("menu", "Soup.", 400, 5)
	watching := s.Enotify("batch", "watch", fmt.Sprint(batch))
	var out strings.Builder
	watching.Stdout = &out
	if err := watching.Start(); err != nil {
		t.Fatal(err)
	}
	s.Run("run", "--until-idle")
	if err := watching.Wait(); err != nil {
		t.Errorf("watching a batch that gets done: got %v, want exit 0", err)
	}
	lines := strings.Split(strings.TrimSpace(out.String()), "\n")
	if last := lines[len(lines)-1]; !regexp.MustCompile(`^\d\d:\d\d:\d\d \S+  batch 1 done 400/400, 1 bounced$`).MatchString(last) {
		t.Errorf("last line: got %q\n%s", last, out.String())
	}

	stdout, _, code := s.ended(fmt.Sprint(batch), "-o", "json")
	var p struct {
		State     string
		Delivered int
		Failures  []struct{ Class string }
	}
	if err := json.Unmarshal([]byte(stdout), &p); err != nil || code != 0 || p.State != "done" || p.Delivered != 399 ||
		len(p.Failures) != 1 || p.Failures[0].Class != "no_such_user" {
		t.Errorf("as JSON: got %+v, %v, exit %d", p, err, code)
	}

	for state, want := range map[string]struct {
		code int
		text string
	}{
		"blocked":   {2, "batch 2 is blocked: no good; see enotify batch show 2"},
		"cancelled": {1, "batch 2 was cancelled: no good"},
		"draft":     {1, "batch 2 is a draft, and nothing of it is sent; enotify batch submit 2 queues it"},
	} {
		s.Exec(`DELETE FROM enotify.batch WHERE id = 2`)
		s.Exec(`INSERT INTO enotify.batch (id, client_id, idem_key, state, reason, from_address, subject, body_text, expires_at, finished_at) OVERRIDING SYSTEM VALUE
			SELECT 2, id, 'x', $1::text::enotify.batch_state, 'no good', 'info@town.example', 'x', 'x', now() + interval '1 h', CASE WHEN $1::text = 'cancelled' THEN now() END FROM enotify.client WHERE domain = 'town.example'`, state)
		if _, stderr, code := s.ended("2"); code != want.code || !strings.Contains(stderr, want.text) {
			t.Errorf("%s: got exit %d, %q, want %d, %q", state, code, stderr, want.code, want.text)
		}
	}
	if _, stderr, code := s.ended("99"); code != 1 || !strings.Contains(stderr, "batch 99: not found") {
		t.Errorf("no such batch: got exit %d, %q", code, stderr)
	}
}
