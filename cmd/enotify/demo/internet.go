package demo

import (
	"errors"
	"fmt"
	"net"
	"net/netip"
	"strconv"
	"strings"
	"syscall"
	"time"

	"enotify/sender/smtptest"
	"enotify/spfguard/dns/dnstest"
)

// An internet is the made-up one of the demo: its DNS and its mail hosts, all
// of them on loopback.
type internet struct {
	dns   *dnstest.Server
	hosts []*mailHost
	port  int // on which every mail host listens
}

// A mailHost takes mail for a domain and for all names below it.
type mailHost struct {
	domain string
	about  string // how it behaves
	addr   netip.Addr
	config smtptest.Config
	server *smtptest.Server // nil when nobody listens
}

// The domains of the made-up receivers. Any other domain is served by acceptsDomain.
const (
	acceptsDomain  = "accepts.example"
	limitedDomain  = "limited.example"
	busyDomain     = "busy.example"
	goneDomain     = "gone.example"
	greylistDomain = "greylist.example"
	offlineDomain  = "offline.example"
)

// limitedRate is what our operator lets limitedDomain have, in messages a second.
const limitedRate = 25

// gonePrefix begins the local parts that goneDomain does not know.
const gonePrefix = "former."

// mailHosts are the receivers; greylist is how long one of them wants a sender to wait.
func mailHosts(greylist time.Duration) []*mailHost {
	return []*mailHost{
		{domain: acceptsDomain, about: "takes everything", config: smtptest.Config{
			Extensions: []string{"PIPELINING", "8BITMIME", "SMTPUTF8", "SIZE 52428800", "ENHANCEDSTATUSCODES"},
		}},
		{domain: limitedDomain, about: fmt.Sprintf("takes everything; our operator allows it %d/s", limitedRate)},
		{domain: busyDomain, about: "slow, and answers 421 past 3 connections", config: smtptest.Config{
			MaxConnections: 3,
			Reply: func(c smtptest.Command) string {
				if c.Verb == "." {
					time.Sleep(100 * time.Millisecond)
				}
				return ""
			},
		}},
		{domain: goneDomain, about: "a third of its users are gone: 550 5.1.1", config: smtptest.Config{
			Reply: func(c smtptest.Command) string {
				if c.Verb == "RCPT" && strings.HasPrefix(c.To, gonePrefix) {
					return "550 5.1.1 <" + c.To + ">: Recipient address rejected: User unknown"
				}
				return ""
			},
		}},
		{domain: greylistDomain, about: fmt.Sprintf("greylists: 451 at first, takes it %v later", greylist),
			config: smtptest.Config{Greylist: greylist}},
		{domain: offlineDomain, about: "offline: nobody listens"},
	}
}

// zone is the made-up DNS. RFC 4592: the wildcards answer for what is not named.
func zone(hosts []*mailHost) string {
	var z strings.Builder
	for _, h := range hosts {
		fmt.Fprintf(&z, "%s. MX 10 mx.%[1]s.\n*.%[1]s. MX 10 mx.%[1]s.\nmx.%[1]s. A %s\n", h.domain, h.addr)
	}
	fmt.Fprintf(&z, "*.example. MX 10 mx.%s.\n*. MX 10 mx.%[1]s.\n", acceptsDomain)
	fmt.Fprintf(&z, "spf.hoster.example. TXT \"v=spf1 ip4:%s -all\"\n", egress)
	return z.String()
}

// startInternet starts it; what the mail hosts accept goes into the bag.
func startInternet(greylist time.Duration, bag *mailbag) (*internet, error) {
	n := &internet{hosts: mailHosts(greylist)}
	for i, h := range n.hosts {
		h.addr = netip.AddrFrom4([4]byte{127, 0, 0, byte(2 + i)})
		h.config.Hostname = "mx." + h.domain
		h.config.Received = func(m smtptest.Message) { bag.file(h.domain, m) }
	}
	var err error
	for range 20 { // somebody may have the port at one of the addresses
		if err = n.listen(); !errors.Is(err, syscall.EADDRINUSE) {
			break
		}
	}
	if err == nil {
		n.dns, err = dnstest.Start(zone(n.hosts))
	}
	if err != nil {
		n.close()
		if errors.Is(err, syscall.EADDRNOTAVAIL) {
			err = fmt.Errorf("%w: the demo needs the loopback addresses 127.0.0.2 to 127.0.0.%d; on macOS: sudo ifconfig lo0 alias 127.0.0.2 up, and so on", err, 1+len(n.hosts))
		}
		return nil, err
	}
	return n, nil
}

// listen starts the mail hosts, all on one port: senders know but one.
func (n *internet) listen() (err error) {
	n.port = 0
	for _, h := range n.hosts {
		if h.domain == offlineDomain {
			continue
		}
		h.config.Addr = net.JoinHostPort(h.addr.String(), strconv.Itoa(n.port))
		if h.server, err = smtptest.Start(h.config); err != nil {
			n.close()
			return err
		}
		n.port = int(netip.MustParseAddrPort(h.server.Addr).Port())
	}
	return nil
}

// close ends all servers that run.
func (n *internet) close() {
	for _, h := range n.hosts {
		if h.server != nil {
			h.server.Close()
		}
	}
	if n.dns != nil {
		n.dns.Close()
	}
}

// publish makes a client's domain known. Where a name exists, the wildcards
// above it no longer answer (RFC 4592 §3.3.1): each level gets its own.
func (n *internet) publish(c client) error {
	records := fmt.Sprintf("%s. TXT \"%s\"\n%[1]s. MX 10 mx.%[3]s.\n", c.domain, c.record, n.host(c.domain).domain)
	for parent := c.domain; parent != ""; _, parent, _ = strings.Cut(parent, ".") {
		records += fmt.Sprintf("*.%s. MX 10 mx.%s.\n", parent, n.host(parent).domain)
	}
	return n.dns.Put(records)
}

// host serves a recipient domain.
func (n *internet) host(domain string) *mailHost {
	for _, h := range n.hosts {
		if domain == h.domain || strings.HasSuffix(domain, "."+h.domain) {
			return h
		}
	}
	return n.hosts[0]
}
