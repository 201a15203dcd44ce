package spfguard_test

import (
	"math/rand/v2"
	"net/netip"
	"slices"
	"strings"

	"enotify/spfguard/dns"
)

// mutant is the domain whose record is spoilt, ours the addresses that its
// repaired record must let send.
const mutant = "client.example"

var ours = []netip.Addr{netip.MustParseAddr("203.0.113.10"), netip.MustParseAddr("2001:db8:ff::10")}

// services are names that clients include, with their records.
var services = map[string]string{
	"_spf.google.com":               "v=spf1 include:_netblocks.google.com include:_netblocks2.google.com ~all",
	"_netblocks.google.com":         "v=spf1 ip4:198.18.1.0/24 ip4:198.18.2.128/25 ~all",
	"_netblocks2.google.com":        "v=spf1 ip6:2001:db8:1::/48 ~all",
	"spf.protection.outlook.com":    "v=spf1 ip4:198.18.3.0/24 ip6:2001:db8:3::/48 -all",
	"sendgrid.net":                  "v=spf1 ip4:198.18.4.0/24 ~all",
	"servers.mcsv.net":              "v=spf1 ip4:198.18.5.0/24 ?all",
	"_spf.salesforce.com":           "v=spf1 exists:%{i}._spf.mta.salesforce.com -all",
	"mail.zendesk.com":              "v=spf1 ip4:198.18.6.0/25 ~all",
	"spf.mandrillapp.com":           "v=spf1 ip4:198.18.7.0/24 -all",
	"amazonses.com":                 "v=spf1 ip4:198.18.8.0/24 -all",
	"_spf.host-a.example":           "v=spf1 a:out.host-a.example -all",
	"relay.desk-b.example":          "v=spf1 ip4:198.18.9.0/24 -all",
	"spf1.newsletter-c.co.uk":       "v=spf1 ip4:198.18.10.0/24 mx -all",
	"_spf.client.example":           "v=spf1 ip4:198.18.11.0/24 a:mail.client.example -all",
	"cluster5.eu.mail-d.example":    "v=spf1 ip4:198.18.12.0/24 include:_spf.host-a.example -all",
	"broken.example":                "v=spf1 ipv4:198.18.13.0/24 -all",
	"loops.example":                 "v=spf1 ip4:198.18.14.0/24 include:client.example -all",
	"deep.example":                  "v=spf1 ip4:198.18.15.0/24 include:gone.deep.example -all",
	"1234567.spf01.hubspotmail.net": "v=spf1 ip4:198.18.16.0/24 -all",
}

// mutantZone is the DNS around the domain.
func mutantZone() *memory {
	z := newMemory()
	for name, text := range services {
		z.txt[name] = []string{text}
	}
	host := func(name string, addrs ...string) {
		z.exists[name] = true
		for _, text := range addrs {
			if ip := netip.MustParseAddr(text); ip.Is4() {
				z.a[name] = append(z.a[name], ip)
			} else {
				z.aaaa[name] = append(z.aaaa[name], ip)
			}
		}
	}
	host(mutant, "198.51.100.1")
	host("mail.client.example", "198.51.100.2", "2001:db8:51::2")
	host("mx1.client.example", "198.51.100.3")
	host("mx2.client.example", "198.51.100.4")
	host("old.client.example", "198.51.100.5")
	host("out.host-a.example", "198.18.20.1")
	host("sendgrid.net", "198.18.99.1") // its web server
	host("mx.newsletter-c.co.uk", "198.18.10.200")
	host("partner.example", "198.51.100.9")
	z.mx[mutant] = []dns.MX{{Host: "mx1.client.example", Pref: 10}, {Host: "mx2.client.example", Pref: 20}}
	z.mx["spf1.newsletter-c.co.uk"] = []dns.MX{{Host: "mx.newsletter-c.co.uk", Pref: 10}}
	z.mx["partner.example"] = []dns.MX{{Host: "partner.example", Pref: 10}}
	return z
}

