package main_test

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"enotify/cmd/enotify/sitetest"
	"enotify/sender/dkim"
	"enotify/sender/smtptest"
)

// One marked copy goes to the person who asked for it, filled with a recipient's data;
// the batch, its recipients and the counts stay as they were.
func TestTestSend(t *testing.T) {
	t.Parallel()
	s := newSite(t, smtptest.Config{Reply: func(c smtptest.Command) string {
		if c.Verb == "RCPT" && c.To == "gone@one.test" {
			return "550 5.1.1 No such user"
		}
		return ""
	}})
	batch := ask[int64](s, `SELECT enotify.create_batch('k', 'info@town.example', 'Menu for {{.name}}', 'Dear {{.name}} at {{.address}}')`)
	s.Exec(`SELECT enotify.add_recipients($1, '{ann@one.test,bob@one.test}', ARRAY['{"name":"Ann"}','{"name":"Bob"}']::jsonb[])`, batch)
	id := fmt.Sprint(batch)
	var got struct{ To, As, State string }
	if err := json.Unmarshal([]byte(s.Run("batch", "test", id, "--to", "me@one.test", "--as", "bob@one.test", "-o",
		"json")), &got); err != nil {
		t.Fatal(err)
	}
	if got.To != "me@one.test" || got.As != "bob@one.test" || got.State != "delivered" {
		t.Errorf("draft: got %+v, want it delivered to me as bob", got)
	}
	s.Exec(`SELECT enotify.submit_batch($1)`, batch)
	keys := dkim.Directory{Path: t.TempDir()}
	if _, err := keys.Generate("host.example", "op", dkim.Ed25519); err != nil {
		t.Fatal(err)
	}
	operator := []string{"--dkim-dir", keys.Path, "--dkim-operator", "host.example/op"}
	s.Run(append([]string{"batch", "test", id, "--to", "me@one.test"}, operator...)...)
	if text := s.Run(append([]string{"batch", "show", id, "--message", "1"}, operator...)...); !strings.Contains(text,
		"d=host.example") {
		t.Errorf("batch show: got %s, want the operator's signature in it", text)
	}
	messages := s.SMTP.Messages()
	if len(messages) != 2 {
		t.Fatalf("messages: got %d, want the two copies", len(messages))
	}
	ids := map[string]bool{}
	if text := string(messages[1].Data); !strings.Contains(text, "d=host.example") {
		t.Errorf("got %s, want the operator's signature in it", text)
	}
	for i, want := range []string{"Bob at bob@one.test", "Ann at ann@one.test"} {
		text := string(messages[i].Data)
		if diff := cmp.Diff([]string{"me@one.test"}, messages[i].To); diff != "" {
			t.Errorf("recipients (-want +got):\n%s", diff)
		}
		if !strings.Contains(text, "Subject: [Test] Menu for ") || !strings.Contains(text, "X-Test-Copy: batch "+id) ||
			!strings.Contains(text, "Dear "+want) {
			t.Errorf("copy %d: got %s, want it marked, and filled for %s", i, text, want)
		}
		_, rest, _ := strings.Cut(text, "Message-ID: ")
		line, _, _ := strings.Cut(rest, "\r\n")
		ids[line] = true
	}
	if len(ids) != 2 {
		t.Errorf("message ids: got %v, want one for each copy", ids)
	}
	if got, want := s.States(batch), "pending 2"; got != want {
		t.Errorf("the batch: got %s, want %s", got, want)
	}
	if n := ask[int](s, `SELECT count(*)::int FROM enotify.outcome`); n != 0 {
		t.Errorf("outcomes: got %d, want none", n)
	}
	fails := func(code int, want string, args ...string) {
		t.Helper()
		cmd := s.Enotify(append([]string{"batch", "test", id}, args...)...)
		out, err := cmd.CombinedOutput()
		if err == nil || cmd.ProcessState.ExitCode() != code || !strings.Contains(string(out), want) {
			t.Errorf("%v: got %v, %s; want exit %d and %q", args, err, out, code, want)
		}
	}
	fails(1, "550 5.1.1 No such user", "--to", "gone@one.test")
	fails(1, "batch "+id+" has no recipient nobody@one.test", "--to", "me@one.test", "--as", "nobody@one.test")
	fails(1, `"me" is no mailbox`, "--to", "me")
	fails(64, "--to is missing")
	s.Exec(`INSERT INTO enotify.verdict (client_id, identity, domain, egress, result, blocks, valid_until) SELECT id, 'mailfrom', domain, '192.0.2.10', 'fail', true, now() + interval '1 hour' FROM enotify.client`)
	fails(2, "the guard blocks town.example", "--to", "me@one.test")
	if n := s.SMTP.Delivered(); n != 2 {
		t.Errorf("messages in the end: got %d, want 2", n)
	}
}

// A reader's complaint at the address that the message names for it suppresses
// that reader for the client.
func TestComplaintAtCFBLAddress(t *testing.T) {
	t.Parallel()
	s := newBouncingSite(t)
	at := sitetest.FreePort(t)
	s.Start("run", "--bounce-listen", at)
	batch := s.Enqueue("menu", "Soup.", 2, 1)
	s.Until(`SELECT state = 'done' FROM enotify.batch WHERE id = $1`, batch)
	m := s.SMTP.Messages()[0]
	_, rest, _ := strings.Cut(string(m.Data), "CFBL-Address: ")
	address, _, found := strings.Cut(rest, "; report=arf\r\n")
	if !found || !strings.HasPrefix(address, "c-") || !strings.HasSuffix(address, "@bounce.town.example") {
		t.Fatalf("CFBL-Address: got %q in %s", address, m.Data)
	}
	report := `From: <fbl@mx.test>
To: ` + address + `
Subject: complaint
MIME-Version: 1.0
Content-Type: multipart/report; report-type=feedback-report; boundary=r

--r
Content-Type: text/plain

This is an email abuse report.

--r
Content-Type: message/feedback-report

Feedback-Type: abuse
User-Agent: mx/1
Version: 1

--r
Content-Type: message/rfc822

Subject: redacted

--r--
`
	if code := s.Bring(at, "fbl@mx.test", address, report); code != 250 {
		t.Errorf("the report: got %d, want 250", code)
	}
	if got := ask[string](s, `SELECT coalesce(string_agg(concat_ws(' ', address, cause, c.domain), ','), '') FROM enotify.suppression x LEFT JOIN enotify.client c ON c.id = x.client_id`); got != m.To[0]+" complaint town.example" {
		t.Errorf("suppressions: got %q, want %s for town.example alone", got, m.To[0])
	}
	if code := s.Bring(at, "", strings.Replace(address, "c-", "c-9", 1), report); code != 550 {
		t.Errorf("a forged address: got %d, want 550", code)
	}
}
