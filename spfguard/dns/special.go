package dns

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
	{netip.MustParsePrefix("64:ff9b:1::/48"), "an address of a translator in our own network (RFC 8215)"},
}

// NotPublic says why an address is none of the public internet, as in "a
// private address (RFC 1918)". It is "" for a public address. An IPv6 address
// that stands for an IPv4 address is what that is.
func NotPublic(ip netip.Addr) string {
	ip = embedded(ip.Unmap().WithZone(""))
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

// embedded is the IPv4 address that an IPv6 address stands for, at a gateway
// or a tunnel; other addresses stay as they are.
func embedded(ip netip.Addr) netip.Addr {
	if !ip.Is6() || ip.IsLoopback() || ip.IsUnspecified() {
		return ip
	}
	b := ip.As16()
	for _, form := range []struct {
		net netip.Prefix
		at  int // where the IPv4 address begins
	}{
		{netip.MustParsePrefix("64:ff9b::/96"), 12},    // RFC 6052
		{netip.MustParsePrefix("2002::/16"), 2},        // RFC 3056
		{netip.MustParsePrefix("::ffff:0:0:0/96"), 12}, // RFC 2765 §2.1
		{netip.MustParsePrefix("::/96"), 12},           // RFC 4291 §2.5.5.1
	} {
		if form.net.Contains(ip) {
			return netip.AddrFrom4([4]byte(b[form.at : form.at+4]))
		}
	}
	return ip
}