// everyone are addresses out of all networks and hosts of the zone, and a few
// strangers.
func everyone(z *memory) []netip.Addr {
	addrs := []netip.Addr{netip.MustParseAddr("192.0.2.1"), netip.MustParseAddr("2001:db8:dead::1")}
	for i := range 17 {
		for _, last := range []int{0, 1, 77, 127, 128, 200, 255} {
			addrs = append(addrs, netip.AddrFrom4([4]byte{198, 18, byte(i), byte(last)}))
		}
	}
	for _, text := range []string{"198.51.100.32", "198.51.100.63", "198.51.100.200", "198.51.100.129", "198.51.100.0",
		"198.51.100.255", "2001:db8:77::1", "2001:db8:1::5", "2001:db8:3::5", "2001:db8:77:8::25"} {
		addrs = append(addrs, netip.MustParseAddr(text))
	}
	for _, hosts := range []map[string][]netip.Addr{z.a, z.aaaa} {
		for _, list := range hosts {
			addrs = append(addrs, list...)
		}
	}
	slices.SortFunc(addrs, netip.Addr.Compare)
	return slices.Compact(addrs)
}

// sound are records as companies publish them: no fault, and no warning.
var sound = []string{
	"v=spf1 include:_spf.google.com ~all",
	"v=spf1 mx include:spf.protection.outlook.com -all",
	"v=spf1 ip4:198.51.100.33 ip4:198.51.100.128/25 include:sendgrid.net a:mail.client.example -all",
	"v=spf1 ip6:2001:db8:77::/48 include:servers.mcsv.net a mx ?all",
	"v=spf1 include:mail.zendesk.com include:spf.mandrillapp.com ip4:198.51.100.200 -all",
	"v=spf1 include:_spf.host-a.example include:relay.desk-b.example mx:client.example ~all",
	"v=spf1 ip4:198.51.100.0/24 ip6:2001:db8:77:8::25 include:amazonses.com -all",
	"v=spf1 a:mail.client.example include:spf1.newsletter-c.co.uk ~all",
	"v=spf1 include:cluster5.eu.mail-d.example include:1234567.spf01.hubspotmail.net a -all",
	"v=spf1 include:_spf.client.example include:spf.protection.outlook.com -all",
	"v=spf1 a:mail.client.example mx a:old.client.example ip4:198.51.100.129 -all",
	"v=spf1 include:_spf.google.com include:servers.mcsv.net include:mail.zendesk.com include:sendgrid.net ~all",
}

// A spoiling is a kind of mistake: it returns the TXT records of the domain
// with the mistake in them, or false where the record has no place for it.
type spoiling struct {
	name  string
	sure  bool // nothing has to be asked
	spoil func(r *rand.Rand, terms []string) ([]string, bool)
}

// at spoils one of the terms that match.
func at(
	matches func(string) bool,
	spoil func(r *rand.Rand, term string) string,
) func(*rand.Rand, []string) ([]string, bool) {
	return func(r *rand.Rand, terms []string) ([]string, bool) {
		var where []int
		for i, t := range terms {
			if i > 0 && matches(t) {
				where = append(where, i)
			}
		}
		if len(where) == 0 {
			return nil, false
		}
		terms = slices.Clone(terms)
		i := where[r.IntN(len(where))]
		terms[i] = spoil(r, terms[i])
		return []string{strings.Join(terms, " ")}, true
	}
}

// text spoils the record as a whole.
func text(spoil func(r *rand.Rand, record string) string) func(*rand.Rand, []string) ([]string, bool) {
	return func(r *rand.Rand, terms []string) ([]string, bool) {
		return []string{spoil(r, strings.Join(terms, " "))}, true
	}
}

func starts(prefixes ...string) func(string) bool {
	return func(t string) bool {
		return slices.ContainsFunc(prefixes, func(p string) bool { return strings.HasPrefix(t, p) })
	}
}

