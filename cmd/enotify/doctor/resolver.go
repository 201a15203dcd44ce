package doctor

import (
	"context"
	"fmt"
	"net"
	"strings"
	"time"

	mdns "github.com/miekg/dns"

	"enotify/cmd/enotify/figures"
)

const (
	slowDNS = 500 * time.Millisecond // an answer that a server has in its cache takes a few
	longTTL = 7 * 24 * time.Hour     // RFC 8767 §4 caps TTLs there
)

// resolver looks at the DNS server that all else depends on.
func (p *patient) resolver(ctx context.Context) []Finding {
	found := p.server53(ctx, "dns", p.Resolver, false)
	if p.DNSSECResolver != "" {
		found = append(found, p.server53(ctx, "dns.dnssec", p.DNSSECResolver, true)...)
	}
	return found
}

// server53 asks a DNS server for the name servers of the root, which it always
// knows and which are signed, and for a name that cannot exist (RFC 6761 §6.4).
func (p *patient) server53(ctx context.Context, id, server string, mustValidate bool) []Finding {
	f := Finding{ID: id}
	at, err := nameServer(server)
	if err != nil {
		return []Finding{f.worse(Problem, fmt.Sprintf("No DNS server is known: %v.", err),
			"enotify doctor --resolver HOST:PORT")}
	}
	root, took, err := ask(ctx, at, ".", mdns.TypeNS)
	if err != nil {
		return []Finding{f.worse(Problem, fmt.Sprintf("The DNS server %s does not answer: %v.", at, err),
			"start it, or name another: --resolver HOST:PORT")}
	}
	var found []Finding
	ttl := least(root)
	switch {
	case root.Rcode != mdns.RcodeSuccess:
		found = append(found, f.worse(Warning,
			fmt.Sprintf("The DNS server %s answers %s when it is asked for the root: it may serve a private DNS alone.",
				at, mdns.RcodeToString[root.Rcode])))
	case took > slowDNS:
		found = append(found, f.worse(Warning,
			fmt.Sprintf("The DNS server %s took %d ms for what it should know by heart.", at, took.Milliseconds()),
			"run one on this host, such as unbound"))
	case len(root.Answer) > 0 && ttl == 0, ttl > longTTL:
		found = append(found, f.worse(Warning,
			fmt.Sprintf("The DNS server %s says that answers hold for %d s: it changes the times of others.", at,
				int(ttl.Seconds())), "take a server that keeps TTLs, such as unbound"))
	default:
		found = append(found, f.worse(Fine,
			fmt.Sprintf("The DNS server %s answers in %d ms.", at, took.Milliseconds())))
	}
	found = append(found, honest(ctx, id, at))
	secure := Finding{ID: id + ".validates"}
	switch {
	case root.AuthenticatedData && mustValidate:
		return append(found, secure.worse(Fine, fmt.Sprintf("The DNS server %s validates DNSSEC.", at)))
	case mustValidate:
		return append(found, secure.worse(Warning,
			fmt.Sprintf("The DNS server %s of --dnssec-resolver does not validate DNSSEC: no TLSA record is obeyed.",
				at), "let it validate (unbound does), or leave --dnssec-resolver out"))
	case root.AuthenticatedData && p.DNSSECResolver == "":
		return append(found, secure.worse(Note,
			fmt.Sprintf("The DNS server %s validates DNSSEC. If nobody can change its answers on the way here, DANE works with it.", at), "enotify run --dnssec-resolver "+at))
	}
	return found
}

// honest asks for a name that cannot exist: some servers lead mistyped names to a
// page of their own, and would make every domain look alive.
func honest(ctx context.Context, id, at string) Finding {
	f := Finding{ID: id + ".honest"}
	answer, _, err := ask(ctx, at, "enotify-doctor.invalid.", mdns.TypeA)
	switch {
	case err != nil:
		return f.worse(Warning, fmt.Sprintf("The DNS server %s answers some questions and not others: %v.", at, err))
	case answer.Rcode != mdns.RcodeNameError:
		return f.worse(Problem, fmt.Sprintf("The DNS server %s answers for a name that cannot exist, instead of saying that it does not exist: SPF checks and the look-up of receivers go wrong.", at), "take another server: --resolver HOST:PORT")
	}
	return f.worse(Fine, fmt.Sprintf("The DNS server %s says so when a name does not exist.", at))
}

// ask puts one question, by TCP where the answer does not fit a datagram.
func ask(ctx context.Context, at, name string, kind uint16) (answer *mdns.Msg, took time.Duration, err error) {
	q := new(mdns.Msg)
	q.SetQuestion(name, kind)
	q.SetEdns0(1232, true)
	q.AuthenticatedData = true
	for _, network := range []string{"udp", "udp", "tcp"} { // a datagram may be lost
		c := &mdns.Client{Net: network, Timeout: dialTimeout / 3}
		if answer, took, err = c.ExchangeContext(ctx, q, at); err == nil && !answer.Truncated {
			return answer, took, nil
		}
	}
	if err != nil {
		return nil, took, fmt.Errorf("no answer within %s", figures.Span(dialTimeout))
	}
	return answer, took, nil
}

// least is the shortest time that the records of an answer hold.
func least(m *mdns.Msg) time.Duration {
	var ttl uint32
	for i, rr := range m.Answer {
		if i == 0 || rr.Header().Ttl < ttl {
			ttl = rr.Header().Ttl
		}
	}
	return time.Duration(ttl) * time.Second
}

// nameServer is HOST:PORT of a DNS server; "" is the first of the system's.
func nameServer(server string) (string, error) {
	if server == "" {
		conf, err := mdns.ClientConfigFromFile("/etc/resolv.conf")
		if err != nil || len(conf.Servers) == 0 {
			return "", fmt.Errorf("/etc/resolv.conf names none")
		}
		return net.JoinHostPort(conf.Servers[0], conf.Port), nil
	}
	if _, _, err := net.SplitHostPort(server); err != nil {
		return net.JoinHostPort(strings.Trim(server, "[]"), "53"), nil
	}
	return server, nil
}
