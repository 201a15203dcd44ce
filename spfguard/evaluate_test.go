package spfguard_test

import (
	"errors"
	"fmt"
	"net/netip"
	"strings"
	"testing"
	"time"

	"enotify/spfguard"
	"enotify/spfguard/dns"
	"enotify/spfguard/dns/dnstest"
)

const evalZone = `
h.example.            300 IN A    192.0.2.1
h.example.            300 IN AAAA 2001:db8::1
noa.example.          300 IN TXT  "no address here"
m.example.            300 IN MX   10 noa.example.
m.example.            300 IN MX   20 void1.example.
m.example.            300 IN MX   30 h.example.
nullmx.example.       300 IN MX   0 .
pass.example.         300 IN TXT  "v=spf1 +all"
fail.example.         300 IN TXT  "v=spf1 -all exp=why.example"
why.example.          300 IN TXT  "%{i} (%{c}) may not send for %{d}%_(%{S}); see %{h} %{r}"
alias.example.        300 IN CNAME pass.example.
bad.example.          300 IN TXT  "v=spf1 -all bogus"
loop.example.         300 IN TXT  "v=spf1 include:loop.example"
1.2.0.192.in-addr.arpa. 300 IN PTR H.Example.
1.2.0.192.in-addr.arpa. 300 IN PTR sub.h.example.
sub.h.example.        300 IN A    192.0.2.1
9.2.0.192.in-addr.arpa. 300 IN PTR lie.example.
lie.example.          300 IN A    192.0.2.10
8.2.0.192.in-addr.arpa. 300 IN PTR down.example.
8.2.0.192.in-addr.arpa. 300 IN PTR eight.example.
eight.example.        300 IN A    192.0.2.8
xn--bcher-kva.example. 300 IN TXT "v=spf1 exists:%{o}.is.example -all"
xn--bcher-kva.example.is.example. 300 IN A 127.0.0.2
strong.bad.x.example. 300 IN A    127.0.0.2
mx11.example.         300 IN MX   1 h.example.
p.example.            300 IN TXT  "v=spf1 exists:%{p}.is.the.domain.example -all"
p.example.            300 IN A    192.0.2.12
a.p.example.          300 IN A    192.0.2.12
12.2.0.192.in-addr.arpa. 300 IN PTR a.p.example.
12.2.0.192.in-addr.arpa. 300 IN PTR p.example.
p.example.is.the.domain.example. 300 IN A 127.0.0.2
eleven.example.       300 IN A    192.0.2.11
escape.example.       300 IN TXT  "v=spf1 -all exp=esc.example"
esc.example.          300 IN TXT  "\027[2J"
half.example.         300 IN TXT  "v=spf1 include:down.example -all"
`

