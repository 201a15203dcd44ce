package spfguard

import (
	"fmt"
	"regexp"
	"slices"
	"strings"

	"golang.org/x/net/publicsuffix"
)

// A token is a piece of the record that is read by itself: what stands
// between spaces, or a part of that where a comma, a semicolon or the start
// of another term divides it.
type token struct {
	text     string
	pos, end int  // in the text of the examination
	from, to int  // the fields that it is made of
	listed   bool // a comma or semicolon stands before it
}

// A cut says why a field was divided.
type cut string

const (
	whole     cut = ""
	separated cut = "separator"
	runOn     cut = "glued"
)

// readTerms reads what stands between spaces, and what was meant by it: it
// divides fields that hold several terms, joins terms that a space divides,
// and guesses at what is left.
func (x *examination) readTerms(from int) {
	var tokens []token
	fs := fields(x.text, from)
	cuts := make([]cut, len(fs))
	for i, f := range fs {
		var parts []token
		parts, cuts[i] = divide(f)
		for _, p := range parts {
			p.from, p.to = i, i
			tokens = append(tokens, p)
		}
	}
	tokens = join(tokens)
	seen := map[Kind]bool{}
	var like Kind // the mechanism of the term before, which a list goes on with
	for len(tokens) > 0 {
		n := 1 // tokens that share fields are reported as one
		for n < len(tokens) && tokens[n].from <= tokens[n-1].to {
			n++
		}
		like = x.readRun(tokens[:n], fs, cuts, like, seen)
		tokens = tokens[n:]
	}
}

// readRun reads tokens that were cut out of the same fields, and reports what
// is wrong with them in one finding.
func (x *examination) readRun(run []token, fs []field, cuts []cut, like Kind, seen map[Kind]bool) Kind {
	first, last := run[0], run[len(run)-1]
	if len(run) == 1 && cuts[first.from] == whole && first.from == first.to && x.readValid(first, seen) {
		if t := x.terms[len(x.terms)-1]; !t.Kind.Modifier() {
			return t.Kind
		}
		return like
	}
	joined := guess{}
	at := len(x.terms)
	for _, tok := range run {
		if !tok.listed {
			like = ""
		}
		g := x.guess(tok.text, like)
		if g.rule == "" && tok.to > tok.from {
			g.rule, g.message = "term.space", fmt.Sprintf("a space divides %q", tok.text)
			if t := g.found[0].text; strings.Contains("+-~?", t[:1]) && x.text[tok.pos+1] == ' ' {
				g.rule, g.message = "qualifier.space", fmt.Sprintf("%q stands alone", t[:1])
				g.remedy = fmt.Sprintf("write %q without the space", t)
			}
		}
		joined.add(g)
		for _, c := range g.found {
			if t, why := parseTerm(c.text); why == "" {
				t.Text, t.Pos = c.text, tok.pos
				x.terms = append(x.terms, meant{Term: t, pos: tok.pos, end: tok.end, unsettled: c})
				like = t.Kind
			}
		}
	}
	switch {
	case slices.Contains(cuts[first.from:last.to+1], separated):
		joined = joined.because(string(separated), "commas and semicolons do not separate terms")
	case slices.Contains(cuts[first.from:last.to+1], runOn):
		joined = joined.because(string(runOn), fmt.Sprintf("a space is missing before %q", run[1].text))
	}
	x.add(Error, joined.rule, fs[first.from].pos, fs[last.to].end, joined.message, joined.advice())
	for i := at; i < len(x.terms); i++ {
		x.terms[i].finding = len(x.findings) - 1
	}
	if joined.ask == "" {
		return like
	}
	if written := x.findings[len(x.findings)-1].Text; harmless(written) {
		x.terms = append(x.terms[:at], asWritten(written, first, len(x.findings)-1))
		x.open = append(x.open, joined.ask)
	} else {
		x.doubts = append(x.doubts, joined.ask)
	}
	return like
}

