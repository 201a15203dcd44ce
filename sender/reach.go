package sender

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"time"

	"enotify/spfguard/dns"
)

// errNotDialled stands for mail hosts at addresses that no mail is sent to.
// Anybody can publish an MX that leads into the sender's own network.
var errNotDialled = errors.New("the domain's mail host is where no mail is sent to")

// Barred says why an address of a mail host is not dialled, as in "a private address (RFC
// 1918)"; "" means that it may be. Addresses in AllowMX may always be dialled.
func (s *Sender) Barred(addr netip.Addr) string {
	addr = addr.Unmap().WithZone("")
	if s.allowed(addr) {
		return ""
	}
	why := dns.NotPublic(addr)
	if why == "" && slices.Contains(s.Own, addr) {
		why = "an address of our own"
	}
	return why
}

func (s *Sender) allowed(addr netip.Addr) bool {
	return slices.ContainsFunc(s.AllowMX, func(p netip.Prefix) bool { return p.Contains(addr) })
}

// dialable keeps the addresses of a mail host that may be dialled. The error
// wraps errNotDialled when there were some, and none is left.
func (s *Sender) dialable(host string, addrs []netip.Addr) ([]netip.Addr, error) {
	why := ""
	var left []netip.Addr
	for _, addr := range addrs {
		reason := s.Barred(addr)
		if reason == "" {
			left = append(left, addr)
		} else if why == "" {
			why = fmt.Sprintf("%s has %s, %s", host, addr, reason)
		}
	}
	if len(left) == 0 && why != "" {
		return nil, fmt.Errorf("%w: %s", errNotDialled, why)
	}
	return left, nil
}

// literalHost is a mail host that is named by its address, which RFC 5321
// §2.3.5 has no place for in an MX record, and few receivers as a domain.
func (s *Sender) literalHost(addr netip.Addr) ([]netip.Addr, error) {
	if addr = addr.Unmap(); s.Smarthost == "" && !s.allowed(addr.WithZone("")) {
		return nil, fmt.Errorf("%w: %s is an address, not a name", errNotDialled, addr)
	}
	return []netip.Addr{addr}, nil
}

// isLocalhost holds for the names that mean the host they are asked on, whatever
// the DNS says (RFC 6761 §6.3).
func isLocalhost(host string) bool {
	host = strings.ToLower(strings.TrimSuffix(host, "."))
	return host == "localhost" || strings.HasSuffix(host, ".localhost") || host == "localhost.localdomain"
}

var loopbacks = []netip.Addr{netip.AddrFrom4([4]byte{127, 0, 0, 1}), netip.IPv6Loopback()}

// reachFor is how long the addresses of a domain's hosts are looked for at most
// when nothing is to be sent yet.
const reachFor = 2 * time.Second

// NotDialled says why this node would dial no mail host of a domain; "" means that it would
// dial one, or that this is not known.
func (s *Sender) NotDialled(ctx context.Context, domain string) string {
	ctx, cancel := context.WithTimeout(ctx, reachFor)
	defer cancel()
	r, barred := s.route(ctx, domain)
	if barred == nil {
		for _, mx := range r.mxs {
			if _, barred = s.addresses(ctx, mx.Host); !errors.Is(barred, errNotDialled) {
				return ""
			}
		}
	}
	if !errors.Is(barred, errNotDialled) {
		return ""
	}
	return clean(barred.Error())
}
