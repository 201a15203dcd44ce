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
func guessNetwork(qualifier string, kind Kind, arg, why string) guess {
	arg = strings.Trim(arg, "[]()")
	if from, to, ok := strings.Cut(arg, "-"); ok {
		if nets := rangeNetworks(from, to); nets != nil {
			return guess{"ip.range", "a range of addresses is no network", "", networkTerms(qualifier, nets)}
		}
	}
	if net, ok := network(arg); ok {
		return guess{"ip.family", fmt.Sprintf("%s: with this address is not valid", kind), "", []string{qualifier + net}}
	}
	if host, mask, ok := strings.Cut(arg, "/"); ok {
		if m, err := netip.ParseAddr(mask); err == nil && m.Is4() {
			if net, ok := network(host + "/" + strconv.Itoa(maskBits(m))); ok && maskBits(m) >= 0 {
				return guess{"ip.netmask", "a prefix length is wanted, not a netmask", "", []string{qualifier + net}}
			}
		}
		if n, err := strconv.Atoi(mask); err == nil && strconv.Itoa(n) != mask {
			if net, ok := network(plainOctets(host) + "/" + strconv.Itoa(n)); ok {
				return guess{"cidr", why, "", []string{qualifier + net}}
			}
		}
		if _, ok := network(host); ok {
			return guess{"cidr", why, "write a prefix length that the address has, or none for the address alone", nil}
		}
	}
	if m := port4.FindStringSubmatch(arg); m != nil {
		if net, ok := network(m[1]); ok {
			return guess{"ip.port", "an address in SPF has no port", "", []string{qualifier + net}}
		}
	}
	if m := wildcard4.FindStringSubmatch(arg); m != nil {
		octets := strings.Count(m[1], ".") + 1
		if net, ok := network(m[1] + strings.Repeat(".0", 4-octets) + "/" + strconv.Itoa(8*octets)); ok {
			return guess{"ip.wildcard", "a network is written with a prefix length, not with wildcards", "", []string{qualifier + net}}
		}
	}
	if short4.MatchString(arg) {
		return guess{"ip.short", "parts of the address are missing", "write all four numbers, with a prefix length for a network", nil}
	}
	if net, ok := network(plainOctets(arg)); ok {
		return guess{"ip.zeros", "the numbers of an address have no leading zeros", "", []string{qualifier + net}}
	}
	return guess{"ip.syntax", why, "write " + example(kind), nil}
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
