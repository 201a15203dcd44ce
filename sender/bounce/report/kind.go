package report

import (
	"regexp"
	"strings"

	"github.com/jhillyerd/enmime/v2"
)

// The words by which mail is known for what it is, where nothing but words
// tells. They are looked for in lower case, with each run of space one space.
var (
	asUndelivered = anyOf(`undeliver`, `not (?:be )?deliver`, `(?:un|in)able to deliver`, `deliver(?:y|ing)? .{0,60}(?:fail|abort|error|problem|trouble)`,
		`(?:fail|error|problem|trouble)[^.]{0,40}(?:to )?(?:be )?deliver`, `return(?:ed|ing) (?:mail|message|to sender)`, `mail(?: system)? (?:failure|error)`,
		`failure notice`, `could ?n.t be (?:delivered|sent)`, `did not reach`, `permanent(?:ly)? (?:fatal )?(?:error|fail)`, `was n.t deliver`, `rejected by`,
		`delivery status notification`, `can ?not be delivered`, `error sending your (?:mail|message)`, `unknown user`, `user unknown`, `no such user`, `invalid (?:user|recipient|address)`,
		`failure reasons?`, `had delivery (?:errors|problems)`,
		`no (?:se )?(?:ha )?pudo (?:ser )?entreg`, `nicht zugestellt`, `unzustellbar`, `n.a pas pu (?:être|etre) (?:remis|délivr|livr)`, `échec de la remise`,
		`não (?:pôde|foi) .{0,20}entreg`, `не может быть доставлено`, `送信できません`, `配信できません`, `送達できません`, `配送できません`, `退信`, `无法投递`, `投递失败`)

	asDelayed = anyOf(`\bdelay`, `warning message only`, `do(?:es)? not need to resend`, `(?:will|to) (?:be )?(?:retried|keep trying|continue to (?:try|be attempted))`,
		`has not (?:yet )?been (?:delivered|sent)`, `still (?:being )?(?:trying|tried|attempting)`, `not yet (?:been )?deliver`, `^warning:`, `could not be delivered yet`,
		`temporar(?:y|ily) (?:problem|undeliver)`, `delivery attempts will continue`)

	asGivenUp = anyOf(`giving up`, `given up`, `i.m not going to try again`, `permanent error`, `failed permanently`, `expired`, `aborted`, `too long`)

	asTimedOut = anyOf(`retry time ?out`, `time ?out exceeded`, `expired`, `in the queue too long`, `failed \d+ attempts`, `abort(?:ed)? after`, `for (?:the last )?\d+(?:\.\d+)? (?:seconds|minutes|hours|days)`)

	asVacation = anyOf(`^(?:re: ?)?(?:auto(?:matic)?[- ]?(?:reply|response|answer)|out of (?:the )?office|vacation|on vacation|away from)`, `^auto(?:mat)?:`, `abwesenheit`, `automatische antwort`,
		`réponse automatique`, `absence du bureau`, `respuesta automática`, `resposta automática`, `fuera de la oficina`, `自动回复`, `自動返信`, `不在`, `автоответ`)

	asChallenge = anyOf(`(?:confirm|verify|prove) (?:that )?(?:you|your).{0,80}(?:deliver|human|sender|person|message|mail)`, `challenge[- /]response`, `sender (?:verification|confirmation)`,
		`(?:click|reply|visit).{0,80}(?:so that|in order|to have|for|to get|and) .{0,40}(?:your|this|the) (?:message|e?-?mail).{0,40}(?:deliver|release|reach)`,
		`boxbe`, `spam ?arrest`, `white ?list(?:ed)? (?:yourself|your address)`, `will be deliver.{0,40}(?:once|when|after) you`)
)

