package spfguard_test

import (
	"errors"
	"net/netip"
	"testing"

	"enotify/spfguard"
	"enotify/spfguard/dns"
	"enotify/spfguard/dns/dnstest"
)

const strictZone = `
d.example.   300 IN TXT "v=spf1 a mx include:h.example -all"
d.example.   300 IN A   198.51.100.1
d.example.   300 IN MX  10 m1.d.example.
d.example.   300 IN MX  20 m2.d.example.
m1.d.example. 300 IN A  198.51.100.2
m2.d.example. 300 IN A  198.51.100.3
m3.d.example. 300 IN A  198.51.100.3
h.example.   300 IN TXT "v=spf1 ip6:2001:db8::/48 ip4:192.0.2.0/24 -all"
e.example.   300 IN TXT "v=spf1 mx include:h.example -all"
e.example.   300 IN MX  10 m1.d.example.
e.example.   300 IN MX  20 m2.d.example.
e.example.   300 IN MX  30 m3.d.example.
f.example.   300 IN TXT "v=spf1 mx:c.example a:nx1.example include:h.example -all"
c.example.   300 IN MX  5 nx9.example.
c.example.   300 IN MX  10 m1.d.example.
g.example.   300 IN TXT "v=spf1 ptr a:nx1.example a:nx2.example include:h.example -all"
i.example.   300 IN TXT "v=spf1 a:nx1.example mx:j.example -all"
j.example.   300 IN MX  10 mta.x.example.
j.example.   300 IN MX  20 nx2.example.
j.example.   300 IN MX  30 nx3.example.
mta.x.example. 300 IN A 192.0.2.9
`

// Receivers that count queries, and not terms, call some records broken that
// pass by RFC 7208. The results were compared with the results of pyspf 2.0.14.
func TestStrict(t *testing.T) {
	t.Parallel()
	srv := dnstest.New(t, strictZone)
	c := &spfguard.Checker{Resolver: &dns.Resolver{Server: srv.Addr}}
	for _, tt := range []struct {
		name, domain, ip string
		loose, strict    spfguard.Result
		empty            int
		fixed            string
	}{
		{"an a and two MX hosts over IPv6", "d.example", "2001:db8::9", spfguard.Pass, spfguard.PermError, 3,
			"v=spf1 include:h.example a mx -all"},
		{"the same over IPv4", "d.example", "192.0.2.9", spfguard.Pass, spfguard.Pass, 0,
			"v=spf1 a mx include:h.example -all"},
		{"three MX hosts over IPv6", "e.example", "2001:db8::9", spfguard.Pass, spfguard.PermError, 3,
			"v=spf1 include:h.example mx -all"},
		{"a dead MX host and a dead name", "f.example", "192.0.2.9", spfguard.Pass, spfguard.Pass, 2,
			"v=spf1 mx:c.example a:nx1.example include:h.example " +
				"" +
				"" +
				"-all"},
		{"no PTR and two dead names", "g.example", "192.0.2.9", spfguard.PermError, spfguard.PermError, 3,
			"v=spf1 ptr include:h.example -all"},
		{"MX hosts behind the one that matches", "i.example", "192.0.2.9", spfguard.Pass, spfguard.PermError, 3,
			"v=spf1 ip4:192.0.2.9 a:nx1.example mx:j.example " +
				"-all"},
	} {
		ip := netip.MustParseAddr(tt.ip)
		v := c.Verdict(t.Context(), spfguard.Query{IP: ip, Sender: "a@" + tt.domain, HELO: "mta.x.example"})
		if v.Result != tt.loose || v.Strict != tt.strict || v.Empty != tt.empty {
			t.Errorf(
				"%s: got %s, strictly %s with %d empty answers, want %s, %s with %d",
				tt.name,
				v.Result,
				v.Strict,
				v.Empty,
				tt.loose,
				tt.strict,
				tt.empty,
			)
		}
		if warned := v.StrictExplanation != ""; warned != (tt.strict != tt.loose) {
			t.Errorf("%s: got warning %q", tt.name, v.StrictExplanation)
		}
		fix, err := c.Fix(
			t.Context(),
			spfguard.FixQuery{Domain: tt.domain, Egress: []netip.Addr{ip}, HELO: "mta.x.example"},
		)
		if doubt := (*spfguard.DoubtError)(nil); errors.As(err, &doubt) && tt.loose == spfguard.PermError {
			fix, err = doubt.IfGone, nil // too many names that do not exist
		}
		if err != nil {
			t.Errorf("%s: %v", tt.name, err)
			continue
		}
		if fix.After != tt.fixed {
			t.Errorf("%s: got  %s\nwant %s", tt.name, fix.After, tt.fixed)
		}
		q := spfguard.Query{IP: ip, Sender: "a@" + tt.domain, HELO: "mta.x.example", Record: fix.After}
		if loose, strict := c.Check(t.Context(), q).Result, c.Strict(t.Context(), q).Result; loose != spfguard.Pass ||
			strict != spfguard.Pass {
			t.Errorf("%s: under %s it gets %s, strictly %s", tt.name, fix.After, loose, strict)
		}
	}
}
