package spfguard_test

import (
	"errors"
	"net/netip"
	"slices"
	"strings"
	"testing"

	"enotify/spfguard"
	"enotify/spfguard/dns"
	"enotify/spfguard/dns/dnstest"
)

const typosZone = `
client.example.           300 IN A   198.18.0.9
client.example.           300 IN MX  10 mail.host.example.
mail.host.example.        300 IN A   198.18.9.9
six.host.example.         300 IN AAAA 2001:db8:9::9
both.host.example.        300 IN A   198.18.9.10
both.host.example.        300 IN MX  10 mail.host.example.
mail.client.example.      300 IN A   198.18.0.10
mail.client.example.      300 IN TXT "v=spf1 a -all"
web.client.example.       300 IN A   198.18.0.11
web.client.example.       300 IN TXT "v=spf1 ip4:198.18.0.12 -all"
_spf.google-like.example. 300 IN TXT "v=spf1 ip4:198.18.1.0/24 -all"
google-like.example.      300 IN A   198.18.1.200
spf.outlook-like.example. 300 IN TXT "v=spf1 ip4:198.18.2.0/24 -all"
mail.desk-like.example.   300 IN TXT "v=spf1 ip4:198.18.3.0/24 -all"
mail.desk-like.example.   300 IN A   198.18.200.1
`

