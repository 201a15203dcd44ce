package node_test

import (
	"context"
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"enotify/cmd/enotify/node"
	"enotify/cmd/enotify/preflight"
	"enotify/cmd/enotify/preflight/gather"
	"enotify/queue/queuetest"
	"enotify/sender/dkim"
	"enotify/spfguard/dns/dnstest"
)

// An agreement is a client, what it publishes, and what both the guard and a
// preflight make of it. In texts, @ is the domain of the client and KEY the
// record of its DKIM key.
type agreement struct {
	zone       string
	returnPath string // domain of the envelope sender; "" is the client's
	key        bool   // its mail is signed
	lost       bool   // and the nodes do not have the key
	warn       bool   // client set --from-spf warn
	failing    string // name whose DNS server fails
	want       string // blocked, waits or sent
}

const (
	passes   = "@ TXT \"v=spf1 ip4:192.0.2.10 ip4:192.0.2.11 -all\"\n"
	half     = "@ TXT \"v=spf1 ip4:192.0.2.10 -all\"\n"
	forbids  = "@ TXT \"v=spf1 -all\"\n"
	doubts   = "@ TXT \"v=spf1 ~all\"\n"
	neutral  = "@ TXT \"v=spf1 ?all\"\n"
	broken   = "@ TXT \"v=spf1 bogus -all\"\n"
	rejects  = "_dmarc.@ TXT \"v=DMARC1; p=reject\"\n"
	strict   = "_dmarc.@ TXT \"v=DMARC1; p=reject; aspf=s\"\n"
	spams    = "_dmarc.@ TXT \"v=DMARC1; p=quarantine\"\n"
	observes = "_dmarc.@ TXT \"v=DMARC1; p=none\"\n"
	tries    = "_dmarc.@ TXT \"v=DMARC1; p=reject; t=y\"\n"
	signs    = "s1._domainkey.@ TXT \"KEY\"\n"
	other    = "s1._domainkey.@ TXT \"v=DKIM1; k=ed25519; p=AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=\"\n"
	ours     = "bounces.operator.example" // whose SPF passes
	below    = "bounce.@"
	ofBelow  = "bounce.@ TXT \"v=spf1 ip4:192.0.2.10 ip4:192.0.2.11 -all\"\n"
)

var agreements = []agreement{
	{zone: passes, want: "sent"},
	{zone: passes + rejects, want: "sent"},
	{zone: passes + strict, want: "sent"},
	{zone: passes + observes, want: "sent"},
	{zone: half, want: "blocked"},
	{zone: forbids, want: "blocked"},
	{zone: forbids + signs, key: true, want: "blocked"},
	{zone: broken, want: "blocked"},
	{zone: passes + "@ TXT \"v=spf1 ~all\"\n", want: "blocked"},
	{zone: doubts, want: "sent"},
	{zone: doubts + observes, want: "sent"},
	{zone: doubts + spams, want: "sent"},
	{zone: doubts + rejects, want: "blocked"},
	{zone: doubts + tries, want: "sent"},
	{zone: doubts + rejects + signs, key: true, want: "sent"},
	{zone: doubts + rejects, key: true, want: "blocked"},
	{zone: doubts + rejects + other, key: true, want: "blocked"},
	{zone: doubts + spams + other, key: true, want: "sent"},
	{zone: neutral, want: "sent"},
	{zone: neutral + rejects, want: "blocked"},
	{zone: "@ A 192.0.2.99\n", want: "sent"},
	{zone: "@ A 192.0.2.99\n" + rejects, want: "blocked"},
	{zone: "@ A 192.0.2.99\n" + rejects + signs, key: true, want: "sent"},
	{zone: passes + rejects, returnPath: ours, want: "blocked"},
	{zone: passes + rejects + signs, returnPath: ours, key: true, want: "sent"},
	{zone: passes + spams, returnPath: ours, want: "sent"},
	{zone: passes + observes, returnPath: ours, want: "sent"},
	{zone: passes, returnPath: ours, want: "sent"},
	{zone: forbids, returnPath: ours, want: "blocked"},
	{zone: forbids, returnPath: ours, warn: true, want: "blocked"},
	{zone: forbids + ofBelow, returnPath: below, want: "blocked"},
	{zone: forbids + ofBelow, returnPath: below, warn: true, want: "sent"},
	{zone: forbids + ofBelow + rejects, returnPath: below, warn: true, want: "sent"},
	{zone: forbids + ofBelow + strict, returnPath: below, warn: true, want: "blocked"},
	{zone: passes + ofBelow + strict, returnPath: below, want: "blocked"},
	{zone: passes + ofBelow + rejects, returnPath: below, want: "sent"},
	{zone: passes, key: true, lost: true, want: "blocked"},
	{zone: passes, failing: "@", want: "waits"},
	{zone: passes, failing: "_dmarc.@", want: "sent"},
	{zone: passes, returnPath: ours, failing: "_dmarc.@", want: "waits"},
	{zone: doubts + rejects, key: true, failing: "s1._domainkey.@", want: "waits"},
	{zone: passes + observes, key: true, failing: "s1._domainkey.@", want: "sent"},
	{zone: doubts + "_dmarc.@ TXT \"v=DMARC1; p=none; sp=reject\"\n", want: "sent"},
}

