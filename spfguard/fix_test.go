package spfguard_test

import (
	"errors"
	"fmt"
	"net/netip"
	"strings"
	"testing"

	"enotify/spfguard"
	"enotify/spfguard/dns"
	"enotify/spfguard/dns/dnstest"
)

const fixZone = `
h.example.         300 IN A   192.0.2.1
h.example.         300 IN MX  10 h.example.
_spf.op.example.   300 IN TXT "v=spf1 ip4:198.51.100.0/24 -all"
_spf.no.example.   300 IN TXT "v=spf1 ip4:203.0.113.9 -all"
crm.example.       300 IN TXT "v=spf1 ip4:203.0.113.0/28 ~all"
bad.example.       300 IN TXT "v=spf1 ipv4:203.0.113.0/28 ~all"
nine.example.      300 IN TXT "v=spf1 a:h.example a:h.example a:h.example a:h.example a:h.example a:h.example a:h.example a:h.example ~all"
has.mx.example.    300 IN MX  10 h.example.
has.mx.example.    300 IN A   192.0.2.1
null.mx.example.   300 IN MX  0 .
two.example.       300 IN TXT "v=spf1 mx -all"
two.example.       300 IN TXT "v=spf1 include:crm.example ~all"
near.example.      300 IN TXT "v=spf1; mx; -all"
h2.example.        300 IN A   192.0.2.3
`

// asksFirst are the cases in which a sender is left out, if it is gone.
var asksFirst = map[string]bool{"include without a record": true, "redirect to no record": true, "too many voids": true}

