package node

import (
	"net"
	"net/netip"
	"slices"

	"enotify/cmd/enotify/exit"
	"enotify/spfguard"
)

// interfaceAddrs are the addresses of this host, as far as they can be found out.
func interfaceAddrs() (own []netip.Addr) {
	found, _ := net.InterfaceAddrs()
	for _, addr := range found {
		if prefix, err := netip.ParsePrefix(addr.String()); err == nil {
			own = append(own, prefix.Addr().Unmap())
		}
	}
	return own
}

// publicAddrs are the addresses of this host that receivers can see.
func publicAddrs() ([]netip.Addr, error) {
	public := slices.DeleteFunc(interfaceAddrs(), func(ip netip.Addr) bool { return spfguard.NotPublic(ip) != "" })
	if len(public) == 0 {
		return nil, exit.Usagef("this host has no public address, and a guard that does not know what receivers see guards nothing: name the addresses with --egress IP,IP")
	}
	return public, nil
}

// Bindable are those egress addresses that this host has itself; behind NAT
// there is none, and the system chooses. A host has all of 127.0.0.0/8, though it
// lists one of them.
func Bindable(egress []netip.Addr) []netip.Addr {
	own := interfaceAddrs()
	var here []netip.Addr
	for _, ip := range egress {
		if slices.Contains(own, ip) || ip.IsLoopback() && listens(ip) {
			here = append(here, ip)
		}
	}
	return here
}

// listens reports whether this host can listen at an address.
func listens(ip netip.Addr) bool {
	l, err := net.Listen("tcp", netip.AddrPortFrom(ip, 0).String())
	if err != nil {
		return false
	}
	return l.Close() == nil
}
