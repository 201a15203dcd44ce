package main_test

import (
	"fmt"
	"regexp"
	"strings"
	"testing"

	"enotify/cmd/enotify/sitetest"
)

// A provider's feedback loop writes to one address for all clients and hides the reader:
// the message that it returns says who complained.
func TestFeedbackLoop(t *testing.T) {
	t.Parallel()
	s := newBouncingSite(t)
	keys := t.TempDir()
	s.Run("client", "key", "mail.host.example", "--selector", "s1", "--dkim-dir", keys)
	at := sitetest.FreePort(t)
	s.Start("run", "--bounce-listen", at, "--feedback-address", "fbl@mail.host.example", "--dkim-dir", keys,
		"--dkim-operator", "mail.host.example/s1")
	batch := s.Enqueue("menu", "Soup.", 3, 1)
	s.Until(`SELECT state = 'done' FROM enotify.batch WHERE id = $1`, batch)
	m := s.SMTP.Messages()[0]
	if !strings.Contains(string(m.Data), "d=mail.host.example;") {
		t.Errorf("signature of the operator: got none in\n%s", m.Data)
	}
	hidden := regexp.MustCompile(`(?i)user[0-9]+@d[0-9]+\.test`).ReplaceAllString(strings.ReplaceAll(string(m.Data),
		"\r\n", "\n"), "redacted@redacted.invalid")
	report := "From: feedback@isp.example\nTo: fbl@mail.host.example\nSubject: complaint\nContent-Type: multipart/report; report-type=feedback-report; boundary=r\n\n" +
		"--r\nContent-Type: message/feedback-report\n\nFeedback-Type: abuse\nVersion: 1\nOriginal-Rcpt-To: <redacted@redacted.invalid>\n\n--r\nContent-Type: message/rfc822\n\n" + hidden + "\n--r--"
	if code := s.Bring(at, "feedback@isp.example", "fbl@mail.host.example", report); code != 250 {
		t.Errorf("the complaint: got %d, want 250", code)
	}
	if code := s.Bring(at, "loops@isp.example", "fbl@mail.host.example",
		"Subject: please confirm this address\n\nClick."); code != 250 {
		t.Errorf("a mail about nobody: got %d, want 250", code)
	}
	if got, want := ask[string](s, `SELECT string_agg(concat_ws(' ', address, cause, client_id), ', ') FROM enotify.suppression`), m.To[0]+" complaint 1"; got != want {
		t.Errorf("suppressed: got %q, want %q", got, want)
	}
	if got, want := s.Run("bounce", "report", "--batch",
		fmt.Sprint(batch)), "all sites, the batch"; !strings.Contains(got, "Called spam by readers") ||
		!strings.Contains(got, want) {
		t.Errorf("bounce report: got\n%s\nwant the complaint", got)
	}
	s.Until(`SELECT count(*) = 1 FROM enotify.report WHERE kind = 'complaint' AND signed`)
}