func TestFix(t *testing.T) {
	t.Parallel()
	srv := dnstest.New(t, fixZone)
	srv.Fail("down.example", dnstest.ServFail)
	c := &spfguard.Checker{Resolver: &dns.Resolver{Server: srv.Addr}}
	ours := []string{"198.51.100.7"}
	both := []string{"198.51.100.6", "198.51.100.7", "2001:db8::25"}
	for _, tt := range []struct {
		name, record string // name is a domain, or what the record is for
		egress       []string
		include      string
		want         string
	}{
		{"passes", "v=spf1 ip4:198.51.100.0/24 -all", ours, "", "v=spf1 ip4:198.51.100.0/24 -all"},
		{"not listed", "v=spf1 mx:h.example -all", ours, "", "v=spf1 ip4:198.51.100.7 mx:h.example -all"},
		{"written as before", "V=spf1 +MX:h.example   -ALL", ours, "", "v=spf1 ip4:198.51.100.7 +MX:h.example -ALL"},
		{"one of three listed", "v=spf1 ip4:198.51.100.6 -all", both, "",
			"v=spf1 ip4:198.51.100.7 ip6:2001:db8::25 ip4:198.51.100.6 -all"},
		{"two addresses are a network", "v=spf1 -all", both, "", "v=spf1 ip4:198.51.100.6/31 ip6:2001:db8::25 -all"},
		{"forbidden by name", "v=spf1 -ip4:198.51.100.7 mx:h.example ~all", ours, "",
			"v=spf1 ip4:198.51.100.7 mx:h.example ~all"},
		{"redirect", "v=spf1 redirect=crm.example", ours, "", "v=spf1 ip4:198.51.100.7 redirect=crm.example"},
		{"temporary error in the way", "v=spf1 a:down.example -all", ours, "",
			"v=spf1 ip4:198.51.100.7 a:down.example -all"},
		{"by include", "v=spf1 mx:h.example -all", ours, "_spf.op.example",
			"v=spf1 include:_spf.op.example mx:h.example -all"},
		{"include with the wrong qualifier", "v=spf1 ?include:_spf.op.example -all", ours, "_spf.op.example",
			"v=spf1 include:_spf.op.example -all"},
		{"include that does not help", "v=spf1 -all", ours, "_spf.no.example", "v=spf1 ip4:198.51.100.7 -all"},
		{"include that does not exist", "v=spf1 -all", ours, "gone.example", "v=spf1 ip4:198.51.100.7 -all"},
		{"no lookup left for include", "v=spf1 include:nine.example a:h.example -all", ours, "_spf.op.example",
			"v=spf1 ip4:198.51.100.7 include:nine.example a:h.example -all"},
		{"misspelt", "v=spf1 mx:h.example ipv4:203.0.113.5 - all", ours, "",
			"v=spf1 ip4:198.51.100.7 mx:h.example ip4:203.0.113.5 -all"},
		{"misspelt, and ours", "v=spf1 ipv4:198.51.100.7 -all", ours, "", "v=spf1 ip4:198.51.100.7 -all"},
		{"comma and glue", "v=spf1 mx:h.example,include:crm.example~all", ours, "",
			"v=spf1 ip4:198.51.100.7 mx:h.example include:crm.example ~all"},
		{"odd but harmless", "v=spf1 a:http://h.example mx:a,b.example -all", ours, "",
			"v=spf1 ip4:198.51.100.7 a:h.example mx:a,b.example -all"},
		{"include without a record", "v=spf1 include:gone.example include:crm.example -all", ours, "",
			"v=spf1 ip4:198.51.100.7 include:crm.example -all"},
		{"include of a broken record", "v=spf1 ip4:198.51.100.7 include:bad.example -all", ours, "",
			"v=spf1 ip4:198.51.100.7 ip4:203.0.113.0/28 -all"},
		{"redirect to no record", "v=spf1 mx:h.example redirect=gone.example", ours, "",
			"v=spf1 ip4:198.51.100.7 mx:h.example ~all"},
		{"too many voids", "v=spf1 a:v1.example a:v2.example a:v3.example a:h.example -all", ours, "",
			"v=spf1 ip4:198.51.100.7 a:h.example -all"},
		{"two voids are allowed", "v=spf1 a:v1.example a:v2.example ip4:198.51.100.7 -all", ours, "",
			"v=spf1 a:v1.example a:v2.example ip4:198.51.100.7 -all"},
		{"repeated", "v=spf1 include:nine.example a:h.example a:h.example -all", ours, "",
			"v=spf1 ip4:198.51.100.7 include:nine.example a:h.example -all"},
		{"has.mx.example", "", ours, "", "v=spf1 ip4:198.51.100.7 mx a ~all"},
		{"null.mx.example", "", ours, "", "v=spf1 ip4:198.51.100.7 ~all"},
		{"has.mx.example", "", ours, "_spf.op.example", "v=spf1 include:_spf.op.example mx a ~all"},
		{"two.example", "", ours, "", "v=spf1 ip4:198.51.100.7 mx include:crm.example ~all"},
		{"near.example", "", ours, "", "v=spf1 ip4:198.51.100.7 mx -all"},
	} {
		domain := tt.name
		if tt.record != "" {
			domain = "client.example"
		}
		q := spfguard.FixQuery{Domain: domain, Record: tt.record, Include: tt.include}
		for _, ip := range tt.egress {
			q.Egress = append(q.Egress, netip.MustParseAddr(ip))
		}
		fix, err := c.Fix(t.Context(), q)
		if doubt := (*spfguard.DoubtError)(nil); asksFirst[tt.name] && errors.As(err, &doubt) {
			fix, err = doubt.IfGone, nil
		} else if asksFirst[tt.name] {
			t.Errorf("%s: got %v, want a question first", tt.name, err)
		}
		if err != nil || fix == nil {
			t.Errorf("%s: got no record, %v", tt.name, err)
			continue
		}
		if fix.After != tt.want {
			t.Errorf("%s: got  %s\nwant %s\nbecause %q", tt.name, fix.After, tt.want, fix.Changes)
		}
		if fix.Changed() != (len(fix.Changes) > 0) {
			t.Errorf("%s: changed %v, but said is %q", tt.name, fix.Changed(), fix.Changes)
		}
		if len(fix.Proof) != len(q.Egress) {
			t.Errorf("%s: got %d proofs for %d addresses", tt.name, len(fix.Proof), len(q.Egress))
		}
		for _, ev := range fix.Proof {
			if ev.Result != spfguard.Pass || ev.Root.Text != fix.After {
				t.Errorf("%s: proof for %s: got %s under %q", tt.name, ev.Query.IP, ev.Result, ev.Root.Text)
			}
		}
	}
}

