package bounce

import (
	"fmt"
	"slices"
	"strings"

	"enotify/queue"
)

// A rule is one line of the table.
//
// when holds terms of which one of each kind must fit: reply codes ("4xx",
// "5xx", "421"), enhanced codes ("5.4.1", or "x.7.26" for any first digit,
// or "x.6.*"), sites ("site:yahoo", a part of the site's name). The digit of
// "4xx" and "5xx" is the reply code's, or the enhanced code's when there is
// no reply code; "none" is neither.
//
// says holds phrases: "a | b & c | d" is said when a or b, and also c or d,
// occur. A phrase begins at the beginning of a word and may end within one
// ("reject" finds "rejected") unless it ends in "$", or in "$$" for the end
// of the reply. "&" binds less than "|". It is written as fold
// writes: "doesnt", "email", "@" for an address, "%" for an IP address.
//
// unless holds phrases of which none may occur.
type rule struct {
	id     string
	class  queue.Class
	when   string
	says   string
	unless string
}

// A compiled rule tests numbers instead of words.
type compiled struct {
	id       string
	class    queue.Class
	digit    byte // '4', '5', 'n' for none, or 0 for any
	codes    []int
	enhanced []string // with 'x' for any first digit
	sites    []string
	says     [][]uint16 // all of: any of
	unless   []uint16
}

// a table is what the rules are compiled to.
type table struct {
	rules   []compiled
	phrases map[uint32][]phrase // by their first four bytes
	words   int                 // number of distinct phrases
}

// A phrase keeps its bytes 4 to 7 as a number too: most of those that begin
// alike ("recipient …", "mailbox …") are told apart by them without a call.
type phrase struct {
	text       string
	next, mask uint32
	id         uint16
}

// heard is the set of phrases that occur in a reply.
type heard [32]uint64

func (h *heard) add(id uint16)      { h[id>>6] |= 1 << (id & 63) }
func (h *heard) has(id uint16) bool { return h[id>>6]&(1<<(id&63)) != 0 }

func (h *heard) any(ids []uint16) bool {
	for _, id := range ids {
		if h.has(id) {
			return true
		}
	}
	return false
}

// compile panics on a rule that cannot be: the table is part of the program.
func compile(rules []rule) *table {
	t := &table{phrases: make(map[uint32][]phrase, 512)}
	ids := make(map[string]uint16, 1024)
	number := func(alternatives string) (list []uint16) {
		for p := range strings.SplitSeq(alternatives, "|") {
			p = strings.TrimSpace(p)
			if p == "@" || p == "%" {
				p += "$"
			}
			if p[0] < 0x80 { // words; Chinese and Japanese have no spaces between them
				p = " " + p
			}
			p = strings.ReplaceAll(p, "$", " ")
			id, ok := ids[p]
			if !ok {
				id = uint16(len(ids))
				ids[p] = id
				k := key(p)
				next, mask := second(p)
				t.phrases[k] = append(t.phrases[k], phrase{p, next, mask, id})
			}
			list = append(list, id)
		}
		return list
	}
	for _, r := range rules {
		c := compiled{id: r.id, class: r.class}
		for term := range strings.FieldsSeq(r.when) {
			switch {
			case term == "4xx" || term == "5xx" || term == "none":
				c.digit = term[0]
			case strings.HasPrefix(term, "site:"):
				c.sites = append(c.sites, term[len("site:"):])
			case strings.Contains(term, "."):
				c.enhanced = append(c.enhanced, term)
			case replyCode(term) != 0:
				c.codes = append(c.codes, replyCode(term))
			default:
				panic(fmt.Sprintf("bounce: rule %s: when %q", r.id, term))
			}
		}
		if r.says != "" {
			for group := range strings.SplitSeq(r.says, "&") {
				c.says = append(c.says, number(group))
			}
		}
		if r.unless != "" {
			c.unless = number(r.unless)
		}
		t.rules = append(t.rules, c)
	}
	if t.words = len(ids); t.words > len(heard{})*64 {
		panic("bounce: more phrases than heard has room for")
	}
	return t
}

// key is the first four bytes of s, or of an address or IP address the first
// three, which are all it has.
func key[S string | []byte](s S) uint32 {
	k := uint32(s[0]) | uint32(s[1])<<8 | uint32(s[2])<<16
	if s[1] != '@' && s[1] != '%' {
		k |= uint32(s[3]) << 24
	}
	return k
}

// second is bytes 4 to 7 of s, as far as there are any, and the mask of those.
func second[S string | []byte](s S) (next, mask uint32) {
	for i := 4; i < min(len(s), 8); i++ {
		next |= uint32(s[i]) << (8 * (i - 4))
		mask |= 0xff << (8 * (i - 4))
	}
	return next, mask
}

// listen finds all phrases in folded text.
func (t *table) listen(text []byte, h *heard) {
	for i, c := range text {
		if c != ' ' && c < 0x80 {
			continue
		}
		rest := text[i:]
		if len(rest) < 4 {
			return
		}
		candidates := t.phrases[key(rest)]
		if candidates == nil {
			continue
		}
		next, _ := second(rest)
		for j := range candidates {
			p := &candidates[j]
			if next&p.mask == p.next && len(rest) >= len(p.text) && string(rest[:len(p.text)]) == p.text {
				h.add(p.id)
			}
		}
	}
}

// fits reports whether a rule decides the reply.
func (c *compiled) fits(q *question) bool {
	if c.digit != 0 && c.digit != q.digit {
		return false
	}
	if c.class == queue.NoSuchUser && (!q.permanent || aboutCommands(q)) {
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
	return !q.heard.any(c.unless)
}

// aboutCommands reports whether the reply complains of a command (RFC 5321
// §4.2.2: 500 to 504), such as the name in HELO, and of no address.
func aboutCommands(q *question) bool {
	return 500 <= q.code && q.code <= 504 && !anyEnhanced([]string{"x.1.*"}, q.enhanced)
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
