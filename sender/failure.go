package sender

import (
	"errors"
	"fmt"
	"io"
	"net"
	"net/textproto"
	"syscall"
	"time"

	"enotify/queue"
	"enotify/sender/bounce"
	"enotify/spfguard/dns"
)

// A stage is how far an attempt had come when it failed. It decides what the
// failure says of the recipient, and whether the message may have arrived.
type stage int

const (
	routing    stage = iota // looking for the domain's mail hosts
	connecting              // up to EHLO and STARTTLS: says nothing of the recipient
	opening                 // MAIL, and RSET before it
	envelope                // RCPT and DATA
	content                 // the message, before its final dot
	confirming              // the final dot was sent, the reply was not read
)

// A failure is an attempt that did not end in delivery.
type failure struct {
	stage stage
	host  string // as far as one was chosen
	site  string
	// egress is the address that we came from; "" when no connection was tried.
	egress string
	err    error // wraps a *textproto.Error when the host gave a reply

	reply   queue.Reply    // Code 0: the host gave none
	verdict bounce.Verdict // what a reply of 4yz or 5yz means, see newFailure

	after   time.Duration // when it makes sense to try again; 0 when unknown
	ended   bool          // our own context ended the attempt
	crowded bool          // the host turned the connection away because there are too many
	stale   bool          // the connection had carried others, and ended before the host read anything of this message
}

// newFailure takes the reply out of an error, and is the one place where a reply is
// classified: by rules, and what is known of the message. Code that acts on the failure asks
// for the verdict's treatment.
func newFailure(f failure, rules bounce.Rules, about bounce.About) *failure {
	var said *textproto.Error
	if !errors.As(f.err, &said) { // text that is no SMTP reply at all is no answer
		return &f
	}
	if f.reply = parseReply(said.Code, said.Msg); f.reply.Code < 400 {
		return &f
	}
	about.Site = f.site
	if f.verdict = rules.Classify(f.reply, about); f.stage == connecting {
		f.verdict = f.verdict.BeforeMail()
	}
	return &f
}

// refused reports whether the host answered with 4yz or 5yz.
func (f *failure) refused() bool { return f.reply.Code >= 400 }

// blocks reports whether the host refuses the address that we came from.
func (f *failure) blocks() bool { return f.verdict.Treatment.HoldsEgress }

// errHeld stands for a message that waited for a connection when the site was
// found closed.
var errHeld = errors.New("the site takes no connection of ours just now")

// errWithdrawn stands for a message that may not begin any more.
var errWithdrawn = errors.New("the batch was stopped, or the lease lost")

// errUnbegun stands for a message that was withdrawn before its first command.
var errUnbegun = fmt.Errorf("%w before its first command", errWithdrawn)

// errStuck stands for a message that waited for a connection of a site which
// answers none of those that it has.
var errStuck = errors.New("the site has not answered the messages before this one")

// errNoRoom stands for a message that waited for memory.
var errNoRoom = errors.New("the memory for messages under way is taken")

// errNoContent stands for a message whose batch could not be read.
var errNoContent = errors.New("the content of the batch could not be read")

// errOutOfStep stands for replies that do not fit what was said. Nobody knows
// which of them is to which command, so none of them counts.
var errOutOfStep = errors.New("the receiver's replies do not fit our commands")

// Errors of ours that are final for the recipient.
var (
	errTooLarge = errors.New("the message is larger than the receiver accepts")
	errNoUTF8   = errors.New("the address needs SMTPUTF8, which the receiver does not offer")
)

