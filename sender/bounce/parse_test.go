package bounce_test

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"enotify/queue"
	"enotify/sender/bounce"
)

func TestParse(t *testing.T) {
	t.Parallel()
	noUser := queue.Reply{Code: 550, Enhanced: "5.1.1", Text: "No such user"}
	for _, tt := range []struct {
		name, line string
		want       queue.Reply
	}{
		{"plain", "550 5.1.1 No such user", noUser},
		{"blanks around", "  550  5.1.1  No such user \r\n", noUser},
		{"code and enhanced code joined", "550-5.1.1 No such user", noUser},
		{"enhanced code behind a hash", "550 #5.1.1 No such user", noUser},
		{"code twice", "550 550 5.1.1 No such user", noUser},
		{"no code", "5.1.1 No such user", queue.Reply{Enhanced: "5.1.1", Text: "No such user"}},
		{"no enhanced code", "550 No such user", queue.Reply{Code: 550, Text: "No such user"}},
		{"qmail", "550 No such user (#5.1.1)",
			queue.Reply{Code: 550, Enhanced: "5.1.1", Text: "No such user (#5.1.1)"}},
		{"text alone", "No such user", queue.Reply{Text: "No such user"}},
		{"code alone", "550", queue.Reply{Code: 550}},
		{"codes alone", "550 5.1.1", queue.Reply{Code: 550, Enhanced: "5.1.1"}},
		{"empty", "", queue.Reply{}},
		{"two lines", "550-5.1.1 No such\n550 5.1.1 user",
			queue.Reply{Code: 550, Enhanced: "5.1.1", Text: "No such\nuser"}},
		{"two lines with CRLF", "550-5.1.1 No such\r\n550 5.1.1 user\r\n",
			queue.Reply{Code: 550, Enhanced: "5.1.1", Text: "No such\nuser"}},
		{"enhanced code in the second line only", "550-No such\n550 5.1.1 user",
			queue.Reply{Code: 550, Enhanced: "5.1.1", Text: "No such\nuser"}},
		{"line breaks written out", `550-5.1.1 No such\n550 5.1.1 user`,
			queue.Reply{Code: 550, Enhanced: "5.1.1", Text: "No such\nuser"}},
		{"text quoted by Go", `550 "5.1.1 No \"such\"\nuser"`,
			queue.Reply{Code: 550, Enhanced: "5.1.1", Text: "No \"such\"\nuser"}},
		{"all quoted by Go", `"550 5.1.1 No such user"`, noUser},
		{"delivery report", "smtp; 550 5.1.1 No such user", noUser},
		{"delivery report, no blank", "SMTP;550 5.1.1 No such user", noUser},
		{"delivery report of another kind", "X-Postfix; 550 5.1.1 No such user", noUser},
		{"Postfix, wrapped", "host mx.example.net[192.0.2.1] said: 550 5.1.1 No such user (in\n    reply to RCPT TO\n    command)", noUser},
		{"Postfix", "host mx.example.net[192.0.2.1] said: 550 5.1.1 No such user (in reply to RCPT TO command)",
			noUser},
		{"report of a log", "smtp; host mx.example.net said: 550 5.1.1 No such user", noUser},
		{"no code but a number", "5500 reasons", queue.Reply{Text: "5500 reasons"}},
		{"an address is no enhanced code", "550 5.1.1.1 refused", queue.Reply{Code: 550, Text: "5.1.1.1 refused"}},
		{"a version is no enhanced code", "550 mailer v5.1.1 refused",
			queue.Reply{Code: 550, Text: "mailer v5.1.1 refused"}},
		{"a success is no refusal", "250 2.0.0 OK", queue.Reply{Text: "250 2.0.0 OK"}},
	} {
		if diff := cmp.Diff(tt.want, bounce.Parse(tt.line)); diff != "" {
			t.Errorf("%s: Parse(%q) (-want +got):\n%s", tt.name, tt.line, diff)
		}
	}
}

// However a reply is written down, it means the same.
func TestParseThenClassify(t *testing.T) {
	t.Parallel()
	for _, line := range []string{
		"550 5.1.1 The user does not exist",
		"550-5.1.1 The user does\n550-5.1.1 not\n550 5.1.1 exist",
		`550-5.1.1 The user does\n550 5.1.1 not exist`,
		"550-5.1.1 The user does 550 5.1.1 not exist",
		`550 "5.1.1 The user\ndoes not exist"`,
		"550 5.1.1 THE USER DOESN'T EXIST.",
		"550 5.1.1 The user <jo@example.net> doesn’t exist!",
		"smtp;550 5.1.1 user does-not-exist",
		"550 5.1.1 the user does  \t not exist",
	} {
		if v := bounce.Classify(bounce.Parse(line), ""); v.Class != queue.NoSuchUser || v.Rule != "gone-pair" {
			t.Errorf("%q: got %s by %s, want %s by gone-pair", line, v.Class, v.Rule, queue.NoSuchUser)
		}
	}
}

func TestLongReply(t *testing.T) {
	t.Parallel()
	line := "550 5.1.1 No such user " + strings.Repeat("x5.1.", 1<<18)
	if v := bounce.Classify(bounce.Parse(line), ""); v.Class != queue.NoSuchUser {
		t.Errorf("1 MB reply: got %s, want %s", v.Class, queue.NoSuchUser)
	}
}
