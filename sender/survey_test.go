package sender_test

import (
	"context"
	"testing"
	"time"

	"enotify/queue"
	"enotify/sender/mtasts"
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

// The MTA-STS record of a domain is asked for with its survey, so that its first message
// waits for no DNS.
func TestSurveyAsksForThePolicyAhead(t *testing.T) {
	t.Parallel()
	w := newWorld(t, "a.test. A 127.0.0.1\nnull.test. MX 0 .\n", nil)
	w.sender.STS = &mtasts.Policies{Fetcher: mtasts.Fetcher{Resolver: w.sender.Resolver}}
	for _, domain := range []string{"a.test", "null.test"} {
		if _, err := w.sender.Survey(t.Context(), domain); err != nil {
			t.Fatal(err)
		}
	}
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
	defer cancel()
	if err := w.dns.Await(ctx, "_mta-sts.a.test", "TXT", 1); err != nil {
		t.Fatalf("the record was not asked for before a message: %v", err)
	}
	w.deliver(t, to(testBatch, 1, "u@a.test"))
	for domain, want := range map[string]int{"a.test": 1, "null.test": 0} {
		if got := w.dns.Queries("_mta-sts."+domain, "TXT"); got != want {
			t.Errorf("questions for the record of %s: got %d, want %d", domain, got, want)
		}
	}
}
