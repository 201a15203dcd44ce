package report

import (
	"regexp"
	"strings"

	"github.com/jhillyerd/enmime/v2"
)

// kind tells mail apart that has no fields for programs.
func (m *message) kind() Kind {
	subject := plain(enmime.DecodeRFC2047(m.head.value("Subject")))
	words := subject + " " + plain(m.text)
	system := m.fromSystem()
	switch {
	case m.receipt:
		return Other
	case m.head.has("X-Failed-Recipients"): // Exim's word for programs
	case !m.fromDaemon() && !aPermanent.MatchString(m.text) &&
		(helpDesk.in(subject) || m.answersByItself() && helpDesk.in(words)):
		return AutoReply
	case !system && challengeWords.in(words):
		return Challenge
	case !system && (m.answersByItself() || vacationWords.in(subject)):
		return AutoReply
	case !system, !undeliveredWords.in(words) && !aRefusal.MatchString(m.text) && !m.delayed():
		return Other
	}
	switch {
	case m.delayed():
		return Delay
	case timedOut.in(words) && !aPermanent.MatchString(m.text):
		return Expired
	}
	return Bounce
}

// challenges reports whether the mail asks the sender to prove to be one. Some of
// these come with fields of RFC 3464; one that quotes a refusal is a bounce.
func (m *message) challenges() bool {
	if m.receipt || m.head.has("X-Failed-Recipients") || aRefusal.MatchString(m.text) {
		return false
	}
	return sureChallenge.in(m.head.value("From") + " " +
		plain(enmime.DecodeRFC2047(m.head.value("Subject"))+" "+m.text))
}

// aPermanent is a reply that refuses for good, quoted with or without the other code.
var aPermanent = regexp.MustCompile(`(?m)(?:^|[\s:(])5[0-5][0-9][ -]`)

// aRefusal is a reply quoted with both its codes.
var aRefusal = regexp.MustCompile(`\b[45][0-9]{2}[- #]{1,2}[45]\.[0-9]{1,3}\.[0-9]{1,3}\b`)

// plain makes one line of text.
func plain(text string) string { return strings.Join(strings.Fields(text), " ") }

func (m *message) delayed() bool {
	subject := plain(enmime.DecodeRFC2047(m.head.value("Subject")))
	if delayedWords.in(subject) {
		return true
	}
	words := plain(m.text)
	return delayedWords.in(words) && !givenUp.in(subject+" "+words)
}

// aSystem is who sends bounces: a local part, or a name.
var aSystem = regexp.MustCompile(`(?i)mailer-?daemon|post_?master|mail[. -]?deliver|delivery (?:sub)?system|mail ?system|^mailerdaemon|bounce|no-?reply`)

// aDaemon is who sends nothing but what mail systems say of mail.
var aDaemon = regexp.MustCompile(`(?i)mailer-?daemon|post_?master|mail[. -]?deliver|delivery (?:sub)?system|mail ?system`)

// fromDaemon reports whether the mail says to come from a mail system; a
// no-reply address or an empty return path may be anybody's.
func (m *message) fromDaemon() bool {
	return m.head == nil || aDaemon.MatchString(enmime.DecodeRFC2047(m.head.value("From")))
}

// fromSystem reports whether the mail comes the way bounces come (RFC 5321
// §4.5.5): from nobody, or from a mail system, or its header was lost. A
// person's vacation notice may come from nobody as well (RFC 3834 §3.3).
func (m *message) fromSystem() bool {
	if m.head == nil {
		return true
	}
	from := m.head.value("From")
	if aSystem.MatchString(enmime.DecodeRFC2047(from)) {
		return true
	}
	nobody := m.head.has("Return-Path") && address(m.head.value("Return-Path")) == ""
	return from == "" || nobody && !m.answersByItself() &&
		!vacationWords.in(plain(enmime.DecodeRFC2047(m.head.value("Subject"))))
}

// answersByItself reports whether the header calls the mail an automatic answer
// (RFC 3834 §5, and what programs did before).
func (m *message) answersByItself() bool {
	auto := strings.ToLower(firstWord(m.head.value("Auto-Submitted")))
	if strings.HasPrefix(auto, "auto-replied") || strings.HasPrefix(auto, "auto-generated") ||
		strings.HasPrefix(auto, "auto-notified") {
		return true
	}
	switch strings.ToLower(m.head.value("Precedence")) {
	case "auto_reply", "auto-reply":
		return true
	}
	for _, name := range []string{"X-Autoreply", "X-Autorespond", "X-Autoresponse", "X-Auto-Reply", "X-Vacation",
		"X-AutoReply-From", "X-Mail-Autoreply"} {
		if m.head.has(name) {
			return true
		}
	}
	return false
}
