package bounce

import "enotify/queue"

// The actions. They are words for people, logs and scripts, and do not change.
const (
	Retry         = "retry"           // try again later, on the usual schedule
	SlowDown      = "slow_down"       // fewer connections and a lower rate for the site; try again; costs no attempt
	Suppress      = "suppress"        // final: never send to the address again
	ScoreFull     = "score_full"      // try again, and count it: repeated full mailboxes are suppressed for a while
	AskGuard      = "ask_guard"       // final for the recipient, who can be requeued once the client's DNS is cured
	AskGuardRetry = "ask_guard_retry" // as AskGuard, but the receiver allows another try
	StopSmarthost = "stop_smarthost"  // our own credentials were refused: keep the recipients, stop the smarthost
	HoldEgress    = "hold_egress"     // send nothing from this egress IP to this site for a growing while; try again
	Fail          = "fail"            // final for this message, says nothing about the address
	Review        = "review"          // as Fail, and list it: no rule knew it
)

// A Verdict says what a reply means.
type Verdict struct {
	Class  queue.Class `json:"class"`
	Action string      `json:"action"`
	Rule   string      `json:"rule"`           // the rule that decided, see rules.txt
	Mark   Mark        `json:"mark,omitempty"` // what sets the reply apart from others of its class
}

// A Mark is what sets a rule apart from others of its class. They are words
// for people, logs and scripts, and do not change.
type Mark string

const (
	// Of spam_block: the receiver speaks of one message and not of where it came
	// from. No egress is held: the next message from there may be welcome.
	OneMessage Mark = "one_message"
	// Of no_such_user: the site says the same for other reasons too. The address
	// is suppressed when the reply repeats, and not before.
	UntilItRepeats Mark = "until_it_repeats"
)

// Final reports whether the recipient is done with: no further attempt in this
// batch. The batch's expiry ends the attempts of the others.
func (v Verdict) Final() bool {
	switch v.Action {
	case Suppress, AskGuard, Fail, Review:
		return true
	}
	return false
}

// action is the table of the classes: what to do about each, given whether
// the receiver called the failure permanent.
func action(class queue.Class, mark Mark, permanent bool, code int) string {
	switch {
	case class == queue.SpamBlock && mark == OneMessage && permanent:
		return Fail
	case class == queue.SpamBlock && mark == OneMessage:
		return Retry
	}
	switch class {
	case queue.Throttled:
		return SlowDown
	case queue.NoSuchUser:
		return Suppress
	case queue.MailboxFull:
		return ScoreFull
	case queue.SpamBlock:
		return HoldEgress
	case queue.AuthRejected:
		switch code {
		case 530, 534, 535, 538: // RFC 4954 §6: an answer to AUTH, or for want of it
			return StopSmarthost
		}
		if permanent {
			return AskGuard
		}
		return AskGuardRetry
	case queue.Policy, queue.Content:
		if permanent {
			return Fail
		}
	case queue.Other:
		if permanent {
			return Review
		}
	}
	return Retry // offline even when permanent: loops and broken servers get repaired
}
