//go:build check

package cure_test

import (
	"net"
	"os/exec"
	"strings"
	"testing"

	"github.com/miekg/dns"

	"enotify/cmd/enotify/cure"
	"enotify/spfguard"
)

// The script of nsupdate, run by nsupdate, leaves a name server that takes updates with
// what the plan says.
func TestNSUpdate(t *testing.T) {
	p := newProvider(t, "v=spf1 ip4:198.51.100.7 -all")
	conn, err := net.ListenPacket("udp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	server := &dns.Server{PacketConn: conn,
		MsgAcceptFunc: func(dns.Header) dns.MsgAcceptAction { return dns.MsgAccept },
		Handler: dns.HandlerFunc(func(w dns.ResponseWriter, m *dns.Msg) {
			answer := new(dns.Msg)
			answer.SetReply(m)
			if m.Opcode == dns.OpcodeUpdate {
				for _, rr := range m.Ns {
					name := strings.TrimSuffix(rr.Header().Name, ".")
					switch {
					case rr.Header().Class == dns.ClassNONE: // RFC 2136 §2.5.4
						p.dns.Delete(name)
					case rr.Header().Rrtype == dns.TypeTXT:
						p.dns.PutTXT(name, strings.Join(rr.(*dns.TXT).Txt, ""))
					default:
						if err := p.dns.Put(rr.String()); err != nil {
							t.Error(err)
						}
					}
				}
			}
			_ = w.WriteMsg(answer)
		})}
	go func() { _ = server.ActivateAndServe() }()
	t.Cleanup(func() { _ = server.Shutdown() })
	host, port, err := net.SplitHostPort(conn.LocalAddr().String())
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.CommandContext(t.Context(), "nsupdate")
	cmd.Stdin = strings.NewReader("server " + host + " " + port + "\n" + p.plan().NSUpdate())
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("nsupdate: %v: %s", err, out)
	}
	for _, line := range lines {
		record, err := cure.Parse(line)
		if err != nil {
			t.Fatal(err)
		}
		if record.Type == "MX" {
			if got, err := p.resolver().MX(t.Context(), record.Name); err != nil || len(got.Records) != 1 {
				t.Errorf("%s: got %v, %v", record.Name, got.Records, err)
			}
			continue
		}
		if got, err := p.resolver().TXT(t.Context(), record.Name); err != nil || len(got.Records) != 1 ||
			got.Records[0] != record.Value {
			t.Errorf("%s: got %q, %v; want %q alone", record.Name, got.Records, err, record.Value)
		}
	}
	checker := &spfguard.Checker{Resolver: p.resolver()}
	if v := checker.Verdict(t.Context(),
		spfguard.Query{IP: egress[0], Sender: "info@town.example"}); v.Result != spfguard.Pass {
		t.Errorf("after the update: %s", v.Result)
	}
}
