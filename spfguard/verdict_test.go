package spfguard_test

import (
	"net/netip"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"enotify/spfguard"
	"enotify/spfguard/dns"
	"enotify/spfguard/dns/dnstest"
)

const clients = `
good.example.       300 IN TXT "v=spf1 mx include:_spf.host.example -all"
good.example.       300 IN MX  10 mail.good.example.
mail.good.example.  300 IN A   192.0.2.1
_spf.host.example.  90  IN TXT "v=spf1 ip4:198.51.100.0/24 ip6:2001:db8:5::/48 ?all"
closed.example.     300 IN TXT "v=spf1 mx ip4:203.0.113.0/24 -all"
closed.example.     300 IN MX  10 mail.good.example.
soft.example.       5   IN TXT "v=spf1 ~all"
open.example.       300 IN TXT "v=spf1 a:mail.good.example"
broken.example.     300 IN TXT "v=spf1 ip4:198.51.100.7 ipv4:203.0.113.1 -all"
two.example.        300 IN TXT "v=spf1 -all"
two.example.        300 IN TXT "v=spf1 +all"
moved.example.      300 IN TXT "v=spf1 redirect=closed.example"
long.example.       300 IN TXT "v=spf1 ip4:198.51.100.7 a a a a a a a a a a a -all"
long.example.       300 IN A   192.0.2.9
none.example.       300 IN A   192.0.2.9
nodata.example.     300 IN TXT "hello"
`

func TestVerdict(t *testing.T) {
	t.Parallel()
	srv := dnstest.New(t, clients)
	srv.Fail("down.example", dnstest.ServFail)
	c := &spfguard.Checker{Resolver: &dns.Resolver{Server: srv.Addr}}
	const ours = "198.51.100.7"
	for _, want := range []spfguard.Verdict{
		{Domain: "good.example", Result: spfguard.Pass, Decision: spfguard.Send,
			Record: "v=spf1 mx include:_spf.host.example -all", Matched: "ip4:198.51.100.0/24",
			Path:    []string{"good.example", "_spf.host.example"},
			Lookups: 2, WorstLookups: 2, TTL: 90 * time.Second,
			Explanation: `good.example authorises 198.51.100.7: "ip4:198.51.100.0/24" in the record of _spf.host.example (by include:_spf.host.example) covers the address.`},
		{Domain: "closed.example", Result: spfguard.Fail, Decision: spfguard.Block,
			Record: "v=spf1 mx ip4:203.0.113.0/24 -all", Matched: "-all", Path: []string{"closed.example"},
			Lookups: 1, WorstLookups: 1, TTL: 5 * time.Minute,
			Explanation: `closed.example forbids 198.51.100.7 to send for it, and receivers will refuse the mail: no term before "-all" in its record covers the address.`},
		{Domain: "soft.example", Result: spfguard.SoftFail, Decision: spfguard.Warn,
			Record: "v=spf1 ~all", Matched: "~all", Path: []string{"soft.example"}, TTL: time.Minute,
			Explanation: `soft.example doubts that 198.51.100.7 may send for it, and receivers may treat the mail as spam: "~all" in its record covers every address.`},
		{Domain: "open.example", Result: spfguard.Neutral, Decision: spfguard.Warn,
			Record: "v=spf1 a:mail.good.example", Path: []string{"open.example"},
			Lookups: 1, WorstLookups: 1, TTL: 5 * time.Minute,
			Explanation: `open.example says neither yes nor no about 198.51.100.7: its record ends without a term that matches.`},
		{Domain: "broken.example", Result: spfguard.PermError, Decision: spfguard.Block,
			Record: "v=spf1 ip4:198.51.100.7 ipv4:203.0.113.1 -all", Path: []string{"broken.example"},
			TTL:         5 * time.Minute,
			Explanation: `Receivers cannot interpret the SPF of broken.example: "ipv4:203.0.113.1": no mechanism has this name.`},
		{Domain: "moved.example", Result: spfguard.Fail, Decision: spfguard.Block,
			Record: "v=spf1 redirect=closed.example", Matched: "-all",
			Path:    []string{"moved.example", "closed.example"},
			Lookups: 2, WorstLookups: 2, TTL: 5 * time.Minute,
			Explanation: `moved.example forbids 198.51.100.7 to send for it, and receivers will refuse the mail: no term before "-all" in the record of closed.example (by redirect=closed.example) covers the address.`},
		{Domain: "long.example", Result: spfguard.Pass, Decision: spfguard.Send,
			Record: "v=spf1 ip4:198.51.100.7 a a a a a a a a a a a -all", Matched: "ip4:198.51.100.7",
			Path:         []string{"long.example"},
			WorstLookups: 11, TTL: 5 * time.Minute,
			Explanation: `long.example authorises 198.51.100.7: "ip4:198.51.100.7" in its record covers the address.`},
		{Domain: "none.example", Result: spfguard.None, Decision: spfguard.Warn, Path: []string{"none.example"},
			TTL:         time.Minute,
			Explanation: `none.example has no SPF record, so nothing says that 198.51.100.7 may send for it.`},
		{Domain: "single", Result: spfguard.None, Decision: spfguard.Warn, Path: []string{"single"}, TTL: time.Minute,
			Explanation: `There is nothing to check: "single" is no domain name of two or more labels.`},
		{Domain: "two.example", Result: spfguard.PermError, Decision: spfguard.Block, Record: "v=spf1 -all",
			Path: []string{"two.example"}, TTL: 5 * time.Minute,
			Explanation: `Receivers cannot interpret the SPF of two.example: two.example has more than one SPF record (RFC 7208 §4.5).`},
		{Domain: "down.example", Result: spfguard.TempError, Decision: spfguard.Wait, Path: []string{"down.example"},
			TTL: time.Minute,
			Explanation: `The DNS could not say whether 198.51.100.7 may send for down.example: DNS server ` +
				srv.Addr + `: TXT down.example: SERVFAIL. That is a fault in the DNS of down.example: receivers see it too, and put mail off. Its owner has to repair it.`},
	} {
		t.Run(want.Domain, func(t *testing.T) {
			t.Parallel()
			want.IP, want.Strict = netip.MustParseAddr(ours), want.Result
			got := c.Verdict(t.Context(),
				spfguard.Query{IP: want.IP, Sender: "news@" + want.Domain, HELO: "mail.host.example"})
			if (got.Err != nil) != (got.Result == spfguard.TempError || got.Result == spfguard.PermError ||
				want.Domain == "single") {
				t.Errorf("got error %v with result %s", got.Err, got.Result)
			}
			about := cmp.Comparer(func(a, b time.Duration) bool { return (a - b).Abs() < 10*time.Second })
			same := cmp.Comparer(func(a, b netip.Addr) bool { return a == b })
			if diff := cmp.Diff(want, got, about, same,
				cmpopts.IgnoreFields(spfguard.Verdict{}, "Evaluation", "Worst", "Err")); diff != "" {
				t.Errorf("(-want +got)\n%s", diff)
			}
		})
	}
}

func TestNullSender(t *testing.T) {
	t.Parallel()
	srv := dnstest.New(t, clients)
	c := &spfguard.Checker{Resolver: &dns.Resolver{Server: srv.Addr}}
	got := c.Check(t.Context(), spfguard.Query{IP: netip.MustParseAddr("198.51.100.7"), HELO: "good.example"})
	if got.Domain != "good.example" || got.Result != spfguard.Pass {
		t.Errorf("got %s for %s, want pass for good.example", got.Result, got.Domain)
	}
}