// queries lists what a record is worth for an address; the record is that of
// strong-bad@email.example.com unless the table says otherwise.
var queries = []struct {
	record string
	ip     string
	want   spfguard.Result
	why    string // contained in the error
}{
	// Matching.
	{"v=spf1 a:h.example -all", "192.0.2.1", spfguard.Pass, ""},
	{"v=spf1 a:H.EXAMPLE. -all", "2001:db8::1", spfguard.Pass, ""},
	{"v=spf1 a:h.example -all", "::ffff:192.0.2.1", spfguard.Pass, ""},
	{"v=spf1 a:h.example/24 -all", "192.0.2.200", spfguard.Pass, ""},
	{"v=spf1 a:h.example/24 -all", "2001:db8::2", spfguard.Fail, ""},
	{"v=spf1 a:h.example/24//64 -all", "2001:db8::2", spfguard.Pass, ""},
	{"v=spf1 mx:m.example -all", "192.0.2.1", spfguard.Pass, ""},
	{"v=spf1 mx:m.example/24 -all", "192.0.2.9", spfguard.Pass, ""},
	{"v=spf1 mx:h.example -all", "192.0.2.1", spfguard.Fail, ""}, // no MX: no fallback to A
	{"v=spf1 mx:nullmx.example -all", "192.0.2.1", spfguard.Fail, ""},
	{"v=spf1 exists:h.example -all", "2001:db8::9", spfguard.Pass, ""}, // A even for IPv6
	{"v=spf1 ip6:::ffff:192.0.2.1 -all", "192.0.2.1", spfguard.Fail, ""},
	{"v=spf1 ip4:0.0.0.0/0 -all", "2001:db8::1", spfguard.Fail, ""},
	{"v=spf1 ip4:192.0.2.99/24 -all", "192.0.2.1", spfguard.Pass, ""}, // host bits do not matter
	{"v=spf1 ptr:h.example -all", "192.0.2.1", spfguard.Pass, ""},
	{"v=spf1 ptr:EXAMPLE.test -all", "192.0.2.1", spfguard.Fail, ""},
	{"v=spf1 ptr:lie.example -all", "192.0.2.9", spfguard.Fail, ""},     // does not resolve back
	{"v=spf1 ptr:eight.example -all", "192.0.2.8", spfguard.Pass, ""},   // a name in trouble is passed over
	{"v=spf1 ptr:eleven.example -all", "192.0.2.11", spfguard.Fail, ""}, // the eleventh name is not looked at
	{"v=spf1 ptr:ample -all", "192.0.2.8", spfguard.PermError, "single label"},
	{"v=spf1 -include:pass.example ~all", "192.0.2.1", spfguard.Fail, ""},
	{"v=spf1 include:fail.example ~all", "192.0.2.1", spfguard.SoftFail, ""},
	{"v=spf1 include:alias.example -all", "192.0.2.1", spfguard.Pass, ""},
	{"v=spf1 ip4:192.0.2.1", "192.0.2.2", spfguard.Neutral, ""},
	{"v=spf1 redirect=fail.example ip4:192.0.2.1", "192.0.2.1", spfguard.Pass, ""},
	{"v=spf1 redirect=fail.example ip4:192.0.2.1", "192.0.2.2", spfguard.Fail, ""},
	{"v=spf1 ?all redirect=fail.example", "192.0.2.2", spfguard.Neutral, ""}, // redirect beside all is ignored

	// Permanent errors.
	{"v=spf1 include:bad.example +all", "192.0.2.1", spfguard.PermError, `"bogus"`},
	{"v=spf1 include:noa.example +all", "192.0.2.1", spfguard.PermError, "noa.example has no SPF record"},
	{"v=spf1 include:void1.example +all", "192.0.2.1", spfguard.PermError, "void1.example does not exist"},
	{"v=spf1 redirect=void1.example", "192.0.2.1", spfguard.PermError, "void1.example does not exist"},
	{"v=spf1 include:%{h} +all", "192.0.2.1", spfguard.PermError, "has no SPF record"}, // HELO is a single label
	{"v=spf1 include:loop.example -all", "192.0.2.1", spfguard.PermError,
		"leads back to itself (loop.example → loop.example)"},
	{"v=spf1 mx:mx11.example -all", "192.0.2.1", spfguard.PermError, "11 MX records"},

	// Ten terms that query; those after a match and the modifiers do not count.
	{"v=spf1 " + strings.Repeat("a:sub.h.example ", 10) + "+all", "192.0.2.7", spfguard.Pass, ""},
	{"v=spf1 " + strings.Repeat("a:sub.h.example ", 11) + "+all", "192.0.2.7", spfguard.PermError, "is term 11"},
	{"v=spf1 " + strings.Repeat("a:sub.h.example ", 11) + "+all", "192.0.2.1", spfguard.Pass, ""},
	{"v=spf1 " + strings.Repeat("a:sub.h.example ", 10) + "redirect=pass.example", "192.0.2.7", spfguard.PermError,
		"is term 11"},
	{"v=spf1 " + strings.Repeat("a:sub.h.example ", 9) + "redirect=pass.example", "192.0.2.7", spfguard.Pass, ""},
	{"v=spf1 " + strings.Repeat("a:sub.h.example ", 10) + "?all redirect=pass.example exp=why.example", "192.0.2.7",
		spfguard.Neutral, ""},

	// Two terms with an empty answer. An mx with two of them is one term; what
	// cannot be asked has no answer at all.
	{"v=spf1 a:void1.example mx:void2.example +all", "192.0.2.7", spfguard.Pass, ""},
	{"v=spf1 a:void1.example mx:void2.example exists:void3.example +all", "192.0.2.7", spfguard.PermError,
		"empty answer"},
	{"v=spf1 a:void1.example a:noa.example a:noa.example +all", "192.0.2.7", spfguard.PermError, "empty answer"},
	{"v=spf1 mx:m.example a:void1.example +all", "192.0.2.7", spfguard.Pass, ""},
	{"v=spf1 mx:m.example a:void1.example a:void2.example +all", "192.0.2.7", spfguard.PermError, "empty answer"},
	{"v=spf1 ptr ptr ptr +all", "192.0.2.7", spfguard.PermError, "empty answer"},
	{"v=spf1 exists:%{p}.x.example a:void1.example +all", "192.0.2.7", spfguard.Pass, ""},
	{"v=spf1 a:a..example a:b..example a:c..example +all", "192.0.2.7", spfguard.Pass, ""},
	{"v=spf1 " + strings.Repeat("a:"+strings.Repeat("x", 64)+".example ", 3) + "+all", "192.0.2.7", spfguard.Pass, ""},

	// Temporary errors.
	{"v=spf1 a:down.example +all", "192.0.2.1", spfguard.TempError, "SERVFAIL"},
	{"v=spf1 mx:down.example +all", "192.0.2.1", spfguard.TempError, "SERVFAIL"},
	{"v=spf1 exists:down.example +all", "192.0.2.1", spfguard.TempError, "SERVFAIL"},
	{"v=spf1 include:down.example +all", "192.0.2.1", spfguard.TempError, "SERVFAIL"},
	{"v=spf1 redirect=down.example", "192.0.2.1", spfguard.TempError, "SERVFAIL"},
	{"v=spf1 ip4:192.0.2.1 a:down.example -all", "192.0.2.1", spfguard.Pass, ""},

	// Macros (§7.4 has most of these).
	{"v=spf1 exists:%{l-}.x.example -all", "192.0.2.3", spfguard.Pass, ""},
	{"v=spf1 exists:%{lr-}.x.example -all", "192.0.2.3", spfguard.Fail, ""},
	{"v=spf1 include:p.example -all", "192.0.2.12", spfguard.Pass, ""}, // %{p} is the domain itself before others
}

