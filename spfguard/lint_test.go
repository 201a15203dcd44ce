package spfguard_test

import (
	"net/netip"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"enotify/spfguard"
	"enotify/spfguard/dns"
	"enotify/spfguard/dns/dnstest"
)

// Each finding as rule@text, in the order of the record.
var lints = []struct {
	text string
	want []string
}{
	{"v=spf1 mx ip4:192.0.2.1 -all", nil},
	{"v=spf1 redirect=_spf.example.com", nil},
	{"v=spf1 mx", []string{"all.missing@"}},
	{"v=spf1", []string{"all.missing@"}},
	{"v=spf1 +all", []string{"all.pass@+all"}},
	{"v=spf1 a all", []string{"all.pass@all"}},
	{"v=spf1 a ?all", []string{"all.neutral@?all"}},
	{"v=spf1 -all mx ip4:192.0.2.1", []string{"all.after@mx", "all.after@ip4:192.0.2.1"}},
	{"v=spf1 redirect=x.example -all", []string{"redirect.all@redirect=x.example"}},
	{"v=spf1 redirect=x.example redirect=y.example", []string{"redirect.twice@redirect=y.example"}},
	{"v=spf1 ptr -all", []string{"ptr@ptr"}},
	{
		"v=spf1 ip4=192.0.2.1 include=x.example -all",
		[]string{"modifier.equals@ip4=192.0.2.1", "modifier.equals@include=x.example"},
	},
	{
		"v=spf1 redirct=x.example default=x -all",
		[]string{
			"modifier.unknown@redirct=x.example",
			"redirect.all@redirct=x.example",
			"modifier.unknown@default=x",
		},
	},
	{"v=spf1 redirect:x.example", []string{"modifier.colon@redirect:x.example"}},
	{"v=spf1 a,mx,-all", []string{"separator@a,mx,-all"}},
	{"v=spf1 a; mx; -all", []string{"separator@a;", "separator@mx;"}},
	{"v=spf1 include:a.example,include:b.example -all", []string{"separator@include:a.example,include:b.example"}},
	{"v=spf1 a - all", []string{"qualifier.space@- all"}},
	{"v=spf1 a \u2013all", []string{"char.dash@\u2013"}},
	{"v=spf1 a\u00a0-all", []string{"char.space@\u00a0"}},
	{"v=spf1 a\t-all", []string{"char.tab@\t"}},
	{"\ufeffv=spf1 a -all", []string{"char.invisible@\ufeff"}},
	{`"v=spf1 a -all"`, []string{`char.quote@"`, `char.quote@"`}},
	{`"v=spf1 a" "-all"`, []string{`char.quote@"`, `glued@a" "-all`, `strings.joined@" "`, `char.quote@"`}},
	{"v=spf1 mx:b\u00fccher.example -all", []string{"domain.odd@mx:b\u00fccher.example", "char.nonascii@\u00fc"}},
	{"v=spf1 include:a.exampleinclude:b.example -all", []string{"glued@include:a.exampleinclude:b.example"}},
	{"v=spf1 include:a.example-all", []string{"glued@include:a.example-all"}},
	{"v=spf1 ip4:192.0.2.1~all", []string{"glued@ip4:192.0.2.1~all"}},
	{"v=spf1 ip4:192.0.2.0/33 -all", []string{"cidr@ip4:192.0.2.0/33"}},
	{"v=spf1 ip4:192.0.2.0/024 -all", []string{"cidr@ip4:192.0.2.0/024"}},
	{"v=spf1 ip4:192.0.2.0/255.255.255.0 -all", []string{"ip.netmask@ip4:192.0.2.0/255.255.255.0"}},
	{"v=spf1 ip4:192.0.2.77/24 -all", []string{"net.hostbits@ip4:192.0.2.77/24"}},
	{"v=spf1 ip4:192.0.2.1-192.0.2.9 -all", []string{"ip.range@ip4:192.0.2.1-192.0.2.9"}},
	{
		"v=spf1 ip4:192.0.2.1:25 ip4:192.0.2 ip4:198.51.100.* ip4:203.0.113.01 -all",
		[]string{
			"ip.port@ip4:192.0.2.1:25",
			"ip.short@ip4:192.0.2",
			"ip.wildcard@ip4:198.51.100.*",
			"ip.zeros@ip4:203.0.113.01",
		},
	},
	{"v=spf1 ip4:2001:db8::1 192.0.2.1 -all", []string{"ip.family@ip4:2001:db8::1", "ip.bare@192.0.2.1"}},
	{
		"v=spf1 a:192.0.2.1 mx:192.0.2.2 include:192.0.2.3 -all",
		[]string{"ip.host@a:192.0.2.1", "ip.host@mx:192.0.2.2", "ip.host@include:192.0.2.3"},
	},
	{"v=spf1 a:mail -all", []string{"label.single@a:mail"}},
	{"v=spf1 include:include:x.example -all", []string{"doubled@include:include:x.example"}},
	{
		"v=spf1 include:https://x.example/ include:me@y.example -all",
		[]string{"domain.odd@include:https://x.example/", "domain.odd@include:me@y.example"},
	},
	{
		"v=spf1 ipv4:192.0.2.1 inlcude:x.example -all",
		[]string{"name.unknown@ipv4:192.0.2.1", "name.unknown@inlcude:x.example"},
	},
	{"v=spf1 bogus -all.", []string{"syntax@bogus", "all.argument@-all."}},
	{"v=spf1 ip4:192.0.2.1 ip4:192.0.2.1/32 -all", []string{"net.duplicate@ip4:192.0.2.1/32"}},
	{"v=spf1 ip4:192.0.2.0/24 ip4:192.0.2.1 -all", []string{"net.covered@ip4:192.0.2.1"}},
	{"v=spf1 ip4:192.0.2.1 ip4:192.0.2.0/24 -all", []string{"net.covered@ip4:192.0.2.1"}},
	{"v=spf1 ip4:0.0.0.0/0 ip6:2000::/3 -all", []string{"net.wide@ip4:0.0.0.0/0", "net.wide@ip6:2000::/3"}},
	{"v=spf1 mx MX -all", []string{"duplicate@MX"}},
	{"v=spf1 a v=spf1 mx -all", []string{"version.twice@v=spf1"}},
	{"v=spf 1 a -all", []string{"version.misspelt@v=spf 1"}},
	{"v=spf1; a -all", []string{"version.misspelt@v=spf1;"}},
	{"a mx -all", []string{"version.missing@"}},
	{"", []string{"all.missing@", "version.missing@"}},
	{
		"v=spf1 " + strings.Repeat(
			"ip4:192.0.2.255 ",
			1,
		) + "include:" + strings.Repeat(
			"label.",
			40,
		) + "example -all",
		[]string{"length.strings@*"},
	},
}

