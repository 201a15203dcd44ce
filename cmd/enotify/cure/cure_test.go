package cure_test

import (
	"crypto"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"crypto/x509"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"enotify/cmd/enotify/cure"
	"enotify/spfguard"
	"enotify/spfguard/dns"
	"enotify/spfguard/dns/dnstest"
)

var egress = []netip.Addr{netip.MustParseAddr("192.0.2.10"), netip.MustParseAddr("2001:db8::10")}

// A provider is a DNS provider that speaks Domain Connect, on loopback.
type provider struct {
	testing.TB
	*httptest.Server
	dns       *dnstest.Server
	zone      string // without SPF and _domainconnect
	spf       string
	connector *cure.Connector
	templates bool // it has ours
	settings  func(http.ResponseWriter)
}

func newProvider(t testing.TB, spf string) *provider {
	t.Helper()
	p := &provider{TB: t, spf: spf, templates: true}
	mux := http.NewServeMux()
	mux.HandleFunc("GET /dc/v2/town.example/settings", func(w http.ResponseWriter, _ *http.Request) {
		if p.settings != nil {
			p.settings(w)
			return
		}
		fmt.Fprintf(w, `{"providerId": "dns.example", "providerName": "Example DNS", "urlSyncUX": "%s/ux", "urlAPI": "%[1]s/api"}`, p.URL)
	})
	mux.HandleFunc("GET /api/v2/domainTemplates/providers/host.example/services/notifications",
		func(w http.ResponseWriter, _ *http.Request) {
			if !p.templates {
				w.WriteHeader(http.StatusNotFound)
			}
		})
	mux.HandleFunc("GET /ux/v2/domainTemplates/providers/host.example/services/notifications/apply", p.apply)
	p.Server = httptest.NewTLSServer(mux)
	t.Cleanup(p.Close)
	key, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		t.Fatal(err)
	}
	roots := x509.NewCertPool()
	roots.AddCert(p.Certificate())
	p.connector = &cure.Connector{Provider: "host.example", Service: "notifications", Key: key, KeyHost: "_dck1",
		Roots: roots, Allow: []netip.Prefix{netip.MustParsePrefix("127.0.0.0/8")}}
	p.dns = dnstest.New(t, p.text())
	return p
}

func (p *provider) text() string {
	text := p.zone + fmt.Sprintf("_domainconnect.town.example. TXT %q\n", strings.TrimPrefix(p.URL, "https://")+"/dc")
	if p.spf != "" {
		text += fmt.Sprintf("town.example. TXT %q\n", p.spf)
	}
	return text
}

// apply is the click of the client: the provider verifies the signature and merges.
func (p *provider) apply(_ http.ResponseWriter, r *http.Request) {
	signed, rest, ok := strings.Cut(r.URL.RawQuery, "&sig=")
	sig, err := base64.StdEncoding.DecodeString(r.URL.Query().Get("sig"))
	sum := sha256.Sum256([]byte(signed))
	if err != nil || !ok || !strings.HasSuffix(rest, "&key=_dck1") ||
		rsa.VerifyPKCS1v15(&p.connector.Key.PublicKey, crypto.SHA256, sum[:], sig) != nil {
		p.Errorf("the link is not signed: %s", r.URL.RawQuery)
		return
	}
	q := r.URL.Query()
	if q.Get("domain") != "town.example" {
		p.Errorf("domain: got %q", q.Get("domain"))
	}
	groups := "," + q.Get("groupId") + ","
	if strings.Contains(groups, ",spf,") {
		end := " ~all"
		if p.spf != "" {
			end = strings.TrimPrefix(p.spf, "v=spf1")
		}
		p.spf = "v=spf1 " + q.Get("spfrules") + end
	}
	if strings.Contains(groups, ",dmarc,") {
		p.zone += fmt.Sprintf("_dmarc.town.example. TXT %q\n", q.Get("dmarc"))
	}
	if strings.Contains(groups, ",dkim,") {
		p.zone += fmt.Sprintf("%s.town.example. TXT %q\n", q.Get("dkimhost"), q.Get("dkim"))
	}
	if strings.Contains(groups, ",bounce,") {
		p.zone += fmt.Sprintf("%s.town.example. MX 10 %s.\n", q.Get("bouncehost"), q.Get("bouncemx"))
	}
	p.replace(p.text())
}

