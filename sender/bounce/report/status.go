package report

import (
	"cmp"
	"regexp"
	"strings"

	"enotify/queue"
	"enotify/sender/bounce"
)

// groups splits the fields of a delivery report (RFC 3464 §2.1): the fields of the
// message, then a group for each recipient. Not everybody keeps to the blank
// line between them, or to their order.
func groups(text string) (all []fields) {
	for text != "" && len(all) < maxGroups {
		var fs fields
		if fs, text = readFields(strings.TrimLeft(text, "\r\n")); len(fs) == 0 {
			continue
		}
		begun := 0
		for i, f := range fs {
			if i > begun && strings.EqualFold(f.name, "Final-Recipient") && fs[begun:i].has("Final-Recipient") {
				all = append(all, fs[begun:i])
				begun = i
			}
		}
		all = append(all, fs[begun:])
	}
	return all
}

// delivery reads a report of RFC 3464.
func (m *message) delivery() (Kind, []Recipient) {
	var recipients []Recipient
	said := m.blocks(nil)
	for _, group := range m.status {
		if len(recipients) == maxRecipients {
			break
		}
		if !group.has("Final-Recipient") && !group.has("Original-Recipient") && !group.has("Action") {
			continue
		}
		r := Recipient{
			Address:  cmp.Or(address(group.value("Final-Recipient")), address(group.value("X-Actual-Recipient"))),
			Was:      address(group.value("Original-Recipient")),
			Action:   action(group),
			Reported: mta(group.value("Remote-MTA")),
		}
		r.Address = cmp.Or(r.Address, r.Was, m.original().To)
		if r.Action == "" {
			if r.Action = "failed"; m.delayed() {
				r.Action = "delayed"
			}
		}
		if r.Action == "failed" || r.Action == "delayed" {
			r.Reply, r.Verdict = m.reason(group, r, said)
		}
		if r.Action == "failed" && expired(firstWord(group.value("Status")), r) {
			r.Action = "expired"
		}
		recipients = append(recipients, r)
	}
	kind := Other
	for _, r := range recipients {
		switch {
		case r.Action == "failed":
			return Bounce, recipients
		case r.Action == "expired":
			kind = Expired
		case r.Action == "delayed" && kind != Expired:
			kind = Delay
		}
	}
	return kind, recipients
}

// expired reports whether a recipient was given up because time ran out (RFC
// 3463 §3.5, X.4.7), and not because anybody refused the message.
func expired(status string, r Recipient) bool {
	for _, code := range []string{status, r.Reply.Enhanced} {
		if len(code) == len("4.4.7") && code[1:] == ".4.7" {
			return r.Verdict.Class == queue.Offline || r.Verdict.Class == queue.Throttled ||
				r.Verdict.Class == queue.Other
		}
	}
	return false
}

// action is the action of a group, or what its status means by RFC 3463 §3.1 where
// the action is not one of RFC 3464 §2.3.3.
func action(group fields) string {
	word := strings.ToLower(group.value("Action"))
	switch {
	case strings.HasPrefix(word, "fail"), strings.HasPrefix(word, "hard"), strings.HasPrefix(word, "undeliver"):
		return "failed"
	case strings.HasPrefix(word, "delay"), strings.HasPrefix(word, "soft"), strings.HasPrefix(word, "expired"):
		return "delayed"
	case strings.HasPrefix(word, "deliver"):
		return "delivered"
	case strings.HasPrefix(word, "relay"):
		return "relayed"
	case strings.HasPrefix(word, "expand"):
		return "expanded"
	}
	switch status := group.value("Status"); {
	case strings.HasPrefix(status, "5"):
		return "failed"
	case strings.HasPrefix(status, "4"):
		return "delayed"
	case strings.HasPrefix(status, "2"):
		return "delivered"
	}
	return ""
}

