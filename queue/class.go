package queue

import (
	"slices"
	"time"
)

// Class says why a receiver turned a message away. What is done about each is
// in one table, see [Class.Treatment]. The zero value is the class of a success.
type Class string

const (
	Offline      Class = "offline"       // the receiver cannot be reached, or has trouble of its own
	Throttled    Class = "throttled"     // too many connections, or too fast
	NoSuchUser   Class = "no_such_user"  // the address is gone
	MailboxFull  Class = "mailbox_full"  // the mailbox is full
	AuthRejected Class = "auth_rejected" // the client's DNS does not authorise us
	SpamBlock    Class = "spam_block"    // an address of ours is blocked for what it sent
	Policy       Class = "policy"        // a rule of the receiver refuses the message
	Content      Class = "content"       // what the message holds is refused
	Other        Class = "other"         // no rule knows the reply
	NotBegun     Class = "not_begun"     // no reply: nothing was sent to the receiver
)

// A Treatment is what is done about a failed attempt. Code that acts on a recipient, a site,
// an address of ours or a client asks for it here. Other code looks at a class only to word
// a report, or to read a report within a report.
type Treatment struct {
	// Final: a permanent reply (5yz) ends the delivery to the recipient. A
	// transient one (4yz) never does. What is not final is retried until the
	// batch expires.
	Final bool
	// Counts: the try is one of those by whose number the wait for the next grows.
	Counts bool
	// SlowsSite: fewer connections and messages go to the site for a while.
	SlowsSite bool
	// StandsStill: a deferral is no progress of the batch, since the site was not reached
	// or put us off. When all that is left of a batch stands still, the next one takes the
	// turn.
	StandsStill bool
	// HoldsEgress: the site gets nothing from the address that we came from for
	// a growing while.
	HoldsEgress bool
	// AsksGuard: the guard looks at the client's DNS again, and an alert says so
	// once per site.
	AsksGuard bool
	// BlocksClient: such replies block the client's batches when several sites
	// give them, see package queue's weigh.
	BlocksClient bool
	// Suppresses says after how many such replies the address is never sent to
	// again: for all clients, since a mailbox is gone, or full, for every sender.
	Suppresses Suppresses
	// Requeues: recipients who ended so can be sent to again, by batch requeue.
	Requeues bool
}

// Suppresses says when replies suppress an address. The zero value is never.
type Suppresses struct {
	Replies int           // so many; 1 is at once
	Over    time.Duration // at least, from the first of them to the last, with no delivery between
	Forget  time.Duration // without such a reply, after which they are counted from the start
	For     time.Duration // that the suppression lasts; 0 is for good
}

const day = 24 * time.Hour

// OnceRepeated suppresses an address that is called unknown again and again. It is for
// receivers that also call existing addresses unknown.
var OnceRepeated = Suppresses{Replies: 3, Over: 7 * day, Forget: 90 * day}

// treatments has a row for each class. A new class takes:
//
//   - a constant above, and a row here
//   - a value of the type enotify.reply_class (migrations/doc.go says how), and the
//     golden dump of the schema written again
//   - rules with examples in sender/bounce/rules.txt, and a line in its head
//   - a segment in cmd/enotify/bouncereport, and a row in guide/replies.md
//   - where it suppresses: a cause in migrations/004_returns.sql, and its words in
//     suppression explain
//
// Tests name what is missing of the constants, rows of both tables, values, rules and segments.
var treatments = map[Class]Treatment{
	// Not final even on 5yz: loops and broken servers get repaired.
	Offline:   {Counts: true, StandsStill: true, Requeues: true},
	Throttled: {SlowsSite: true, StandsStill: true, Requeues: true},
	NoSuchUser: {Final: true, Counts: true, Requeues: true,
		Suppresses: Suppresses{Replies: 1}},
	// Whether the reply is 4yz or 5yz says more of the receiver than of the mailbox (RFC 3463 §3.3).
	MailboxFull: {Counts: true, Requeues: true,
		Suppresses: Suppresses{Replies: 5, Over: 3 * day, Forget: 30 * day, For: 30 * day}},
	AuthRejected: {Final: true, Counts: true, AsksGuard: true, BlocksClient: true, Requeues: true},
	SpamBlock:    {Counts: true, HoldsEgress: true, StandsStill: true, Requeues: true},
	Policy:       {Final: true, Counts: true, Requeues: true},
	Content:      {Final: true, Counts: true, Requeues: true},
	Other:        {Final: true, Counts: true, Requeues: true},
	NotBegun:     {StandsStill: true},
}

// Classes lists all classes of failed attempts, in alphabetical order.
func Classes() []Class {
	all := make([]Class, 0, len(treatments))
	for c := range treatments {
		all = append(all, c)
	}
	slices.Sort(all)
	return all
}

// Treatment is what is done about replies of the class. An unknown class is treated as
// Other.
func (c Class) Treatment() Treatment {
	if t, ok := treatments[c]; ok {
		return t
	}
	return treatments[Other]
}

// Ends reports whether a reply with an SMTP code ends the delivery to the recipient.
func (t Treatment) Ends(code int) bool { return t.Final && code >= 500 }