// Typing errors that hide a sender: the repaired record still has it.
func TestFixTypos(t *testing.T) {
	t.Parallel()
	srv := dnstest.New(t, typosZone)
	c := &spfguard.Checker{Resolver: &dns.Resolver{Server: srv.Addr}}
	for _, tt := range []struct{ record, want string }{
		{"include: _spf.google-like.example -all", "include:_spf.google-like.example -all"},
		{"include _spf.google-like.example -all", "include:_spf.google-like.example -all"},
		{"include :_spf.google-like.example -all", "include:_spf.google-like.example -all"},
		{"include : _spf.google-like.example -all", "include:_spf.google-like.example -all"},
		{"include;_spf.google-like.example -all", "include:_spf.google-like.example -all"},
		{"include, _spf.google-like.example -all", "include:_spf.google-like.example -all"},
		{"include._spf.google-like.example -all", "include:_spf.google-like.example -all"},
		{"include_spf.google-like.example -all", "include:_spf.google-like.example -all"},
		{"include=_spf.google-like.example -all", "include:_spf.google-like.example -all"},
		{"include:=_spf.google-like.example -all", "include:_spf.google-like.example -all"},
		{"inlcude:_spf.google-like.example -all", "include:_spf.google-like.example -all"},
		{"inlcude _spf.google-like.example -all", "include:_spf.google-like.example -all"},
		{"include:_spf. google-like.example -all", "include:_spf.google-like.example -all"},
		{"include:_spf.google-like .example -all", "include:_spf.google-like.example -all"},
		{"inc lude:_spf.google-like.example -all", "include:_spf.google-like.example -all"},
		{"include:_spf.google-like,example -all", "include:_spf.google-like.example -all"},
		{"include:http://spf.outlook-like.example/ -all", "include:spf.outlook-like.example -all"},
		{"https://spf.outlook-like.example -all", "include:spf.outlook-like.example -all"},
		{`include:"spf.outlook-like.example" -all`, "include:spf.outlook-like.example -all"},
		{"include:spf.outlook-like.example-all", "include:spf.outlook-like.example -all"},
		{"include:spf.outlook-like.example,-all", "include:spf.outlook-like.example -all"},
		{"include:spf.outlook-like.example - all", "include:spf.outlook-like.example -all"},
		{"include:spf.outlook-like.examplemx -all", "include:spf.outlook-like.example mx -all"},
		{"redirect:spf.outlook-like.example", "redirect=spf.outlook-like.example"},
		{"redirect spf.outlook-like.example", "redirect=spf.outlook-like.example"},
		{"redirect= spf.outlook-like.example", "redirect=spf.outlook-like.example"},
		{"redirect=spf.outlook-like.example " +
			"redirect=mail.desk-like.example", "redirect=spf.outlook-like.example include:mail.desk-like.example"},
		{"mx spf.outlook-like.example ~all", "mx include:spf.outlook-like.example ~all"},
		{"spf.outlook-like.example -all", "include:spf.outlook-like.example -all"},
		// a service, though it has an address too
		{"mail.desk-like.example -all", "include:mail.desk-like.example -all"},
		{"mail.host.example -all", "a:mail.host.example -all"},
		// its record covers its address
		{"mail.client.example -all", "include:mail.client.example -all"},
		{"web.client.example -all", "a:web.client.example include:web.client.example -all"}, // its record does not
		{"both.host.example -all", "a:both.host.example mx:both.host.example -all"},
		{"mail.host.example/24 -all", "a:mail.host.example/24 -all"},
		{"a: mail.host.example -all", "a:mail.host.example -all"},
		{"a :mail.host.example -all", "a:mail.host.example -all"},
		{"a:mail.host.example/ -all", "a:mail.host.example -all"},
		{"a.mail.host.example -all", "a:mail.host.example -all"},
		{"mx: a -all", "mx a -all"},
		{"a/24 mx /24 -all", "a/24 mx/24 -all"},
		{"a/064 mx/64 -all", "a//64 mx//64 -all"},
		{"server:mail.host.example -all", "a:mail.host.example -all"},
		{"ip4:mail.host.example include:spf.outlook-like.example " +
			"-all", "a:mail.host.example include:spf.outlook-like.example -all"},
		{"ip4:spf.outlook-like.example -all", "include:spf.outlook-like.example -all"},
		{"ip6:six.host.example -all", "a:six.host.example -all"},
		{"include:mail.host.example -all", "a:mail.host.example -all"},
		{"ip4: 198.18.9.9 -all", "ip4:198.18.9.9 -all"},
		{"ip4 198.18.9.9 -all", "ip4:198.18.9.9 -all"},
		{"ip4198.18.9.9 -all", "ip4:198.18.9.9 -all"},
		{"ip4.198.18.9.9 -all", "ip4:198.18.9.9 -all"},
		{"1p4:198.18.9.9 -all", "ip4:198.18.9.9 -all"},
		{"i4:198.18.9.9 -all", "ip4:198.18.9.9 -all"},
		{"office:198.18.9.9 -all", "ip4:198.18.9.9 -all"},
		{"ip4:198.18.9.9;include:mail.desk-like.example -all", "ip4:198.18.9.9 include:mail.desk-like.example -all"},
		{"ip4:198.18.9.9 and 198.18.9.10, 198.18.9.11 -all", "ip4:198.18.9.9 ip4:198.18.9.10 ip4:198.18.9.11 -all"},
		{"ip4:198.18.9.9/33 -all", "ip4:198.18.9.9 -all"}, // an odd number begins no network
		{"ip4:198.18.9.0/24/24 -all", "ip4:198.18.9.0/24 -all"},
		{"ip4:::ffff:198.18.9.9 ip6:198.18.9.8 -all", "ip4:198.18.9.9 ip4:198.18.9.8 -all"},
		{"ip6:2001:db8:9/48 ip4:2001:db8::9 -all", "ip6:2001:db8:9::/48 ip6:2001:db8::9 -all"},
		{"mx -all include:spf.outlook-like.example,", "mx include:spf.outlook-like.example -all"},
		{"mx v=spf1 include:spf.outlook-like.example -all", "mx include:spf.outlook-like.example -all"},
		{"mx ~all v=spf1 include:spf.outlook-like.example -all", "mx include:spf.outlook-like.example ~all"},
		{"mx, redirect=spf.outlook-like.example ~all", "mx include:spf.outlook-like.example ~all"},
		{"mx +all,", "mx ~all"},
		{"mx,", "mx ?all"},
		{"mx mx, a a -all", "mx a -all"},
		{"include:client.example mx -all", "a mx -all"},
	} {
		fix, err := c.Fix(
			t.Context(),
			spfguard.FixQuery{
				Domain: "client.example",
				Record: "v=spf1 " + tt.record,
				Egress: []netip.Addr{netip.MustParseAddr("203.0.113.10")},
			},
		)
		if err != nil {
			t.Errorf("%s: %v", tt.record, err)
			continue
		}
		if want := "v=spf1 ip4:203.0.113.10 " + tt.want; fix.After != want {
			t.Errorf("%s: got  %s\nwant %s\nbecause %q", tt.record, fix.After, want, fix.Changes)
		}
	}
}

