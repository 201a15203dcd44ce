package bounce_test

import (
	"strings"
	"testing"

	"enotify/sender/bounce"
)

func TestAlike(t *testing.T) {
	t.Parallel()
	for _, test := range []struct{ a, b, want string }{
		{"<ann@one.example>: Recipient address rejected: User unknown",
			"<bob.b@two.example>: Recipient address rejected: User unknown",
			"<address> Recipient address rejected: User unknown"},
		{"Too many connections from 192.0.2.10, see https://a.example/x?id=1",
			"Too many connections from 198.51.100.7, see https://a.example/x?id=2",
			"Too many connections from <ip> see https://a.example/x"},
		{"The user is over quota. d2e1a72fcca58-6ff3a9 - gsmtp", "The user is over quota. a1b2c3d4e5f60-71829 - gsmtp",
			"The user is over quota. <id> - gsmtp"},
		{"try again at 2026-11-23 12:00:01", "try again at 2026-11-24 08:15:00", "try again at <time>"},
		{"5.7.26 not authorised (IP 2001:db8::1)", "5.7.26 not authorised (IP 2001:db8:1:2::9)",
			"5.7.26 not authorised (IP <ip>"},
		{"dial tcp 192.0.2.1:25: i/o timeout", "dial tcp [2001:db8::1]:25: i/o timeout", "dial tcp <ip> i/o timeout"},
		{"mailbox full\n(ID 12345678)", "mailbox  full (ID 87654321)", "mailbox full (ID <id>"},
	} {
		if got := bounce.Alike(test.a); got != test.want || bounce.Alike(test.b) != got {
			t.Errorf("Alike:\n got %q\n and %q,\nwant %q", got, bounce.Alike(test.b), test.want)
		}
	}
	if said := "552 Mailbox full"; bounce.Alike(said) != said {
		t.Errorf("Alike(%q): got %q, want it as it is", said, bounce.Alike(said))
	}
}

func FuzzAlike(f *testing.F) {
	f.Add("550 5.1.1 <ann@one.example> unknown d2e1a72fcca58 12:00:01")
	f.Fuzz(func(t *testing.T, text string) {
		once := bounce.Alike(text)
		if twice := bounce.Alike(once); len(once) > 2*len(text)+9 || strings.Contains(twice, "@") {
			t.Errorf("Alike(%q): got %q, then %q", text, once, twice)
		}
	})
}
