// Package bounce reads what a receiver answered and says why it turned the
// message away, and so what to do about it.
//
// [Parse] takes a line apart, [Classify] gives the [Verdict]. Both are pure:
// no clock, no network, no state. The way of a reply:
//
//	raw line --Parse--> queue.Reply --fold--> plain words --phrases--> what is said
//	                         |                                            |
//	                         +--- reply code, enhanced code, site --------+--> first rule that fits
//
// The rules stand in one table, rules.txt, in an order that is part of their
// meaning: the first that fits decides. Each says where its words are from and
// has examples; [Override] puts an operator's own before them, and [Rules.Explain]
// says which words decided. What a provider means by its own codes comes
// first, then what the words say, then what the enhanced code alone says (RFC
// 3463, RFC 7372, RFC 7505), then the bare digits (RFC 5321 §4.2.3). Words go
// before codes because receivers choose words with more care: 5.7.1 is said of
// spam, of SPF, of relaying and of unknown users alike.
//
// # What it is careful about
//
// Saying no_such_user wrongly loses a subscriber for good. So it is said only
// when no digit says otherwise, when no veto of the table fits, when the reply
// asks for no other try, and when it names no other address than the
// recipient's ([About]). It suppresses only when the reply is permanent in all
// its digits. A bare 550 or 554 is never enough. Where a reply quotes one of a
// host behind the receiver, that one decides.
//
// The other side is not safe either: mail repeated to dead addresses gets the
// sender listed. So what is plainly said is believed under any enhanced code.
//
// A refusal for want of authorisation is often a 4xx ("rate limited because
// SPF did not pass"): it is auth_rejected all the same, since no retry cures it.
//
// # What it cannot know
//
// Some receivers hide one reason behind another: an unknown user behind
// "access denied", a filter behind "user unknown". Where a provider documents
// that, there is a rule; elsewhere the words are taken at face value.
package bounce