func rules(fs []spfguard.Finding, text string) []string {
	var got []string
	for _, f := range fs {
		if f.Text == text && len(text) > 255 {
			f.Text = "*"
		}
		got = append(got, f.Rule+"@"+f.Text)
	}
	slices.Sort(got)
	return got
}

func TestLintText(t *testing.T) {
	t.Parallel()
	for _, tt := range lints {
		found := spfguard.LintText(tt.text, "example.org")
		slices.Sort(tt.want)
		if diff := cmp.Diff(tt.want, rules(found, tt.text)); diff != "" {
			t.Errorf("%q (-want +got)\n%s", tt.text, diff)
		}
		for _, f := range found {
			if f.Message == "" || f.Remedy == "" || f.Severity == "" {
				t.Errorf("%q: finding without words: %+v", tt.text, f)
			}
		}
	}
}

func FuzzLintText(f *testing.F) {
	for _, tt := range lints {
		f.Add(tt.text)
	}
	f.Fuzz(func(t *testing.T, text string) {
		found := spfguard.LintText(text, "example.org")
		errors := 0
		for _, f := range found {
			if f.Pos < 0 || f.End < f.Pos || f.End > len(text) || text[f.Pos:f.End] != f.Text {
				t.Fatalf("%q: finding out of place: %+v", text, f)
			}
			if f.Severity == spfguard.Error {
				errors++
			}
		}
		if _, err := spfguard.Parse(text); err != nil && errors == 0 {
			t.Fatalf("%q: no finding for %v", text, err)
		}
	})
}

