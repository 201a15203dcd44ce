package doctor

import (
	"bufio"
	"cmp"
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"os"
	"slices"
	"strings"
	"time"

	mdns "github.com/miekg/dns"

	"enotify/cmd/enotify/figures"
	"enotify/spfguard"
	"enotify/spfguard/dns"
)

// senders are the addresses that receivers see: as given, else those of the live
// nodes, else the public ones of this host.
func (p *patient) senders() (own []sender) {
	host, _ := os.Hostname() // "" where the system has none: then the name is asked for
	helo := cmp.Or(p.HELO, host)
	for _, addr := range p.Egress {
		own = append(own, sender{addr.Unmap(), helo})
	}
	if len(own) > 0 {
		return own
	}
	for _, n := range p.nodes {
		for _, addr := range n.Egress {
			own = append(own, sender{addr, cmp.Or(p.HELO, n.HELO)})
		}
	}
	if len(own) > 0 {
		return own
	}
	for _, addr := range hostAddrs() {
		if spfguard.NotPublic(addr) == "" {
			own = append(own, sender{addr, helo})
		}
	}
	return own
}

// hostAddrs are the addresses of this host, as far as they can be found out.
func hostAddrs() (own []netip.Addr) {
	found, _ := net.InterfaceAddrs()
	for _, addr := range found {
		if prefix, err := netip.ParsePrefix(addr.String()); err == nil {
			own = append(own, prefix.Addr().Unmap())
		}
	}
	return own
}

// egress looks at the addresses as receivers do.
func (p *patient) egress(ctx context.Context) []Finding {
	f := Finding{ID: "egress.public"}
	switch {
	case p.Smarthost != "":
		return []Finding{f.worse(Note, "Everything goes through the smarthost "+p.Smarthost+
			": receivers see its address, not ours.")}
	case len(p.own) == 0:
		return []Finding{f.worse(Problem,
			"This host has no public address, and no node is running: which address receivers see is not known.",
			"enotify doctor --egress IP --helo NAME")}
	}
	all := make(chan []Finding)
	for _, s := range p.own {
		go func() { all <- p.address(ctx, s) }()
	}
	var found []Finding
	for range p.own {
		found = append(found, <-all...)
	}
	slices.SortStableFunc(found, func(a, b Finding) int { return strings.Compare(a.Found, b.Found) })
	return found
}

// address looks at one address: public, named, confirmed, and let in by the SPF
// record of our own name, which receivers ask for the null sender of bounces
// (RFC 7208 §2.4).
func (p *patient) address(ctx context.Context, s sender) []Finding {
	f := Finding{ID: "egress.public"}
	if why := spfguard.NotPublic(s.addr); why != "" {
		if p.EgressPrivate || s.addr.IsLoopback() {
			return []Finding{f.worse(Note,
				fmt.Sprintf("%s is %s: only receivers in the same network see it.", s.addr, why))}
		}
		return []Finding{f.worse(Problem, fmt.Sprintf("%s is %s, which no receiver on the internet sees.", s.addr, why),
			"enotify run --egress PUBLIC-IP")}
	}
	here := "it is not on this host: it is another node's, or a NAT's"
	if slices.Contains(hostAddrs(), s.addr) {
		here = "this host has it"
	}
	return []Finding{f.worse(Fine, fmt.Sprintf("%s is public; %s.", s.addr, here)), p.named(ctx, s), p.ownSPF(ctx, s)}
}

// named looks at the name of an address: forward-confirmed (RFC 8601 §3), and the
// one that we give at EHLO.
func (p *patient) named(ctx context.Context, s sender) Finding {
	f := Finding{ID: "egress.name"}
	arpa, err := mdns.ReverseAddr(s.addr.String())
	if err != nil {
		return f.worse(Note, fmt.Sprintf("%s has no reverse name.", s.addr))
	}
	kind := "A"
	if s.addr.Is6() {
		kind = "AAAA"
	}
	lines := []string{arpa + " IN PTR " + mdns.Fqdn(s.helo),
		fmt.Sprintf("%s IN %s %s", mdns.Fqdn(s.helo), kind, s.addr)}
	ptr, err := p.dns.PTR(ctx, s.addr)
	switch {
	case absent(err):
		return f.worse(Problem, fmt.Sprintf("%s has no PTR record: large receivers refuse its mail. The provider of the address sets PTR records.", s.addr), lines...)
	case err != nil:
		return f.worse(Note, fmt.Sprintf("The name of %s is not known: %v.", s.addr, err))
	}
	var confirmed []string
	for _, name := range ptr.Records[:min(len(ptr.Records), 10)] {
		if slices.Contains(p.addrs(ctx, name), s.addr) {
			confirmed = append(confirmed, name)
		}
	}
	switch {
	case len(confirmed) == 0:
		return f.worse(Problem, fmt.Sprintf("%s has the name %s, which does not lead back to it.", s.addr,
			figures.Few(ptr.Records, 3)), lines...)
	case !slices.ContainsFunc(confirmed, func(name string) bool { return strings.EqualFold(name, s.helo) }):
		return f.worse(Warning, fmt.Sprintf("%s has the name %s, but we say %s at EHLO.", s.addr,
			figures.Few(confirmed, 3), s.helo), "enotify run --helo "+confirmed[0])
	}
	return f.worse(Fine, fmt.Sprintf("%s has the name %s, which leads back to it and is the one at EHLO.", s.addr,
		s.helo))
}

