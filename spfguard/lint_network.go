package spfguard

import (
	"fmt"
	"math/bits"
	"net/netip"
	"regexp"
	"strconv"
	"strings"
)

var (
	wildcard4 = regexp.MustCompile(`^(\d{1,3}(?:\.\d{1,3}){0,2})(?:\.[*xX])+$`)
	short4    = regexp.MustCompile(`^\d{1,3}(\.\d{1,3}){1,2}$`)
	port4     = regexp.MustCompile(`^(\d{1,3}(?:\.\d{1,3}){3}):\d+$`)
)

// guessNetwork repairs the argument of ip4 or ip6.
func (x *examination) guessNetwork(qualifier string, kind Kind, arg, why string) guess {
	written := arg
	arg = strings.Trim(strings.ReplaceAll(strings.ReplaceAll(arg, `\`, "/"), "//", "/"), "[]()<>{}:=/., ")
	if strings.HasSuffix(written, "::") {
		arg += "::"
	}
	if strings.HasPrefix(written, "::") {
		arg = "::" + arg
	}
	if arg == "" {
		return doubt("ip.syntax", fmt.Sprintf("%s: needs an address or a network", kind),
			fmt.Sprintf("Which address was to stand after \"%s:\"?", kind))
	}
	if from, to, ok := strings.Cut(arg, "-"); ok {
		if nets := rangeNetworks(from, to); nets != nil {
			if _, ambiguous := network(from + "/" + to); ambiguous && strings.HasSuffix(from, ".0") {
				return doubt(
					"ip.range",
					fmt.Sprintf("%q is no network", arg),
					fmt.Sprintf("Was the range of addresses %s to %s meant, or the network %s/%s?", from, to, from,
						to),
				)
			}
			return sure("ip.range", "a range of addresses is no network", networkTerms(qualifier, nets)...)
		}
	}
	if net, ok := network(arg); ok {
		rule, message := "ip.syntax", why
		if addr, _, _ := strings.Cut(arg, "/"); strings.Contains(addr, ":") == (kind == IP4) {
			rule, message = "ip.family", fmt.Sprintf("%s: with this address is not valid", kind)
		}
		return sure(rule, message, qualifier+net)
	}
	if inner := lower(nameOf(arg)); len(inner) < len(arg) && isKnown(inner) {
		return x.guess(qualifier+arg, "").
			because("doubled", fmt.Sprintf("%s: is followed by another mechanism", kind))
	}
	if host, bits, ok := strings.Cut(arg, "/"); ok {
		return x.guessPrefix(qualifier, kind, host, bits, why)
	}
	if m := port4.FindStringSubmatch(arg); m != nil {
		if net, ok := network(m[1]); ok {
			return sure("ip.port", "an address in SPF has no port", qualifier+net)
		}
	}
	if m := wildcard4.FindStringSubmatch(arg); m != nil {
		octets := strings.Count(m[1], ".") + 1
		if net, ok := network(m[1] + strings.Repeat(".0", 4-octets) + "/" + strconv.Itoa(8*octets)); ok {
			return sure("ip.wildcard", "a network is written with a prefix length, not with wildcards", qualifier+net)
		}
	}
	if net, ok := network(plainOctets(arg)); ok {
		return sure("ip.zeros", "the numbers of an address have no leading zeros", qualifier+net)
	}
	ask := fmt.Sprintf("Which address or network was meant by %q?", arg)
	switch {
	case short4.MatchString(arg):
		return doubt("ip.short",
			fmt.Sprintf("parts of the address are missing in %q: an IPv4 address has four numbers", arg), ask)
	case placeholder.MatchString(arg):
		return doubt("placeholder", fmt.Sprintf("%q is a placeholder of a template", arg),
			fmt.Sprintf("Which address belongs in place of %q?", arg))
	case hostLike(plainHost(arg)):
		return x.guessBare(string(kind)+":"+arg, qualifier, arg, A,
			fmt.Sprintf("%s: takes an address, and %q is a name", kind, arg))
	}
	return doubt("ip.syntax", why, ask)
}

// guessPrefix repairs a network whose address or prefix length is wrong.
func (x *examination) guessPrefix(qualifier string, kind Kind, host, bits, why string) guess {
	if m, err := netip.ParseAddr(bits); err == nil && m.Is4() {
		if net, ok := network(host + "/" + strconv.Itoa(maskBits(m))); ok && maskBits(m) >= 0 {
			return sure("ip.netmask", "a prefix length is wanted, not a netmask", qualifier+net)
		}
	}
	first, again, twice := strings.Cut(bits, "/")
	if twice && (again == first || again == "") {
		bits = first
	}
	n, err := strconv.Atoi(bits)
	short := strings.Trim(host, ".")
	if octets := strings.Count(short, ".") + 1; err == nil && octets < 4 && n > 0 && n <= 8*octets {
		if net, ok := network(short + strings.Repeat(".0", 4-octets) + "/" + strconv.Itoa(n)); ok {
			return sure("ip.short", "an IPv4 network is written with all four numbers", qualifier+net)
		}
	}
	if net, ok := network(host + "::/" + bits); ok && strings.Contains(host, ":") {
		return sure("ip.short", `an IPv6 network that is not written to its end has "::" behind it`, qualifier+net)
	}
	if err == nil {
		if net, ok := network(plainOctets(host) + "/" + strconv.Itoa(n)); ok {
			return sure("cidr", why, qualifier+net)
		}
	}
	addr, bad := netip.ParseAddr(host)
	switch {
	case bad != nil && hostLike(plainHost(host)):
		return x.guessBare(string(kind)+":"+host, qualifier, host+"/"+bits, A,
			fmt.Sprintf("%s: takes an address, and %q is a name", kind, host))
	case bad != nil:
		return doubt("ip.syntax", fmt.Sprintf("%q is no IPv%s address", host, kind[2:]),
			fmt.Sprintf("Which network was meant by %q?", host+"/"+bits))
	}
	message := fmt.Sprintf("%q is no prefix length of 0 to %d", bits, addr.BitLen())
	if octets := addr.AsSlice(); octets[len(octets)-1]&1 == 1 { // an odd number begins no network
		return sure("cidr", message+", and this address is none of a network",
			qualifier+networkTerm(netip.PrefixFrom(addr, addr.BitLen())))
	}
	return doubt(
		"cidr",
		message,
		fmt.Sprintf(
			"Which network does %s begin? Its prefix length cannot be %q; without one the term names the "+
				"address alone.",
			host,
			bits,
		),
	)
}

// network reads an address or network, however it is bracketed, as an ip4 or
// ip6 term. An IPv4 address in IPv6 clothes is one of IPv4, as receivers see it.
func network(s string) (term string, ok bool) {
	s = strings.Trim(s, "[]()<>{}")
	if host, bits, cut := strings.Cut(s, "]/"); cut {
		s = host + "/" + bits
	}
	prefix, err := netip.ParsePrefix(s)
	if err != nil {
		addr, err := netip.ParseAddr(s)
		if err != nil || addr.Zone() != "" {
			return "", false
		}
		prefix = netip.PrefixFrom(addr.Unmap(), addr.Unmap().BitLen())
	} else if prefix.Addr().Is4In6() && prefix.Bits() >= 96 {
		prefix = netip.PrefixFrom(prefix.Addr().Unmap(), prefix.Bits()-96)
	}
	return networkTerm(prefix), true
}

// networkTerm writes p as a term.
func networkTerm(p netip.Prefix) string {
	t := Term{Kind: IP6, Net: p}
	if p.Addr().Is4() {
		t.Kind = IP4
	}
	return t.String()
}

// plainOctets takes leading zeros off the numbers of an IPv4 address or network.
func plainOctets(s string) string {
	octets := strings.Split(s, ".")
	for i, o := range octets {
		if trimmed := strings.TrimLeft(o, "0"); trimmed == "" || trimmed[0] == '/' {
			octets[i] = "0" + trimmed
		} else {
			octets[i] = trimmed
		}
	}
	return strings.Join(octets, ".")
}

// maskBits is the prefix length of a netmask, or -1 for what is none.
func maskBits(mask netip.Addr) int {
	octets := mask.As4()
	m := uint32(octets[0])<<24 | uint32(octets[1])<<16 | uint32(octets[2])<<8 | uint32(octets[3])
	n := bits.LeadingZeros32(^m)
	if m<<n != 0 {
		return -1
	}
	return n
}

// rangeNetworks covers the addresses from first to last exactly. last may be
// an address or only its final number.
func rangeNetworks(first, last string) []netip.Prefix {
	from, err := netip.ParseAddr(first)
	if err != nil {
		return nil
	}
	to, err := netip.ParseAddr(last)
	if err != nil && from.Is4() {
		to, err = netip.ParseAddr(first[:strings.LastIndexByte(first, '.')+1] + last)
	}
	if err != nil || to.Less(from) || from.BitLen() != to.BitLen() {
		return nil
	}
	var nets []netip.Prefix
	for len(nets) < 64 {
		n := from.BitLen()
		for n > 0 {
			wider := netip.PrefixFrom(from, n-1)
			if wider.Masked().Addr() != from || to.Less(lastAddr(wider)) {
				break
			}
			n--
		}
		p := netip.PrefixFrom(from, n)
		nets = append(nets, p)
		end := lastAddr(p)
		if end == to {
			return nets
		}
		from = end.Next()
	}
	return nil
}

// lastAddr is the highest address of p.
func lastAddr(p netip.Prefix) netip.Addr {
	octets := p.Addr().AsSlice()
	for i := p.Bits(); i < len(octets)*8; i++ {
		octets[i/8] |= 0x80 >> (i % 8)
	}
	addr, _ := netip.AddrFromSlice(octets)
	return addr
}

func networkTerms(qualifier string, nets []netip.Prefix) []string {
	terms := make([]string, len(nets))
	for i, p := range nets {
		terms[i] = qualifier + networkTerm(p)
	}
	return terms
}
