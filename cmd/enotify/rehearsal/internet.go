package rehearsal

import (
	"context"
	"fmt"
	"net"
	"net/netip"
	"sync"
	"time"

	"github.com/miekg/dns"

	"enotify/sender/smtptest"
)

// An internet leads all mail to one mail host of ours, which takes everything and
// keeps nothing. Its DNS server passes questions on, and answers itself which address
// a mail host has, and that there is nothing to learn about encryption.
type internet struct {
	sink     *smtptest.Server
	port     int
	upstream string // HOST:PORT
	dns      string // HOST:PORT of ours

	servers []*dns.Server
	mu      sync.Mutex
	hosts   map[string]bool // mail hosts that were told
}

var loopback = netip.MustParseAddr("127.0.0.1")

// startInternet starts both servers. The mail host takes so long for each message.
func startInternet(upstream string, message time.Duration) (_ *internet, err error) {
	n := &internet{upstream: upstream, hosts: map[string]bool{}}
	defer func() {
		if err != nil {
			n.close()
		}
	}()
	if n.upstream == "" {
		system, err := dns.ClientConfigFromFile("/etc/resolv.conf")
		if err != nil || len(system.Servers) == 0 {
			return nil, fmt.Errorf("the system names no DNS server; give one with --resolver HOST:PORT")
		}
		n.upstream = net.JoinHostPort(system.Servers[0], system.Port)
	}
	n.sink, err = smtptest.Start(smtptest.Config{Discard: true, Hostname: "sink.invalid",
		Reply: func(c smtptest.Command) string {
			if c.Verb == "." {
				time.Sleep(message)
			}
			return ""
		}})
	if err != nil {
		return nil, err
	}
	at := netip.MustParseAddrPort(n.sink.Addr)
	n.port = int(at.Port())
	packets, streams, err := listenBoth()
	if err != nil {
		return nil, err
	}
	n.dns = packets.LocalAddr().String()
	for _, s := range []*dns.Server{{PacketConn: packets, Handler: n}, {Listener: streams, Handler: n}} {
		n.servers = append(n.servers, s)
		started := make(chan struct{})
		s.NotifyStartedFunc = func() { close(started) }
		go func() { _ = s.ActivateAndServe() }()
		<-started
	}
	return n, nil
}

func (n *internet) close() {
	for _, s := range n.servers {
		_ = s.Shutdown()
	}
	if n.sink != nil {
		n.sink.Close()
	}
}

// ServeDNS answers a question.
func (n *internet) ServeDNS(w dns.ResponseWriter, q *dns.Msg) {
	a := n.answer(q)
	a.Id, a.AuthenticatedData = q.Id, false // it is not what the zone says
	_ = w.WriteMsg(a)
}

func (n *internet) answer(q *dns.Msg) *dns.Msg {
	own := new(dns.Msg).SetReply(q)
	own.RecursionAvailable = true
	if len(q.Question) != 1 {
		own.Rcode = dns.RcodeFormatError
		return own
	}
	question := q.Question[0]
	name := dns.CanonicalName(question.Name)
	switch question.Qtype {
	case dns.TypeTLSA:
		return own
	case dns.TypeTXT: // MTA-STS: policies are on web servers, which are not asked
		return own
	case dns.TypeA, dns.TypeAAAA:
		if !n.isHost(name) {
			break
		}
		if question.Qtype == dns.TypeA {
			own.Answer = []dns.RR{&dns.A{Hdr: dns.RR_Header{Name: question.Name, Rrtype: dns.TypeA,
				Class: dns.ClassINET, Ttl: 300}, A: loopback.AsSlice()}}
		}
		return own
	}
	a, err := n.ask(q)
	if err != nil {
		own.Rcode = dns.RcodeServerFailure
		return own
	}
	if question.Qtype == dns.TypeMX && a.Rcode == dns.RcodeSuccess {
		n.learn(name, a)
	}
	return a
}

// ask passes a question on.
func (n *internet) ask(q *dns.Msg) (*dns.Msg, error) {
	for _, network := range []string{"udp", "tcp"} {
		ctx, cancel := context.WithTimeout(context.Background(), 5*time.Second)
		a, _, err := (&dns.Client{Net: network, UDPSize: 4096}).ExchangeContext(ctx, q.Copy(), n.upstream)
		cancel()
		if err != nil || !a.Truncated {
			return a, err
		}
	}
	return nil, fmt.Errorf("no whole answer of %s", n.upstream)
}

// learn notes the mail hosts of a domain: without any, the domain itself (RFC 5321
// §5.1).
func (n *internet) learn(domain string, a *dns.Msg) {
	n.mu.Lock()
	defer n.mu.Unlock()
	none := true
	for _, rr := range a.Answer {
		if mx, ok := rr.(*dns.MX); ok {
			n.hosts[dns.CanonicalName(mx.Mx)] = true
			none = false
		}
	}
	if none {
		n.hosts[domain] = true
	}
}

func (n *internet) isHost(name string) bool {
	n.mu.Lock()
	defer n.mu.Unlock()
	return n.hosts[name]
}

// listenBoth listens on one port of loopback for UDP and TCP. What is free for the one
// may be in use for the other.
func listenBoth() (packets net.PacketConn, streams net.Listener, err error) {
	for range 20 {
		if packets, err = net.ListenPacket("udp", "127.0.0.1:0"); err != nil {
			return nil, nil, err
		}
		if streams, err = net.Listen("tcp", packets.LocalAddr().String()); err == nil {
			return packets, streams, nil
		}
		packets.Close()
	}
	return nil, nil, err
}
