package spfguard

import (
	"fmt"
	"regexp"
	"strings"
)

// A guess is what was probably meant by a piece of a record that cannot work.
type guess struct {
	rule, message string
	remedy        string      // "" when found says it all
	found         []candidate // terms in place of the piece; none for a piece that names no sender
	ask           string      // a question where the piece names a sender that cannot be told; "" for a sure guess
}

// A candidate is a term that was probably meant.
type candidate struct {
	text string // the term, or the likeliest one
	// name is set when only the DNS can tell by which mechanism a name was
	// meant; others are names to try when that one does not exist.
	name      string
	qualifier string
	bits      string // the prefix length of a and mx, with its slashes
	others    []string
}

// sure is a guess at terms that leaves no doubt.
func sure(rule, message string, texts ...string) guess {
	g := guess{rule: rule, message: message}
	for _, text := range texts {
		g.found = append(g.found, candidate{text: text})
	}
	return g
}

// doubt is a guess that needs an answer.
func doubt(rule, message, ask string) guess {
	return guess{rule: rule, message: message, ask: ask}
}

// add puts what was found in a further piece of the same field behind g.
func (g *guess) add(more guess) {
	g.found = append(g.found, more.found...)
	g.ask = strings.TrimSpace(g.ask + " " + more.ask)
	switch {
	case more.rule == "":
	case g.rule == "":
		g.rule, g.message, g.remedy = more.rule, more.message, more.remedy
	default:
		g.message, g.remedy = g.message+"; "+more.message, ""
	}
}

// because is g with another fault in front of its own.
func (g guess) because(rule, message string) guess {
	if g.message != "" {
		message += "; " + g.message
	}
	g.rule, g.message, g.remedy = rule, message, ""
	return g
}

// advice is the remedy in words.
func (g guess) advice() string {
	var texts []string
	for _, c := range g.found {
		texts = append(texts, c.text)
	}
	switch {
	case g.remedy != "":
		return g.remedy
	case g.ask != "" && len(texts) > 0:
		return fmt.Sprintf("write %q; for the rest: %s", strings.Join(texts, " "), g.ask)
	case g.ask != "":
		return g.ask
	case len(texts) > 0:
		return fmt.Sprintf("write %q", strings.Join(texts, " "))
	default:
		return "delete it"
	}
}

// maxGuess is the longest term, in octets, that a person can have meant.
const maxGuess = 512

var (
	// qualified takes a term apart: qualifiers, name, separator, argument.
	qualified = regexp.MustCompile(`^([-+~?!*_]*)([A-Za-z0-9_-]*)(:=|=:|[:=]|)(.*)$`)
	// placeholder is what templates have in place of a value.
	placeholder = regexp.MustCompile(`(?i)\b(your|ihre?|deine?|votre)[-_. ]?[a-z]` +
		`|\b(my|some)[-_. ]?(domain|server|ip|host)|x\.x\.x\.x|xxx+|[\[<{(][a-z _-]*[\]>})]` +
		`|\b(ip|domain|server|host)[-_ ]?(name|address|here)\b`)
	// fillers are words that name nobody, as around a pasted record.
	fillers = regexp.MustCompile(`(?i)^(and|or|und|oder|et|in|txt|spf|record|value|default|ttl|\d{3,5}|@|&+)$`)
	// template is what a name of a template has in it.
	template = regexp.MustCompile(`(?i)your|\b(my)?domain\b|company|\bexample\.(com|org|net)\b|hostname|\bserver\b`)
)

