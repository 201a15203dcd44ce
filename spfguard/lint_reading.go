package spfguard

import (
	"fmt"
	"regexp"
	"strings"
)

// nearVersion is what people write for "v=spf1 ".
var nearVersion = regexp.MustCompile(`(?i)^[\s']*(v\s*[=:]?\s*)?spf\s*[=:]?\s*1\.?0?[;,:]*`)

// readVersion returns where the terms begin.
func (x *examination) readVersion() int {
	if isSPF(x.text) {
		return len(version)
	}
	const remedy = `begin with "v=spf1 ": anything else is not taken for an SPF record at all`
	if m := nearVersion.FindString(x.text); m != "" {
		x.add(Error, "version.misspelt", 0, len(m), fmt.Sprintf("%q is no version that receivers know", m), remedy)
		return len(m)
	}
	x.add(Error, "version.missing", 0, 0, "the version is missing", remedy)
	return 0
}

// readTerms reads what stands between spaces, and what was meant by it.
func (x *examination) readTerms(from int) {
	seen := map[Kind]bool{}
	for _, f := range x.joinQualifiers(fields(x.text, from)) {
		t, why := parseTerm(f.text)
		if why != "" {
			x.readMisspelt(f, why)
			continue
		}
		if t.Kind == Redirect || t.Kind == Exp {
			if seen[t.Kind] {
				x.add(Error, string(t.Kind)+".twice", f.pos, f.end, string(t.Kind)+"= may stand only once: twice is a permerror (RFC 7208 §6)", "keep one of them")
			}
			seen[t.Kind] = true
		}
		why = odd(&t)
		if why != "" && (t.Kind == Include || t.Kind == Redirect) {
			x.readMisspelt(f, why) // a permerror, as good as a misspelt term
			continue
		}
		if why != "" {
			g := guessMeaning(f.text, x.domain, why)
			x.add(Error, g.rule, f.pos, f.end, g.message, g.advice())
		}
		t.Text, t.Pos = f.text, f.pos
		x.terms = append(x.terms, meant{t, f.pos, f.end})
	}
}

// joinQualifiers joins a qualifier that stands alone to the term after it.
func (x *examination) joinQualifiers(fs []field) []field {
	var joined []field
	for i := 0; i < len(fs); i++ {
		f := fs[i]
		if len(f.text) == 1 && strings.Contains("+-~?", f.text) && i+1 < len(fs) {
			i++
			x.repaired = true
			x.add(Error, "qualifier.space", f.pos, fs[i].end, fmt.Sprintf("%q stands alone", f.text), fmt.Sprintf("write %q without the space", f.text+fs[i].text))
			f.text, f.end = f.text+fs[i].text, fs[i].end
		}
		joined = append(joined, f)
	}
	return joined
}

// readMisspelt reports a term that cannot work, and takes what was meant for it.
func (x *examination) readMisspelt(f field, why string) {
	x.repaired = true
	g := guessMeaning(f.text, x.domain, why)
	x.add(Error, g.rule, f.pos, f.end, g.message, g.advice())
	for _, text := range g.terms {
		if t, why := parseTerm(text); why == "" {
			t.Text, t.Pos = text, f.pos
			x.terms = append(x.terms, meant{t, f.pos, f.end})
		}
	}
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
