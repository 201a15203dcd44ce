package preflight_test

import (
	"crypto/ed25519"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"encoding/base64"
	"fmt"
	"net/netip"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"enotify/cmd/enotify/judge"
	"enotify/cmd/enotify/preflight"
	"enotify/queue"
	"enotify/spfguard/dns"
	"enotify/spfguard/dns/dnstest"
)

// sound is the DNS of a client and of a host with nothing wrong.
const sound = `
town.example.                 TXT "v=spf1 ip4:192.0.2.10 ip6:2001:db8::10 -all"
town.example.                 MX  10 mail.town.example.
mail.town.example.            A   198.51.100.5
_dmarc.town.example.          TXT "v=DMARC1; p=quarantine; rua=mailto:postmaster@town.example"
mail.host.example.            A    192.0.2.10
mail.host.example.            AAAA 2001:db8::10
mail.host.example.            TXT "v=spf1 a -all"
10.2.0.192.in-addr.arpa.      PTR mail.host.example.
0.1.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.8.b.d.0.1.0.0.2.ip6.arpa. PTR mail.host.example.
`

var (
	v4 = queue.Egress{Addr: netip.MustParseAddr("192.0.2.10"), HELO: "mail.host.example"}
	v6 = queue.Egress{Addr: netip.MustParseAddr("2001:db8::10"), HELO: "mail.host.example"}
	at = time.Date(2026, 11, 22, 10, 0, 0, 0, time.UTC)
)

// input is that of a check of town.example by a DNS of its own.
func input(tb testing.TB, zone string, failing ...string) *preflight.Input {
	tb.Helper()
	s := dnstest.New(tb, sound)
	if err := s.Put(zone); err != nil {
		tb.Fatal(err)
	}
	for _, name := range failing {
		s.Fail(name, dnstest.ServFail)
	}
	return &preflight.Input{
		Now: at, DNS: &dns.Resolver{Server: s.Addr, Timeout: 2 * time.Second}, Client: "town.example",
		From: "clerk@town.example", MailFrom: "clerk@town.example", Egress: []queue.Egress{v4, v6},
	}
}

// A rowCase is one state of the world and what a row says of it.
type rowCase struct {
	name    string
	row     string
	zone    string   // beside the sound one
	failing []string // names that the DNS server has trouble with
	change  func(in *preflight.Input)
	want    preflight.Severity
	says    string // part of what was found, of the evidence or the advice
	fix     string // first line to publish; "" is not looked at
}

func (c rowCase) run(t *testing.T) {
	t.Parallel()
	in := input(t, c.zone, c.failing...)
	if c.change != nil {
		c.change(in)
	}
	r, err := preflight.Run(t.Context(), in)
	if err != nil {
		t.Fatal(err)
	}
	f := r.Row(c.row)
	if f.Severity != c.want {
		t.Fatalf("%s: got %s (%s %q), want %s", c.row, f.Severity, f.Found, f.Evidence, c.want)
	}
	if all := strings.Join(append(f.Evidence, f.Found, f.Advice), "\n"); !strings.Contains(all, c.says) {
		t.Errorf("%s: got %q, want it to say %q", c.row, all, c.says)
	}
	if c.fix != "" && (len(f.Fix) == 0 || f.Fix[0] != c.fix) {
		t.Errorf("%s: fix: got %q, want %q first", c.row, f.Fix, c.fix)
	}
	if (f.Severity == preflight.Block || f.Severity == preflight.Warn) && f.Recheck == "" {
		t.Errorf("%s: no command that checks again", c.row)
	}
}

const (
	block      = preflight.Block
	warn       = preflight.Warn
	info       = preflight.Info
	pass       = preflight.Pass
	notChecked = preflight.NotChecked
)

