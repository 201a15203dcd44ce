package report

import (
	"regexp"
	"slices"
	"strings"

	"enotify/queue"
	"enotify/sender/bounce"
)

// A block is what a report says in words about one address.
type block struct{ address, text string }

var (
	// A line about an address begins with it, as in qmail's "<a@example.org>:".
	atLineStart = regexp.MustCompile(`(?m)^[ \t>*•-]{0,12}[<"'(]{0,2}(?:mailto:)?(` + anAddress.String() + `)`)
	// qmail's way, which nobody writes in passing.
	beforeColon = regexp.MustCompile(`(?m)^<?(` + anAddress.String() + `)>?:[ \t]*$`)
	// Transcripts name it in a command or a reply.
	inTranscript = regexp.MustCompile(`(?im)(?:RCPT TO: ?|^(?:<<< )?[45][0-9]{2}[ -](?:[45]\.[0-9.]+ )?)<?(` +
		anAddress.String() + `)`)
)

// spoken reads a bounce that says it in words alone. One that is taken for
// expired turns out to be a plain bounce where the receiver gave a reason.
func (m *message) spoken(kind Kind) (Kind, []Recipient) {
	action := map[Kind]string{Bounce: "failed", Expired: "expired", Delay: "delayed"}[kind]
	var recipients []Recipient
	blocks := m.blocks(m.named())
	for _, b := range blocks {
		if len(recipients) == maxRecipients {
			break
		}
		r := Recipient{Address: b.address, Action: action}
		reply, x := m.judge(b.reply(), "", r)
		if x.Class == queue.Other && x.Doubt == "" && len(blocks) == 1 {
			if whole, said := m.judge(block{text: m.text}.reply(), "", r); said.Class != queue.Other {
				reply, x = whole, said
			}
		}
		r.Reply, r.Verdict = reply, x.Verdict
		if kind == Expired && (r.Reply.Code == 0 || r.Verdict.Class == queue.Other) {
			r.Verdict = bounce.Verdict{Class: queue.Offline, Action: "retry", Rule: "expired",
				Treatment: queue.Offline.Treatment()}
		}
		recipients = append(recipients, r)
	}
	if kind == Expired && slices.ContainsFunc(recipients,
		func(r Recipient) bool { return r.Verdict.Class != queue.Offline }) {
		kind = Bounce
	}
	return kind, recipients
}

// named are the recipients that the header names, for programs to read.
func (m *message) named() (all []string) {
	for _, value := range m.head.values("X-Failed-Recipients") {
		for part := range strings.SplitSeq(value, ",") {
			if a := address(part); a != "" {
				all = append(all, a)
			}
		}
	}
	return all
}

// blocks cuts the text up by the addresses it is about: those given, or those
// that it seems to be about, surest first. One about nobody it can name is
// about whom the message was written to.
func (m *message) blocks(about []string) []block {
	for _, find := range []func() []string{
		func() []string { return about },
		func() []string { return m.found(atLineStart, m.own()...) },
		func() []string { return m.found(beforeColon) }, // also of one who wrote to himself
		func() []string { return m.found(inTranscript, m.own()...) },
		func() []string { return m.returnedTo(m.found(mentioned, m.own()...)) },
		func() []string { all := m.found(mentioned, m.own()...); return all[:min(1, len(all))] },
		func() []string { return []string{m.original().To} },
	} {
		if about = find(); len(about) > 0 {
			break
		}
	}
	starts := make([]int, len(about))
	for i, a := range about {
		starts[i] = m.lineOf(a)
	}
	all := make([]block, len(about))
	for i, a := range about {
		all[i] = block{a, m.text[starts[i]:]}
		for _, next := range starts {
			if next > starts[i] && next-starts[i] < len(all[i].text) {
				all[i].text = m.text[starts[i]:next]
			}
		}
	}
	return all
}

var mentioned = regexp.MustCompile(`(` + anAddress.String() + `)`)

// own are the addresses of the report itself and of the message's author, whom
// it is not about.
func (m *message) own() (all []string) {
	to := m.original().To
	for _, own := range []string{m.head.value("From"), m.head.value("To"), m.head.value("Reply-To"),
		m.head.value("Delivered-To"), m.returned.value("From"), m.returned.value("Return-Path")} {
		if a := address(own); !strings.EqualFold(a, to) { // unless he wrote to himself
			all = append(all, a)
		}
	}
	return all
}

// found lists the addresses that a pattern finds, each once, without some.
func (m *message) found(pattern *regexp.Regexp, without ...string) (all []string) {
	seen := map[string]bool{}
	for _, a := range without {
		seen[strings.ToLower(a)] = true
	}
	for _, match := range pattern.FindAllStringSubmatch(m.text, 10*maxRecipients) {
		if a := strings.TrimRight(match[1], "."); !seen[strings.ToLower(a)] && len(all) < maxRecipients {
			seen[strings.ToLower(a)] = true
			all = append(all, a)
		}
	}
	return all
}

// returnedTo keeps the address that the returned message was written to.
func (m *message) returnedTo(mentioned []string) []string {
	for _, a := range mentioned {
		if strings.EqualFold(a, m.original().To) {
			return []string{a}
		}
	}
	return nil
}

// lineOf is where the line begins that an address stands in, one that begins
// with it before others.
func (m *message) lineOf(a string) int {
	if a == "" {
		return 0
	}
	for _, match := range atLineStart.FindAllStringSubmatchIndex(m.text, 10*maxRecipients) {
		if strings.EqualFold(strings.TrimRight(m.text[match[2]:match[3]], "."), a) {
			return match[0]
		}
	}
	at := strings.Index(strings.ToLower(m.text), strings.ToLower(a))
	if at < 0 || at > len(m.text) {
		return 0
	}
	return strings.LastIndexByte(m.text[:at], '\n') + 1
}

// aCode begins a reply within a text.
var aCode = regexp.MustCompile(`(?:^|[\s:;("'\[=])([45][0-5][0-9])(?:[ ,\-\n]|$)`)

// aRuler is a line that parts a report, "--- The header of the message ---".
var aRuler = regexp.MustCompile(`(?m)^[ \t]*(?:[-=*]{2,}.*|[[]?(?:original|returned) message.*)$`)

// maxReason is how much of a text is taken for the reason.
const maxReason = 2000

// reply is what the block quotes of a reply, or else all that it says.
func (b block) reply() queue.Reply {
	text := aRuler.ReplaceAllString(b.text, "")
	if at := aCode.FindStringSubmatchIndex(text); at != nil {
		text = text[at[2]:]
		if end := strings.Index(text, "\n\n"); end >= 0 {
			text = text[:end]
		}
		if len(text) > 4 && text[3] == ',' { // "550, 5.1.1 …"
			text = text[:3] + " " + text[4:]
		}
	}
	return bounce.Parse(text[:min(len(text), maxReason)])
}
