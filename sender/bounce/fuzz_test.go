package bounce_test

import (
	"errors"
	"slices"
	"strings"
	"testing"
	"unicode/utf8"

	"enotify/queue"
	"enotify/sender/bounce"
)

var seeds = []string{
	"", "550", "550 ", "550-", "5.1.1", "550 5.1.1 No such user", "450 4.2.1 later", "550 5.", "550 #", `550 "`,
	`550 "\`,
	`"550 5.1.1 a\nb"`, "550-5.1.1 a\r\n550 5.1.1 b", "smtp;", "smtp; 421", "host x said: 550 5.1.1 y",
	"(in reply to )",
	"550 bo\xeete pleine", "550 boîte pleine", "550 ５５０ ｆｕｌｌ", "550 メールボックスがいっぱい", "550 @", "550 @@@ %",
	"550 192.0.2.1",
	"421 4.7.0 \x00\xff", "999 9.9.9 z", "e-mail", "550 E-", "550 e\u0301", "5.1.1.1", "550 ' ’ `",
	"550 5.1.1 <a@b.example>: Recipient address rejected: undeliverable address: host x said: 550 5.1.1 <a@b.example>: undeliverable address: host y said: 450 z",
	"450 4.1.1 unverified address: host x said: 550 5.1.1 User unknown", "550 x error 550-'5.7.1 y' (z)",
	"550 said: 550 said: 550 said: 550 said: 451",
	"550 User unknown 503 b 554 c 451 d", "550 User unknown at https://x.example/user-unknown?a=b@c",
	"550 user unknown u@town.example v@b.example",
	"550 database ldap sql error failed timeout user unknown", "550 5.1.1 @@@a@@b@c@", "550 www.", "550 http://",
	"550 ąćęłńśźż ŁÓDŹ",
}

var classes = []queue.Class{
	queue.Offline, queue.Throttled, queue.NoSuchUser, queue.MailboxFull, queue.AuthRejected,
	queue.SpamBlock, queue.Policy, queue.Content, queue.Other,
}

func FuzzParse(f *testing.F) {
	for _, s := range seeds {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, line string) {
		r := bounce.Parse(line)
		if r.Code != 0 && (r.Code < 400 || r.Code > 599) {
			t.Errorf("code: got %d, want 0 or 400 to 599", r.Code)
		}
		if n := len(r.Enhanced); n != 0 && (n < 5 || n > 9) {
			t.Errorf("enhanced code: got %q", r.Enhanced)
		}
		if utf8.ValidString(line) && !utf8.ValidString(r.Text) {
			t.Errorf("text: got %q, which is no UTF-8, from a line that is", r.Text)
		}
		bounce.Classify(r, "")
	})
}

// Whatever a file of rules holds, it is taken or refused with a line.
func FuzzOverride(f *testing.F) {
	for i, paragraph := range strings.Split(bounce.BuiltIn(), "\n\n") {
		if i%20 == 0 {
			f.Add(paragraph)
		}
	}
	f.Add(ownRule)
	f.Add("rule a\nclass other\nsays {a}\nwhen 4xx 5xx none 421 5.1.* site:\nnear @ | %\nunless $\nsource x, 2026-11\nexample \n")
	f.Fuzz(func(t *testing.T, text string) {
		rules, err := bounce.Override(text)
		var fault *bounce.FileError
		if err != nil && !errors.As(err, &fault) {
			t.Errorf("got %v, want an error with a line", err)
		}
		if err == nil {
			rules.Classify(queue.Reply{Code: 550, Text: text}, bounce.About{})
		}
	})
}

func FuzzClassify(f *testing.F) {
	for i, s := range seeds {
		f.Add(400+i*7, "5.1.1", s, "")
		f.Add(550, "", s, "google.com")
	}
	f.Fuzz(func(t *testing.T, code int, enhanced, text, site string) {
		r := queue.Reply{Code: code, Enhanced: enhanced, Text: text}
		v := bounce.Classify(r, site)
		if !slices.Contains(classes, v.Class) {
			t.Errorf("class: got %q, want one of the table", v.Class)
		}
		if v.Action == "" || v.Rule == "" {
			t.Errorf("got %+v, want an action and a rule", v)
		}
		if v.Class == queue.NoSuchUser && 400 <= code && code < 500 {
			t.Errorf("got %+v for a %d, want it never on 4xx", v, code)
		}
		if v.Final() && code < 500 && !(code == 0 && v.Class != queue.Other) && 400 <= code {
			t.Errorf("got %+v, final, for a %d", v, code)
		}
		if of := (bounce.About{Recipient: "v@b.example",
			Ours: []string{"u@town.example", "town.example"}}); !strings.Contains(text, "@b.example") &&
			strings.Contains(text, "<u@town.example>") {
			if v := (bounce.Rules{}).Classify(r, of); v.Class == queue.NoSuchUser {
				t.Errorf("got %+v for a reply that names us and not the recipient", v)
			}
		}
		if again := bounce.Classify(r, site); again != v {
			t.Errorf("got %+v, then %+v for the same reply", v, again)
		}
	})
}