// Each row of the DNS: one world in which it passes, one in which it fails,
// and one in which nobody could say.
func TestDNSRows(t *testing.T) {
	t.Parallel()
	mailFrom := func(address string) func(*preflight.Input) {
		return func(in *preflight.Input) { in.MailFrom = address }
	}
	lists := func(zones ...string) func(*preflight.Input) {
		return func(in *preflight.Input) { in.Lists = zones }
	}
	only := func(e ...queue.Egress) func(*preflight.Input) {
		return func(in *preflight.Input) { in.Egress = e }
	}
	client := func(domain string) func(*preflight.Input) {
		return func(in *preflight.Input) { in.Client, in.From, in.MailFrom = domain, "a@"+domain, "a@"+domain }
	}
	keys := func(k ...judge.Key) func(*preflight.Input) {
		return func(in *preflight.Input) { in.Keys = append([]judge.Key{}, k...) }
	}
	public, _, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	short, err := rsa.GenerateKey(rand.Reader, 1024)
	if err != nil {
		t.Fatal(err)
	}
	der, err := x509.MarshalPKIXPublicKey(&short.PublicKey)
	if err != nil {
		t.Fatal(err)
	}
	ours := judge.Key{Domain: "town.example", Selector: "e1", Public: public}
	weak := judge.Key{Domain: "town.example", Selector: "r1", Public: &short.PublicKey}
	p := base64.StdEncoding.EncodeToString
	for _, c := range []rowCase{
		{name: "ours", row: "dkim.key", change: keys(ours),
			zone: fmt.Sprintf(`e1._domainkey.town.example. TXT "v=DKIM1; k=ed25519; p=%s"`, p(public)), want: pass,
			says: "is ours"},
		{name: "short", row: "dkim.key", change: keys(weak),
			zone: fmt.Sprintf(`r1._domainkey.town.example. TXT "k=rsa; p=%s"`, p(der)), want: warn, says: "1024 bits"},
		{name: "missing", row: "dkim.key", change: keys(ours), want: block,
			fix: fmt.Sprintf(`e1._domainkey.town.example. IN TXT "v=DKIM1; k=ed25519; p=%s"`, p(public))},
		{name: "another", row: "dkim.key", change: keys(ours),
			zone: fmt.Sprintf(`e1._domainkey.town.example. TXT "k=rsa; p=%s"`, p(der)), want: block,
			says: "not the one we sign with"},
		{name: "revoked", row: "dkim.key", change: keys(ours),
			zone: `e1._domainkey.town.example. TXT "v=DKIM1; k=ed25519; p="`, want: block, says: "revoked"},
		{name: "test", row: "dkim.key", change: keys(ours),
			zone: fmt.Sprintf(`e1._domainkey.town.example. TXT "v=DKIM1; t=y; k=ed25519; p=%s"`, p(public)), want: warn,
			says: "t=y"},
		{name: "not signed", row: "dkim.key", change: keys(), want: warn, says: "not signed"},
		{name: "no directory", row: "dkim.key", want: notChecked, says: "--dkim-dir"},
		{name: "no answer", row: "dkim.key", change: keys(ours), failing: []string{"e1._domainkey.town.example"},
			want: notChecked, says: "Nobody could say"},
		{name: "both", row: "dmarc.align", change: keys(ours),
			zone: fmt.Sprintf(`e1._domainkey.town.example. TXT "v=DKIM1; k=ed25519; p=%s"`, p(public)), want: pass,
			says: "DKIM by town.example"},

		{name: "pass", row: "spf.pass", want: pass, says: "lets 192.0.2.10, 2001:db8::10 send"},
		{name: "one address is missing", row: "spf.pass", zone: `town.example. TXT "v=spf1 ip4:192.0.2.10 -all"`,
			want: block, says: "2001:db8::10: fail",
			fix: `town.example. IN TXT "v=spf1 ip6:2001:db8::10 ip4:192.0.2.10 -all"`},
		{name: "no record", row: "spf.pass", zone: `town.example. TXT "hello"`, want: warn, says: "has no SPF record"},
		{name: "broken record", row: "spf.pass", zone: `town.example. TXT "v=spf1 ip4:192.0.2.10 bogus -all"`,
			want: block, says: "permerror"},
		{name: "a sender that cannot be told", row: "spf.pass", zone: `town.example. TXT "v=spf1 newsletter -all"`,
			want: block, says: `Ask the client: What does "newsletter" stand for?`},
		{name: "no such domain", row: "spf.pass", change: client("twon.example"), want: warn,
			says: "twon.example does not exist in the DNS. Is the name mistyped?"},
		{name: "two records", row: "spf.pass",
			zone: "town.example. TXT \"v=spf1 ip4:192.0.2.10 -all\"\ntown.example. TXT \"v=spf1 ip6:2001:db8::10 ~all\"", want: block,
			says: `and delete the other: "v=spf1 ip6:2001:db8::10 ~all"`,
			fix:  `town.example. IN TXT "v=spf1 ip4:192.0.2.10 ip6:2001:db8::10 ~all"`},
		{name: "no answer", row: "spf.pass", failing: []string{"town.example"}, want: notChecked,
			says: "Nobody could say"},

		{name: "same domain", row: "spf.from", want: pass},
		{name: "forbidden", row: "spf.from", change: mailFrom("b@host.example"),
			zone: "host.example. TXT \"v=spf1 ip4:192.0.2.10 ip6:2001:db8::10 -all\"\ntown.example. TXT \"v=spf1 -all\"",
			want: block, says: "forbids our addresses"},
		{name: "doubted only", row: "spf.from", change: mailFrom("b@host.example"),
			zone: "town.example. TXT \"v=spf1 ~all\"", want: pass},
		{name: "no answer", row: "spf.from", change: mailFrom("b@host.example"), failing: []string{"town.example"},
			want: notChecked},

		{name: "few", row: "spf.lookups", want: pass, says: "At most 0 of 10"},
		{name: "eleven for others", row: "spf.lookups", want: block, says: "takes 11 look-ups",
			zone: `town.example. TXT "v=spf1 ip4:192.0.2.10 ip6:2001:db8::10 a:a.test a:a.test a:a.test a:a.test a:a.test a:a.test a:a.test a:a.test a:a.test a:a.test a:a.test -all"` + "\na.test. A 192.0.2.99"},
		{name: "three voids", row: "spf.lookups", want: block, says: "3 of them find nothing",
			zone: `town.example. TXT "v=spf1 ip4:192.0.2.10 ip6:2001:db8::10 a:x.test a:y.test a:z.test -all"`},
		{name: "two records", row: "spf.lookups",
			zone: "town.example. TXT \"v=spf1 -all\"\ntown.example. TXT \"v=spf1 ~all\"", want: block,
			says: "cannot interpret"},
		{name: "a loop", row: "spf.lookups",
			zone: "town.example. TXT \"v=spf1 ip4:192.0.2.10 ip6:2001:db8::10 include:l.test -all\"\nl.test. TXT \"v=spf1 include:town.example -all\"", want: block, says: "takes 11 look-ups"},
		{name: "no answer", row: "spf.lookups", failing: []string{"town.example"}, want: notChecked},

		{name: "none empty", row: "spf.strict", want: pass},
		{name: "three MX hosts over IPv4 alone", row: "spf.strict", want: warn, says: "2001:db8::10",
			fix:  `town.example. IN TXT "v=spf1 ip4:192.0.2.10 include:o.test mx -all"`,
			zone: "town.example. TXT \"v=spf1 ip4:192.0.2.10 mx include:o.test -all\"\no.test. TXT \"v=spf1 ip6:2001:db8::/64 -all\"\ntown.example. MX 10 mail.town.example.\ntown.example. MX 20 m2.test.\ntown.example. MX 30 m3.test.\nm2.test. A 198.51.100.6\nm3.test. A 198.51.100.7"},
		{name: "does not pass", row: "spf.strict", zone: `town.example. TXT "v=spf1 -all"`, want: info,
			says: "spf.pass"},
		{name: "no answer", row: "spf.strict", failing: []string{"town.example"}, want: notChecked},

		{name: "minus", row: "spf.all", want: info, says: "forbids all others"},
		{name: "tilde", row: "spf.all", zone: `town.example. TXT "v=spf1 ip4:192.0.2.10 ~all"`, want: info,
			says: "doubts"},
		{name: "by redirect", row: "spf.all",
			zone: "town.example. TXT \"v=spf1 redirect=r.test\"\nr.test. TXT \"v=spf1 -all\"", want: info,
			says: "forbids"},
		{name: "none", row: "spf.all", zone: `town.example. TXT "v=spf1 ip4:192.0.2.10"`, want: info,
			says: "says nothing"},
		{name: "everybody", row: "spf.all", zone: `town.example. TXT "v=spf1 ip4:192.0.2.10 +all"`, want: block,
			says: "Ask the client", fix: `town.example. IN TXT "v=spf1 ip4:192.0.2.10 ~all"`},
		{name: "no answer", row: "spf.all", failing: []string{"town.example"}, want: notChecked},

		{name: "pass", row: "spf.helo", want: pass},
		{name: "no record", row: "spf.helo", zone: `mail.host.example. TXT "x"`, want: warn,
			fix: `mail.host.example. IN TXT "v=spf1 ip4:192.0.2.10 ip6:2001:db8::10 -all"`},
		{name: "no answer", row: "spf.helo", failing: []string{"mail.host.example"}, want: notChecked},

		{name: "quarantine", row: "dmarc.record", want: pass, says: "quarantine"},
		{name: "tried only", row: "dmarc.record", zone: `_dmarc.town.example. TXT "v=DMARC1; p=reject; t=y"`,
			want: pass, says: "receivers apply quarantine"},
		{name: "removed tag", row: "dmarc.record", zone: `_dmarc.town.example. TXT "v=DMARC1; p=reject; pct=50"`,
			want: warn, says: "pct is no longer a DMARC tag"},
		{name: "none", row: "dmarc.record", zone: `_dmarc.town.example. TXT "v=DMARC2; p=none"`, want: warn,
			fix: `_dmarc.town.example. IN TXT "v=DMARC1; p=none; rua=mailto:postmaster@town.example"`},
		{name: "of the parent", row: "dmarc.record", change: client("alerts.town.example"), want: pass,
			says: "policy of town.example is quarantine"},
		{name: "without policy", row: "dmarc.record",
			zone: `_dmarc.town.example. TXT "v=DMARC1; rua=mailto:a@town.example"`, want: warn,
			says: "states no policy",
			fix:  `_dmarc.town.example. IN TXT "v=DMARC1; p=none; rua=mailto:a@town.example"`},
		{name: "two records", row: "dmarc.record",
			zone: "_dmarc.town.example. TXT \"v=DMARC1; p=none\"\n_dmarc.town.example. TXT \"v=DMARC1; p=reject\"",
			want: warn, says: "exactly one"},
		{name: "no answer", row: "dmarc.record", failing: []string{"_dmarc.town.example"}, want: notChecked},

		{name: "SPF alone", row: "dmarc.align", want: warn, says: "SPF by town.example"},
		{name: "neither, quarantine", row: "dmarc.align", change: mailFrom("bounce@host.example"), want: warn,
			says: "SPF proves host.example"},
		{name: "neither, reject", row: "dmarc.align", change: mailFrom("bounce@host.example"),
			zone: `_dmarc.town.example. TXT "v=DMARC1; p=reject"`, want: block, says: "receivers refuse the mail"},
		{name: "SPF does not pass, reject", row: "dmarc.align",
			zone: "town.example. TXT \"v=spf1 ~all\"\n_dmarc.town.example. TXT \"v=DMARC1; p=reject\"", want: block,
			says: "is softfail",
			fix:  `town.example. IN TXT "v=spf1 ip4:192.0.2.10 ip6:2001:db8::10 ~all"`},
		{name: "relaxed", row: "dmarc.align", change: mailFrom("b@bounce.town.example"), want: warn,
			says: "SPF by bounce.town.example"},
		{name: "strict", row: "dmarc.align", change: mailFrom("b@bounce.town.example"),
			zone: `_dmarc.town.example. TXT "v=DMARC1; p=none; aspf=s"`, want: warn, says: "Nothing proves"},
		{name: "key not published", row: "dmarc.align", change: keys(ours), want: warn,
			says: "DKIM by town.example cannot be verified"},
		{name: "no answer, which one domain does not need", row: "dmarc.align",
			failing: []string{"_dmarc.town.example"}, want: warn, says: "SPF by town.example"},
		{name: "no answer", row: "dmarc.align", change: mailFrom("b@bounce.town.example"),
			failing: []string{"_dmarc.town.example"}, want: notChecked},

		{name: "own address", row: "dmarc.rua", want: info, says: "Reports go to mailto:postmaster@town.example"},
		{name: "nobody", row: "dmarc.rua", zone: `_dmarc.town.example. TXT "v=DMARC1; p=none"`, want: info,
			says: "Nobody gets"},
		{name: "foreign, refused", row: "dmarc.rua",
			zone: `_dmarc.town.example. TXT "v=DMARC1; p=none; rua=mailto:a@reports.test!10m"`, want: info,
			says: "has not agreed",
			fix:  `town.example._report._dmarc.reports.test. IN TXT "v=DMARC1"`},
		{name: "foreign, agreed", row: "dmarc.rua", want: info, says: "reports.test agrees",
			zone: "_dmarc.town.example. TXT \"v=DMARC1; p=none; rua=mailto:a@reports.test\"\n*._report._dmarc.reports.test. TXT \"v=DMARC1\""},
		{name: "no answer", row: "dmarc.rua",
			zone:    `_dmarc.town.example. TXT "v=DMARC1; p=none; rua=mailto:a@reports.test"`,
			failing: []string{"town.example._report._dmarc.reports.test"}, want: notChecked},

		{name: "confirmed", row: "ptr.fcrdns", want: pass, says: "192.0.2.10 is mail.host.example"},
		{name: "no PTR", row: "ptr.fcrdns",
			change: only(queue.Egress{Addr: netip.MustParseAddr("192.0.2.11"), HELO: "mail.host.example"}), want: block,
			says: "it has no PTR record",
			fix:  "11.2.0.192.in-addr.arpa. IN PTR mail.host.example."},
		{name: "leads elsewhere", row: "ptr.fcrdns", zone: "mail.host.example. A 192.0.2.99", want: block,
			says: "does not lead back"},
		{name: "another HELO", row: "ptr.fcrdns", change: only(queue.Egress{Addr: v4.Addr, HELO: "localhost"}),
			want: block, says: "but we say localhost"},
		{name: "no answer", row: "ptr.fcrdns", failing: []string{"10.2.0.192.in-addr.arpa"}, want: notChecked},

		{name: "named", row: "ip.v6", want: pass},
		{name: "not used", row: "ip.v6", change: only(v4), want: pass, says: "No IPv6"},
		{name: "nameless", row: "ip.v6", zone: "mail.host.example. AAAA 2001:db8::99", want: warn,
			says: "over IPv4 alone"},
		{name: "no SPF", row: "ip.v6", zone: `town.example. TXT "v=spf1 ip4:192.0.2.10 -all"`, want: warn, says: "SPF"},
		{name: "no answer", row: "ip.v6",
			failing: []string{"0.1.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.8.b.d.0.1.0.0.2.ip6.arpa"},
			want:    notChecked},

		{name: "clean", row: "dnsbl", change: lists("bl.test"), want: pass, says: "bl.test"},
		{name: "listed", row: "dnsbl", change: lists("bl.test"),
			zone: "10.2.0.192.bl.test. A 127.0.0.2\n10.2.0.192.bl.test. TXT \"see https://bl.test/why\"", want: warn,
			says: "see https://bl.test/why"},
		{name: "refuses to tell", row: "dnsbl", change: lists("bl.test"), zone: "10.2.0.192.bl.test. A 127.255.255.254",
			want: notChecked, says: "does not tell us"},
		{name: "for sale", row: "dnsbl", change: lists("bl.test"), zone: "*.bl.test. A 203.0.113.1", want: notChecked,
			says: "nonsense"},
		{name: "none named", row: "dnsbl", want: notChecked, says: "No block list was named"},
		{name: "no answer", row: "dnsbl", change: lists("bl.test"), failing: []string{"10.2.0.192.bl.test"},
			want: notChecked},

		{name: "MX", row: "mx.return", want: pass, says: "mail.town.example"},
		{name: "address alone", row: "mx.return", change: mailFrom("b@mail.town.example"), want: pass},
		{name: "nothing", row: "mx.return", change: mailFrom("b@gone.test"), want: warn,
			fix: "gone.test. IN MX 10 mail.host.example."},
		{name: "null sender", row: "mx.return", change: mailFrom(""), want: info},
		{name: "no answer", row: "mx.return", failing: []string{"town.example"}, want: notChecked},

		{name: "real", row: "hdr.from", want: pass},
		{name: "free mail", row: "hdr.from", change: client("gmail.com"), want: block, says: "mail provider"},
		{name: "gone", row: "hdr.from", change: client("gone.test"), want: block, says: "neither MX nor address"},
		{name: "null MX", row: "hdr.from", zone: "town.example. MX 0 .", want: block, says: "null MX"},
		{name: "no answer", row: "hdr.from", failing: []string{"town.example"}, want: notChecked},

		{name: "no", row: "tls.mtasts", want: info, says: "does not ask"},
		{name: "yes", row: "tls.mtasts", zone: `_mta-sts.town.example. TXT "v=STSv1; id=1"`, want: info,
			says: "asks senders"},
		{name: "no answer", row: "tls.mtasts", failing: []string{"_mta-sts.town.example"}, want: notChecked},
		{name: "yes", row: "tls.rpt", zone: `_smtp._tls.town.example. TXT "v=TLSRPTv1; rua=mailto:a@town.example"`,
			want: info, says: "gets reports"},
		{name: "no answer", row: "tls.rpt", failing: []string{"_smtp._tls.town.example"}, want: notChecked},
	} {
		t.Run(c.row+"/"+c.name, c.run)
	}
}

// What a client has to publish is read off the findings.
func TestSetup(t *testing.T) {
	t.Parallel()
	in := input(t, "town.example. TXT \"v=spf1 -all\"\n_dmarc.town.example. TXT \"nothing\"")
	r, err := preflight.Run(t.Context(), in)
	if err != nil {
		t.Fatal(err)
	}
	got := map[string]string{}
	for _, l := range r.Setup {
		got[l.Type+" "+l.Name] = l.State + " " + l.Value
	}
	want := map[string]string{
		"TXT town.example":        `wrong "v=spf1 ip4:192.0.2.10 ip6:2001:db8::10 -all"`,
		"TXT _dmarc.town.example": `wrong "v=DMARC1; p=none; rua=mailto:postmaster@town.example"`,
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("what to publish (-want +got):\n%s", diff)
	}
}