// reason is why a recipient failed: what the diagnostic says, and where that
// means nothing to anybody, what the report says in words.
func (m *message) reason(group fields, r Recipient, said []block) (queue.Reply, bounce.Verdict) {
	status := firstWord(group.value("Status"))
	diagnostic := cmp.Or(group.value("Diagnostic-Code"), supplementary(group.value("X-Supplementary-Info")))
	if code := exitStatus.FindStringSubmatch(diagnostic); code != nil {
		diagnostic = "server failure: the program that delivers ended with status " + code[1]
	}
	reply, x := m.judge(bounce.Parse(diagnostic), status, r)
	if x.Class != queue.Other || x.Doubt != "" { // which other words do not remove
		return reply, x.Verdict
	}
	for _, b := range said {
		if !strings.EqualFold(b.address, r.Address) && !strings.EqualFold(b.address, r.Was) && len(said) > 1 {
			continue
		}
		if inWords, said := m.judge(b.reply(), status, r); said.Class != queue.Other {
			return inWords, said.Verdict
		}
	}
	return reply, x.Verdict
}

// supplementary is the diagnostic in Exchange's own field (MS-OXCMAIL
// 2.2.3.7.1.2): "<mx.example.net #5.1.1 smtp;550 5.1.1 User unknown>".
func supplementary(value string) string {
	value = strings.TrimSpace(value)
	if !strings.HasPrefix(value, "<") {
		return value
	}
	value = strings.TrimSuffix(value[1:], ">")
	if _, rest, ok := strings.Cut(value, "#"); ok {
		_, value, _ = strings.Cut(rest, " ")
	}
	return strings.TrimSpace(value)
}

// judge fills in what a diagnostic left out, and says what it means. A reply
// without a code is never final: where the report calls the failure permanent,
// it gets 550, or 556 where the domain takes no mail at all (RFC 7505 §4.2).
// What the reporting host says of a receiver that did not answer stays without.
func (m *message) judge(r queue.Reply, status string, of Recipient) (queue.Reply, bounce.Explanation) {
	r.Text = strings.TrimSpace(r.Text)
	if code := bounce.EnhancedCode(status); r.Enhanced == "" && code == status && code > "4" &&
		!strings.HasSuffix(code, ".0.0") {
		r.Enhanced = code
	}
	if r.Code == 0 && of.Action == "failed" {
		switch {
		case isNullMX.MatchString(r.Text):
			r.Code = 556
		case strings.HasPrefix(status, "4") || strings.HasPrefix(r.Enhanced, "4"):
		case isHedged.MatchString(r.Text):
		default:
			if v := m.classify(r, of); v.Class == queue.Offline && r.Text != "" {
				return r, v
			}
			r.Code = 550
		}
	}
	return r, m.classify(r, of)
}

// classify asks the rules. What a report says of an address that the message
// was forwarded to is not said of the one that it was written to.
func (m *message) classify(r queue.Reply, of Recipient) bounce.Explanation {
	about := bounce.About{Site: of.Reported, Recipient: of.Address, Ours: m.ours()}
	if of.Was != "" && !strings.Contains(strings.ToLower(r.Text), strings.ToLower(of.Address)) {
		about.Recipient = of.Was
	}
	x := m.rules.Explain(r, about)
	if x.Class == queue.NoSuchUser && of.Was != "" && of.Address != "" && !bounce.SameMailbox(of.Address, of.Was) {
		x.Verdict = x.Elsewhere()
	}
	return x
}

// ours are addresses of ours that the report gives away.
func (m *message) ours() (all []string) {
	for _, a := range []string{m.original().ReturnPath, address(m.returned.value("From"))} {
		if a != "" {
			all = append(all, a)
		}
	}
	return all
}

// exitStatus is the diagnostic of a host that delivers by a program which failed
// (sysexits.h), except 67 and 68, an unknown user and an unknown host. That is
// trouble of the host's own.
var exitStatus = regexp.MustCompile(`(?i)^x-unix;\s*(6[4-69]|7[0-8])$`)

// isHedged is what a host says that does not tell an unknown address from a
// closed one. The address is not given up for it.
var isHedged = regexp.MustCompile(`(?i)\b(?:may|might) (?:not exist|no longer exist|have been (?:removed|deleted))|il se peut|es posible que|可能不存在`)

var isNullMX = regexp.MustCompile(`(?i)\bnull ?mx\b|rfc ?7505`)

func firstWord(s string) string {
	if i := strings.IndexAny(s, " \t\n("); i >= 0 {
		return s[:i]
	}
	return s
}

// mta is the name in "dns; mx.example.org (192.0.2.1)".
func mta(value string) string {
	if _, name, ok := strings.Cut(value, ";"); ok {
		value = name
	}
	return strings.ToLower(firstWord(strings.TrimSpace(value)))
}
