package bounce

import (
	"strings"

	"enotify/queue"
)

// quoting is the way in which a reply quotes another.
type quoting int

const (
	notQuoted quoting = iota
	relayed           // a host on the way passes on what the next one said
	verified          // a gateway asked the next host whether it knows the recipient
)

// A quotation is a reply within a reply.
type quotation struct {
	how   quoting
	reply queue.Reply
	own   bool // it is in the gateway's own words
}

// asVerified are the words with which Postfix reports that it asked the next host
// (ADDRESS_VERIFICATION_README). That host's answer follows, or why there was none.
var asVerified = []string{"undeliverable address:", "unverified address:"}

// beforeQuote are the words right before a quoted reply.
var beforeQuote = []string{
	" said:", " says:", " responded:", " responded with:", " replied:", " replied with:", " answered:", " returned:",
	" returned",
	" error:", "address error", "):", " got:", " was:", " response:", " reply:", " failed with:", "failed with",
	" frontend with",
}

// quoted returns the first reply that r quotes.
func quoted(r queue.Reply) quotation {
	text := r.Text[:min(len(r.Text), maxText)]
	for _, mark := range asVerified {
		if at := indexFold(text, mark); at >= 0 {
			rest := strings.TrimSpace(text[at+len(mark):])
			if rest == "" {
				return quotation{}
			}
			inner := Parse(rest)
			if inner.Code == 0 { // Postfix's own words, under the code that the check had as its result
				return quotation{verified, queue.Reply{Code: r.Code, Text: inner.Text}, true}
			}
			return quotation{verified, inner, false}
		}
	}
	for i := 1; i+4 < len(text); i++ {
		if c := text[i]; c != '4' && c != '5' || replyCode(text[i:]) == 0 || digit(text[i-1]) || letter(text[i-1]) {
			continue
		}
		before := strings.TrimRight(text[:i], " \n'\"`")
		rest := text[i:]
		enhanced := enhancedCode(strings.TrimLeft(rest[3:], " -#'\""))
		for _, mark := range beforeQuote {
			if hasSuffixFold(before, mark) {
				return quotation{relayed, Parse(unclosed(rest)), false}
			}
		}
		// "…: 550 5.7.26 …", but not the next line of a reply whose line ends in a colon
		if strings.HasSuffix(before, ":") && enhanced != "" && enhanced != r.Enhanced {
			return quotation{relayed, Parse(unclosed(rest)), false}
		}
	}
	return quotation{}
}

// unclosed returns what stands between the quotes of "550-'5.7.1 … denied' (state 14)".
func unclosed(s string) string {
	if rest := strings.TrimLeft(s[3:], " -"); strings.HasPrefix(rest, "'") || strings.HasPrefix(rest, `"`) {
		rest, _, _ = strings.Cut(rest[1:], rest[:1])
		return s[:3] + " " + rest
	}
	return s
}

// verdict returns what the quoted reply means for us; ok is false where the words
// around it decide. What the next host thinks of the gateway is not about us, so
// nothing is held or slowed down, and no client is blocked.
func (q quotation) verdict(inner Verdict, outer int) (v Verdict, ok bool) {
	if v, ok = relayedVerdict(inner); q.how == verified {
		v, ok = q.verifiedVerdict(inner), true
	}
	if isTransient(outer) { // this host lets us try again, whatever the one behind it says
		ok = ok && v.Class != queue.NoSuchUser
		v = v.forNow()
	}
	return v, ok
}

func relayedVerdict(inner Verdict) (v Verdict, ok bool) {
	switch t := inner.Treatment; {
	case inner.Class == queue.Other:
		return Verdict{}, false
	case t.HoldsEgress || t.SlowsSite:
		return inner.marked(OneMessage), true
	case t.BlocksClient: // on the way, mail loses what the client's DNS authorises
		return inner.marked(NotTheSender), true
	}
	return inner, true
}

func (q quotation) verifiedVerdict(inner Verdict) Verdict {
	switch inner.Class {
	case queue.NoSuchUser, queue.MailboxFull, queue.Offline:
		return inner
	case queue.Throttled:
		if q.own { // "Address verification in progress"
			return inner
		}
		return inner.as(queue.Offline)
	}
	if isTransient(q.reply.Code) {
		return inner.as(queue.Offline)
	}
	return inner.as(queue.Policy)
}

// firstReply returns the first of several replies that a transcript of a session
// has in a row: "550 unknown user 503 valid RCPT must precede DATA". more is false
// when there is only one, or when one of them is 4yz and so asks for another try.
func firstReply(r queue.Reply) (first queue.Reply, more bool) {
	if r.Code < 500 {
		return r, false
	}
	text := r.Text[:min(len(r.Text), maxText)]
	for i := 1; i+4 < len(text); i++ {
		if text[i-1] != ' ' && text[i-1] != '\n' || text[i] != '2' && text[i] != '5' || !digit(text[i+1]) ||
			!digit(text[i+2]) || text[i+3] != ' ' && text[i+3] != '-' {
			continue
		}
		if before := strings.TrimRight(text[:i], " \n"); text[i] == '5' && replyCode(text[i:]) == r.Code ||
			strings.HasSuffix(before, ":") {
			continue
		}
		if saysForNow(text[i:]) {
			return r, false
		}
		r.Text = strings.TrimSpace(text[:i])
		return r, true
	}
	return r, false
}

// saysForNow reports whether a text has a reply code 4yz or an enhanced code
// 4.y.z in it: a host behind the receiver asks for another try.
func saysForNow(text string) bool {
	text = text[:min(len(text), maxText)]
	for i := 0; i+3 < len(text); i++ {
		if text[i] != '4' || i > 0 && (digit(text[i-1]) || letter(text[i-1]) || text[i-1] == '.' || text[i-1] == '_' ||
			text[i-1] == '[') {
			continue
		}
		if enhancedCode(text[i:]) != "" {
			return true
		}
		if c := text[i+1]; '2' <= c && c <= '5' && digit(text[i+2]) && (text[i+3] == ' ' || text[i+3] == '-') &&
			i+4 < len(text) && replyCode(text[i:]) != 0 {
			return true
		}
	}
	return false
}

// indexFold is strings.Index for ASCII in any case; sub is in lower case.
func indexFold(s, sub string) int {
	for i := 0; i+len(sub) <= len(s); i++ {
		if s[i]|0x20 == sub[0] && strings.EqualFold(s[i:i+len(sub)], sub) {
			return i
		}
	}
	return -1
}

func hasSuffixFold(s, suffix string) bool {
	return len(s) >= len(suffix) && strings.EqualFold(s[len(s)-len(suffix):], suffix)
}
