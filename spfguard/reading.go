package spfguard

import (
	"fmt"
	"slices"
	"strings"
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
	case slices.Contains(cuts[first.from:last.to+1], runOn) && len(run) > 1:
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
	if why != "" || odd(&t) != "" || misplaced(&t) || mapped(&t) {
		return false
	}
	if t.Kind == Redirect || t.Kind == Exp {
		if seen[t.Kind] {
			x.add(Error, string(t.Kind)+".twice", tok.pos, tok.end,
				string(t.Kind)+"= may stand only once: twice is a permerror (RFC 7208 §6)", "keep one of them")
		}
		seen[t.Kind] = true
	}
	t.Text, t.Pos = tok.text, tok.pos
	x.terms = append(x.terms, meant{Term: t, pos: tok.pos, end: tok.end, finding: -1})
	return true
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

// harmless holds for terms that receivers accept and that match nothing, and
// that are no mechanism with an equals sign.
func harmless(s string) bool {
	t, why := parseTerm(s)
	return why == "" && t.Kind != Include && t.Kind != Redirect && !misplaced(&t)
}

// mapped reports whether a term has an IPv4 address in the form of IPv6, which
// matches nothing: receivers compare IPv4 addresses with ip4: alone.
func mapped(t *Term) bool { return t.Kind == IP6 && t.Net.Addr().Is4In6() && t.Net.Bits() >= 96 }

// misplaced reports whether a modifier that receivers ignore was meant as
// something that they do not ignore.
func misplaced(t *Term) bool {
	if t.Kind != Unknown {
		return false
	}
	name := lower(t.Name)
	return name == "v" || isMechanism(name) || nearest(name) != ""
}