func argued(t string) bool { return strings.Contains(t, ":") }
func isAll(t string) bool  { return strings.HasSuffix(t, "all") }
func address(t string) bool {
	return strings.HasPrefix(t, "ip4:") && !strings.Contains(t, "/") && strings.Contains(t, ".")
}
func network(t string) bool { return strings.HasPrefix(t, "ip4:") && strings.Contains(t, "/") }

// colon puts another text in place of the colon after a mechanism.
func colon(with ...string) func(*rand.Rand, string) string {
	return func(r *rand.Rand, t string) string { return strings.Replace(t, ":", with[r.IntN(len(with))], 1) }
}

// argument puts a term's argument in place of %s.
func argument(formats ...string) func(*rand.Rand, string) string {
	return func(r *rand.Rand, t string) string {
		_, arg, _ := strings.Cut(t, ":")
		return strings.ReplaceAll(formats[r.IntN(len(formats))], "%s", arg)
	}
}

// slip changes a letter of a mechanism's name, as fingers do.
func slip(r *rand.Rand, t string) string {
	name, arg, _ := strings.Cut(t, ":")
	b := []byte(name)
	i := r.IntN(max(1, len(b)-1))
	switch r.IntN(4) {
	case 0:
		b[i], b[i+1] = b[i+1], b[i]
	case 1:
		b = slices.Delete(b, i, i+1)
	case 2:
		b = slices.Insert(b, i, b[i])
	default:
		b[i] = "qwertyuiopasdfghjklzxcvbnm"[r.IntN(26)]
	}
	return string(b) + ":" + arg
}

// oneOf is one of the texts.
func oneOf(texts ...string) func(*rand.Rand, string) string {
	return func(r *rand.Rand, _ string) string { return texts[r.IntN(len(texts))] }
}

// within puts a term before all.
func within(term ...string) func(*rand.Rand, []string) ([]string, bool) {
	return func(r *rand.Rand, terms []string) ([]string, bool) {
		terms = slices.Insert(slices.Clone(terms), 1+r.IntN(len(terms)-1), term[r.IntN(len(term))])
		return []string{strings.Join(terms, " ")}, true
	}
}

func replacing(old string, with ...string) func(*rand.Rand, []string) ([]string, bool) {
	return text(func(r *rand.Rand, record string) string {
		return strings.ReplaceAll(record, old, with[r.IntN(len(with))])
	})
}

var hosts = starts("include:", "a:", "mx:")

