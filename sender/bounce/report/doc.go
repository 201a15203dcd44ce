// Package report reads mail that comes back after a message was accepted:
// delivery reports, complaints, and what merely looks like them.
//
// [Read] says what kind of mail it is, which address it names and why, the latter
// by package bounce; the recipient that it counts for is decided by
// returns.Desk.About. Message-ID and envelope of the message that it is about come
// with it, as far as they were returned. It is pure, and never fails: mail that
// makes no sense is [Other].
//
//	raw mail --message.go--> header, words for people, fields for programs, returned header
//	   |                         |                |                 |
//	   |                         |  status.go: RFC 3464   feedback.go: RFC 5965
//	   |                         |
//	   |                 kind.go: vacation replies (RFC 3834), challenges, delays
//	   |                 words.go: bounces that say it in words alone
//	   +---- limits: octets, parts, recipients
//
// # What it is careful about
//
// A report that has fields for programs is believed for these; the words are
// asked where the fields give no reason. Words alone count as a bounce only
// when the mail also comes the way that bounces come: from no one or a mail
// system (RFC 5321 §4.5.5), not from a person.
//
// # Why enmime
//
// MIME is parsed by enmime because it reads what real hosts send: it failed on
// none of 702 real bounces, go-message on 99 of them. It brings 15 of the 33
// indirect modules of this repository, so no other package imports it: the
// linter refuses that.
//
// # What it cannot know
//
// Whether any of it is true: everything in a mail can be forged. Who asks must
// know by other means, such as a signed return path, that the mail may speak
// about a recipient. With such a path the address in the report does not matter
// either, which is as well: forwarding changes it.
//
// [Message-ID]: https://www.rfc-editor.org/rfc/rfc5322#section-3.6.4
package report