func (p *provider) resolver() *dns.Resolver { return &dns.Resolver{Server: p.dns.Addr} }

var lines = []string{
	`town.example. IN TXT "v=spf1 ip4:198.51.100.7 ip4:192.0.2.10 ip6:2001:db8::10 -all"`,
	`s1._domainkey.town.example. IN TXT "v=DKIM1; k=ed25519; p=11qYAYKxCrfVS/7TyWQHOg7hcvPapiMlrwIaaPcHURo="`,
	`_dmarc.town.example. IN TXT "v=DMARC1; p=none; rua=mailto:postmaster@town.example"`,
	`bounce.town.example. IN MX 10 mail.host.example.`,
}

func (p *provider) plan() cure.Plan {
	p.Helper()
	plan, err := cure.NewPlan(p.Context(), p.resolver(), "town.example", egress, lines)
	if err != nil {
		p.Fatal(err)
	}
	return plan
}

// One click at the provider, and every address of ours passes, and so does whoever passed
// before.
func TestOneClick(t *testing.T) {
	t.Parallel()
	p := newProvider(t, "v=spf1 ip4:198.51.100.7 -all")
	link, err := p.connector.Link(t.Context(), p.resolver(), p.plan())
	if err != nil {
		t.Fatal(err)
	}
	if want := "v=spf1 ip4:192.0.2.10 ip6:2001:db8::10 ip4:198.51.100.7 -all"; link.SPF != want || link.Others != 0 ||
		link.Provider != "Example DNS" {
		t.Errorf("got %+v, want it to leave %s", link, want)
	}
	answer, err := p.Client().Get(link.URL)
	if err != nil {
		t.Fatal(err)
	}
	answer.Body.Close()
	if answer.StatusCode != http.StatusOK {
		t.Errorf("the page of the provider: got %d for %s", answer.StatusCode, link.URL)
	}
	checker := &spfguard.Checker{Resolver: p.resolver()}
	for _, ip := range append(egress, netip.MustParseAddr("198.51.100.7")) {
		if v := checker.Verdict(t.Context(),
			spfguard.Query{IP: ip, Sender: "info@town.example"}); v.Result != spfguard.Pass {
			t.Errorf("after the click: %s is %s under %s, want pass", ip, v.Result, v.Record)
		}
	}
	for name, want := range map[string]string{"s1._domainkey.town.example": "v=DKIM1;",
		"_dmarc.town.example": "v=DMARC1;"} {
		if got, err := p.resolver().TXT(t.Context(), name); err != nil || len(got.Records) != 1 ||
			!strings.HasPrefix(got.Records[0], want) {
			t.Errorf("%s: got %v, %v", name, got.Records, err)
		}
	}
}

// Where the click would not do, there is no link, and the reason is named.
func TestNoLink(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		spf  string
		set  func(p *provider)
		want string
	}{
		"a record that stays broken": {"v=spf1 include:gone.example -all", nil, "the record that it would leave"},
		"no template there": {"v=spf1 -all", func(p *provider) { p.templates = false },
			"has not registered the template host.example/notifications"},
		"settings without end": {"v=spf1 -all", func(p *provider) {
			p.settings = func(w http.ResponseWriter) { _, _ = w.Write(make([]byte, 1<<20)) }
		}, "answers too much"},
		"a page that is not https": {"v=spf1 -all", func(p *provider) {
			p.settings = func(w http.ResponseWriter) {
				fmt.Fprint(w, `{"urlSyncUX": "javascript:alert(1)", "urlAPI": "https://x"}`)
			}
		}, "it has no page for it"},
		"our own network": {"v=spf1 -all", func(p *provider) { p.connector.Allow = nil }, "127.0.0.1 is"},
		"no Domain Connect": {"v=spf1 -all", func(p *provider) { p.replace(`town.example. TXT "v=spf1 -all"`) },
			cure.ErrNoConnect.Error()},
		"a stranger's record": {"v=spf1 -all",
			func(p *provider) { p.replace(`_domainconnect.town.example. TXT "user@x/?y"`) }, "names no host"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			p := newProvider(t, c.spf)
			if c.set != nil {
				c.set(p)
			}
			link, err := p.connector.Link(t.Context(), p.resolver(), p.plan())
			if err == nil || !strings.Contains(err.Error(), c.want) {
				t.Errorf("got %+v, %v; want %q", link, err, c.want)
			}
		})
	}
}

