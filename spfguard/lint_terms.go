package spfguard

import (
	"fmt"
	"net/netip"
	"strings"
)

// judgeTerms finds what is valid and still not what its author wants.
func (x *examination) judgeTerms() {
	var all, redirect *meant
	seen := map[string]*meant{}
	for i := range x.terms {
		t := &x.terms[i]
		if all != nil && !t.Kind.Modifier() {
			x.report(t, Warning, "all.after", fmt.Sprintf("nothing after %q is ever evaluated", all.Text),
				"delete it, or move it before "+all.Text)
			continue
		}
		switch t.Kind {
		case All:
			all = t
			x.judgeAll(t)
		case Redirect:
			redirect = t
		case PTR:
			x.report(t, Warning, "ptr",
				"ptr is slow, unreliable and not to be used (RFC 7208 §5.5); some receivers ignore it",
				"name the hosts or networks instead")
		case Unknown:
			x.report(t, Info, "modifier.unknown", fmt.Sprintf("%q is a modifier that receivers ignore", t.Text),
				"delete it unless someone relies on it")
		}
		if first, ok := seen[strings.ToLower(t.String())]; ok && t.Kind != Unknown && t.Kind != IP4 && t.Kind != IP6 {
			s, cost := Info, ""
			if t.Kind.Queries() {
				s, cost = Warning, " and costs a lookup"
			}
			x.report(t, s, "duplicate", fmt.Sprintf("%q stands here a second time%s", first.Text, cost), "delete it")
		}
		seen[strings.ToLower(t.String())] = t
	}
	switch {
	case all != nil && redirect != nil:
		x.report(redirect, Warning, "redirect.all",
			"redirect beside all: receivers ignore it (RFC 7208 §6.1), but some that use libspf2 follow it",
			"delete one of the two")
	case all == nil && redirect == nil:
		x.add(
			Warning,
			"all.missing",
			len(x.text),
			len(x.text),
			"the record ends without all: an address that matches nothing is neutral, as if there were no record",
			`add "-all", or "~all" while not all senders are known`,
		)
	}
}

func (x *examination) judgeAll(t *meant) {
	switch t.Qualifier {
	case Pass:
		x.report(t, Error, "all.pass", "the whole world may send for this domain", `write "-all" or "~all"`)
	case Neutral:
		x.report(
			t,
			Info,
			"all.neutral",
			"an address that matches nothing is neutral, as if there were no record",
			`write "-all", or "~all" while not all senders are known`,
		)
	}
}

// judgeNetworks finds host bits, networks that are too wide, and those that
// another covers.
func (x *examination) judgeNetworks() {
	var before []*meant
	for i := range x.terms {
		t := &x.terms[i]
		if t.Kind == All {
			return
		}
		if t.Kind != IP4 && t.Kind != IP6 {
			continue
		}
		if masked := t.Net.Masked(); masked != t.Net {
			x.report(
				t,
				Info,
				"net.hostbits",
				fmt.Sprintf("%s has bits below its prefix length set: it means %s", t.Net, masked),
				fmt.Sprintf("write %q if the network is meant, %q if the address is", networkTerm(masked),
					string(t.Kind)+":"+t.Net.Addr().String()),
			)
		}
		if why := privateNetwork(t.Net); why != "" {
			x.report(t, Warning, "net.private",
				fmt.Sprintf("%s is %s: no receiver on the internet sees mail come from it", t.Net, why),
				"delete it, and name the public address that this mail leaves from")
		}
		if widest := map[Kind]int{IP4: 8, IP6: 16}[t.Kind]; t.Net.Bits() < widest && t.Qualifier == Pass {
			x.report(t, Error, "net.wide", fmt.Sprintf("%s authorises a great part of the internet", t.Net),
				"write the network that is yours")
		}
		for _, other := range before {
			switch {
			case other.Net.Masked() == t.Net.Masked():
				x.report(t, Info, "net.duplicate",
					fmt.Sprintf("%q stands before with the same network", other.Text), "delete it")
			case covers(other.Net, t.Net):
				x.report(t, Info, "net.covered", fmt.Sprintf("%q before covers it", other.Text), "delete it")
			case covers(t.Net, other.Net) && other.Qualifier == t.Qualifier:
				x.report(other, Info, "net.covered", fmt.Sprintf("%q covers it", t.Text), "delete it")
			default:
				continue
			}
			break
		}
		before = append(before, t)
	}
}

// privateNetwork says why no address of p is public, "" when one is.
func privateNetwork(p netip.Prefix) string {
	p = p.Masked()
	first := NotPublic(p.Addr())
	if first != NotPublic(lastAddr(p)) {
		return ""
	}
	return first
}

// report is add for a term.
func (x *examination) report(t *meant, s Severity, rule, message, remedy string) {
	x.add(s, rule, t.pos, t.end, message, remedy)
}
