package bounce

import (
	"strconv"
	"strings"
)

// compile makes a table of rules, which are asked in this order.
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

// number returns the numbers of the phrases of a list. placed has each found
// with its place in the reply, for rules with near.
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

// written returns a phrase in the form in which folded text has it.
func (c *compiler) written(r *rule, p string) (string, error) {
	p, first := strings.CutPrefix(p, "^")
	bare := strings.TrimRight(p, "$")
	var folded []string
	for w := range strings.FieldsSeq(bare) {
		// with a letter behind it, since fold drops codes
		if slash := strings.HasPrefix(w, "/"); slash || w != "@" && w != "%" {
			w = strings.TrimSpace(strings.TrimSuffix(strings.TrimSpace(string(fold(nil, strings.TrimPrefix(w, "/")+
				"x"))), "x"))
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
	if first {
		p = " " + p
	}
	if p = strings.ReplaceAll(p, "$", " "); len(p) < 4 && p[1] != '@' && p[1] != '%' {
		return "", faulty(r.line, "%s %s: the phrase %q is too short: it has three letters, or two and a $", r.kind,
			r.id, bare)
	}
	return p, nil
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
