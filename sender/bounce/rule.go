package bounce

import (
	"slices"
	"strings"
)

// A compiled rule is a rule with its phrases as numbers.
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

// A table holds all rules, compiled.
type table struct {
	rules   []compiled
	vetoes  []compiled
	phrases map[uint32][]phrase // by their first four bytes
	texts   []string            // of the phrases, by number
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

// aboutCommands reports whether the reply code is about a command (RFC 5321
// §4.2.2), a login (RFC 4954 §6) or a host that takes no mail at all (RFC 7504
// §3). These say nothing of an address; only 500 to 504 do, with an enhanced
// code of an address.
func aboutCommands(q *question) bool {
	switch q.code {
	case 521, 530, 534, 535, 538:
		return true
	case 500, 501, 502, 503, 504:
		return !anyEnhanced([]string{"x.1.*"}, q.enhanced)
	}
	return false
}

// notRecipient are the enhanced codes of the sender's address, of the message and
// of a login (RFC 3463 §3.2, §3.4, §3.7; RFC 4954 §6).
var notRecipient = []string{"x.1.7", "x.1.8", "x.6.*", "x.3.4", "x.7.8"}

// mayBeGone reports whether the codes allow no_such_user: all of them are 5yz or
// 5.y.z, or there is none, and none is about something other than the recipient.
func (q *question) mayBeGone() bool {
	return (q.permanent || q.digit == 'n') && !aboutCommands(q) && !anyEnhanced(notRecipient, q.enhanced)
}

// vetoed returns the veto that keeps a rule from deciding, or "". The built-in
// vetoes do not bind an operator's own rules.
func (t *table) vetoed(q *question, c *compiled) string {
	for i := range t.vetoes {
		if v := &t.vetoes[i]; v.class == c.class && (v.own || !c.own) && v.fits(q) &&
			!slices.Contains(c.despite, v.id) {
			return v.id
		}
	}
	return ""
}
