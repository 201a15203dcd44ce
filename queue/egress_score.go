package queue

import (
	"hash/fnv"
	"math"
	"net/netip"
)

// EgressScore is how much a group of recipient domains prefers an egress address: mail
// leaves from the address of its pool with the highest score. It is the same on all
// nodes. It goes by the group and not by the site, so that one node has the first
// address of all that it leases together; a site is always in the same group. An
// address that comes or goes moves no group between the others (weighted rendezvous
// hashing: J. Schindelhauer and G. Schomaker, "Weighted Distributed Hash Tables", SPAA
// 2005).
func EgressScore(addr netip.Addr, weight int, grp int16) float64 {
	return -float64(weight) / math.Log(draw(addr, grp))
}

// draw is a number between 0 and 1, both excluded, that an address and a group always get.
func draw(addr netip.Addr, grp int16) float64 {
	h := fnv.New64a()
	h.Write([]byte(addr.String()))
	h.Write([]byte{0, byte(grp)})
	x := h.Sum64() // spread what differs in few bits over all of them (the end of MurmurHash3, public domain)
	x = (x ^ x>>33) * 0xff51afd7ed558ccd
	x = (x ^ x>>33) * 0xc4ceb9fe1a85ec53
	x ^= x >> 33
	return (float64(x>>11) + 0.5) / (1 << 53)
}