// asWritten is a term that does no harm and is left as it is.
func asWritten(text string, tok token, finding int) meant {
	t := mustTerm(text)
	t.Pos = tok.pos
	return meant{Term: t, pos: tok.pos, end: tok.end, finding: finding}
}

// readValid takes a token as it stands, and reports whether it could.
func (x *examination) readValid(tok token, seen map[Kind]bool) bool {
	t, why := parseTerm(tok.text)
	if why != "" || odd(&t) != "" || misplaced(&t) {
		return false
	}
	if t.Kind == Redirect || t.Kind == Exp {
		if seen[t.Kind] {
			x.add(Error, string(t.Kind)+".twice", tok.pos, tok.end, string(t.Kind)+"= may stand only once: twice is a permerror (RFC 7208 §6)", "keep one of them")
		}
		seen[t.Kind] = true
	}
	t.Text, t.Pos = tok.text, tok.pos
	x.terms = append(x.terms, meant{Term: t, pos: tok.pos, end: tok.end, finding: -1})
	return true
}

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
	if t, why := parseTerm(f.text); why == "" && odd(&t) == "" {
		return one, whole
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
		if m := border.FindStringSubmatchIndex(f.text); m != nil && (border != nextHost || isAddressTerm(f.text[:m[2]])) {
			head, _ := glued(field{f.text[:m[2]], f.pos, f.pos + m[2]})
			tail, _ := glued(field{f.text[m[2]:], f.pos + m[2], f.end})
			return append(head, tail...), runOn
		}
	}
	if m := twoHosts.FindStringSubmatchIndex(f.text); m != nil {
		return []token{{text: f.text[:m[3]], pos: f.pos, end: f.pos + m[3]}, {text: f.text[m[4]:], pos: f.pos + m[4], end: f.end}}, runOn
	}
	return []token{{text: f.text, pos: f.pos, end: f.end}}, whole
}

func isAddressTerm(s string) bool {
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
	return icann && suffix == label
}

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
	case isKnown(word) && word != string(A) && word != string(MX) && word != string(PTR) && argument.MatchString(b) && namesPlace(b):
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
	if hostLike(nameIn(a)) && (strings.HasSuffix(a, ".") && isTLD(b) || strings.HasPrefix(b, ".") && hostLike(nameIn(a)+b)) {
		return a + b, true
	}
	if !complete(a) && !namesPlace(b) && (complete(a+b) || isAddressTerm(a+b)) {
		return a + b, true // a space inside a word or an address
	}
	return "", false
}

// complete reports whether s is a term as it stands, and no modifier that
// receivers ignore.
func complete(s string) bool {
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
	return word != string(All) && (isMechanism(word) || word == string(Redirect) || word == string(Exp) || nearest(word) != "")
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

// odd says why a term of valid grammar cannot be what was meant: its domain
// can be no host name.
func odd(t *Term) string {
	name, ok := t.Spec.Static()
	if !ok || t.Kind == Unknown {
		return ""
	}
	for i := range len(name) {
		if c := name[i]; !isAlpha(c) && !isDigit(c) && c != '-' && c != '_' && c != '.' {
			return fmt.Sprintf("%q cannot be a domain name", name)
		}
	}
	if !askable(name) {
		return fmt.Sprintf("%q has an empty or too long label", name)
	}
	if i := strings.LastIndexAny(name, "-"); i > 0 && strings.EqualFold(name[i:], "-all") {
		return fmt.Sprintf("%q runs into the next term", name)
	}
	return ""
}

// harmless holds for terms that receivers accept and that match nothing.
func harmless(s string) bool {
	t, why := parseTerm(s)
	return why == "" && t.Kind != Include && t.Kind != Redirect
}

// misplaced reports whether a modifier that receivers ignore was meant as
// something that they do not ignore.
func misplaced(t *Term) bool {
	if t.Kind != Unknown {
		return false
	}
	name := lower(t.Name)
	return name == "v" || isMechanism(name) || nearest(name) != ""
}