func TestCheck(t *testing.T) {
	t.Parallel()
	srv := dnstest.New(t, evalZone)
	var eleven strings.Builder
	for i := range 11 {
		fmt.Fprintf(&eleven, "mx11.example. 300 IN MX %d h.example.\n", i)
	}
	for i := range 10 {
		fmt.Fprintf(&eleven, "11.2.0.192.in-addr.arpa. 300 IN PTR n%d.example.\nn%d.example. 300 IN A 192.0.2.1\n", i,
			i)
	}
	eleven.WriteString("11.2.0.192.in-addr.arpa. 300 IN PTR eleven.example.\n")
	if err := srv.Put(eleven.String()); err != nil {
		t.Fatal(err)
	}
	srv.Fail("down.example", dnstest.ServFail)
	c := &spfguard.Checker{Resolver: &dns.Resolver{Server: srv.Addr}}
	for _, tt := range queries {
		got := c.Check(t.Context(), spfguard.Query{
			IP: netip.MustParseAddr(tt.ip), Sender: "strong-bad@email.example.com", HELO: "OEMCOMPUTER",
			Record: tt.record})
		if got.Result != tt.want {
			t.Errorf("%s for %s: got %s (%v), want %s", tt.record, tt.ip, got.Result, got.Err, tt.want)
		}
		if tt.why != "" && (got.Err == nil || !strings.Contains(got.Err.Error(), tt.why)) {
			t.Errorf("%s for %s: got error %v, want it to say %q", tt.record, tt.ip, got.Err, tt.why)
		}
		if tt.why == "" && got.Err != nil {
			t.Errorf("%s for %s: got error %v, want none", tt.record, tt.ip, got.Err)
		}
	}
}

func TestIDN(t *testing.T) {
	t.Parallel()
	srv := dnstest.New(t, evalZone)
	c := &spfguard.Checker{Resolver: &dns.Resolver{Server: srv.Addr}}
	got := c.Check(t.Context(), spfguard.Query{IP: netip.MustParseAddr("192.0.2.3"), Sender: "news@Bücher.example."})
	if got.Result != spfguard.Pass || got.Domain != "xn--bcher-kva.example" {
		t.Errorf("got %s for %s (%v), want pass for xn--bcher-kva.example", got.Result, got.Domain, got.Err)
	}
}

func TestExplanation(t *testing.T) {
	t.Parallel()
	srv := dnstest.New(t, evalZone)
	c := &spfguard.Checker{Resolver: &dns.Resolver{Server: srv.Addr}, Receiver: "mx.rcpt.example"}
	got := c.Check(t.Context(), spfguard.Query{IP: netip.MustParseAddr("2001:db8::9"), Sender: "a&b@fail.example",
		HELO: "me.example"})
	const want = "2.0.0.1.0.D.B.8.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.9 (2001:db8::9)" +
		" may not send for fail.example (a%26b%40fail.example); see me.example mx.rcpt.example"
	if got.Explanation != want {
		t.Errorf("got  %q\nwant %q", got.Explanation, want)
	}
	if !strings.HasSuffix(got.Explain(), want) {
		t.Errorf("got %q, want it to tell what receivers are asked to say", got.Explain())
	}
	got = c.Check(t.Context(), spfguard.Query{IP: netip.MustParseAddr("192.0.2.9"), Sender: "a@escape.example"})
	if got.Result != spfguard.Fail || got.Explanation != "" {
		t.Errorf("got %s, %q, want fail without the control characters", got.Result, got.Explanation)
	}
}

