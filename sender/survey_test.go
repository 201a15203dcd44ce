package sender_test

import (
	"testing"
	"time"

	"enotify/queue"
	"enotify/spfguard/dns/dnstest"
)

// What a survey says of a domain is what a delivery finds.
func TestSurvey(t *testing.T) {
	t.Parallel()
	w := newWorld(t, `
a.test. 600 MX 10 mx.b.test.
a.test. 600 MX 20 aspmx.l.google.com.
g.test. 300 MX 10 aspmx.l.google.com.
implicit.test. A 127.0.0.1
null.test. 900 MX 0 .
empty.test. TXT "no mail here"
`, nil)
	w.dns.Fail("servfail.test", dnstest.ServFail)
	for _, test := range []struct {
		domain, site string
		ttl          time.Duration
		noMail       bool
	}{
		{"a.test", "b.test", 10 * time.Minute, false},
		{"g.test", "google", 5 * time.Minute, false},
		{"implicit.test", "implicit.test", time.Minute, false},
		{"null.test", "null.test", 15 * time.Minute, true},
		{"nx.test", "nx.test", time.Minute, true},
		{"empty.test", "empty.test", time.Minute, true},
	} {
		got, err := w.sender.Survey(t.Context(), test.domain)
		if err != nil {
			t.Errorf("%s: %v", test.domain, err)
			continue
		}
		if got.Site != test.site || (got.NoMail != nil) != test.noMail {
			t.Errorf("%s: got site %q, no mail %v, want %q and %v", test.domain, got.Site, got.NoMail != nil, test.site,
				test.noMail)
		}
		if got.TTL > test.ttl || got.TTL < test.ttl-10*time.Second {
			t.Errorf("%s: got TTL %v, want %v", test.domain, got.TTL, test.ttl)
		}
		if got.NoMail == nil {
			continue
		}
		if tried := w.deliver(t, to(testBatch, 1, "u@"+test.domain)); tried != *got.NoMail ||
			tried.State != queue.Bounced {
			t.Errorf("%s: the survey says %+v, a delivery %+v", test.domain, *got.NoMail, tried)
		}
	}
	if got, err := w.sender.Survey(t.Context(), "servfail.test"); err == nil {
		t.Errorf("a server in trouble: got %+v, want an error", got)
	}
}