const lintZone = `
good.example.     300 IN TXT "v=spf1 a:h.example -all"
h.example.        300 IN A 192.0.2.1
none.example.     300 IN A 192.0.2.1
several.example.  300 IN TXT "v=spf1 -all"
several.example.  300 IN TXT "v=spf1 mx -all"
near.example.     300 IN TXT "v=spf 1 -all"
sid.example.      300 IN TXT "v=spf1 -all"
sid.example.      300 IN TXT "spf2.0/pra -all"
sid.example.      300 IN SPF "v=spf1 -all"
ten.example.      300 IN TXT "v=spf1 a:h.example a:h.example a:h.example a:h.example a:h.example a:h.example a:h.example a:h.example a:h.example -all"
over.example.     300 IN TXT "v=spf1 include:ten.example a:h.example -all"
full.example.     300 IN TXT "v=spf1 include:ten.example -all"
voids.example.    300 IN TXT "v=spf1 a:v1.example mx:v2.example exists:v3.example -all"
bad.example.      300 IN TXT "v=spf1 ipv4:192.0.2.1 -all"
incl.example.     300 IN TXT "v=spf1 include:none.example include:bad.example include:deep.example -all"
deep.example.     300 IN TXT "v=spf1 include:bad.example -all"
loop.example.     300 IN TXT "v=spf1 include:loop.example -all"
gone.example.     300 IN TXT "v=spf1 redirect=none.example"
big.example.      300 IN TXT "v=spf1 -all"
`

func TestLintPublished(t *testing.T) {
	t.Parallel()
	srv := dnstest.New(t, lintZone)
	srv.PutTXT("big.example", "v=spf1 -all", strings.Repeat("x", 450))
	c := &spfguard.Checker{Resolver: &dns.Resolver{Server: srv.Addr}}
	for domain, want := range map[string][]string{
		"good.example":    {"address.ipv4only@a:h.example"},
		"none.example":    {"record.none@"},
		"several.example": {"record.several@v=spf1 -all"},
		"near.example":    {"version.misspelt@v=spf 1"},
		"sid.example":     {"record.senderid@", "record.type99@"},
		"full.example":    {"lookups.near@v=spf1 include:ten.example -all"},
		"over.example":    {"lookups.over@a:h.example", "address.ipv4only@a:h.example"},
		"voids.example": {"voids.name@a:v1.example", "voids.name@mx:v2.example", "voids.name@exists:v3.example",
			"voids.over@exists:v3.example"},
		"incl.example": {"include.none@include:none.example", "include.broken@include:bad.example",
			"include.broken@include:deep.example"},
		"loop.example": {"include.loop@include:loop.example"},
		"gone.example": {"redirect.none@redirect=none.example"},
		"big.example":  {"length.answer@v=spf1 -all"},
	} {
		_, found, err := c.Lint(
			t.Context(),
			domain,
			"",
			netip.MustParseAddr("192.0.2.1"),
			netip.MustParseAddr("2001:db8::5"),
		)
		if err != nil {
			t.Errorf("%s: %v", domain, err)
		}
		slices.Sort(want)
		if diff := cmp.Diff(want, rules(found, "")); diff != "" {
			t.Errorf("%s (-want +got)\n%s", domain, diff)
		}
	}
	srv.Fail("good.example", dnstest.ServFail)
	c = &spfguard.Checker{Resolver: &dns.Resolver{Server: srv.Addr}}
	if _, _, err := c.Lint(t.Context(), "good.example", ""); err == nil {
		t.Error("SERVFAIL: got no error, want one that says the record could not be had")
	}
}
