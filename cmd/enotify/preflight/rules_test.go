package preflight_test

import (
	"testing"
	"time"

	"enotify/cmd/enotify/judge"
	"enotify/cmd/enotify/preflight"
	"enotify/queue/insight"
	"enotify/sender/dkim"
)

// What each receiver asks, with and without it.
func TestReceiverRules(t *testing.T) {
	t.Parallel()
	dir := &dkim.Directory{Path: t.TempDir()}
	key, err := dir.Generate("town.example", "e1", dkim.Ed25519)
	if err != nil {
		t.Fatal(err)
	}
	published := `e1._domainkey.town.example. TXT "` + key.Record() + `"`
	sends := func(domain string, n int, signed bool) func(*preflight.Input) {
		return func(in *preflight.Input) {
			campaign(in)
			in.Census.Domains = []insight.DomainCount{{Domain: domain, N: n}}
			in.Census.Given, in.Census.Sendable, in.Census.Known = n, n, n
			in.Keys = []judge.Key{}
			if signed {
				in.Keys = []judge.Key{{Domain: "town.example", Selector: "e1", Public: key.Public()}}
			}
			renderBatch(t, in, "", "named@a.test")
		}
	}
	once := func(in *preflight.Input) {
		sends("gmail.com", 10, false)(in)
		since := time.Date(2026, 3, 1, 0, 0, 0, 0, time.UTC)
		in.GmailBulkSince = &since
	}
	also := func(domain, site string, n int) func(*preflight.Input) {
		return func(in *preflight.Input) {
			sends("gmail.com", 10, false)(in)
			in.SentThere = []insight.TakenThere{{Domain: domain, Site: site, N: n}}
		}
	}
	named := `10.2.0.192.in-addr.arpa. PTR 192-0-2-10.dsl.example.
192-0-2-10.dsl.example. A 192.0.2.10`
	noDMARC := `_dmarc.town.example. TXT "x"`
	for _, c := range []rowCase{
		{name: "few, SPF alone", row: "rule.google", want: pass, says: "10 recipients",
			change: sends("gmail.com", 10, false)},
		{name: "many, SPF alone", row: "rule.google", want: block, says: "a DKIM signature of the From: domain",
			change: sends("gmail.com", 5000, false)},
		{name: "few, but many once", row: "rule.google", want: block, says: "for ever", change: once},
		{name: "few, and many today", row: "rule.google", want: block,
			says: "4,990 messages of this client's other mail", change: also("googlemail.com", "google", 4990)},
		{name: "few, and not so many today", row: "rule.google", want: pass, change: also("gmail.com", "google", 4989)},
		{name: "few, and many elsewhere today", row: "rule.google", want: pass, change: also("aol.com", "yahoo", 9000)},
		{name: "many, DMARC missing", row: "rule.google", zone: noDMARC + "\n" + published, want: block,
			says: "a DMARC record", change: sends("googlemail.com", 5000, true)},
		{name: "customers of Workspace", row: "rule.google", want: "", change: sends("a.test", 5000, false)},
		{name: "few", row: "rule.microsoft", want: pass, change: sends("hotmail.com", 4999, false)},
		{name: "many, SPF alone", row: "rule.microsoft", want: block, says: "a DKIM signature",
			change: sends("hotmail.com", 5000, false)},
		{name: "many, all three", row: "rule.microsoft", zone: published, want: pass, says: "550 5.7.515",
			change: sends("hotmail.com", 5000, true)},
		{name: "many, all three", row: "rule.yahoo", zone: published, want: pass, change: sends("aol.com", 5000, true)},
		{name: "no DKIM", row: "rule.gmx", want: block, says: "postmaster.gmx.net", change: sends("web.de", 1, false)},
		{name: "DKIM", row: "rule.gmx", zone: published, want: pass, change: sends("gmx.de", 1, true)},
		{name: "a name made of the number", row: "rule.gmx", zone: published + "\n" + named, want: block,
			says: "not one that the network made", change: sends("gmx.de", 1, true)},
		{name: "a name made of the number", row: "rule.tonline", zone: named, want: block,
			change: sends("t-online.de", 1, false)},
		{name: "no DKIM", row: "rule.orange", want: block, change: sends("orange.fr", 1, false)},
		{name: "no DKIM", row: "rule.apple", want: warn, change: sends("icloud.com", 1, false)},
		{name: "aligned", row: "rule.mailru", want: pass, change: sends("mail.ru", 1, false)},
		{name: "no DKIM", row: "rule.naver", want: warn, change: sends("naver.com", 1, false)},
		{name: "DNS fails", row: "rule.orange", failing: []string{"_dmarc.town.example"}, zone: published,
			want: notChecked, says: "Nobody could say", change: sends("orange.fr", 1, true)},
	} {
		t.Run(c.row+"/"+c.name, c.run)
	}
}