// guess says what was meant by s, which is no valid term. like is the mechanism
// of the term before, if s goes on with its list.
func (x *examination) guess(s string, like Kind) guess {
	if len(s) > maxGuess {
		return doubt("syntax", "no term is that long", askAbout(s[:40]+"…"))
	}
	t, why := parseTerm(s)
	if why == "" {
		why = odd(&t)
	}
	if why == "" && mapped(&t) {
		net, _ := network(t.Net.String())
		return sure("net.mapped",
			"an IPv4 address in the form of IPv6 matches nothing: receivers compare IPv4 addresses with ip4: alone",
			qualifierOf(s[:1])+net)
	}
	if why == "" && !misplaced(&t) && (t.Kind != Unknown || !x.foreign) {
		return guess{found: []candidate{{text: s}}}
	}
	bare := strings.Trim(s, "()[]{}<>.,;!*&#/_+-~?:=\\")
	if all, ok := readAll(s); ok {
		return sure("all.argument", fmt.Sprintf("%q is not how all is written", s), all)
	}
	switch {
	case bare == "":
		return sure("syntax", fmt.Sprintf("%q names nobody", s))
	case fillers.MatchString(bare):
		return sure("syntax", fmt.Sprintf("%q is no term, and names nobody", s))
	case strings.EqualFold(s, version) || nearVersion.FindString(s) == s || looksLikeVersion(s):
		return sure("version.twice",
			"a second version: two records were joined, and the first all cuts off what follows it")
	case strings.HasPrefix(lower(s), "v="):
		x.foreign = true
		return sure("record.foreign",
			fmt.Sprintf("%q begins a record of another kind, which has a name of its own", s))
	}
	m := qualified.FindStringSubmatch(s)
	qualifier, name, sep, arg := qualifierOf(m[1]), lower(m[2]), m[3], m[4]
	if net, ok := network(strings.TrimLeft(s, "+-~?!*")); ok {
		return sure("ip.bare", "an address needs ip4: or ip6: before it", qualifier+net)
	}
	if isPlaceholder(s, arg) {
		return doubt("placeholder", fmt.Sprintf("%q is a placeholder of a template", s),
			fmt.Sprintf("Which name or address belongs in place of %q?", s))
	}
	if _, after, ok := strings.Cut(s, "://"); ok && (strings.HasPrefix(name, "http") || name == "smtp") {
		return x.guessBare(s, qualifier, after, like, "a term is no link")
	}
	switch {
	case x.foreign && t.Kind == Unknown && why == "":
		return sure("record.foreign", fmt.Sprintf("%q belongs to a record of another kind", s))
	case sep == "" && (name == string(A) || name == string(MX)) && strings.HasPrefix(arg, "/"):
		return x.guessBits(qualifier, Kind(name), "", arg)
	case sep == "":
		return x.guessWord(s, qualifier, like, why)
	case t.Kind == Unknown && why == "":
		return x.guessModifier(t, name, arg)
	}
	return x.guessTerm(s, qualifier, name, arg, like, why)
}

// guessTerm takes a term apart that has a name, a separator and an argument.
func (x *examination) guessTerm(s, qualifier, name, arg string, like Kind, why string) guess {
	switch kind := Kind(name); kind {
	case Redirect, Exp:
		return x.guessNamed("modifier.colon", fmt.Sprintf("%s is a modifier, and %q an unknown mechanism", name, s),
			kind, "", arg, why)
	case All:
		return sure("all.argument", why, qualifier+name)
	case IP4, IP6:
		return x.guessNetwork(qualifier, kind, arg, why)
	case A, MX, Include, Exists, PTR:
		return x.guessNamed("", "", kind, qualifier, arg, why)
	}
	message := fmt.Sprintf("no mechanism is called %q", name)
	if net, ok := network(arg); ok {
		return sure("name.unknown", message, qualifier+net)
	}
	switch known := Kind(nearest(name)); known {
	case "":
	case IP4, IP6:
		g := x.guessNetwork(qualifier, known, arg, why)
		return g.because("name.unknown", message)
	default:
		return x.guessNamed("name.unknown", message, known, qualifier, arg, why)
	}
	if _, after, ok := strings.Cut(arg, ":"); ok && isKnown(lower(nameOf(arg))) && after != "" {
		g := x.guess(qualifier+arg, like)
		return g.because("name.unknown", message)
	}
	return x.guessBare(s, qualifier, arg, like, message)
}

