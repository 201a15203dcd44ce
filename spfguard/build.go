package spfguard

import (
	"fmt"
	"net/netip"
	"slices"
	"strings"
)

// A Plan says who may send for a domain, as the wizards for SPF records ask.
type Plan struct {
	Networks []netip.Prefix // addresses and networks
	A        bool           // the domain's own addresses
	MX       bool           // its mail exchangers
	Hosts    []string       // names of other hosts
	Includes []string       // domains whose own senders may send for this one too
	PTR      bool           // any host under the domain; RFC 7208 §5.5 advises against it
	All      Result         // for everyone else: Fail, SoftFail or Neutral; "" is SoftFail
}

// Build writes the record for a plan. Networks come first, since they cost no
// lookup; what may be slow comes last. Its error says which answer is wrong.
func Build(p Plan) (string, error) {
	var terms []string
	for _, net := range p.Networks {
		if !net.IsValid() {
			return "", fmt.Errorf("a network is not valid")
		}
		terms = append(terms, networkTerm(net.Masked()))
	}
	if p.A {
		terms = append(terms, "a")
	}
	if p.MX {
		terms = append(terms, "mx")
	}
	for _, host := range p.Hosts {
		terms = append(terms, "a:"+ASCII(host))
	}
	for _, domain := range p.Includes {
		terms = append(terms, "include:"+ASCII(domain))
	}
	if p.PTR {
		terms = append(terms, "ptr")
	}
	switch p.All {
	case SoftFail, "":
		terms = append(terms, "~all")
	case Fail:
		terms = append(terms, "-all")
	case Neutral:
		terms = append(terms, "?all")
	default:
		return "", fmt.Errorf("%q is no answer to what happens to everyone else: fail, softfail or neutral", p.All)
	}
	var kept []string
	for _, text := range terms {
		t, why := parseTerm(text)
		if why == "" {
			why = odd(&t)
		}
		if why != "" {
			return "", fmt.Errorf("%s: %s", text, why)
		}
		if !slices.Contains(kept, text) {
			kept = append(kept, text)
		}
	}
	return version + " " + strings.Join(kept, " "), nil
}

// ParseNetwork reads an address or a network in CIDR notation.
func ParseNetwork(s string) (netip.Prefix, error) {
	if addr, err := netip.ParseAddr(s); err == nil && addr.Zone() == "" {
		return netip.PrefixFrom(addr.Unmap(), addr.Unmap().BitLen()), nil
	}
	p, err := netip.ParsePrefix(s)
	if err != nil {
		return netip.Prefix{}, fmt.Errorf("%q is no address or network: write 192.0.2.1 or 192.0.2.0/24", s)
	}
	return p, nil
}