// Where a sender cannot be told, there is a question and no record.
func TestFixAsks(t *testing.T) {
	t.Parallel()
	srv := dnstest.New(t, typosZone+`
spf.mailbox.example.  300 IN A 198.18.9.12
partner.example.      300 IN A 198.18.9.13
partner.example.      300 IN MX 10 mx.partner.example.
`)
	c := &spfguard.Checker{Resolver: &dns.Resolver{Server: srv.Addr}}
	for _, tt := range []struct{ record, asks string }{
		{"v=spf1 newsletter -all", `What does "newsletter" stand for?`},
		{"v=spf1 mx bogus:thing -all", `What does "bogus:thing" stand for?`},
		{"v=spf1 nowhere.example -all", `What does "nowhere.example" stand for? The DNS has no host`},
		{"v=spf1 ip4:nowhere.example -all", `What does "nowhere.example" stand for?`},
		{"v=spf1 ip4:198.18.9.0/33 -all", "Which network does 198.18.9.0 begin?"},
		{"v=spf1 ip4:198.18.9 -all", `Which address or network was meant by "198.18.9"?`},
		{"v=spf1 ip4:198.18.9.0-24 -all", "Was the range of addresses 198.18.9.0 to 24 meant, or the network " +
			"198.18.9.0/24?"},
		{"v=spf1 ip4:198.18.9.300 -all", `Which address or network was meant by "198.18.9.300"?`},
		{"v=spf1 a:mail.host.example/33 -all", "Which prefix length"},
		{"v=spf1 include: -all", `Which domain was to stand after "include:"?`},
		{"v=spf1 include -all", `Which domain was to stand after "include"?`},
		{"v=spf1 ip4: -all", "Which address was to stand after"},
		{"v=spf1 include:<your-domain.com> -all", "belongs in place of"},
		{"v=spf1 ip4:YOUR_SERVER_IP -all", "belongs in place of"},
		{"v=spf1 include:%{z}.example -all", "Which name was meant by"},
		{"v=spf1 include:google -all", `Was "include:_spf.google.com" meant?`},
		{"v=spf1 include:_spf.gogle.com -all", `Was "include:_spf.google.com" meant?`},
		{"v=spf1 include:google.com -all", `Was "include:_spf.google.com" meant?`},
		{"v=spf1 include:spf.google-like.example -all", "By which name is the SPF record of that service known now?"},
		{"v=spf1 include:_spf.client.example -all", "Who was meant, and by which name is its SPF record known now?"},
		{"v=spf1 include:partner.example -all", "Which addresses does it send from?"},
		{"v=spf1 redirect=partner.example", "Which addresses does it send from?"},
	} {
		fix, err := c.Fix(
			t.Context(),
			spfguard.FixQuery{
				Domain: "client.example",
				Record: tt.record,
				Egress: []netip.Addr{netip.MustParseAddr("203.0.113.10")},
			},
		)
		var doubt *spfguard.DoubtError
		if !errors.As(err, &doubt) || !errors.Is(err, spfguard.ErrNoFix) {
			t.Errorf("%s: got %+v, %v, want a question", tt.record, fix, err)
		} else if !slices.ContainsFunc(doubt.Questions, func(q string) bool { return strings.Contains(q, tt.asks) }) {
			t.Errorf("%s: got %q, want %q", tt.record, doubt.Questions, tt.asks)
		}
	}
}

// Of several records, the fix says which to delete, and merges what they say.
func TestFixSeveralRecords(t *testing.T) {
	t.Parallel()
	srv := dnstest.New(t, typosZone)
	c := &spfguard.Checker{Resolver: &dns.Resolver{Server: srv.Addr}}
	for _, tt := range []struct {
		texts, deleted []string
		want           string
	}{
		{[]string{"v=spf1 mx -all", "v=spf1 include:spf.outlook-like.example ~all"},
			[]string{"v=spf1 include:spf.outlook-like.example ~all"}, "mx include:spf.outlook-like.example ~all"},
		{[]string{"v=spf1 mx -all", "v=spf1 mx -all", "hello"}, []string{"v=spf1 mx -all"}, "mx -all"},
		{[]string{"v=spf1 mx -all", "v=spf1include:spf.outlook-like.example -all"},
			[]string{"v=spf1include:spf.outlook-like.example -all"}, "mx include:spf.outlook-like.example -all"},
		{[]string{"v=spf1 mx include:spf.outlook-like.example", "ip4:198.18.9.9 -all"}, []string{"ip4:198.18.9.9 -all"},
			"mx include:spf.outlook-like.example ip4:198.18.9.9 " +
				"" +
				"" +
				"-all"},
		{[]string{"v=spf1 mx redirect=mail.desk-like.example", "v=spf1 redirect=spf.outlook-like.example"},
			[]string{"v=spf1 redirect=spf.outlook-like.example"}, "mx redirect=mail.desk-like.example " +
				"include:spf.outlook-like.example"},
		{[]string{"v=spf1 mx -all", "v=DMARC1; p=none", "google-site-verification=spf1", "spf2.0/pra mx -all"}, nil,
			"mx -all"},
	} {
		srv.PutTXT("client.example", tt.texts...)
		c.Resolver = &dns.Resolver{Server: srv.Addr}
		fix, err := c.Fix(
			t.Context(),
			spfguard.FixQuery{Domain: "client.example", Egress: []netip.Addr{netip.MustParseAddr("203.0.113.10")}},
		)
		if err != nil {
			t.Errorf("%q: %v", tt.texts, err)
			continue
		}
		if want := "v=spf1 ip4:203.0.113.10 " + tt.want; fix.After != want || !slices.Equal(fix.Delete, tt.deleted) ||
			fix.Before != tt.texts[0] {
			t.Errorf(
				"%q: got  %s in place of %s, delete %q\nwant %s, delete %q",
				tt.texts,
				fix.After,
				fix.Before,
				fix.Delete,
				want,
				tt.deleted,
			)
		}
	}
}
