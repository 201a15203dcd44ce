package bounce

import (
	"strings"
	"sync"

	"enotify/queue"
)

// question is a reply in the form rules look at.
type question struct {
	code      int
	digit     byte   // '4', '5' or 'n' when the reply does not say
	permanent bool   // every digit there is says 5
	enhanced  string // "" when missing
	site      string
	heard     heard
}

// compiledRules is compiled at first use: a command that classifies nothing
// does not pay for it.
var compiledRules = sync.OnceValue(func() *table { return compile(rules) })

var buffers = sync.Pool{New: func() any { b := make([]byte, 0, 1024); return &b }}

// Classify says why a receiver turned a message away. site names the provider
// that answered, as the sender knows it, and may be "".
//
// A reply without any code is never final: whoever knows from elsewhere that
// a failure is permanent, say from a delivery report, sets Code to 550.
func Classify(r queue.Reply, site string) Verdict {
	t := compiledRules()
	q := question{code: r.Code, enhanced: r.Enhanced, site: strings.ToLower(site)}
	if enhancedCode(q.enhanced) != q.enhanced || q.enhanced == "" {
		q.enhanced = findEnhanced(r.Text)
	}
	switch {
	case 400 <= r.Code && r.Code < 500:
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

	for i := range t.rules {
		if c := &t.rules[i]; c.fits(&q) {
			a := action(c.class, c.id, q.digit == '5', r.Code)
			if a == StopSmarthost && c.id == "anonymous-refused" {
				a = AskGuard // 530 of an MX, which knows nothing of our smarthost
			}
			return Verdict{Class: c.class, Action: a, Rule: c.id}
		}
	}
	return Verdict{Class: queue.Other, Action: action(queue.Other, "", q.digit == '5', r.Code), Rule: "unmatched"}
}

// Rules lists the ids of all rules, in the order in which they are asked.
func Rules() []string {
	ids := make([]string, len(rules))
	for i, r := range rules {
		ids[i] = r.id
	}
	return ids
}