// outcome turns a failed attempt into the outcome for the recipient.
func (f *failure) outcome() queue.Outcome {
	o := queue.Outcome{State: queue.Deferred, Host: f.host, Site: f.site, Egress: address(f.egress), After: f.after}
	switch {
	case f.reply.Code/100 == 2 && f.stage == confirming: // another 2yz than expected
		o.State, o.Reply = queue.Delivered, f.reply
	case f.refused():
		o.Reply, o.Class, o.Treatment = f.reply, f.verdict.Class, f.verdict.Exception()
		// Before MAIL nothing is final: another of the domain's hosts, or another day, may do.
		if f.stage != connecting && f.verdict.Treatment.Ends(f.reply.Code) {
			o.State = queue.Bounced
		}
	case f.stage == confirming && f.reply.Code != 0:
		o.State, o.Class = queue.Unknown, queue.Offline
		o.Reply.Text = "the receiver neither took nor refused the message: " + f.words()
	case f.stage == confirming:
		o.State, o.Class = queue.Unknown, queue.Offline
		o.Reply.Text = "the connection broke after the message was sent and before the receiver confirmed it: " +
			f.words()
	case f.ended:
		o.Class = queue.NotBegun
		o.Reply.Text = "stopped before the message was sent"
	case errors.Is(f.err, errHeld), errors.Is(f.err, errStuck), errors.Is(f.err, errAllHeld),
		errors.Is(f.err, errUnsigned), errors.Is(f.err, errNoRoom),
		errors.Is(f.err, errNoContent):
		o.Class = queue.NotBegun
		o.Reply.Text = f.err.Error()
	case errors.Is(f.err, errNullMX): // RFC 7505 §4.2
		o = final(o, queue.Policy, 556, "5.1.10", f.err)
	case errors.Is(f.err, errNoDomain), errors.Is(f.err, errNoHost): // RFC 3463 §3.2
		o = final(o, queue.Other, 550, "5.1.2", f.err)
	case errors.Is(f.err, errNotDialled): // as a null MX, and a loop if it were dialled (RFC 3463 §3.5)
		o = final(o, queue.Policy, 556, "5.4.6", f.err)
	case errors.Is(f.err, errTooLarge): // RFC 1870 §6.1
		o = final(o, queue.Content, 552, "5.3.4", f.err)
	case errors.Is(f.err, errNoUTF8): // RFC 6531 §3.5
		o = final(o, queue.Policy, 550, "5.6.7", f.err)
	default:
		o.Class = queue.Offline
		o.Reply.Text = f.words()
	}
	return o
}

// words says for people why an attempt failed to which the host gave no reply that counts.
func (f *failure) words() string {
	var asked *dns.FailureError
	if errors.As(f.err, &asked) || errors.Is(f.err, errNoTLS) || errors.Is(f.err, errOutOfStep) { // which say it well
		return clean(f.err.Error())
	}
	at := "the host"
	var op *net.OpError
	dialled := errors.As(f.err, &op) && op.Op == "dial"
	if dialled && op.Addr != nil {
		at = op.Addr.String()
	}
	var timed net.Error
	switch {
	case errors.Is(f.err, errEndless):
		return errEndless.Error()
	case f.reply.Code != 0:
		return clean(fmt.Sprintf("%s said %s where another reply was due", at, f.reply))
	case errors.Is(f.err, syscall.ECONNREFUSED):
		return at + ": connection refused"
	case errors.Is(f.err, syscall.ECONNRESET), errors.Is(f.err, syscall.EPIPE):
		return at + " reset the connection"
	case errors.Is(f.err, io.EOF), errors.Is(f.err, io.ErrUnexpectedEOF):
		return at + " closed the connection without a reply"
	case errors.Is(f.err, syscall.EHOSTUNREACH), errors.Is(f.err, syscall.ENETUNREACH):
		return at + ": there is no route to it"
	case errors.As(f.err, &timed) && timed.Timeout() && f.stage == content:
		return at + " stopped reading the message"
	case errors.As(f.err, &timed) && timed.Timeout():
		return at + " did not answer in time"
	}
	return clean(f.err.Error())
}

// final is an outcome that we know without asking the receiver, in the form of a reply. Its
// class is never queue.NoSuchUser, which would suppress the address though nobody knows
// whether there is such a user.
func final(o queue.Outcome, class queue.Class, code int, enhanced string, err error) queue.Outcome {
	o.State, o.Class = queue.Bounced, class
	o.Reply = queue.Reply{Code: code, Enhanced: enhanced, Text: clean(err.Error())}
	return o
}

// goesOn reports whether the connection can be used again: the host gave an
// answer that fits, and did not take its leave (RFC 5321 §3.8).
func (f *failure) goesOn() bool {
	return isRefusal(f.err) || f.reply.Code/100 == 2 && f.stage == confirming
}