// The guard and a preflight say the same about every client.
func TestGuardAndPreflightAgree(t *testing.T) {
	t.Parallel()
	f := queuetest.NewFixture(t)
	keys := dkim.Directory{Path: t.TempDir()}
	name := func(i int) string { return fmt.Sprintf("c%02d.example", i) }
	zone := ours + ". TXT \"v=spf1 ip4:192.0.2.10 ip4:192.0.2.11 -all\"\n"
	var failing []string
	for i, c := range agreements {
		domain, selectors, record := name(i), []string{}, ""
		if c.key {
			selectors = []string{"s1"}
		}
		if c.key && !c.lost {
			key, err := keys.Generate(domain, "s1", dkim.Ed25519)
			if err != nil {
				t.Fatal(err)
			}
			record = key.Record()
		}
		full := strings.NewReplacer("@", domain+".", "KEY", record)
		zone += full.Replace(c.zone)
		if c.failing != "" {
			failing = append(failing, strings.TrimSuffix(full.Replace(c.failing), "."))
		}
		path, setting := "", "block"
		if c.returnPath != "" {
			path = "b@" + strings.TrimSuffix(full.Replace(c.returnPath), ".")
		}
		if c.warn {
			setting = "warn"
		}
		f.Exec(`INSERT INTO enotify.client (domain, return_path, dkim_selectors, from_spf) VALUES ($1, nullif($2, ''), $3, $4)`, domain, path, selectors, setting)
		f.Exec(`SELECT enotify.enqueue($1, 'info@' || $1, 's', 't', '{x@receiver.example}')`, domain)
	}
	server, err := dnstest.Start(zone)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(server.Close)
	for _, name := range append(failing, "receiver.example") { // so that nothing is sent
		server.Fail(name, dnstest.ServFail)
	}
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() {
		ended <- node.Run(ctx, node.Config{DatabaseURL: f.URL, Resolver: server.Addr, HELO: "mail.host.example",
			DKIMDir:   keys.Path,
			PublicURL: "https://u.example", BounceDomain: ours,
			Egress: []netip.Addr{netip.MustParseAddr("192.0.2.10"), netip.MustParseAddr("192.0.2.11")}})
	}()
	// The fixture has a client of its own, which is checked too.
	f.Until(func() {}, `SELECT count(DISTINCT client_id) = $1 FROM enotify.verdict v JOIN enotify.client c ON c.id = v.client_id
		WHERE c.domain LIKE 'c__.example'`, len(agreements))
	guard := make([]string, len(agreements))
	for i := range agreements {
		guard[i] = queuetest.Query[string](f, `
SELECT CASE WHEN bool_or(v.blocks) THEN 'blocked' WHEN bool_or(v.result = 'temperror') THEN 'waits' ELSE 'sent' END
    || CASE WHEN bool_or(v.blocks) = (min(b.state::text) = 'blocked') THEN '' ELSE ', but its batch is ' || min(b.state::text) END
FROM enotify.verdict v JOIN enotify.client c ON c.id = v.client_id JOIN enotify.batch b ON b.client_id = c.id
WHERE c.domain = $1 AND v.superseded_at IS NULL`, name(i))
	}
	for i, c := range agreements {
		here := gather.Sources{DB: f.DB, Resolver: server.Addr, Keys: dkim.Directory{Path: keys.Path}}
		if diff := cmp.Diff([]string{c.want, c.want}, []string{guard[i], says(t, &here, name(i))}); diff != "" {
			t.Errorf("%s (%+v), guard and preflight (-want +got):\n%s", name(i), c, diff)
		}
	}

	// on another host, which does not have the keys, a preflight goes by what the nodes say
	f.Exec(`UPDATE enotify.node SET settings = settings - 'dkim_dir'`)
	for i, c := range agreements {
		elsewhere := gather.Sources{DB: f.DB, Resolver: server.Addr}
		if got := says(t, &elsewhere, name(i)); got != c.want {
			t.Errorf("%s (%+v), preflight without the keys: got %s, want %s", name(i), c, got, c.want)
		}
		if elsewhere.PublicURL != "https://u.example" || elsewhere.BounceDomain != ours {
			t.Errorf("settings of the node: got %q and %q", elsewhere.PublicURL, elsewhere.BounceDomain)
		}
	}
	cancel()
	if err := <-ended; err != nil {
		t.Errorf("node: %v", err)
	}
}

// says is what a preflight finds that enotify does with the client's mail.
func says(t *testing.T, s *gather.Sources, client string) string {
	in, err := s.Client(t.Context(), "info@"+client)
	if err != nil {
		t.Fatal(err)
	}
	r, err := preflight.Run(t.Context(), in)
	if err != nil {
		t.Fatal(err)
	}
	got := "sent"
	for _, f := range r.Findings {
		switch {
		case f.Severity == preflight.Block && f.Enforced:
			return "blocked"
		case f.Unanswered && slices.Contains([]string{"spf.pass", "spf.from", "dmarc.align"}, f.ID):
			got = "waits"
		}
	}
	return got
}
