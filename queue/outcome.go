package queue

import (
	"net/netip"
	"strconv"
	"strings"
	"time"
)

// State is where one recipient stands. The states that an attempt can end in
// are final, except Deferred.
type State string

const (
	Pending    State = "pending"    // waits for the first try
	Sending    State = "sending"    // an SMTP transaction may be under way
	Deferred   State = "deferred"   // waits for the next try
	Delivered  State = "delivered"  // the receiver took responsibility (RFC 5321 §4.2.5)
	Bounced    State = "bounced"    // the receiver refused for good
	Suppressed State = "suppressed" // never to be sent to, see the table suppression
	Invalid    State = "invalid"    // not an address, or not a message: nothing was sent
	Expired    State = "expired"    // deferred until the batch expired, or a host on the way gave up waiting
	Unknown    State = "unknown"    // may or may not have been delivered
	Cancelled  State = "cancelled"  // the batch was cancelled before the first try
)

// A Reply is what the receiver answered. A dial error or EOF says nothing about the recipient and is no Reply:
// its Code is 0 and its Text tells what happened.
type Reply struct {
	Code     int    // RFC 5321 §4.2; 0 when the receiver said nothing
	Enhanced string // RFC 3463, as in "5.1.1"; "" if none was sent
	Text     string // all lines without code and enhanced code, unquoted, joined by \n
}

// String is the reply on one line, as in "421 4.7.28 Too fast".
func (r Reply) String() string {
	var b strings.Builder
	if r.Code != 0 {
		b.WriteString(strconv.Itoa(r.Code) + " ")
	}
	if r.Enhanced != "" {
		b.WriteString(r.Enhanced + " ")
	}
	b.WriteString(strings.ReplaceAll(r.Text, "\n", " "))
	return strings.TrimSuffix(b.String(), " ")
}

// An Outcome is the result of one attempt.
type Outcome struct {
	State State // Delivered, Deferred, Bounced, Invalid or Unknown
	Class Class
	Reply Reply
	Host  string        // MX host that answered, "" if none did
	Site  string        // to which the message went or would have gone, "" when that is not known
	After time.Duration // when Deferred: not before; 0 leaves it to the retry schedule

	// Egress is the address that the attempt was made from; the zero Addr when none was
	// made.
	Egress netip.Addr `json:",omitzero"`

	// Fault says why no message of the whole batch can be composed, "" when that
	// is not so. The batch is blocked for it.
	Fault string `json:",omitzero"`

	// Treatment is set only where the reply is to be treated otherwise than its class.
	Treatment Treatment `json:",omitzero"`
}

// Treated is what is done about the outcome: by its own Treatment, else by its class.
func (o *Outcome) Treated() Treatment {
	if o.Treatment != (Treatment{}) {
		return o.Treatment
	}
	return o.Class.Treatment()
}
