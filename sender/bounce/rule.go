package bounce

import (
	"slices"
	"strconv"
	"strings"
)

// A compiled rule tests numbers instead of words.
type compiled struct {
	*rule
	digits   string // of '4', '5' and 'n' for none; "" is any
	codes    []int
	enhanced []string // with 'x' for any first digit
	sites    []string
	says     [][]uint16 // all of: any of
	near     []uint16   // one of these is near one of says[0]; nil asks nothing
	unless   []uint16
	despite  []string // names of vetoes that do not bind it
}

// A table is what the rules are compiled to.
type table struct {
	rules   []compiled
	vetoes  []compiled
	phrases map[uint32][]phrase // by their first four bytes
	texts   []string            // of the phrases, by number
}

// compile puts rules into the form that they are asked in.
func compile(rules []rule) (*table, error) {
	t := &table{phrases: make(map[uint32][]phrase, 1024)}
	c := compiler{t, map[string]string{}, make(map[string]uint16, 2048)}
	for i := range rules {
		r := &rules[i]
		switch r.kind {
		case aWords:
			c.words[r.id] = r.says
		case aRule, aVeto:
			made, err := c.rule(r)
			if err != nil {
				return nil, err
			}
			if r.kind == aVeto {
				t.vetoes = append(t.vetoes, made)
			} else {
				t.rules = append(t.rules, made)
			}
		}
	}
	return t, nil
}

type compiler struct {
	t     *table
	words map[string]string // by the name that stands in braces
	ids   map[string]uint16
}

func (c *compiler) rule(r *rule) (compiled, error) {
	made := compiled{rule: r, despite: strings.Fields(r.despite)}
	for term := range strings.FieldsSeq(r.when) {
		switch {
		case term == "4xx" || term == "5xx" || term == "none":
			made.digits += term[:1]
		case strings.HasPrefix(term, "site:"):
			made.sites = append(made.sites, term[len("site:"):])
		case isEnhancedPattern(term):
			made.enhanced = append(made.enhanced, term)
		case replyCode(term) != 0:
			made.codes = append(made.codes, replyCode(term))
		default:
			return made, faulty(r.line, "%s %s: when %s: it is 4xx, 5xx, none, a reply code, an enhanced code or site:NAME", r.kind, r.id, term)
		}
	}
	var err error
	if r.says != "" {
		for group := range strings.SplitSeq(r.says, "&") {
			ids, err := c.number(r, group, r.near != "" && made.says == nil)
			if err != nil {
				return made, err
			}
			made.says = append(made.says, ids)
		}
	}
	if r.near != "" {
		if made.near, err = c.number(r, r.near, true); err != nil {
			return made, err
		}
	}
	if r.unless != "" {
		if made.unless, err = c.number(r, r.unless, false); err != nil {
			return made, err
		}
	}
	return made, nil
}

// number gives the phrases of a list their numbers. Those of which a rule asks
// how near they are have to be found with their place.
func (c *compiler) number(r *rule, list string, placed bool) (ids []uint16, err error) {
	for p := range strings.SplitSeq(list, "|") {
		p = strings.TrimSpace(p)
		if strings.HasPrefix(p, "{") && strings.HasSuffix(p, "}") {
			words, ok := c.words[p[1:len(p)-1]]
			if !ok {
				return nil, faulty(r.line, "%s %s: no words %s stand before it", r.kind, r.id, p[1:len(p)-1])
			}
			more, err := c.number(r, words, placed)
			if err != nil {
				return nil, err
			}
			ids = append(ids, more...)
			continue
		}
		p, err := c.written(r, p)
		if err != nil {
			return nil, err
		}
		id, ok := c.ids[p]
		if !ok {
			if id = uint16(len(c.ids)); int(id) == maxPhrases {
				return nil, faulty(r.line, "more than %d phrases", maxPhrases)
			}
			c.ids[p] = id
			c.t.texts = append(c.t.texts, p)
			next, mask := second(p)
			c.t.phrases[key(p)] = append(c.t.phrases[key(p)], phrase{text: p, next: next, mask: mask, id: id})
		}
		if placed {
			c.t.place(p, id)
		}
		ids = append(ids, id)
	}
	return ids, nil
}

