package queue

import (
	"hash/fnv"
	"math"
	"net/netip"
)

// EgressScore is how much a group of recipient domains prefers an egress address: mail
// leaves from the address of its pool with the highest score. It goes by the group and not
// by the site, so that one node has the first address of all that it leases together; a
// site is always in the same group.
func EgressScore(addr netip.Addr, weight int, grp int16) float64 {
	return Preference(string([]byte{byte(grp)}), addr.String(), weight)
}

// Preference says how much mail for a destination prefers an egress address among
// others: it leaves from the one with the highest. So all nodes choose the same address,
// addresses of a higher weight get as much more, and an address that comes or goes moves
// no destination between the others (weighted rendezvous hashing: J. Schindelhauer and G.
// Schomaker, "Weighted Distributed Hash Tables", SPAA 2005).
func Preference(destination, egress string, weight int) float64 {
	h := fnv.New64a()
	h.Write([]byte(egress))
	h.Write([]byte{0})
	h.Write([]byte(destination)) // last: the end is mixed least, and destinations differ more than addresses
	// Spread what differs in few bits over all of them (the end of MurmurHash3, public domain).
	x := h.Sum64()
	x = (x ^ x>>33) * 0xff51afd7ed558ccd
	x = (x ^ x>>33) * 0xc4ceb9fe1a85ec53
	x ^= x >> 33
	draw := (float64(x>>11) + 0.5) / (1 << 53) // between 0 and 1, both excluded
	return -float64(weight) / math.Log(draw)
}
