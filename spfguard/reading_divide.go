package spfguard

import (
	"regexp"
	"strings"

	"golang.org/x/net/publicsuffix"
)

var (
	// nextTerm finds the start of a second term inside a first.
	nextTerm = regexp.MustCompile(`(?i)[^:=+~?-]([-+~?]?(?:include|ip4|ip6|exists|ptr):|redirect=|exp=)`)
	// nextAll finds an all without a space before it.
	nextAll = regexp.MustCompile(`(?i)[^:=+~?-]([-+~?]all)$`)
	// nextHost finds an a or mx after an address.
	nextHost = regexp.MustCompile(`(?i)^[-+~?]?ip[46]:[0-9a-f.:]*[0-9a-f](?:/\d+)?((?:a|mx)(?:[:/].*)?)$`)
	// twoHosts is an a and an mx without a space.
	twoHosts = regexp.MustCompile(`(?i)^([-+~?]?(?:a|mx))([-+~?]?(?:mx|a))$`)
	// separators divide lists in other notations.
	separators = regexp.MustCompile(`[,;|]+`)
)

// divide cuts a field into terms where it holds several.
func divide(f field) ([]token, cut) {
	one := []token{{text: f.text, pos: f.pos, end: f.end}}
	if t, why := parseTerm(f.text); why == "" && odd(&t) == "" && !misplaced(&t) {
		return one, whole
	}
	if n := len(version); len(f.text) > n && strings.EqualFold(f.text[:n], version) &&
		(isAlpha(f.text[n]) || strings.IndexByte("+-~?", f.text[n]) >= 0) {
		rest, _ := divide(field{f.text[n:], f.pos + n, f.end})
		return append([]token{{text: f.text[:n], pos: f.pos, end: f.pos + n}}, rest...), runOn
	}
	if separators.MatchString(f.text) {
		if dotted := separators.ReplaceAllString(f.text, "."); isAddressTerm(dotted) {
			return []token{{text: dotted, pos: f.pos, end: f.end}}, separated // ip4:192,0,2,1
		}
		var parts []token
		at := 0
		for _, m := range append(separators.FindAllStringIndex(f.text, -1), []int{len(f.text), len(f.text)}) {
			if m[0] > at {
				more, _ := glued(field{f.text[at:m[0]], f.pos + at, f.pos + m[0]})
				more[0].listed = at > 0
				parts = append(parts, more...)
			}
			at = m[1]
		}
		if len(parts) == 0 {
			return one, whole // a sign and nothing else
		}
		return commaForDot(parts), separated
	}
	return glued(f)
}

// glued cuts a field where a second term begins inside a first.
func glued(f field) ([]token, cut) {
	if len(f.text) > maxGuess || complete(f.text) {
		return []token{{text: f.text, pos: f.pos, end: f.end}}, whole
	}
	for _, border := range []*regexp.Regexp{nextTerm, nextAll, nextHost} {
		if m := border.FindStringSubmatchIndex(f.text); m != nil && parts(border, f.text[:m[2]]) {
			head, _ := glued(field{f.text[:m[2]], f.pos, f.pos + m[2]})
			tail, _ := glued(field{f.text[m[2]:], f.pos + m[2], f.end})
			return append(head, tail...), runOn
		}
	}
	if m := twoHosts.FindStringSubmatchIndex(f.text); m != nil {
		return []token{
			{text: f.text[:m[3]], pos: f.pos, end: f.pos + m[3]},
			{text: f.text[m[4]:], pos: f.pos + m[4], end: f.end},
		}, runOn
	}
	return []token{{text: f.text, pos: f.pos, end: f.end}}, whole
}

// parts reports whether head can be a term by itself, and is not the first
// letter of a misspelt one, as in iinclude.
func parts(border *regexp.Regexp, head string) bool {
	if border == nextHost {
		return isAddressTerm(head)
	}
	return len(head) > 1 || complete(head)
}

func isAddressTerm(s string) bool {
	if s == "" {
		return false
	}
	t, why := parseTerm(s)
	if why == "" && (t.Kind == IP4 || t.Kind == IP6) {
		return true
	}
	_, ok := network(s)
	return ok
}

// commaForDot joins a top-level domain to the name that a comma took it from,
// as in include:spf.example,com.
func commaForDot(parts []token) []token {
	var joined []token
	for _, p := range parts {
		if n := len(joined); n > 0 && isTLD(p.text) && strings.ContainsAny(joined[n-1].text, ":.") {
			joined[n-1].text += "." + p.text
			joined[n-1].end = p.end
			continue
		}
		joined = append(joined, p)
	}
	return joined
}

func isTLD(label string) bool {
	label = lower(label)
	if strings.ContainsAny(label, ".:/=") || isMechanism(label) || len(label) < 2 {
		return false
	}
	suffix, icann := publicsuffix.PublicSuffix("x." + label)
	return icann && suffix == label || label == "example" || label == "test" // RFC 2606
}
