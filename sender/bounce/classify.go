package bounce

import (
	"strings"
	"sync"

	"enotify/queue"
)

// Rules is a table of rules. The zero value is the built-in one.
type Rules struct {
	own *table
	n   int // of an operator's own
}

// Own counts the rules and vetoes that an operator added.
func (rs Rules) Own() int { return rs.n }

// About is what the caller knows beside the reply. Every field may be empty. A
// reply that names another address than the recipient's suppresses nobody, which
// can only be seen when the recipient is given.
type About struct {
	Site      string   // the provider that answered, as the sender knows it
	Recipient string   // the address that the message was for
	Ours      []string // addresses and domains of ours and the client's: envelope sender, From:, domain
}

// site is where the reply comes from: the provider, and the domain it answers for.
func (a *About) site() string {
	_, domain, _ := strings.Cut(a.Recipient, "@")
	return strings.ToLower(a.Site + " " + domain)
}

// Classify says why a receiver turned a message away.
//
// A reply without any code is never final. A caller that knows from elsewhere
// that the failure is permanent, as from a delivery report, sets Code to 550.
func (rs Rules) Classify(r queue.Reply, about About) Verdict {
	return rs.table().judge(r, &about, 0, nil)
}

// Classify is [Rules.Classify] of the built-in rules, for a reply without further evidence.
func Classify(r queue.Reply, site string) Verdict {
	return Rules{}.Classify(r, About{Site: site})
}

// table is compiled at first use: a command that classifies nothing does not
// pay for it.
func (rs Rules) table() *table {
	if rs.own != nil {
		return rs.own
	}
	return builtIn()
}

// question is a reply in the form that rules look at.
type question struct {
	code      int
	digit     byte   // '4', '5' or 'n' when the reply does not say
	permanent bool   // every digit there is says 5
	enhanced  string // "" when missing
	site      string
	heard     heard
}

var buffers = sync.Pool{New: func() any { b := make([]byte, 0, 1024); return &b }}

// maxQuoted is how deep replies that quote replies are followed.
const maxQuoted = 3

// judge classifies a reply, by the reply that it quotes if there is one that
// says enough. It fills in x unless that is nil.
func (t *table) judge(r queue.Reply, about *About, depth int, x *Explanation) Verdict {
	if q := quoted(r); q.how != notQuoted && depth < maxQuoted {
		var inside *Explanation
		if x != nil {
			inside = &Explanation{}
		}
		of := *about
		of.Site = "" // it is another host that says it
		if v, ok := q.verdict(t.judge(q.reply, &of, depth+1, inside), r.Code); ok {
			if x != nil {
				*x = *inside
				x.Quoted = q.reply.String()
			}
			return v
		}
	}
	return t.decide(r, about, x)
}

func isTransient(code int) bool { return 400 <= code && code < 500 }

// decide finds the first rule that fits and that no doubt rules out.
func (t *table) decide(r queue.Reply, about *About, x *Explanation) Verdict {
	q := question{code: r.Code, enhanced: r.Enhanced, site: about.site()}
	if enhancedCode(q.enhanced) != q.enhanced || q.enhanced == "" {
		q.enhanced = findEnhanced(r.Text)
	}
	switch {
	case isTransient(r.Code):
		q.digit = '4'
	case 500 <= r.Code && r.Code < 600:
		q.digit = '5'
	case r.Code == 0 && q.enhanced != "":
		q.digit = q.enhanced[0]
	default:
		q.digit = 'n'
	}
	q.permanent = q.digit == '5' && (q.enhanced == "" || q.enhanced[0] == '5')

	buf := buffers.Get().(*[]byte)
	text := fold((*buf)[:0], r.Text)
	t.listen(text, &q.heard)
	*buf = text
	buffers.Put(buf)

	gone := q.mayBeGone()
	for i := range t.rules {
		c := &t.rules[i]
		if c.class == queue.NoSuchUser && !gone || !c.fits(&q) {
			continue
		}
		if c.class == queue.NoSuchUser {
			if why := t.doubt(&q, c, r.Text, about); why != "" {
				if first, more := firstReply(r); more {
					if v := t.decide(first, about, x); v.Class == queue.NoSuchUser {
						return v
					}
				}
				x.doubted(t, c, &q, why, r.Text)
				continue
			}
		}
		x.decided(t, c, &q, r.Text)
		return newVerdict(c.class, c.mark, c.id, &q)
	}
	return newVerdict(queue.Other, "", "unmatched", &q)
}

// doubt returns why a reply that reads like an unknown recipient may not be
// about our recipient, or not be permanent; "" is no doubt.
func (t *table) doubt(q *question, c *compiled, text string, about *About) string {
	if veto := t.vetoed(q, c); veto != "" {
		return veto
	}
	if !c.own && saysForNow(text) {
		return "inner-4xx"
	}
	return about.misnamed(text)
}