// asHelpdesk is how desks answer that they took a mail for a question. Some
// write from no-reply addresses, and quote what they answer.
var asHelpdesk = anyOf(`\b(?:ticket|case|request|incident|enquiry|inquiry|anfrage|vorgang|demande|solicitud) ?(?:#|no\.?|nr\.?|id:?|\[|\(|number)? ?#?[a-z]{0,5}-?\d+`,
	`\[(?:ticket|case|request)?\s?#?[a-z]{0,8}-?\d{3,}\]`, `(?:your|the) (?:request|ticket|case|enquiry|inquiry|message|e-?mail) (?:\(?#?\w+\)? )?(?:has been|was) (?:received|created|opened|registered|logged)`,
	`we(?:.ve| have) (?:received|got) your (?:request|message|e-?mail|enquiry|inquiry)`, `thank you for (?:contacting|writing|getting in touch|your (?:message|e-?mail|request|enquiry|inquiry))`,
	`wir haben ihre (?:anfrage|nachricht|e-?mail) erhalten`, `nous avons (?:bien )?re[çc]u votre (?:demande|message)`)

// asSureChallenge is what only those say who make strangers prove themselves.
var asSureChallenge = anyOf(`\bboxbe\b`, `\bguest ?list\b`, `wait-?listed`, `spam ?arrest`, `mailinblack`,
	`(?:confirm|verify|prove) (?:that )?you(?:.re| are) (?:a |really a )?(?:human|real person|person|not a (?:robot|machine|spammer))`)

func anyOf(patterns ...string) *regexp.Regexp {
	return regexp.MustCompile(`(?i)` + strings.Join(patterns, "|"))
}

// kind tells mail apart that has no fields for programs.
func (m *message) kind() Kind {
	subject := plain(enmime.DecodeRFC2047(m.head.value("Subject")))
	words := subject + " " + plain(m.text)
	system := m.fromSystem()
	switch {
	case m.receipt:
		return Other
	case m.head.has("X-Failed-Recipients"): // Exim's word for programs
	case !m.fromDaemon() && !aPermanent.MatchString(m.text) && (asHelpdesk.MatchString(subject) || m.answersByItself() && asHelpdesk.MatchString(words)):
		return AutoReply
	case !system && asChallenge.MatchString(words):
		return Challenge
	case !system && (m.answersByItself() || asVacation.MatchString(subject)):
		return AutoReply
	case !system, !asUndelivered.MatchString(words) && !aRefusal.MatchString(m.text) && !m.delayed():
		return Other
	}
	switch {
	case m.delayed():
		return Delay
	case asTimedOut.MatchString(words) && !aPermanent.MatchString(m.text):
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
	return asSureChallenge.MatchString(m.head.value("From") + " " + plain(enmime.DecodeRFC2047(m.head.value("Subject"))+" "+m.text))
}

// aPermanent is a reply that refuses for good, quoted with or without the other code.
var aPermanent = regexp.MustCompile(`(?m)(?:^|[\s:(])5[0-5][0-9][ -]`)

// aRefusal is a reply quoted with both its codes.
var aRefusal = regexp.MustCompile(`\b[45][0-9]{2}[- #]{1,2}[45]\.[0-9]{1,3}\.[0-9]{1,3}\b`)

// plain makes one line of text.
func plain(text string) string { return strings.Join(strings.Fields(text), " ") }

func (m *message) delayed() bool {
	subject := plain(enmime.DecodeRFC2047(m.head.value("Subject")))
	if asDelayed.MatchString(subject) {
		return true
	}
	words := plain(m.text)
	return asDelayed.MatchString(words) && !asGivenUp.MatchString(subject+" "+words)
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
	return from == "" || nobody && !m.answersByItself() && !asVacation.MatchString(plain(enmime.DecodeRFC2047(m.head.value("Subject"))))
}

// answersByItself reports whether the header calls the mail an automatic answer
// (RFC 3834 §5, and what programs did before).
func (m *message) answersByItself() bool {
	auto := strings.ToLower(firstWord(m.head.value("Auto-Submitted")))
	if strings.HasPrefix(auto, "auto-replied") || strings.HasPrefix(auto, "auto-generated") || strings.HasPrefix(auto, "auto-notified") {
		return true
	}
	switch strings.ToLower(m.head.value("Precedence")) {
	case "auto_reply", "auto-reply":
		return true
	}
	for _, name := range []string{"X-Autoreply", "X-Autorespond", "X-Autoresponse", "X-Auto-Reply", "X-Vacation", "X-AutoReply-From", "X-Mail-Autoreply"} {
		if m.head.has(name) {
			return true
		}
	}
	return false
}
