package spfguard

import "strings"

// readAll reads what was meant as all: -all., --all, -al, all-, ~ALL;.
func readAll(s string) (string, bool) {
	letters := lower(strings.Trim(s, `+-~?!*_=.,;:/\|()[]{}"`))
	odd := s != letters // anything beside the letters
	switch slip := strings.ReplaceAll(letters, "1", "l"); {
	case letters == string(All):
	case !strings.ContainsAny(s, "+-~?") || strings.ContainsAny(letters, ".:=/+~?"):
		return "", false
	case len(slip) < 2 || len(slip) > 4 || slip[0] != 'a' || distance(slip, string(All)) > 1:
		return "", false
	}
	qualifier := qualifierOf(strings.Map(func(r rune) rune {
		if strings.ContainsRune("+-~?", r) {
			return r
		}
		return -1
	}, s))
	if qualifier == "" && odd { // .all, *all: the author did not mean everyone
		qualifier = "~"
	}
	return qualifier + string(All), true
}

func isMechanism(name string) bool {
	switch Kind(name) {
	case All, Include, A, MX, PTR, IP4, IP6, Exists:
		return true
	}
	return false
}

// slips are names of mechanisms as people write them, beside slips of the pen.
var slips = map[string]Kind{
	"ip": IP4, "ipv4": IP4, "ip-4": IP4, "ip_4": IP4, "ipv": IP4, "ip4v": IP4, "ip44": IP4, "i4": IP4, "p4": IP4,
	"1p4": IP4, "lp4": IP4, "iip4": IP4, "pi4": IP4, "iv4": IP4, "ip4s": IP4, "ips": IP4, "ipaddr": IP4,
	"ipaddress": IP4, "address": IP4,
	"ipv6": IP6, "ip-6": IP6, "ip_6": IP6, "ip6v": IP6, "i6": IP6, "p6": IP6, "1p6": IP6, "lp6": IP6, "ip66": IP6,
	"prt": PTR, "rdns": PTR, "ptrs": PTR, "aa": A, "mxx": MX, "mxs": MX,
	"inc": Include, "incl": Include, "redir": Redirect, "redirection": Redirect,
}

// nearest returns the mechanism or modifier that name is a slip of the pen
// for, or "".
func nearest(name string) string {
	if kind, ok := slips[name]; ok {
		return string(kind)
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
