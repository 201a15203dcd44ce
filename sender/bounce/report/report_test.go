package report_test

import (
	"bytes"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/rogpeppe/go-internal/txtar"

	"enotify/queue"
	"enotify/sender/bounce/report"
)

func TestRead(t *testing.T) {
	t.Parallel()
	mail, want := archive(t)
	for name, raw := range mail {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			crlf := bytes.ReplaceAll(raw, []byte("\n"), []byte("\r\n"))
			boxed := append([]byte("From MAILER-DAEMON Mon Nov 23 08:00:00 2026\n"), raw...)
			for how, raw := range map[string][]byte{"as it is": raw, "with CRLF": crlf, "from an mbox": boxed} {
				if diff := cmp.Diff(want[name], summary(report.Read(raw))); diff != "" {
					t.Errorf("%s: (-want +got):\n%s", how, diff)
				}
			}
		})
	}
}

// archive is testdata/mail.txtar: mail, and what is to be read in it.
func archive(tb testing.TB) (mail map[string][]byte, want map[string]string) {
	tb.Helper()
	a, err := txtar.ParseFile("testdata/mail.txtar")
	if err != nil {
		tb.Fatal(err)
	}
	mail, want = map[string][]byte{}, map[string]string{}
	for _, f := range a.Files {
		if name, ok := strings.CutSuffix(f.Name, ".eml"); ok {
			mail[name] = f.Data
		} else if name, ok := strings.CutSuffix(f.Name, ".want"); ok {
			want[name] = string(f.Data)
		}
	}
	return mail, want
}

// summary writes a report down the way the archive does.
func summary(r report.Report) string {
	var b strings.Builder
	line := func(words ...any) { fmt.Fprintln(&b, strings.TrimRight(fmt.Sprint(words...), " ")) }
	line(string(r.Kind), " ", r.MessageID)
	if o := r.Original; o != (report.Original{}) {
		text := "about " + o.MessageID
		if o.ReturnPath != "" {
			text += " from " + o.ReturnPath
		}
		if o.To != "" {
			text += " to " + o.To
		}
		line(text)
	}
	if len(r.SentTo) > 0 {
		line("sent to ", strings.Join(r.SentTo, " "))
	}
	for _, x := range r.Recipients {
		text := x.Address
		if x.Was != "" {
			text += " (" + x.Was + ")"
		}
		text += " " + x.Action
		if x.Verdict.Class != "" {
			text += fmt.Sprintf(" %d %s %s %s", x.Reply.Code, x.Reply.Enhanced, x.Verdict.Class, x.Reported)
		}
		if x.Verdict.Mark != "" {
			text = strings.TrimRight(text, " ") + " " + string(x.Verdict.Mark)
		}
		line(text)
	}
	return b.String()
}

func TestLimits(t *testing.T) {
	t.Parallel()
	deep := "From: mailer-daemon@relay.example\nSubject: undeliverable\n"
	for i := range 2000 {
		deep += fmt.Sprintf("Content-Type: multipart/mixed; boundary=b%d\n\n--b%d\n", i, i)
	}
	many := "From: mailer-daemon@relay.example\nContent-Type: multipart/report; boundary=b\n\n--b\nContent-Type: message/delivery-status\n\n"
	for i := range 5000 {
		many += fmt.Sprintf("Final-Recipient: rfc822; r%d@receiver.example\nAction: failed\nStatus: 5.1.1\n\n", i)
	}
	for name, raw := range map[string]string{
		"deep": deep,
		"parts": "From: mailer-daemon@relay.example\nContent-Type: multipart/mixed; boundary=b\n\n" +
			strings.Repeat("--b\nContent-Type: text/plain\n\nundeliverable a@b.example\n", 20000),
		"empty parts": "From: mailer-daemon@relay.example\nContent-Type: multipart/mixed; boundary=b\n\n" +
			strings.Repeat("--b\n\n", 1<<20/5),
		"folded": "From: mailer-daemon@relay.example\nX: a\n" + strings.Repeat(" b\n", 1<<20/3) + "\n",
		"fields": "From: mailer-daemon@relay.example\n" + strings.Repeat("X: b\n", 1<<20/5) + "\n",
		"long address": "From: mailer-daemon@relay.example\nX-Failed-Recipients: \"" + strings.Repeat(`\\ `, 1<<18) +
			"\"@b.example\nSubject: undeliverable\n\n",
		"recipients": many + "\n--b--\n",
		"addresses": "From: mailer-daemon@relay.example\nSubject: undeliverable\n\n" +
			strings.Repeat("<aa@bb.example>: 550 no\n<cc@dd.example>: 550 no\n", 50000),
		"one line": "From: mailer-daemon@relay.example\nSubject: undeliverable\n\n" + strings.Repeat("a@", 1<<20),
		"groups": "From: mailer-daemon@relay.example\nContent-Type: multipart/report; boundary=b\n\n--b\n" +
			"Content-Type: message/delivery-status\n\n" + strings.Repeat("Action: failed\n\n", 1<<16),
		"open styles": "From: mailer-daemon@relay.example\nContent-Type: text/html\n\n" + strings.Repeat("<style>", 1<<17),
		"open comments": "From: mailer-daemon@relay.example\nContent-Type: text/html\n\n" +
			strings.Repeat("<!--<script><", 1<<16),
		"larger by far": "From: mailer-daemon@relay.example\nSubject: undeliverable\n\n" +
			strings.Repeat("x\n", 10*report.MaxBytes),
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			began := time.Now()
			if got := report.Read([]byte(raw)); len(got.Recipients) > 100 {
				t.Errorf("recipients: got %d, want at most 100", len(got.Recipients))
			}
			if took := time.Since(began); took > 15*time.Second {
				t.Errorf("time: got %v, want a part of a second on a free machine", took)
			}
		})
	}
}

// Nothing that is read may be wrong in form, whatever the mail.
func FuzzRead(f *testing.F) {
	mail, _ := archive(f)
	for _, raw := range mail {
		f.Add(raw)
	}
	f.Fuzz(func(t *testing.T, raw []byte) {
		r := report.Read(raw)
		for _, x := range r.Recipients {
			if strings.ContainsAny(x.Address+x.Was, "\r\n\x00") {
				t.Errorf("address: got %q, which breaks lines", x.Address)
			}
			if x.Verdict.Class == queue.NoSuchUser &&
				(x.Reply.Code < 500 && x.Reply.Code != 0 || strings.HasPrefix(x.Reply.Enhanced, "4")) {
				t.Errorf("got %+v, an address given up for what may pass", x)
			}
		}
		switch r.Kind {
		case report.Bounce, report.Expired, report.Delay, report.Complaint, report.AutoReply, report.Challenge,
			report.Other:
		default:
			t.Errorf("kind: got %q", r.Kind)
		}
	})
}