func (p *patient) addrs(ctx context.Context, name string) []netip.Addr {
	v4, _ := p.dns.A(ctx, name) // an answer that is missing confirms nothing
	v6, _ := p.dns.AAAA(ctx, name)
	return slices.Concat(v4.Records, v6.Records)
}

// ownSPF looks at the SPF record of our name.
func (p *patient) ownSPF(ctx context.Context, s sender) Finding {
	f := Finding{ID: "egress.spf"}
	checker := &spfguard.Checker{Resolver: p.dns}
	v := checker.Check(ctx, spfguard.Query{IP: s.addr, HELO: s.helo})
	term := "ip4:"
	if s.addr.Is6() {
		term = "ip6:"
	}
	line := fmt.Sprintf(`%s IN TXT "v=spf1 %s%s -all"`, mdns.Fqdn(s.helo), term, s.addr)
	switch v.Result {
	case spfguard.Pass:
		return f.worse(Fine, fmt.Sprintf("The SPF record of our name %s lets %s send.", s.helo, s.addr))
	case spfguard.TempError:
		return f.worse(Note, fmt.Sprintf("The SPF record of our name %s is not known: %v.", s.helo, v.Err))
	case spfguard.None:
		return f.worse(Warning, fmt.Sprintf("Our name %s has no SPF record. Receivers ask for it when mail has no envelope sender, as bounces.", s.helo), line)
	}
	return f.worse(Warning, fmt.Sprintf("The SPF record of our name %s does not let %s send (%s): %s.", s.helo, s.addr,
		v.Result, strings.TrimSuffix(v.Explain(), ".")), line)
}

func absent(err error) bool { return errors.Is(err, dns.ErrNXDomain) || errors.Is(err, dns.ErrNoData) }

// port25 dials a mail host that the operator named, from each address that this
// host has: many providers close the port until one asks.
func (p *patient) port25(ctx context.Context) (found []Finding) {
	f := Finding{ID: "egress.port25"}
	if p.Port25Host == "" {
		return []Finding{f.worse(Note, "Whether port 25 of others can be reached was not tried.",
			"enotify doctor --port25-host HOST, a mail host that is yours or that you may ask")}
	}
	at := p.Port25Host
	if _, _, err := net.SplitHostPort(at); err != nil {
		at = net.JoinHostPort(strings.Trim(at, "[]"), "25")
	}
	from := []netip.Addr{{}}
	for _, s := range p.own {
		if slices.Contains(hostAddrs(), s.addr) {
			from = append(from, s.addr)
		}
	}
	if len(from) > 1 {
		from = from[1:]
	}
	for _, addr := range from {
		whence := ""
		if addr.IsValid() {
			whence = " from " + addr.String()
		}
		greeting, err := greet(ctx, at, addr)
		switch {
		case errors.Is(err, errNoHost):
			return []Finding{f.worse(Problem, fmt.Sprintf("Whether port 25 of others can be reached is not known: %v.", err),
				"enotify doctor --port25-host HOST, a mail host that exists")}
		case err != nil:
			found = append(found, f.worse(Problem, fmt.Sprintf("%s does not answer%s: %v.", at, whence, err),
				"ask the provider of this host to open port 25, or send through one that may: enotify help smarthost"))
		case !strings.HasPrefix(greeting, "220"):
			found = append(found, f.worse(Warning, fmt.Sprintf("%s answers%s, but says %q.", at, whence, greeting)))
		default:
			found = append(found, f.worse(Fine, fmt.Sprintf("%s answers%s: %s.", at, whence, greeting)))
		}
	}
	return found
}

// smarthost dials the host that gets everything.
func (p *patient) smarthost(ctx context.Context) []Finding {
	if p.Smarthost == "" {
		return nil
	}
	f := Finding{ID: "smarthost"}
	greeting, err := greet(ctx, p.Smarthost, netip.Addr{})
	if err != nil {
		return []Finding{f.worse(Problem, fmt.Sprintf("The smarthost %s does not answer: %v.", p.Smarthost, err),
			"start it, or correct enotify run --smarthost HOST:PORT")}
	}
	return []Finding{f.worse(Fine, fmt.Sprintf("The smarthost %s answers: %s.", p.Smarthost, greeting))}
}

// errNoHost says that a name leads to no address.
var errNoHost = errors.New("the DNS knows no host")

// greet returns the first line that a mail host says. The error wraps errNoHost where the
// name of the host does not exist.
func greet(ctx context.Context, at string, from netip.Addr) (string, error) {
	d := net.Dialer{Timeout: dialTimeout}
	if from.IsValid() {
		d.LocalAddr = &net.TCPAddr{IP: from.AsSlice()}
	}
	conn, err := d.DialContext(ctx, "tcp", at)
	if err != nil {
		if unknown := (*net.DNSError)(nil); errors.As(err, &unknown) && unknown.IsNotFound {
			return "", fmt.Errorf("%w %s", errNoHost, unknown.Name)
		}
		if op := (*net.OpError)(nil); errors.As(err, &op) {
			err = op.Err
		}
		return "", err
	}
	defer conn.Close()
	if err := conn.SetDeadline(time.Now().Add(dialTimeout)); err != nil {
		return "", err
	}
	// RFC 5321 §4.5.3.1.5: a reply line has up to 512 octets
	line, err := bufio.NewReaderSize(conn, 512).ReadSlice('\n')
	if err != nil && !errors.Is(err, bufio.ErrBufferFull) {
		return "", fmt.Errorf("it says nothing within %s", figures.Span(dialTimeout))
	}
	_, _ = conn.Write([]byte("QUIT\r\n")) // a courtesy
	return strings.TrimSpace(string(line)), nil
}