// guessWord is for a piece without colon and equals sign: a name, or a
// mechanism whose colon got lost.
func (x *examination) guessWord(s, qualifier string, like Kind, why string) guess {
	word := strings.TrimLeft(s, "+-~?!*")
	small := lower(word)
	for _, kind := range []Kind{Include, Redirect, Exists, IP4, IP6, Exp, "ip"} {
		rest, ok := strings.CutPrefix(small, string(kind))
		if !ok {
			continue
		}
		rest = word[len(word)-len(strings.TrimLeft(rest, `.;,/\-`)):]
		if net, ok := network(rest); ok && (kind == IP4 || kind == IP6 || kind == "ip" && small[2] > '9') {
			return sure("colon", fmt.Sprintf("a colon is missing after %q", kind), qualifier+net)
		}
		if kind == "ip" || kind == IP4 || kind == IP6 || !hostLike(rest) {
			continue
		}
		text := qualifier + string(kind) + ":" + rest
		if kind.Modifier() {
			text = string(kind) + "=" + rest
		}
		return sure("colon", fmt.Sprintf("a colon is missing after %q", kind), text)
	}
	switch kind := Kind(small); {
	case kind == IP4 || kind == IP6:
		return doubt("ip.syntax", fmt.Sprintf("%s needs an address after a colon", kind),
			fmt.Sprintf("Which address was to stand after %q?", s))
	case isKnown(small):
		return doubt("domain.odd", fmt.Sprintf("%s needs a domain after a colon", small),
			fmt.Sprintf("Which domain was to stand after %q?", s))
	}
	return x.guessBare(s, qualifier, word, like, why)
}

// guessBare is for a name without a mechanism.
func (x *examination) guessBare(s, qualifier, name string, like Kind, why string) guess {
	host := plainHost(name)
	if !hostLike(host) {
		if net, ok := network(host); ok {
			return sure("ip.bare", "an address needs ip4: or ip6: before it", qualifier+net)
		}
		return doubt("syntax", why, askAbout(s))
	}
	c := candidate{name: host, qualifier: qualifier, bits: bitsOf(name)}
	kind := likelyKind(host, like)
	c.text = qualifier + string(kind) + ":" + host
	if kind == A || kind == MX {
		c.text += c.bits
	}
	for _, prefix := range []string{"a.", "mx.", "a", "mx"} {
		if rest, ok := strings.CutPrefix(lower(host), prefix); ok && hostLike(rest) {
			c.others = append(c.others, rest)
		}
	}
	g := guess{rule: "name.bare", message: fmt.Sprintf("%q has no mechanism before it", host), found: []candidate{c}}
	if why != "" && why != "no mechanism has this name" {
		g.message = why
	}
	if kind == A && like == "" {
		g.remedy = fmt.Sprintf(
			`write "%sa:%s" if it is a host that sends, "%sinclude:%s" if it is a service with an SPF record`,
			qualifier,
			host,
			qualifier,
			host,
		)
	}
	return g
}

// guessModifier is for name=value where name is the name of a mechanism, or nearly the
// name of something known: receivers ignore it.
func (x *examination) guessModifier(t Term, name, value string) guess {
	message := fmt.Sprintf("%q is a valid modifier that no one knows: it does nothing", t.Name+"="+t.Spec.String())
	if net, ok := network(value); ok && !(Kind(nearest(name))).Modifier() {
		return sure("modifier.equals", message, net)
	}
	rule := "modifier.equals"
	kind := Kind(name)
	if kind == All {
		return sure(rule, message, "~all")
	}
	if !isMechanism(name) {
		rule, kind = "modifier.unknown", Kind(nearest(name))
	}
	if kind == IP4 || kind == IP6 {
		return x.guessNetwork("", kind, value, message).because(rule, message)
	}
	return x.guessNamed(rule, message, kind, "", value, message)
}

// isPlaceholder reports whether s, with the argument arg, was copied from a
// template that nobody filled in.
func isPlaceholder(s, arg string) bool {
	if hostLike(strings.Trim(arg, "<>[]{}()")) {
		return strings.ContainsAny(s, "<[{") && template.MatchString(arg)
	}
	return placeholder.MatchString(s) && !strings.Contains(s, "%{")
}

func askAbout(piece string) string {
	return fmt.Sprintf(
		"What does %q stand for? If it names a server or a service that sends mail for the domain, which one?",
		piece)
}

// qualifierOf reads qualifiers where there are too many, or odd ones: the
// mildest counts, except +, which is the default.
func qualifierOf(s string) string {
	switch {
	case s == "+":
		return s
	case strings.Contains(s, "?"):
		return "?"
	case strings.Contains(s, "~"):
		return "~"
	case strings.Contains(s, "-"):
		return "-"
	}
	return ""
}