// written is a phrase as it is looked for in folded text.
func (c *compiler) written(r *rule, p string) (string, error) {
	bare := strings.TrimRight(p, "$")
	var folded []string
	for w := range strings.FieldsSeq(bare) {
		if slash := strings.HasPrefix(w, "/"); slash || w != "@" && w != "%" { // with a letter behind it, since fold drops codes
			w = strings.TrimSpace(strings.TrimSuffix(strings.TrimSpace(string(fold(nil, strings.TrimPrefix(w, "/")+"x"))), "x"))
			if slash {
				w = "/" + w
			}
		}
		folded = append(folded, w)
	}
	if good := strings.Join(folded, " "); good != bare || bare == "" {
		return "", faulty(r.line, "%s %s: the phrase %q is never found: write it as %q", r.kind, r.id, p, good)
	}
	if p == "@" || p == "%" {
		p += "$"
	}
	if p[0] < 0x80 { // words; Chinese and Japanese have no spaces between them
		p = " " + p
	}
	if p = strings.ReplaceAll(p, "$", " "); len(p) < 4 && p[1] != '@' && p[1] != '%' {
		return "", faulty(r.line, "%s %s: the phrase %q is too short: it has three letters, or two and a $", r.kind, r.id, bare)
	}
	return p, nil
}

// fits reports whether a rule decides the reply, vetoes apart.
func (c *compiled) fits(q *question) bool {
	if c.digits != "" && strings.IndexByte(c.digits, q.digit) < 0 {
		return false
	}
	if c.codes != nil && !slices.Contains(c.codes, q.code) ||
		c.enhanced != nil && !anyEnhanced(c.enhanced, q.enhanced) ||
		c.sites != nil && !anyPart(c.sites, q.site) {
		return false
	}
	for _, group := range c.says {
		if !q.heard.any(group) {
			return false
		}
	}
	return (c.near == nil || q.heard.near(c.says[0], c.near)) && !q.heard.any(c.unless)
}

// isEnhancedPattern holds for "5.1.1", "x.1.1", "x.7.60*" and "x.1.*".
func isEnhancedPattern(term string) bool {
	parts := strings.Split(term, ".")
	if len(parts) != 3 || parts[0] != "4" && parts[0] != "5" && parts[0] != "x" {
		return false
	}
	for i, p := range parts[1:] {
		if i == 1 {
			if p = strings.TrimSuffix(p, "*"); p == "" && parts[2] == "*" {
				continue
			}
		}
		if _, err := strconv.ParseUint(p, 10, 10); err != nil {
			return false
		}
	}
	return true
}

func anyEnhanced(patterns []string, e string) bool {
	if e == "" {
		return false
	}
	for _, p := range patterns {
		if p[0] != 'x' && p[0] != e[0] {
			continue
		}
		if rest, ok := strings.CutSuffix(p[1:], "*"); ok {
			if strings.HasPrefix(e[1:], rest) {
				return true
			}
		} else if p[1:] == e[1:] {
			return true
		}
	}
	return false
}

func anyPart(parts []string, site string) bool {
	for _, p := range parts {
		if strings.Contains(site, p) {
			return true
		}
	}
	return false
}

// aboutCommands holds for the reply codes that complain of a command (RFC 5321
// §4.2.2), such as the name in HELO, of a login (RFC 4954 §6), or of a host that
// takes no mail at all (RFC 7504 §3). They say nothing of an address, unless the
// enhanced code of a complaint of the first kind does.
func aboutCommands(q *question) bool {
	switch q.code {
	case 521, 530, 534, 535, 538:
		return true
	case 500, 501, 502, 503, 504:
		return !anyEnhanced([]string{"x.1.*"}, q.enhanced)
	}
	return false
}

// elsewhere are the enhanced codes of the sender's address, of the message and
// of a login (RFC 3463 §3.2, §3.4, §3.7; RFC 4954 §6).
var elsewhere = []string{"x.1.7", "x.1.8", "x.6.*", "x.3.4", "x.7.8"}

// mayBeGone reports whether the codes allow no_such_user: all digits say that
// it is for good, or there are none, and no code is about something else.
func (q *question) mayBeGone() bool {
	return (q.permanent || q.digit == 'n') && !aboutCommands(q) && !anyEnhanced(elsewhere, q.enhanced)
}

// vetoed says why a rule must not decide, or "". An operator's own rules are
// bound by vetoes of their own alone.
func (t *table) vetoed(q *question, c *compiled) string {
	for i := range t.vetoes {
		if v := &t.vetoes[i]; v.class == c.class && (v.own || !c.own) && v.fits(q) && !slices.Contains(c.despite, v.id) {
			return v.id
		}
	}
	return ""
}
