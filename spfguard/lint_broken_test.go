package spfguard_test

import (
	"fmt"
	"regexp"
	"strings"
	"testing"

	"enotify/spfguard"
)

// brokenRecords are mistakes that people publish, each with a pattern for what
// lint says about it: the fault, or the cure. Those without a pattern are no
// errors.
var brokenRecords = []struct{ record, says string }{
	{"v=spf1, include:_spf.google.com, -all", `comma`},
	{"v=spf1; include:_spf.google.com; -all", `semicolon|;`},
	{"v=spf1 include:_spf.google.com,include:sendgrid.net ~all", `comma`},
	{"v=spf1 ip4:192.0.2.1,192.0.2.2 -all", `ip4:192\.0\.2\.1 ip4:192\.0\.2\.2|comma`},
	{"v=spf1 ip4:192.0.2.1 192.0.2.2 -all", `ip4:192\.0\.2\.2`},
	{"v=spf1 ip4:192.0.2.1;192.0.2.2 -all", `ip4:192\.0\.2\.2|;`},
	{"v=spf1include:_spf.google.com -all", `v=spf1 include|space`},
	{"v=spf1 include:_spf.google.com-all", `space|include:_spf\.google\.com -all`},
	{"v=spf1 include:_spf.google.com~all", `include:_spf\.google\.com ~all|space`},
	{"v=spf1 ip4:192.0.2.1-all", `ip4:192\.0\.2\.1 -all|space`},
	{"v=spf1 mx a-all", `a -all|space`},
	{"v=spf1 include: _spf.google.com -all", `include:_spf\.google\.com|space`},
	{"v=spf1 ip4: 192.0.2.1 -all", `ip4:192\.0\.2\.1`},
	{"v=spf1 include :_spf.google.com -all", `include:_spf\.google\.com|space`},
	{"v=spf1 include _spf.google.com -all", `include:_spf\.google\.com`},
	{"v=spf1 ip4 192.0.2.1 -all", `ip4:192\.0\.2\.1`},
	{"v=spf1 include;_spf.google.com -all", `include:_spf\.google\.com`},
	{"v=spf1 include._spf.google.com -all", `include:_spf\.google\.com`},
	{"v=spf1 inculde:_spf.google.com -all", `include:`},
	{"v=spf1 incude:_spf.google.com -all", `include:`},
	{"v=spf1 inlcude:_spf.google.com -all", `include:`},
	{"v=spf1 includes:_spf.google.com -all", `include:`},
	{"v=spf1 inclue:_spf.google.com -all", `include:`},
	{"v=spf1 nclude:spf.ssmx.net ~all", `include:`},
	{"v=spf1 incluir:_spf.google.com -all", `include:`},
	{"v=spf1 include=_spf.google.com -all", `include:_spf`},
	{"v=spf1 redirect:_spf.google.com", `redirect=`},
	{"v=spf1 ipv4:192.0.2.1 -all", `ip4:`},
	{"v=spf1 ipv6:2001:db8::1 -all", `ip6:`},
	{"v=spf1 ip:192.0.2.1 -all", `ip4:`},
	{"v=spf1 i4:192.0.2.1 -all", `ip4:`},
	{"v=spf1 ip4=192.0.2.1 -all", `ip4:192\.0\.2\.1`},
	{"v=spf1 ip4.192.0.2.1 -all", `ip4:192\.0\.2\.1`},
	{"v=spf1 1p4:192.0.2.1 -all", `ip4:`},
	{"v=spf1 lp4:192.0.2.1 -all", `ip4:`},
	{"v=spf1 ip4:192.0.2.256 -all", `IPv4`},
	{"v=spf1 ip4:192.0.2 -all", `IPv4|octet|four`},
	{"v=spf1 ip4:192.0.2.1.5 -all", `IPv4|octet`},
	{"v=spf1 ip4:192.0.2.0/255.255.255.0 -all", `/24`},
	{"v=spf1 ip4:192.0.2.1-192.0.2.9 -all", `range|network`},
	{"v=spf1 ip4:192.0.2.* -all", `192\.0\.2\.0/24|network`},
	{"v=spf1 ip4:192.0.2.0/33 -all", `prefix|32`},
	{"v=spf1 ip4:192.0.2.0\\24 -all", `192\.0\.2\.0/24|slash|backslash|IPv4`},
	{"v=spf1 ip4:192.0.2.0/ 24 -all", `192\.0\.2\.0/24|prefix`},
	{"v=spf1 ip4:mail.example.com -all", `a:mail\.example\.com`},
	{"v=spf1 ip6:192.0.2.1 -all", `ip4:192\.0\.2\.1`},
	{"v=spf1 ip4:2001:db8::1 -all", `ip6:2001`},
	{"v=spf1 ip6:[2001:db8::1] -all", `ip6:2001:db8::1|bracket`},
	{"v=spf1 ip6:2001:db8::/129 -all", `128|prefix`},
	{"v=spf1 ip6:2001:db8:1 -all", `IPv6`},
	{"v=spf1 a:192.0.2.1 -all", `ip4:192\.0\.2\.1`},
	{"v=spf1 mx:192.0.2.1 -all", `ip4:192\.0\.2\.1`},
	{"v=spf1 include:192.0.2.1 -all", `ip4:192\.0\.2\.1`},
	{"v=spf1 include:ip4:192.0.2.1 -all", `ip4:192\.0\.2\.1`},
	{"v=spf1 a:mail -all", `single label|whole domain`},
	{"v=spf1 mail.example.com -all", `a:mail\.example\.com`},
	{"v=spf1 192.0.2.1 -all", `ip4:192\.0\.2\.1`},
	{"v=spf1 2001:db8::1 -all", `ip6:2001:db8::1`},
	{"v=spf1 _spf.google.com -all", `include:_spf\.google\.com`},
	{"v=spf1 include:https://_spf.google.com -all", `include:_spf\.google\.com|http`},
	{"v=spf1 include:postmaster@example.com -all", `include:example\.com|@|domain`},
	{"v=spf1 include:_spf.google.com/24 -all", `prefix|/24|no network`},
	{"v=spf1 include:<yourdomain.com> -all", `placeholder|<|template`},
	{"v=spf1 ip4:YOUR_SERVER_IP -all", `placeholder|IPv4`},
	{"v=spf1 ip4:x.x.x.x -all", `placeholder|IPv4`},
	{"v=spf1 mx a ip4:192.0.2.1 include:[domain] ~all", `placeholder|\[`},
	{"v=spf1 mx - all", `-all`},
	{"v=spf1 mx ~ all", `~all`},
	{"v=spf1 mx \u2013all", `dash`},
	{"v=spf1 mx \u2212all", `dash`},
	{"v=spf1 mx \u2014all", `dash`},
	{"v=spf1 mx --all", `-all`},
	{"v=spf1 mx -~all", `all`},
	{"v=spf1 mx all-", `-all`},
	{"v=spf1 mx -al", `-all`},
	{"v=spf1 mx -alll", `-all`},
	{"v=spf1 mx ~ALL.", `~all|dot`},
	{"v=spf1 mx -all;", `;|semicolon`},
	{"v=spf1 mx -all.", `-all|dot`},
	{"v=spf1 mx all", `\+all|everyone|anyone|whole`},
	{"v=spf1 mx +all", `everyone|anyone|whole|every`},
	{"v=spf1 mx", `all`},
	{"v=spf1 mx -all include:_spf.google.com", `after|never|behind|right of`},
	{"v=spf1 mx -all ~all", `after|never|second|behind|twice|right of`},
	{"v=spf1 redirect=_spf.google.com ~all", `redirect`},
	{"v=spf1 mx v=spf1 include:_spf.google.com -all", `version`},
	{"v=spf1 \"include:_spf.google.com\" -all", `quot`},
	{"\u201cv=spf1 include:_spf.google.com -all\u201d", `quot`},
	{"'v=spf1 mx -all'", `quot`},
	{"v=spf1\u00a0mx\u00a0-all", `space`},
	{"v=spf1 mx\u200b -all", `invisible|zero|U\+200B|character`},
	{"v=spf1\tmx\t-all", `tab|space|control`},
	{"v=spf mx -all", `v=spf1`},
	{"spf1 mx -all", `v=spf1`},
	{"v=spf2 mx -all", `v=spf1`},
	{"v= spf1 mx -all", `v=spf1`},
	{"v:spf1 mx -all", `v=spf1`},
	{"V=SPF1 MX -ALL", ``},
	{"spf2.0/pra mx -all", `v=spf1|Sender ID|spf2`},
	{"example.com. IN TXT \"v=spf1 mx -all\"", `v=spf1|quot|zone`},
	{"v=spf1 ptr -all", `ptr`},
	{"v=spf1 ip4:0.0.0.0/0 -all", `great part|every`},
	{"v=spf1 ip4:10.0.0.5 -all", `private`},
	{"v=spf1 ip4:192.0.2.1 ip4:192.0.2.1 -all", `twice|duplicate|again|already`},
	{"v=spf1 exists:%{z}.example.com -all", `macro`},
	{"v=spf1 exists -all", `domain`},
	{"v=spf1 include: -all", `domain`},
	{"v=spf1 -include:_spf.google.com -all", ``},
	{"v=spf1 include:%d.example.com -all", `%`},
	{"v=spf1 mx;a;ip4:192.0.2.1;-all", `;|semicolon`},
	{"v=spf1|mx|-all", `\||v=spf1`},
	{"v=spf1 mx +-all", `-all`},
	{"v=spf1 mx ~all exp:_e.example.com", `exp=`},
	{"v=spf1 mx-all", `mx -all|space`},
	{"v=spf1 a mx ip4:192.0.2.1/24,/25 -all", `prefix|comma`},
	{"v=spf1 ip4:192.0.2.1/24 -all", ``},
	{"v=spf1 spf.protection.outlook.com -all", `include:spf`},
	{"v=spf1 a: mx: -all", `domain`},
	{"v=spf1 a:example.com. -all", ``},
	{"v=spf1 mx:mail.example.com,mail2.example.com -all", `comma|mx:mail2`},
	{
		"v=spf1 include:spf.protection.outlook.com include:spf.protection.outlook.com -all",
		`twice|duplicate|again|already`,
	},
}

// Lint names the fault and the cure of broken records, without the DNS.
func TestLintBrokenRecords(t *testing.T) {
	t.Parallel()
	for _, b := range brokenRecords {
		var said strings.Builder
		errors := 0
		for _, f := range spfguard.LintText(b.record, "") {
			fmt.Fprintf(&said, "%s %s: %s => %s\n", f.Severity, f.Rule, f.Message, f.Remedy)
			if f.Severity == spfguard.Error {
				errors++
			}
		}
		switch {
		case b.says == "" && errors > 0:
			t.Errorf("%q: got a false alarm:\n%s", b.record, &said)
		case !regexp.MustCompile("(?i)" + b.says).MatchString(said.String()):
			t.Errorf("%q: got\n%swant %s", b.record, &said, b.says)
		}
	}
}
