package node

import (
	"fmt"
	"net"
	"net/netip"

	"enotify/cmd/enotify/exit"
	"enotify/spfguard"
)

// publicAddrs are the addresses of this host that receivers can see.
func publicAddrs() ([]netip.Addr, error) {
	own, err := net.InterfaceAddrs()
	if err != nil {
		return nil, fmt.Errorf("own addresses: %w; name them with --egress", err)
	}
	var public []netip.Addr
	for _, addr := range own {
		prefix, err := netip.ParsePrefix(addr.String())
		if err != nil {
			continue
		}
		if ip := prefix.Addr().Unmap(); spfguard.NotPublic(ip) == "" {
			public = append(public, ip)
		}
	}
	if len(public) == 0 {
		return nil, exit.Usagef("this host has no public address, and a guard that does not know what receivers see guards nothing: name the addresses with --egress IP,IP")
	}
	return public, nil
}

// Bindable are those egress addresses that this host has itself; behind NAT
// there is none, and the system chooses.
func Bindable(egress []netip.Addr) []netip.Addr {
	own, err := net.InterfaceAddrs()
	if err != nil {
		return nil
	}
	var here []netip.Addr
	for _, ip := range egress {
		for _, addr := range own {
			if prefix, err := netip.ParsePrefix(addr.String()); err == nil && prefix.Addr().Unmap() == ip {
				here = append(here, ip)
			}
		}
	}
	return here
}
