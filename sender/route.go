package sender

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"net"
	"net/netip"
	"slices"
	"strings"
	"time"

	"enotify/queue"
	"enotify/spfguard/dns"
)

// A route is where mail for a domain may be handed over. It belongs to one message.
type route struct {
	site   string
	egress []queue.Egress // that the message may leave from; none: any
	domain string         // whose results of TLS are counted; "" counts none
	ttl    time.Duration  // for which it holds
	tls    TLSPolicy
	// dane is what holds for single hosts instead of tls, see protect.
	dane   map[string]*protection
	secure bool // the DNS proved that these are the hosts (DNSSEC)
	// mxs is in order of preference, hosts of equal preference in an order
	// drawn again for each route (RFC 5321 §5.1).
	mxs []dns.MX
}

// A domain may say that it takes no mail. Nobody there was asked about the
// recipient.
var (
	errNullMX   = errors.New("the domain accepts no mail (null MX)")
	errNoDomain = errors.New("the domain does not exist")
	errNoHost   = errors.New("the domain has neither MX nor address records")
)

// route finds the mail hosts of a domain by RFC 5321 §5.1. Errors other than
// errNullMX, errNoDomain, errNoHost and errNotDialled are temporary; with those
// the domain is a site of its own, so that all its messages fail at the pace of any.
func (s *Sender) route(ctx context.Context, domain string) (*route, error) {
	if s.Smarthost != "" {
		host, _, err := net.SplitHostPort(s.Smarthost)
		return &route{site: host, ttl: fixedRoute, mxs: []dns.MX{{Host: host}}}, err
	}
	if host, ok := literal(domain); ok {
		return &route{site: host, ttl: fixedRoute, mxs: []dns.MX{{Host: host}}}, nil
	}
	if err := s.unanswered.why(domain, time.Now()); err != nil {
		return &route{}, err
	}
	answer, err := s.Resolver.MX(ctx, domain)
	switch {
	case errors.Is(err, dns.ErrNXDomain):
		return &route{site: domain, ttl: answer.TTL}, errNoDomain
	case errors.Is(err, dns.ErrNoData):
		r, err := s.implicit(ctx, domain, answer.TTL)
		r.secure = answer.Secure
		return r, err
	case err != nil:
		s.unanswered.note(domain, err, time.Now())
		return &route{}, err
	}
	mxs := slices.DeleteFunc(answer.Records, func(mx dns.MX) bool { return mx.Host == "" })
	if len(mxs) == 0 {
		return &route{site: domain, ttl: answer.TTL}, errNullMX // RFC 7505 §3
	}
	r := newRoute(mxs, answer.TTL)
	r.secure = answer.Secure
	return r, nil
}

// implicit is the route to a domain without MX; the DNS was sure of that for
// ttl: its own addresses.
func (s *Sender) implicit(ctx context.Context, domain string, ttl time.Duration) (*route, error) {
	_, err := s.addresses(ctx, domain)
	switch {
	case isDenial(err):
		return &route{site: domain, ttl: ttl}, errNoHost
	case errors.Is(err, errNotDialled):
		return &route{site: domain, ttl: fixedRoute}, err
	case err != nil:
		return &route{}, err
	}
	return newRoute([]dns.MX{{Host: domain}}, ttl), nil
}

// newRoute takes mxs, which must not be empty, and may reorder it.
func newRoute(mxs []dns.MX, ttl time.Duration) *route {
	first := slices.MinFunc(mxs, func(a, b dns.MX) int {
		return cmp.Or(cmp.Compare(a.Pref, b.Pref), strings.Compare(a.Host, b.Host))
	})
	if len(mxs) > 1 {
		rand.Shuffle(len(mxs), func(i, j int) { mxs[i], mxs[j] = mxs[j], mxs[i] })
		slices.SortStableFunc(mxs, func(a, b dns.MX) int { return cmp.Compare(a.Pref, b.Pref) })
	}
	return &route{site: siteOf(first.Host), ttl: ttl, mxs: mxs[:min(len(mxs), maxMX)]}
}

// maxMX is how many mail hosts of a domain are looked at for one message, the most
// preferred ones (RFC 5321 §5.1 lets the client limit them). A domain may publish a
// thousand, and each costs look-ups.
const maxMX = 100

// literal is the address in a domain like [192.0.2.1] (RFC 5321 §4.1.3).
func literal(domain string) (host string, ok bool) {
	inner, isOpen := strings.CutPrefix(domain, "[")
	inner, isClosed := strings.CutSuffix(inner, "]")
	if !isOpen || !isClosed {
		return "", false
	}
	addr, err := netip.ParseAddr(strings.TrimPrefix(strings.ToLower(inner), "ipv6:"))
	return addr.String(), err == nil
}

// maxAddresses of one host are tried (RFC 5321 §5.1 asks for at least two).
const maxAddresses = 4

// addresses are the addresses of a host in the order in which they are tried: IPv4
// first, since big receivers ask more of a sender that comes by IPv6. An error
// that wraps neither a denial of package dns nor errNotDialled is temporary.
func (s *Sender) addresses(ctx context.Context, host string) ([]netip.Addr, error) {
	if addr, err := netip.ParseAddr(host); err == nil {
		return s.literalHost(addr)
	}
	if isLocalhost(host) && s.Smarthost == "" {
		return s.dialable(host, slices.DeleteFunc(slices.Clone(loopbacks),
			func(a netip.Addr) bool { return !s.sendsFrom(family(a)) }))
	}
	var v4, v6 dns.Answer[netip.Addr]
	err4, err6 := dns.ErrNoData, dns.ErrNoData
	if s.sendsFrom(netip.Addr.Is4) {
		v4, err4 = s.Resolver.A(ctx, host)
	}
	if s.sendsFrom(netip.Addr.Is6) {
		v6, err6 = s.Resolver.AAAA(ctx, host)
	}
	addrs := append(v4.Records, v6.Records...)
	switch {
	case len(addrs) > 0:
		if s.Smarthost == "" {
			var err error
			if addrs, err = s.dialable(host, addrs); err != nil {
				return nil, err
			}
		}
		return addrs[:min(len(addrs), maxAddresses)], nil
	case isDenial(err4):
		err4 = err6 // which may be temporary
	}
	return nil, fmt.Errorf("no address for %s: %w", host, err4)
}

// family tells addresses of one family from others.
func family(addr netip.Addr) func(netip.Addr) bool {
	if addr.Is4() {
		return netip.Addr.Is4
	}
	return netip.Addr.Is6
}

// sendsFrom reports whether we may send from addresses of the family.
func (s *Sender) sendsFrom(family func(netip.Addr) bool) bool {
	return len(s.Bind) == 0 || slices.ContainsFunc(s.Bind, family)
}

func isDenial(err error) bool {
	return errors.Is(err, dns.ErrNXDomain) || errors.Is(err, dns.ErrNoData)
}
