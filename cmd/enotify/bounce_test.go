package main

import (
	"bytes"
	"io"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"enotify/sender/bounce"
)

func TestClassifyReplies(t *testing.T) {
	t.Parallel()
	long := strings.Repeat("x", 1<<20)
	for _, tt := range []struct {
		name, in, want string
		json           bool
	}{
		{"nothing", "", "", false},
		{"text", "550 5.1.1 No such user\n", "no_such_user\tsuppress\tgone-plain\n", false},
		{"json", "550 5.1.1 No such user\n", `{"class":"no_such_user","action":"suppress","rule":"gone-plain"}` + "\n",
			true},
		{"no newline at the end", "550 5.1.1 No such user", "no_such_user\tsuppress\tgone-plain\n", false},
		{"CRLF", "452 4.2.2 Mailbox full\r\n", "mailbox_full\tscore_full\tfull\n", false},
		{"an answer for every line, in order", "\n550 5.1.1 No such user\n\n452 4.2.2 Mailbox full\n",
			"other\tretry\tunmatched\nno_such_user\tsuppress\tgone-plain\nother\tretry\tunmatched\nmailbox_full\tscore_full\tfull\n", false},
		{"1 MB in a line", "550 5.1.1 No such user " + long + "\n452 4.2.2 Mailbox full " + long,
			"no_such_user\tsuppress\tgone-plain\nmailbox_full\tscore_full\tfull\n", false},
		{"a line that fills the buffer", strings.Repeat("x", maxReplyBytes), "other\tretry\tunmatched\n", false},
		{"a line that fills the buffer with its newline", strings.Repeat("x", maxReplyBytes) + "\n",
			"other\tretry\tunmatched\n", false},
	} {
		var got bytes.Buffer
		if err := (&classifier{json: tt.json}).run(strings.NewReader(tt.in), &got); err != nil {
			t.Errorf("%s: %v", tt.name, err)
		}
		if diff := cmp.Diff(tt.want, got.String()); diff != "" {
			t.Errorf("%s (-want +got):\n%s", tt.name, diff)
		}
	}
}

// A program may ask a reply at a time and wait for the answer.
func TestClassifyRepliesAnswersAtOnce(t *testing.T) {
	t.Parallel()
	in, ask := io.Pipe()
	answers, out := io.Pipe()
	done := make(chan error, 1)
	go func() { done <- (&classifier{}).run(in, out) }()
	for _, reply := range []string{"550 5.1.1 No such user\n", "452 4.2.2 Mailbox full\n"} {
		if _, err := io.WriteString(ask, reply); err != nil {
			t.Fatal(err)
		}
		answer := make([]byte, 100)
		if n, err := answers.Read(answer); err != nil || !strings.HasSuffix(string(answer[:n]), "\n") {
			t.Fatalf("%q: got %q, %v, want a line", reply, answer[:n], err)
		}
	}
	ask.Close()
	if err := <-done; err != nil {
		t.Errorf("at the end: got %v, want nil", err)
	}
}

// --explain says which words decided, and which kept an address from being given up.
func TestClassifyExplains(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		in, want string
		about    bounce.About
	}{
		{"550 5.1.1 Sorry, no such user\n",
			"no_such_user\tsuppress\tgone-plain\n  words    \"no such user\"\n  source   replies of many receivers; Postfix access(5), 2026-11\n", bounce.About{}},
		{"550 No such user, try again later\n",
			"other\treview\t5xx\n  codes    5xx\n  source   RFC 5321 §4.2.1, 2026-11\n  not      no_such_user by gone-plain: for-now \"try again later\"\n", bounce.About{}},
		{"550 <bob@b.example>: No such user\n",
			"other\treview\t5xx\n  codes    5xx\n  source   RFC 5321 §4.2.1, 2026-11\n  not      no_such_user by gone-plain: names-another\n", bounce.About{Recipient: "ada@a.example"}},
	} {
		var got bytes.Buffer
		if err := (&classifier{explain: true, about: tt.about}).run(strings.NewReader(tt.in), &got); err != nil {
			t.Error(err)
		}
		if diff := cmp.Diff(tt.want, got.String()); diff != "" {
			t.Errorf("%q (-want +got):\n%s", tt.in, diff)
		}
	}
}