// Half an evaluation may be kept only as long as one that could not be made.
func TestTemporaryVerdict(t *testing.T) {
	t.Parallel()
	srv := dnstest.New(t, evalZone)
	srv.Fail("down.example", dnstest.Refused)
	c := &spfguard.Checker{Resolver: &dns.Resolver{Server: srv.Addr}}
	got := c.Verdict(t.Context(), spfguard.Query{IP: netip.MustParseAddr("192.0.2.9"), Sender: "a@half.example"})
	if got.Decision != spfguard.Wait || got.TTL != time.Minute {
		t.Errorf("got %s for %v, want to wait for a minute", got.Decision, got.TTL)
	}
}

// A DNS that never answers ends in temperror when the time is over, not later.
func TestTimeLimit(t *testing.T) {
	t.Parallel()
	srv := dnstest.New(t, evalZone)
	srv.Fail("slow.example", dnstest.Timeout)
	c := &spfguard.Checker{Resolver: &dns.Resolver{Server: srv.Addr}, Timeout: 50 * time.Millisecond}
	for _, record := range []string{"v=spf1 a:slow.example +all", "v=spf1 ptr:slow.example include:slow.example +all"} {
		got := c.Check(t.Context(), spfguard.Query{IP: netip.MustParseAddr("192.0.2.3"), Sender: "a@b.example",
			Record: record})
		if got.Result != spfguard.TempError || !strings.Contains(got.Err.Error(), "longer than 50ms") {
			t.Errorf("%s: got %s (%v), want temperror that tells of the limit", record, got.Result, got.Err)
		}
	}
}

// A resolver that cannot be used is temporary: nothing is known of the record.
func TestUnusableResolver(t *testing.T) {
	t.Parallel()
	c := &spfguard.Checker{Resolver: &dns.Resolver{Server: "nonsense:x:y"}}
	got := c.Verdict(t.Context(), spfguard.Query{IP: netip.MustParseAddr("192.0.2.3"), Sender: "a@b.example"})
	if got.Decision != spfguard.Wait || got.Err == nil || errors.Is(got.Err, dns.ErrNXDomain) {
		t.Errorf("got %s, %v, want to wait", got.Decision, got.Err)
	}
}

func TestWorst(t *testing.T) {
	t.Parallel()
	srv := dnstest.New(t, evalZone+`
ten.example.   300 IN TXT "v=spf1 a:h.example a:h.example a:h.example a:h.example a:h.example a:h.example a:h.example a:h.example a:h.example"
open.example.  300 IN TXT "v=spf1 a:h.example +all"
`)
	srv.Fail("down.example", dnstest.ServFail)
	c := &spfguard.Checker{Resolver: &dns.Resolver{Server: srv.Addr}}
	for _, tt := range []struct {
		record         string
		lookups, voids int
		temporary      bool
	}{
		{"v=spf1 -all", 0, 0, false},
		{"v=spf1 a:h.example -all", 1, 0, false},
		{"v=spf1 a:h.example -all mx ptr", 1, 0, false},
		{"v=spf1 a:h.example include:ten.example mx:m.example -all", 12, 1, false},
		{"v=spf1 a:v1.example a:v2.example a:v3.example ptr a:v4.example -all", 5, 5, false},
		{"v=spf1 include:ten.example redirect=ten.example", 20, 0, false},
		{"v=spf1 include:open.example a a a a", 2, 0, false}, // nobody gets past the include
		{"v=spf1 -include:fail.example a:h.example -all", 2, 0, false},
		{"v=spf1 include:void1.example a:h.example -all", 2, 0, false},
		{"v=spf1 include:bad.example a:h.example -all", 2, 0, false},
		{"v=spf1 include:loop.example a:h.example -all", 11, 0, false},
		{"v=spf1 a:down.example a:h.example -all", 2, 0, true},
		{"v=spf1 include:email.example.com a:h.example -all", 11, 0, false}, // itself
	} {
		got := c.Worst(t.Context(), spfguard.Query{IP: netip.MustParseAddr("192.0.2.1"), Sender: "a@email.example.com",
			Record: tt.record})
		if got.Lookups != tt.lookups || got.Voids != tt.voids || (got.Err != nil) != tt.temporary {
			t.Errorf("%s: got %d lookups, %d voids, error %v, want %d, %d, error %v", tt.record, got.Lookups, got.Voids,
				got.Err, tt.lookups, tt.voids, tt.temporary)
		}
		if over := tt.lookups > 10 || tt.voids > 2; got.Over() != over {
			t.Errorf("%s: got over %v, want %v", tt.record, got.Over(), over)
		}
	}
}
