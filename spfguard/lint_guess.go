package spfguard

import (
	"fmt"
	"net/netip"
	"regexp"
	"strings"
)

// A guess is what was probably meant by a term that cannot work.
type guess struct {
	rule, message string
	remedy        string   // "" when terms say it all
	terms         []string // in place of the term; none: nothing can be made of it
}

// advice is the remedy in words.
func (g guess) advice() string {
	switch {
	case g.remedy != "":
		return g.remedy
	case len(g.terms) > 0:
		return fmt.Sprintf("write %q", strings.Join(g.terms, " "))
	default:
		return "delete the term"
	}
}

// maxGuess is the longest term, in octets, that a person can have meant.
const maxGuess = 512

var (
	// glued finds the start of a second term inside a first.
	glued = regexp.MustCompile(`(?i)[^:=+~?-]([-+~?]?(?:include|ip4|ip6|exists|ptr):|redirect=|exp=)`)
	// gluedAll finds an all without a space before it.
	gluedAll = regexp.MustCompile(`(?i)[^:=+~?-]([-+~?]all)$`)
	// qualified takes a term apart: qualifier, name, separator, argument.
	qualified = regexp.MustCompile(`^([-+~?]?)([A-Za-z0-9-]*)([:=]?)(.*)$`)
)

// guessMeaning says what was meant by s, which parseTerm or odd refused
// because of why.
func guessMeaning(s, domain, why string) guess {
	if len(s) > maxGuess {
		return guess{"syntax", why, "delete the term, or write what was meant by it", nil}
	}
	if parts := strings.FieldsFunc(s, func(r rune) bool { return r == ',' || r == ';' }); strings.ContainsAny(s, ",;") {
		return guess{"separator", "commas and semicolons do not separate terms", "", meanings(parts, domain)}
	}
	for _, border := range []*regexp.Regexp{glued, gluedAll} {
		if m := border.FindStringSubmatchIndex(s); m != nil {
			parts := meanings([]string{s[:m[2]], s[m[2]:]}, domain)
			return guess{"glued", fmt.Sprintf("a space is missing before %q", s[m[2]:]), "", parts}
		}
	}
	m := qualified.FindStringSubmatch(s)
	qualifier, name, sep, arg := m[1], strings.ToLower(m[2]), m[3], m[4]
	if net, ok := network(strings.TrimLeft(s, "+-~?")); ok {
		return guess{"ip.bare", "an address needs ip4: or ip6: before it", "", []string{qualifier + net}}
	}
	switch kind := Kind(name); kind {
	case Redirect, Exp:
		if sep == ":" && arg != "" {
			return guess{"modifier.colon", fmt.Sprintf("%s is a modifier, and %q an unknown mechanism", name, s), "", meanings([]string{name + "=" + arg}, domain)}
		}
	case All:
		return guess{"all.argument", why, "", []string{qualifier + "all"}}
	case IP4, IP6:
		return guessNetwork(qualifier, kind, arg, why)
	case A, MX, Include, Exists, PTR:
		return guessDomain(qualifier, kind, arg, domain, why)
	default:
		if known := nearest(name); known != "" && sep != "=" {
			text := qualifier + known + sep + arg
			if known == string(Redirect) {
				text = known + "=" + arg
			}
			return guess{"name.unknown", fmt.Sprintf("no mechanism is called %q", m[2]), "", meanings([]string{text}, domain)}
		}
	}
	return guess{"syntax", why, "delete the term, or write what was meant by it", nil}
}

// meanings keeps of parts those that are valid, and what was meant by the others.
func meanings(parts []string, domain string) []string {
	var terms []string
	for _, p := range parts {
		if p == "" {
			continue
		}
		t, why := parseTerm(p)
		if why == "" {
			why = odd(&t)
		}
		if why == "" {
			terms = append(terms, p)
		} else {
			terms = append(terms, guessMeaning(p, domain, why).terms...)
		}
	}
	return terms
}

// guessDomain repairs the argument of a mechanism that takes a domain.
func guessDomain(qualifier string, kind Kind, arg, domain, why string) guess {
	if net, ok := network(arg); ok {
		return guess{"ip.host", fmt.Sprintf("%s: takes a name, not an address", kind), "", []string{qualifier + net}}
	}
	if inner, _, ok := strings.Cut(arg, ":"); ok && isMechanism(strings.ToLower(inner)) {
		return guess{"doubled", fmt.Sprintf("%s: is followed by another mechanism", kind), "", meanings([]string{qualifier + arg}, domain)}
	}
	host := arg
	if _, after, ok := strings.Cut(host, "://"); ok {
		host = after
	}
	if at := strings.LastIndexByte(host, '@'); at >= 0 {
		host = host[at+1:]
	}
	if kind == Include || kind == Exists || kind == PTR {
		host, _, _ = strings.Cut(host, "/")
	}
	host = ASCII(strings.Trim(host, "/[]<>()"))
	rule := "domain.odd"
	if host != "" && !strings.Contains(host, ".") && domain != "" && kind != Include {
		rule, host = "label.single", host+"."+domain
	}
	text := qualifier + string(kind) + ":" + host
	if t, bad := parseTerm(text); host != "" && host != arg && bad == "" && odd(&t) == "" {
		return guess{rule, why, "", []string{text}}
	}
	return guess{"domain.odd", why, "write a whole domain name, as in " + example(kind), nil}
}

func isMechanism(name string) bool {
	switch Kind(name) {
	case All, Include, A, MX, PTR, IP4, IP6, Exists:
		return true
	}
	return false
}

// nearest returns the mechanism that name is a slip of the pen for, or "".
func nearest(name string) string {
	switch name {
	case "ip", "ipv4", "ip-4", "ipv", "ip4v", "address":
		return string(IP4)
	case "ipv6", "ip-6", "ip6v":
		return string(IP6)
	case "prt", "rdns":
		return string(PTR)
	case "host":
		return string(A)
	}
	if len(name) < 4 {
		return ""
	}
	for _, kind := range []Kind{Include, Exists, Redirect} {
		if distance(name, string(kind)) <= 2 {
			return string(kind)
		}
	}
	return ""
}

// distance counts the insertions, deletions and exchanges of letters between
// a and b (Levenshtein).
func distance(a, b string) int {
	row := make([]int, len(b)+1)
	for j := range row {
		row[j] = j
	}
	for i := range len(a) {
		diagonal := row[0]
		row[0] = i + 1
		for j := range len(b) {
			cost := diagonal
			if a[i] != b[j] {
				cost++
			}
			diagonal = row[j+1]
			row[j+1] = min(cost, row[j]+1, row[j+1]+1)
		}
	}
	return row[len(b)]
}

// network reads an address or network, however written, as an ip4 or ip6 term.
func network(s string) (term string, ok bool) {
	s = strings.Trim(s, "[]()")
	prefix, err := netip.ParsePrefix(s)
	if err != nil {
		addr, err := netip.ParseAddr(s)
		if err != nil || addr.Zone() != "" {
			return "", false
		}
		prefix = netip.PrefixFrom(addr, addr.BitLen())
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
