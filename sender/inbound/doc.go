// Package inbound takes in mail for addresses that we have signed: bounces that
// come back to a return path, complaints, and the mail by which a reader
// unsubscribes. Beside these it takes mail for the fixed addresses of feedback
// loops, and no other. It speaks SMTP (RFC 5321) or LMTP (RFC 2033).
//
// A mail goes through:
//
//	connection   so many in all, and from one remote
//	RCPT         is the address signed by a key of ours, or a fixed one? else 550 5.1.1
//	DATA         so many octets; so many mails a second from one remote
//	Deliver      250 only when it says so, else 451: the remote tries again
//
// The envelope sender does not matter. It is null in a bounce (RFC 5321
// §4.5.5), but not everybody keeps to that, and who unsubscribes has one.
//
// # What it is careful about
//
// A mail that is larger than what is looked at is taken nevertheless, up to
// MaxBytes, and cut: some hosts return the whole message, and a bounce that is
// refused is lost for good. Answers say nothing of whether a recipient exists
// that was not signed for.
package inbound
