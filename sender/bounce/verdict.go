package bounce

import (
	"maps"
	"slices"

	"enotify/queue"
)

// A Verdict says what a reply means, and what is done about it.
type Verdict struct {
	Class queue.Class `json:"class"`
	// the treatment in one word, for people and scripts; the words do not change
	Action string `json:"action"`
	Rule   string `json:"rule"`           // the rule that decided, see rules.txt
	Mark   Mark   `json:"mark,omitempty"` // what sets the reply apart from others of its class

	Treatment queue.Treatment `json:"-"` // the Treatment of the class, with the changes that the mark makes
	// the reply calls the failure permanent: 5yz, or 5.y.z where it has no other code
	Permanent bool `json:"-"`
	// Login: the reply is 530, 534, 535 or 538 (RFC 4954 §6). From a smarthost of
	// ours it is about our login there; a mail host of a domain knows none.
	Login bool `json:"-"`
}

// A Mark is what sets a rule apart from others of its class: its replies are
// treated otherwise. They are words for people, logs and scripts, and do not change.
type Mark string

const (
	// OneMessage is for replies about one message, not about where it came from
	// or how much came: the next one, to that recipient too, may be welcome.
	// Nothing is held or slowed down; a message called spam for good is refused.
	OneMessage Mark = "one_message"
	// UntilItRepeats is for no_such_user of sites that say the same for other
	// reasons too: the address is suppressed when the reply repeats.
	UntilItRepeats Mark = "until_it_repeats"
	// Elsewhere is for no_such_user of a host on the way about an address that the
	// message was forwarded to: the recipient's own address is not suppressed.
	Elsewhere Mark = "elsewhere"
	// TheirDomain is for auth_rejected of a site that does not take mail for the
	// recipient's domain (RFC 5321 §3.6.2). It says nothing about the client, and
	// no DNS of the client's cures it.
	TheirDomain Mark = "their_domain"
	// NotTheSender is for auth_rejected about our host or a login, or too vague to
	// tell: the guard looks, but the client is not blocked for it.
	NotTheSender Mark = "not_the_sender"
)

// marks is what each mark makes of the treatment of a class.
var marks = map[Mark]func(queue.Treatment) queue.Treatment{
	OneMessage: func(t queue.Treatment) queue.Treatment {
		t.Final = t.Final || t.HoldsEgress
		t.HoldsEgress, t.SlowsSite = false, false
		return t
	},
	UntilItRepeats: func(t queue.Treatment) queue.Treatment {
		if t.Suppresses.Replies == 1 {
			t.Suppresses = queue.OnceRepeated
		}
		return t
	},
	Elsewhere: func(t queue.Treatment) queue.Treatment {
		t.Suppresses = queue.Suppresses{}
		return t
	},
	TheirDomain: func(t queue.Treatment) queue.Treatment {
		t.AsksGuard, t.BlocksClient = false, false
		return t
	},
	NotTheSender: func(t queue.Treatment) queue.Treatment {
		t.BlocksClient = false
		return t
	},
}

// Marks lists the marks that there are.
func Marks() []Mark { return slices.Sorted(maps.Keys(marks)) }

// on applies the mark to the treatment of a class.
func (m Mark) on(t queue.Treatment) queue.Treatment {
	if change := marks[m]; change != nil {
		return change(t)
	}
	return t
}

// newVerdict is the verdict of a rule.
func newVerdict(class queue.Class, mark Mark, rule string, q *question) Verdict {
	v := Verdict{Class: class, Rule: rule, Mark: mark, Permanent: q.digit == '5', Treatment: class.Treatment()}
	if v.Treatment.Suppresses.Replies == 1 {
		v.Permanent = q.permanent
	}
	switch q.code {
	case 530, 534, 535, 538:
		v.Login = true
	case 421:
		if v.Treatment.SlowsSite { // it ends the connection (RFC 5321 §3.8), and so is about more than one message
			v.Mark = ""
		}
	}
	v.Treatment = v.Mark.on(v.Treatment)
	v.Action = v.action()
	return v
}

// BeforeMail is what the same reply means when it came before MAIL. It is about
// us, whatever it says: no mailbox was named yet, and no message; what is
// called spam there can only be where it comes from.
func (v Verdict) BeforeMail() Verdict {
	if v.Class.Treatment().Suppresses.Replies > 0 {
		return v.as(queue.Other)
	}
	return v.as(v.Class)
}

// Elsewhere is the verdict where the reply is about another address than the
// recipient's.
func (v Verdict) Elsewhere() Verdict { return v.marked(Elsewhere) }

func (v Verdict) marked(mark Mark) Verdict {
	v.Mark, v.Treatment = mark, mark.on(v.Class.Treatment())
	v.Action = v.action()
	return v
}

// forNow is the verdict where another try is allowed.
func (v Verdict) forNow() Verdict {
	v.Permanent = false
	v.Action = v.action()
	return v
}

// as is v as a verdict of a class, by the same rule and without its mark.
func (v Verdict) as(class queue.Class) Verdict {
	v.Class, v.Mark, v.Treatment = class, "", class.Treatment()
	v.Action = v.action()
	return v
}

// Final reports whether the recipient is done with: no further attempt in this
// batch. The batch's expiry ends the attempts of the others.
func (v Verdict) Final() bool { return v.Treatment.Final && v.Permanent }

// Exception is the treatment where it differs from the class's, and
// else the zero value: as [queue.Outcome] wants it.
func (v Verdict) Exception() queue.Treatment {
	if v.Treatment == v.Class.Treatment() {
		return queue.Treatment{}
	}
	return v.Treatment
}

func (v Verdict) action() string {
	t := v.Treatment
	switch {
	case t.SlowsSite:
		return "slow_down" // fewer connections and a lower rate for the site; try again; costs no attempt
	case t.HoldsEgress:
		return "hold_egress" // send nothing from this egress IP to this site for a growing while; try again
	case t.Suppresses.Replies == 1 && v.Final():
		return "suppress" // final: never send to the address again
	case t.Suppresses.Replies > 1 && v.Final():
		return "score_gone" // final, and counted: the address is suppressed when it repeats
	case t.Suppresses.Replies > 1 && !t.Final:
		return "score_full" // try again, and count it: repeated full mailboxes are suppressed for a while
	case t.AsksGuard && v.Login && v.Rule != "anonymous-refused": // mail hosts of domains say that
		return "stop_smarthost" // our login is not accepted: stop the smarthost; from a mail host as ask_guard
	case t.AsksGuard && v.Final():
		return "ask_guard" // final for the recipient, who can be requeued once the client's DNS is cured
	case t.AsksGuard:
		return "ask_guard_retry" // as ask_guard, but the receiver allows another try
	case v.Final() && v.Class == queue.Other:
		return "review" // final for this message, and listed: no rule knew it
	case v.Final():
		return "fail" // final for this message, says nothing about the address
	}
	return "retry" // try again later, on the usual schedule
}
