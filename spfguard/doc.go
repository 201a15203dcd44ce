// Package spfguard answers, before a message leaves, what receivers will make
// of it under SPF (RFC 7208): would it pass everywhere, why not, and what to
// publish so that it does.
//
// A record is parsed completely first ([Parse]), so that a syntax error
// anywhere counts as strict receivers count it (§4.6), and then evaluated
// ([Checker.Check]). An [Evaluation] holds the result and the tree that led to
// it. [Checker.Worst] says what the record costs an address that matches
// nothing in it. [Checker.Verdict] puts both into what the guard keeps: the
// result for one identity and one egress address, its reasons, and for how
// long it may be relied on. [Checker.Lint] finds what is wrong with a record,
// [Checker.Fix] the smallest change that makes every egress address pass,
// proven by evaluation, and [Build] writes a record from a few answers.
//
// What it cannot know: whether a receiver's own resolver sees the same DNS,
// receivers that deviate from the RFC (findings name the known deviations),
// and, for records with macros over the sender or HELO name, results for
// senders and names other than those asked about.
package spfguard
