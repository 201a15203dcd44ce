package node_test

import (
	"context"
	"net/netip"
	"strings"
	"testing"

	"enotify/cmd/enotify/node"
	"enotify/queue/queuetest"
	"enotify/spfguard/dns/dnstest"
)

func TestMain(m *testing.M) { queuetest.Main(m) }

// Whatever a client publishes, and whatever its name servers do, the node keeps
// what it found on that client and on the next one.
func TestNodeJudgesWhateverTheDNSSays(t *testing.T) {
	t.Parallel()
	clients := map[string]struct {
		zone    string
		failing dnstest.Failure
		want    string // verdict and state of its batch
	}{
		"no-utf8.example":  {zone: `no-utf8.example. TXT "v=spf1 \255 -all"`, want: "permerror blocked"},
		"nul.example":      {zone: `nul.example. TXT "v=spf1 \000 -all"`, want: "permerror blocked"},
		"explains.example": {zone: `explains.example. TXT "v=spf1 exp=\255.\000 -all"`, want: "permerror blocked"},
		"servfail.example": {failing: dnstest.ServFail, want: "temperror queued"},
		"garbage.example":  {failing: dnstest.Garbage, want: "temperror queued"},
		"z-fine.example":   {zone: `z-fine.example. TXT "v=spf1 ip4:192.0.2.10 -all"`, want: "pass sending"},
	}
	var zone strings.Builder
	for _, c := range clients {
		zone.WriteString(c.zone + "\n")
	}
	server, err := dnstest.Start(zone.String())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(server.Close)
	server.Fail("receiver.example", dnstest.ServFail) // so that nothing is sent
	f := queuetest.NewFixture(t)
	for name, c := range clients {
		if c.failing != dnstest.OK {
			server.Fail(name, c.failing)
		}
		f.Exec(`INSERT INTO enotify.client (domain) VALUES ($1)`, name)
		f.Exec(`SELECT enotify.enqueue($1, 'info@' || $1, 's', 't', '{x@receiver.example}')`, name)
	}
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() {
		ended <- node.Run(ctx, node.Config{DatabaseURL: f.URL, Resolver: server.Addr,
			Egress: []netip.Addr{netip.MustParseAddr("192.0.2.10")}, HELO: "mail.host.example"})
	}()
	for name, c := range clients {
		result, state, _ := strings.Cut(c.want, " ")
		f.Until(func() {}, `SELECT EXISTS (SELECT FROM enotify.verdict v JOIN enotify.client c ON c.id = v.client_id JOIN enotify.batch b ON b.client_id = c.id
			WHERE c.domain = $1 AND v.result = $2 AND (b.state::text = $3 OR $3 = 'sending' AND b.started_at IS NOT NULL))`, name, result, state)
	}
	cancel()
	if err := <-ended; err != nil {
		t.Errorf("node: %v", err)
	}
}