var spoilings = []spoiling{
	{"a space after the colon", true, at(argued, colon(": ", ":  "))},
	{"a space before the colon", true, at(argued, colon(" :", " : "))},
	{"a space in place of the colon", true, at(starts("include:", "ip4:", "ip6:"), colon(" "))},
	{
		"another sign in place of the colon",
		true,
		at(starts("include:", "ip4:"), colon(";", ",", "=", ".", "::", ":=", "-")),
	},
	{"the colon is missing", true, at(starts("include:_", "include:spf", "ip4:"), colon(""))},
	{"an equals sign", true, at(argued, colon("="))},
	{"the mechanism is missing", true, at(argued, argument("%s"))},
	{"the mechanism is misspelt", true, at(starts("include:"), slip)},
	{"ip4 is misspelt", true, at(starts("ip4:", "ip6:"), slip)},
	{
		"another name for ip4",
		true,
		at(
			starts("ip4:"),
			argument("ipv4:%s", "ip:%s", "IPv4:%s", "ip-4:%s", "i4:%s", "1p4:%s", "IP4=%s", "address:%s"),
		),
	},
	{
		"another name for include",
		true,
		at(starts("include:"), argument("inc:%s", "includes:%s", "Incluir:%s", "spf:%s", "domain:%s", "_include:%s")),
	},
	{"commas", true, replacing(" ", ", ", ",", " , ", ";", "; ", "|", " ; ")},
	{"a comma between two terms", true, text(func(r *rand.Rand, record string) string {
		spaces := strings.Count(record, " ")
		head, tail, n := "", record, 1+r.IntN(spaces)
		for range n {
			before, after, _ := strings.Cut(tail, " ")
			head, tail = head+before+" ", after
		}
		return strings.TrimSuffix(head, " ") + []string{", ", ",", ";", "; "}[r.IntN(4)] + tail
	})},
	{"all without its space", true, replacing(" -all", "-all")},
	{"softfail without its space", true, replacing(" ~all", "~all")},
	{"two terms without their space", true, func(r *rand.Rand, terms []string) ([]string, bool) {
		for i := 1; i+1 < len(terms); i++ {
			if starts("include:", "ip4:", "ip6:")(terms[i+1]) && argued(terms[i]) {
				return []string{strings.Join(terms[:i+1], " ") + strings.Join(terms[i+1:], " ")}, true
			}
		}
		return nil, false
	}},
	{"the space after the version is missing", true, replacing("v=spf1 ", "v=spf1")},
	{
		"a version with another sign",
		true,
		replacing("v=spf1", "v=spf1;", "v=spf1,", "v=spf1.", "v=spf1:", "v=spf 1", "v = spf1", "V=SPF1", "v=spf1.0"),
	},
	{
		"a misspelt version",
		true,
		replacing("v=spf1", "v=spf", "vspf1", "v=spfl", "spf1", "v:spf1", "v=sfp1", "v=spf2", "v==spf1", "=spf1"),
	},
	{"the version twice", true, replacing("v=spf1 ", "v=spf1 v=spf1 ", "v=spf1; v=spf1 ")},
	{"quotes around all of it", true, text(func(r *rand.Rand, record string) string {
		return []string{`"` + record + `"`, "'" + record + "'", "\u201c" + record + "\u201d", "`" + record + "`", `\"` +
			record + `\"`, "&quot;" + record + "&quot;", "\u00ab" + record + "\u00bb"}[r.IntN(7)]
	})},
	{"quotes around a term", true, at(argued, func(r *rand.Rand, t string) string {
		return []string{`"` + t + `"`, "\u2018" + t + "\u2019"}[r.IntN(2)]
	})},
	{
		"quotes around an argument",
		true,
		at(argued, func(_ *rand.Rand, t string) string { return strings.Replace(t, ":", `:"`, 1) + `"` }),
	},
	{"spaces that are none", true, replacing(" ", "\u00a0", "\t", "\u2003", "  ", "%20", "&nbsp;")},
	{"invisible characters", true, replacing(" ", " \u200b", " \ufeff", "\u200e ")},
	{"dashes", true, replacing("-all", "\u2013all", "\u2014all", "\u2212all", "\u2011all")},
	{"full-width signs", true, replacing(":", "\uff1a")},
	{"letters of another alphabet", true, replacing("include", "\u0456nclude", "in\u0441lude", "inclu\u0501e")},
	{"capitals", true, text(func(_ *rand.Rand, record string) string { return strings.ToUpper(record) })},
	{"a link", true, at(hosts, func(r *rand.Rand, t string) string {
		return strings.Replace(t, ":", []string{":http://", ":https://"}[r.IntN(2)], 1) + []string{"", "/"}[r.IntN(2)]
	})},
	{"an e-mail address", true, at(starts("include:"), argument("include:postmaster@%s", "include:@%s"))},
	{
		"a dot, slash or bracket too many",
		true,
		at(
			hosts,
			argument(
				"include:%s/",
				"include:%s.",
				"include:.%s",
				"include:[%s]",
				"include:<%s>",
				"include:%s)",
				"include:%s:",
				"include::%s",
				"include:%s/32",
				"include:%s:25",
			),
		),
	},
	{"a prefix length on include", true, at(starts("include:"), argument("include:%s/24"))},
	{"the mechanism twice", true, at(starts("include:"), argument("include:include:%s", "include: include:%s"))},
	{
		"a mechanism before ip4",
		true,
		at(starts("ip4:"), argument("include:ip4:%s", "a:%s", "mx:%s", "include:%s", "a:ip4:%s")),
	},
	{"ip4 before a name", true, at(hosts, argument("ip4:%s", "ip6:%s"))},
	{"the other family", true, at(starts("ip4:"), argument("ip6:%s"))},
	{"ip4 before IPv6", true, at(starts("ip6:"), argument("ip4:%s", "[%s]", "ip6:[%s]", "ipv6:%s", "IP6=%s"))},
	{
		"an address bracketed or with a port",
		true,
		at(address, argument("ip4:%s:25", "ip4:[%s]", "ip4:<%s>", "ip4:%s.", "ip4:%s/32/32", "ip4:%s/032")),
	},
	{
		"a netmask",
		true,
		at(
			func(t string) bool { return strings.HasSuffix(t, "/24") },
			func(_ *rand.Rand, t string) string { return strings.TrimSuffix(t, "/24") + "/255.255.255.0" },
		),
	},
	{
		"a network in other notation",
		true,
		at(func(t string) bool { return t == "ip4:198.51.100.0/24" }, oneOf(
			"ip4:198.51.100.*",
			"ip4:198.51.100.0\\24",
			"ip4:198.51.100.0//24",
			"ip4:198.51.100.0/ 24",
			"ip4:198.51.100.0 /24",
			"ip4:198.51.100/24",
			"ip4:198.51.100.0-198.51.100.255",
			"ip4:198.51.100.0/024",
			"ip4:198.051.100.0/24",
			"198.51.100.0/24,",
			"ip4:198,51,100,0/24",
		)),
	},
	{
		"an address with commas",
		true,
		at(address, func(_ *rand.Rand, t string) string { return strings.ReplaceAll(t, ".", ",") }),
	},
	{"a space inside an address", true, at(address, func(_ *rand.Rand, t string) string {
		i := strings.LastIndexByte(t, '.')
		return t[:i+1] + " " + t[i+1:]
	})},
	{"a list of addresses", true, func(_ *rand.Rand, terms []string) ([]string, bool) {
		i := slices.IndexFunc(terms, func(t string) bool { return strings.HasPrefix(t, "ip4:") })
		if i < 0 || i+1 >= len(terms) || !strings.HasPrefix(terms[i+1], "ip4:") {
			return nil, false
		}
		return []string{
			strings.Join(
				terms[:i+1],
				" ",
			) + ", " + strings.TrimPrefix(
				terms[i+1],
				"ip4:",
			) + " " + strings.Join(
				terms[i+2:],
				" ",
			),
		}, true
	}},
	{
		"an impossible prefix length",
		false,
		at(func(t string) bool { return address(t) || network(t) }, func(r *rand.Rand, t string) string {
			head, _, _ := strings.Cut(t, "/")
			return head + []string{"/33", "/64", "/240"}[r.IntN(3)]
		}),
	},
	{
		"a missing number of an address",
		false,
		at(address, func(_ *rand.Rand, t string) string { return t[:strings.LastIndexByte(t, '.')] }),
	},
	{"a number too many in an address", false, at(address, func(_ *rand.Rand, t string) string { return t + ".5" })},
	{"all with a space", true, at(isAll, func(_ *rand.Rand, t string) string { return t[:1] + " " + t[1:] })},
	{"all misspelt", true, at(isAll, func(r *rand.Rand, t string) string {
		return t[:1] + []string{"all.", "all;", "al", "alll", "ALL,", "all\"", "all-", "-all", "a11", "all/", "a ll",
			"al l"}[r.IntN(12)]
	})},
	{"all behind its qualifier", true, at(isAll, func(_ *rand.Rand, t string) string { return "all" + t[:1] })},
	{"all in the middle", true, func(r *rand.Rand, terms []string) ([]string, bool) {
		last := len(terms) - 1
		moved := slices.Insert(slices.Clone(terms[:last]), 1+r.IntN(last-1), terms[last])
		return []string{strings.Join(moved, " ") + ","}, true // an error, so that it is to be mended
	}},
	{"a second all", true, text(func(r *rand.Rand, record string) string {
		return record + []string{" -all;", " ?all.", " ~all ,"}[r.IntN(3)]
	})},
	{"everything twice", true, text(func(_ *rand.Rand, record string) string { return record + " " + record })},
	{"two records", true, func(r *rand.Rand, terms []string) ([]string, bool) {
		n := 1 + r.IntN(len(terms)-1)
		one, two := strings.Join(terms[:n], " ")+" -all", "v=spf1 "+strings.Join(terms[n:], " ")
		return []string{strings.TrimSpace(one), two}, true
	}},
	{"the same record twice", true, func(_ *rand.Rand, terms []string) ([]string, bool) {
		record := strings.Join(terms, " ")
		return []string{record, record}, true
	}},
	{"torn into two TXT records", true, func(_ *rand.Rand, terms []string) ([]string, bool) {
		if len(terms) < 4 || !argued(terms[len(terms)-2]) {
			return nil, false
		}
		n := len(terms) - 2
		return []string{strings.Join(terms[:n], " "), strings.Join(terms[n:], " ")}, true
	}},
	{"a line of a zone file", true, text(func(r *rand.Rand, record string) string {
		return []string{`client.example. IN TXT "` + record + `"`, `@ 3600 IN TXT "` + record + `"`, "TXT " + record,
			"spf=" + record}[r.IntN(4)]
	})},
	{"a record of another kind behind it", true, text(func(r *rand.Rand, record string) string {
		return record + []string{" v=DMARC1; p=none; rua=mailto:d@client.example", ` "v=DKIM1; k=rsa; p=MIGf"`,
			" and TXT 3600"}[r.IntN(3)]
	})},
	{"a redirect beside all", true, within("redirect=_spf.host-a.example;", "redirect:_spf.host-a.example")},
	{"an include of the domain itself", true, within("include:client.example", "include:client.example,")},
	{"an include that loops", true, within("include:loops.example")},
	{"an include of a broken record", true, within("include:broken.example")},
	{"an include of a record with a dead include", true, within("include:deep.example")},
	{"an include of a domain that is gone", false, within("include:spf.gone.example")},
	{"an include of a host", true, within("include:old.client.example", "include:partner.example")},
	{
		"a mistyped service",
		false,
		within(
			"include:_spf.gogle.com",
			"include:spf.protection.outlok.com",
			"include:spf.protection.microsoft.outlook.com",
			"include:google.com",
			"include:sengrid.net",
		),
	},
	{"a word", false, within("newsletter", "bogus:thing", "outlook", "(office)", "foo/bar")},
	{
		"a placeholder",
		false,
		within("ip4:x.x.x.x", "ip4:YOUR_SERVER_IP", "include:<your-domain.com>", "include:[domain]", "a:[hostname]"),
	},
	{"a mechanism without its argument", false, within("include:", "ip4:", "include", "ip4", "exists:,")},
	{
		"a macro that is none",
		false,
		within("exists:%{z}.client.example", "include:%d.example", "include:%{d.example"),
	},
	{"a label alone", false, within("include:mail", "a:nohost,", "mx:nohost;")},
	{"a mistyped top-level domain", false, within("include:_spf.host-a.exmaple", "include:relay.desk-b")},
	{"a mistyped domain", false, within("include:_spf.hots-a.example", "include:relay.dsk-b.example")},
	{
		"a name that is nothing",
		false,
		within("nothing.client.example", "ip4:nothing.client.example", "smtp.nothing.example"),
	},
	{"fillers", true, within("and", "or", ",", ";", "&")},
	{"a private network", true, within("ip4:10.0.0.5,", "ip4:192.168.0.0/16;")},
	{"a mapped address", true, within("ip4:::ffff:198.51.100.5", "ip6:::ffff:198.51.100.5,")},
	{"repeated terms", true, text(func(_ *rand.Rand, record string) string {
		return strings.Replace(record, "v=spf1 ", "v=spf1 mx mx, ", 1)
	})},
	{"an equals sign in an address", true, at(starts("ip4:"), argument("ip4=%s", "ip=%s", "ipv4=%s"))},
}
