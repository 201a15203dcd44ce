package bounce

import (
	"slices"
	"strings"

	"enotify/queue"
)

// An Explanation says how a verdict came about.
type Explanation struct {
	Verdict
	Source string `json:"source,omitempty"` // where the rule's words or codes are from, and when they were read
	When   string `json:"when,omitempty"`   // the codes and the site that the rule asks for
	// the words of the reply that decided, as they were written; none when its codes did
	Words  []string `json:"words,omitempty"`
	Quoted string   `json:"quoted,omitempty"` // the reply within the reply, when that decided

	// Doubt is why the reply is not no_such_user though the rule Spared says so: a
	// veto of the table, inner-4xx where another try is asked for, or names-ours,
	// names-another and names-our-domain for what it names in place of the recipient.
	Doubt  string   `json:"doubt,omitempty"`
	Spared string   `json:"spared,omitempty"`
	Doubts []string `json:"doubts,omitempty"` // the words of the veto

	rule *rule
}

// Explain is Classify, and says which words decided.
func (rs Rules) Explain(r queue.Reply, about About) Explanation {
	var x Explanation
	x.Verdict = rs.table().judge(r, &about, 0, &x)
	return x
}

// decided notes the rule that decided. x may be nil.
func (x *Explanation) decided(t *table, c *compiled, q *question, text string) {
	if x != nil {
		x.Source, x.When, x.rule = c.source, c.when, c.rule
		x.Words = t.spoken(q, c.phrases(), text)
	}
}

// doubted notes the first rule that a doubt kept from deciding. x may be nil.
func (x *Explanation) doubted(t *table, c *compiled, q *question, why, text string) {
	if x == nil || x.Doubt != "" {
		return
	}
	x.Doubt, x.Spared = why, c.id
	for i := range t.vetoes {
		if v := &t.vetoes[i]; v.id == why {
			x.Doubts = t.spoken(q, v.phrases(), text)
		}
	}
}

// phrases are the phrases that a rule asks for.
func (c *compiled) phrases() (ids []uint16) {
	for _, group := range c.says {
		ids = append(ids, group...)
	}
	return append(ids, c.near...)
}

// spoken lists what stands in a text for phrases that occur in it, in order.
func (t *table) spoken(q *question, ids []uint16, text string) (all []string) {
	type token struct{ folded, start, end int }
	var tokens []token
	folded := foldTokens(nil, text, func(at, start, end int) { tokens = append(tokens, token{at, start, end}) })
	type span struct{ start, end int }
	var spans []span
	for _, id := range ids {
		if !q.heard.has(id) {
			continue
		}
		phrase := t.texts[id]
		at := strings.Index(string(folded), phrase)
		if at < 0 {
			continue
		}
		first, last := at+len(phrase)-len(strings.TrimLeft(phrase, " ")), at+len(strings.TrimRight(phrase, " "))
		s := span{-1, -1}
		for i, tok := range tokens {
			end := len(folded)
			if i+1 < len(tokens) {
				end = tokens[i+1].folded
			}
			if tok.folded < last && end > first {
				if s.start < 0 {
					s.start = tok.start
				}
				s.end = tok.end
			}
		}
		if s.start >= 0 {
			spans = append(spans, s)
		}
	}
	slices.SortFunc(spans, func(a, b span) int { return a.start - b.start })
	for i := range spans {
		s := &spans[i]
		if i == 0 || strings.TrimSpace(text[min(spans[i-1].end, s.start):s.start]) != "" {
			all = append(all, text[s.start:s.end])
			continue
		}
		s.start, s.end = spans[i-1].start, max(s.end, spans[i-1].end) // they touch, or one is within the other
		all[len(all)-1] = text[s.start:s.end]
	}
	return all
}
