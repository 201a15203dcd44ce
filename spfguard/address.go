package spfguard

import (
	"net/netip"

	"enotify/spfguard/dns"
)

// NotPublic says why no receiver on the internet can see a connection from ip,
// as in "a private address (RFC 1918)". It is "" for a public address.
func NotPublic(ip netip.Addr) string { return dns.NotPublic(ip) }
