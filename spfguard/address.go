package spfguard

import "net/netip"

// reserved are networks that netip.Addr has no method for and from which no
// receiver ever sees a connection. The ranges for documentation (RFC 5737, RFC
// 3849) and for benchmarks (RFC 2544) are not among them: examples and tests
// use them as public addresses.
var reserved = []struct {
	net  netip.Prefix
	what string
}{
	{netip.MustParsePrefix("0.0.0.0/8"), "an address of no host (RFC 1122)"},
	{netip.MustParsePrefix("100.64.0.0/10"), "an address behind a carrier's NAT (RFC 6598)"},
	{netip.MustParsePrefix("192.0.0.0/24"), "an address for protocols (RFC 6890)"},
	{netip.MustParsePrefix("240.0.0.0/4"), "an address of the reserved class E (RFC 1112)"},
	{netip.MustParsePrefix("100::/64"), "an address to discard (RFC 6666)"},
	{netip.MustParsePrefix("fec0::/10"), "a site-local address (RFC 3879)"},
}

// NotPublic says why no receiver on the internet can see a connection from
// ip, as in "a private address (RFC 1918)". It is "" for a public address.
func NotPublic(ip netip.Addr) string {
	ip = ip.Unmap()
	switch {
	case !ip.IsValid():
		return "no address"
	case ip.IsUnspecified():
		return "the unspecified address"
	case ip.IsLoopback():
		return "a loopback address"
	case ip.IsPrivate() && ip.Is4():
		return "a private address (RFC 1918)"
	case ip.IsPrivate():
		return "a private address (RFC 4193)"
	case ip.IsLinkLocalUnicast():
		return "a link-local address"
	case ip.IsMulticast():
		return "a multicast address"
	}
	for _, r := range reserved {
		if r.net.Contains(ip) {
			return r.what
		}
	}
	return ""
}
