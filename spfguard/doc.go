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
// long it may be relied on; [Checker.Strict] says what receivers get that count
// every empty answer. [Build] writes a record from a few answers.
//
// [Checker.Lint] and [Checker.Fix] read a record as a person does who has to
// repair it. reading.go divides it into tokens, joins those that a space
// divides, and has lint_guess.go say what was meant by the others; a name
// without a mechanism is looked up in settle.go. Lint says what is wrong. Fix
// drafts the record as it was meant (fix_draft.go), mends what is a permerror
// (fix_mend.go, fix_limits.go), tidies it, adds the egress addresses, and proves
// the result (fix_proof.go): every egress address passes, and so does every
// sender that the old record names to its reader. Where a sender cannot be told,
// the result is a question ([DoubtError]) and no record.
//
// What it cannot know: whether a receiver's own resolver sees the same DNS,
// receivers that deviate from the RFC in other ways,
// and, for records with macros over the sender or HELO name, results for
// senders and names other than those asked about.
package spfguard
