package report

import (
	"github.com/jhillyerd/enmime/v2"

	"enotify/queue"
	"enotify/sender/bounce"
)

// Kind is what a mail is. They are words for people, logs and scripts, and do
// not change.
type Kind string

const (
	Bounce    Kind = "bounce"    // at least one recipient was given up
	Expired   Kind = "expired"   // given up because the receiver was not to be reached for days: nobody refused it
	Delay     Kind = "delay"     // somebody goes on trying: nothing has happened yet
	Complaint Kind = "complaint" // a reader called the message spam
	AutoReply Kind = "autoreply" // a vacation notice and the like: the message arrived
	Challenge Kind = "challenge" // a filter wants the sender to prove to be one: the message waits
	Other     Kind = "other"     // none of these: a confirmation of delivery, or just mail
)

// A Report is what was found in a mail.
type Report struct {
	Kind       Kind
	Recipients []Recipient // whom it is about, at most 100; of a Delay and a Complaint too
	MessageID  string      // of the mail itself, with its angle brackets; "" when it has none
	Subject    string      // of the mail itself, decoded, on one line
	Original   Original
	SentTo     []string // addresses that the mail itself came to, as far as its header knows
}

// A Recipient is one that a report is about.
type Recipient struct {
	Address string // as the report has it, which may not be as it was written to; "" when it does not say
	// the address as it was written to (Original-Recipient of RFC 3464 §2.3.1); "" when it does not say
	Was      string
	Action   string         // failed, delayed, delivered, relayed or expanded (§2.3.3), or expired; "" in a complaint
	Reply    queue.Reply    // why; a Code that the report did not give is 550 where the failure is permanent
	Verdict  bounce.Verdict // what the reply means; zero in a complaint
	Reported string         // Remote-MTA, the host that said it; "" when unknown
}

// Original is what the report knows of the message that it is about.
type Original struct {
	MessageID  string // with its angle brackets; "" when it was not returned
	ReturnPath string // envelope sender, without angle brackets; "" when it was not returned
	To         string // address of the To: field; "" when it was not returned or is not one

	// Fields that name the message beside its Message-ID, as they came; "" when they
	// were not returned. Receivers that hide the recipient leave them as they are.
	FeedbackID  string // Feedback-ID, Gmail's name of a campaign
	CFBL        string // CFBL-Address (RFC 9477)
	Unsubscribe string // List-Unsubscribe (RFC 2369 §3.2)
}

// The limits. What lies beyond them is not looked at.
const (
	MaxBytes      = 1 << 20  // of a mail; a report comes before the message that it returns
	maxParts      = 100      // of MIME, nested or not; what comes after them is not read
	maxDepth      = 20       // of their nesting
	usualDepth    = 4        // beyond which less of the mail is read, so that all mails take about as long
	maxFields     = 1000     // of a header, or of a group of RFC 3464
	maxValue      = 16 << 10 // of a field
	maxAddress    = 320      // octets (RFC 5321 §4.5.3.1), with what is allowed about it
	maxText       = 16 << 10 // octets of its text for people
	maxRecipients = 100
	maxGroups     = 2 * maxRecipients // of RFC 3464
)

// A Reader reads mail. The zero value does so by the built-in rules.
type Reader struct{ Rules bounce.Rules }

// Read is [Reader.Read] of the zero Reader.
func Read(raw []byte) Report { return Reader{}.Read(raw) }

// Read says what a mail is: raw, with any line ends, perhaps preceded by the
// From line of an mbox.
func (rd Reader) Read(raw []byte) Report {
	m := parse(raw)
	m.rules = rd.Rules
	r := Report{MessageID: messageID(m.head.value("Message-ID")),
		Subject: plain(enmime.DecodeRFC2047(m.head.value("Subject"))), Original: m.original(), SentTo: m.sentTo()}
	switch {
	case m.feedback != nil:
		r.Kind, r.Recipients = m.complaint()
	case m.returned.has(microsoftsRecipient): // not all of Microsoft's reports have the fields of RFC 5965
		r.Kind, r.Recipients = m.complaint()
	case m.challenges():
		r.Kind = Challenge
	case m.status != nil:
		r.Kind, r.Recipients = m.delivery()
	default:
		if r.Kind = m.kind(); r.Kind == Bounce || r.Kind == Expired || r.Kind == Delay {
			r.Kind, r.Recipients = m.spoken(r.Kind)
		}
	}
	return r
}
