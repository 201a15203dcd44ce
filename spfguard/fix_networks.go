package spfguard

import (
	"net/netip"
	"slices"
)

// aggregate covers addrs exactly with as few networks as possible, IPv4 first.
func aggregate(addrs []netip.Addr) []netip.Prefix {
	addrs = slices.Clone(addrs)
	slices.SortFunc(addrs, netip.Addr.Compare)
	var nets []netip.Prefix
	for _, addr := range slices.Compact(addrs) {
		p := netip.PrefixFrom(addr, addr.BitLen())
		for len(nets) > 0 {
			wider, ok := siblings(nets[len(nets)-1], p)
			if !ok {
				break
			}
			nets, p = nets[:len(nets)-1], wider
		}
		nets = append(nets, p)
	}
	return nets
}

// siblings returns the network that a and b halve.
func siblings(a, b netip.Prefix) (netip.Prefix, bool) {
	if a.Bits() != b.Bits() || a.Bits() == 0 || a.Addr().Is4() != b.Addr().Is4() {
		return netip.Prefix{}, false
	}
	wider := netip.PrefixFrom(a.Addr(), a.Bits()-1).Masked()
	return wider, wider == netip.PrefixFrom(b.Addr(), b.Bits()-1).Masked()
}

// samples returns addresses that stand for the senders that the tree authorises:
// the first and last of each network, and what hosts resolve to.
func (n *Node) samples() []netip.Addr {
	var addrs []netip.Addr
	for i := range n.Steps {
		st := &n.Steps[i]
		if st.Term.Kind == IP4 || st.Term.Kind == IP6 {
			net := st.Term.Net.Masked()
			addrs = append(addrs, net.Addr(), lastAddr(net))
		}
		addrs = append(addrs, st.Addrs...)
		if st.Node != nil {
			addrs = append(addrs, st.Node.samples()...)
		}
	}
	return addrs
}
