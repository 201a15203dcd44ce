package spfguard

import (
	"regexp"
	"slices"
	"strings"
)

// join puts together the tokens of a term that spaces divide.
func join(tokens []token) []token {
	var joined []token
	for i := 0; i < len(tokens); i++ {
		t := tokens[i]
		for i+1 < len(tokens) {
			text, ok := joint(t.text, tokens[i+1].text)
			if !ok {
				break
			}
			i++
			t.text, t.end, t.to = text, tokens[i].end, tokens[i].to
		}
		joined = append(joined, t)
	}
	return joined
}

var (
	// wantsMore is a mechanism or modifier that breaks off after its colon.
	wantsMore = regexp.MustCompile(`^[-+~?]?[A-Za-z][A-Za-z0-9-]*\s*[:=]+$`)
	// argument is what can stand behind a colon: a name or an address.
	argument  = regexp.MustCompile(`^[A-Za-z0-9_%\[<(][^=,;|]*$`)
	lengthEnd = regexp.MustCompile(`^//?\d{1,3}$`)
	onlyBits  = regexp.MustCompile(`^\d{1,3}$`)
)

// joint is a and b as one term, if b only makes sense as the rest of a.
func joint(a, b string) (string, bool) {
	word := lower(strings.TrimLeft(a, "+-~?"))
	_, bIsAll := readAll(b)
	switch {
	case len(a) == 1 && strings.Contains("+-~?", a):
		return a + b, true
	case complete(b):
		if wantsMore.MatchString(a) && strings.EqualFold(strings.TrimRight(a, ":="), nameOf(b)) {
			return b, true // "include: include:x.example"
		}
		return "", false
	case strings.HasPrefix(b, ":") || strings.HasPrefix(b, "="):
		if !isKnown(word) && !wantsMore.MatchString(a) {
			return "", false
		}
		return strings.TrimRight(a, ":=") + b, true
	case wantsMore.MatchString(a) && argument.MatchString(b):
		return a + strings.TrimLeft(b, ":="), !bIsAll && !wantsMore.MatchString(b) && !isKnown(lower(b))
	case isKnown(word) && !standsAlone(word) && argument.MatchString(b) && (namesPlace(b) || strings.Contains(b, "%{")):
		if kind := Kind(word); kind.Modifier() {
			return a + "=" + b, true
		}
		return a + ":" + b, true
	case lengthEnd.MatchString(b) && (isAddressTerm(a) || complete(a)) && !strings.Contains(a, "/"):
		return a + b, true
	case strings.HasSuffix(a, "/") && onlyBits.MatchString(b) && isAddressTerm(strings.TrimRight(a, "/")):
		return a + b, true
	}
	if strings.EqualFold(strings.TrimLeft(a+b, "+-~?"), string(All)) {
		return a + b, true
	}
	if hostLike(nameIn(a)) &&
		(strings.HasSuffix(a, ".") && isTLD(b) || strings.HasPrefix(b, ".") && hostLike(nameIn(a)+b)) {
		return a + b, true
	}
	if strings.HasSuffix(a, ".") && !complete(a) && namesPlace(b) && complete(a+b) {
		return a + b, true // include:_spf. x.example
	}
	if !complete(a) && !namesPlace(b) && (complete(a+b) || isAddressTerm(a+b)) {
		return a + b, true // a space inside a word or an address
	}
	return "", false
}

// standsAlone reports whether a mechanism needs no argument.
func standsAlone(word string) bool {
	return word == string(A) || word == string(MX) || word == string(PTR)
}

// complete reports whether s is a term as it stands, and no modifier that
// receivers ignore.
func complete(s string) bool {
	if s == "" {
		return false
	}
	t, why := parseTerm(s)
	return why == "" && t.Kind != Unknown && odd(&t) == ""
}

func nameOf(term string) string {
	term = strings.TrimLeft(term, "+-~?")
	if i := strings.IndexAny(term, ":=/"); i >= 0 {
		return term[:i]
	}
	return term
}

// nameIn is the domain of a term, or all of a bare name.
func nameIn(term string) string { return term[strings.LastIndexAny(term, ":=")+1:] }

// isKnown reports whether word is the name of a mechanism or modifier that
// takes an argument, or a slip of the pen for one.
func isKnown(word string) bool {
	return word != string(All) &&
		(isMechanism(word) || word == string(Redirect) || word == string(Exp) || nearest(word) != "")
}

// namesPlace reports whether s can be a host, a domain or an address by itself.
func namesPlace(s string) bool {
	if _, ok := network(s); ok {
		return true
	}
	return isDomain(strings.Trim(s, ".")) && hostLike(s)
}

// hostLike holds for names of two or more labels out of the letters that hosts
// and service records have, whose last label is no number.
func hostLike(s string) bool {
	s = ASCII(strings.Trim(s, "."))
	i := strings.LastIndexByte(s, '.')
	return i > 0 && isTopLabel(s[i+1:]) && askable(s) && !slices.ContainsFunc([]byte(s), func(c byte) bool {
		return !isAlpha(c) && !isDigit(c) && c != '-' && c != '_' && c != '.'
	})
}