func TestFixKeepsOthers(t *testing.T) {
	t.Parallel()
	srv := dnstest.New(t, fixZone)
	c := &spfguard.Checker{Resolver: &dns.Resolver{Server: srv.Addr}}
	fix, err := c.Fix(t.Context(), spfguard.FixQuery{
		Domain: "client.example", Record: "v=spf1 a:h.example include:crm.example ip4:203.0.113.77 -all",
		Egress: []netip.Addr{netip.MustParseAddr("198.51.100.7")}})
	if err != nil {
		t.Fatal(err)
	}
	// h.example, the first and last of crm's network, the single address.
	if fix.Others != 4 {
		t.Errorf("got %d others evaluated, want 4", fix.Others)
	}
}

func TestFixSaysWhatToFlatten(t *testing.T) {
	t.Parallel()
	srv := dnstest.New(t, fixZone)
	c := &spfguard.Checker{Resolver: &dns.Resolver{Server: srv.Addr}}
	fix, err := c.Fix(t.Context(), spfguard.FixQuery{
		Domain: "client.example", Record: "v=spf1 include:crm.example include:nine.example a:h.example a:h2.example -all",
		Egress: []netip.Addr{netip.MustParseAddr("198.51.100.7")}})
	if err != nil {
		t.Fatal(err)
	}
	if got := strings.Join(fix.Flatten, " "); got != "include:nine.example" {
		t.Errorf("got %q to flatten, want include:nine.example", got)
	}
}

func TestFixErrors(t *testing.T) {
	t.Parallel()
	srv := dnstest.New(t, fixZone)
	srv.Fail("down.example", dnstest.ServFail)
	c := &spfguard.Checker{Resolver: &dns.Resolver{Server: srv.Addr}}
	ours := []netip.Addr{netip.MustParseAddr("198.51.100.7")}
	for _, domain := range []string{"down.example", "single", "a..b"} {
		fix, err := c.Fix(t.Context(), spfguard.FixQuery{Domain: domain, Egress: ours})
		if err == nil || errors.Is(err, spfguard.ErrNoFix) {
			t.Errorf("%s: got %v, %v, want an error that is not ErrNoFix", domain, fix, err)
		}
	}
}

func TestZoneLine(t *testing.T) {
	t.Parallel()
	long := "v=spf1" + strings.Repeat(" ip4:192.0.2.255", 20) + " -all"
	for _, tt := range []struct{ record, want string }{
		{"v=spf1 -all", `example.org. IN TXT "v=spf1 -all"`},
		{`v=spf1 exp=a"b\.example`, `example.org. IN TXT "v=spf1 exp=a\"b\\.example"`},
		{long, fmt.Sprintf(`example.org. IN TXT "%s" "%s"`, long[:247], long[247:])},
		{"v=spf1 " + strings.Repeat("x", 300),
			fmt.Sprintf(`example.org. IN TXT "v=spf1 " "%s" "%s"`, strings.Repeat("x", 255), strings.Repeat("x", 45))},
	} {
		got := spfguard.ZoneLine("example.org.", tt.record)
		if got != tt.want {
			t.Errorf("got  %s\nwant %s", got, tt.want)
		}
		srv := dnstest.New(t, got+"\n") // a real parser reads the same record
		ans, err := (&dns.Resolver{Server: srv.Addr}).TXT(t.Context(), "example.org")
		if err != nil || ans.Records[0] != tt.record {
			t.Errorf("%s is read as %q, %v", got, ans.Records, err)
		}
	}
}