// The forms say the same as the lines: what goes, what comes, and what stays.
func TestForms(t *testing.T) {
	t.Parallel()
	p := newProvider(t, "v=spf1 ip4:198.51.100.7 -all")
	p.zone = `town.example. TXT "site-verification=${x}"` + "\n"
	p.replace(p.text())
	plan := p.plan()
	want := `; nsupdate -k KEYFILE < this file
zone town.example
update delete town.example. TXT "v=spf1 ip4:198.51.100.7 -all"
update add town.example. 3600 TXT "v=spf1 ip4:198.51.100.7 ip4:192.0.2.10 ip6:2001:db8::10 -all"
update add s1._domainkey.town.example. 3600 TXT "v=DKIM1; k=ed25519; p=11qYAYKxCrfVS/7TyWQHOg7hcvPapiMlrwIaaPcHURo="
update add _dmarc.town.example. 3600 TXT "v=DMARC1; p=none; rua=mailto:postmaster@town.example"
update add bounce.town.example. 3600 MX 10 mail.host.example.
send
`
	if diff := cmp.Diff(want, plan.NSUpdate()); diff != "" {
		t.Errorf("nsupdate (-want +got):\n%s", diff)
	}
	for _, part := range []string{`"site-verification=$${x}",`, `resource "dns_mx_record_set" "enotify_4"`,
		`name = "_dmarc"`, `exchange   = "mail.host.example."`} {
		if !strings.Contains(plan.Terraform(), part) {
			t.Errorf("Terraform: got\n%s\nwant %s in it", plan.Terraform(), part)
		}
	}
	if !strings.Contains(plan.ZoneFile(), "; delete: town.example. IN TXT \"v=spf1 ip4:198.51.100.7 -all\"\n") {
		t.Errorf("zone file: got\n%s\nwant the old record as a comment", plan.ZoneFile())
	}
	card, err := plan.Card(&cure.Link{URL: "https://dns.example/?a=1&b=2", Provider: "<b>"}, "")
	if err != nil || !strings.Contains(string(card), `href="https://dns.example/?a=1&amp;b=2"`) ||
		strings.Contains(string(card), "<b>") {
		t.Errorf("card: got %v and\n%s", err, card)
	}
}

// The template is JSON as providers register it, and the key's record verifies what we
// sign.
func TestTemplate(t *testing.T) {
	t.Parallel()
	p := newProvider(t, "")
	text, err := p.connector.Template()
	if err != nil {
		t.Fatal(err)
	}
	var template struct {
		ProviderID, ServiceID, SyncPubKeyDomain string
		Records                                 []struct{ Type, Host, SPFRules, GroupID string }
	}
	if err := json.Unmarshal(text, &template); err != nil || template.ProviderID != "host.example" ||
		len(template.Records) != 4 || template.Records[0].Type != "SPFM" {
		t.Errorf("got %v and %+v", err, template)
	}
	record, err := p.connector.KeyRecord()
	if err != nil {
		t.Fatal(err)
	}
	_, data, _ := strings.Cut(record.Value, "d=")
	der, err := base64.StdEncoding.DecodeString(data)
	if err != nil {
		t.Fatal(err)
	}
	if key, err := x509.ParsePKIXPublicKey(der); err != nil || !p.connector.Key.PublicKey.Equal(key) ||
		record.Name != "_dck1.host.example" {
		t.Errorf("the key's record is %+v, %v; want our key", record, err)
	}
}

// replace publishes another zone.
func (p *provider) replace(zone string) {
	if err := p.dns.Replace(zone); err != nil {
		p.Error(err)
	}
}
