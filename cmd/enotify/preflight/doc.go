// Package preflight says before a campaign what will become of it: will it go,
// who will turn it away and with which reply, what to paste into DNS, when it
// is done.
//
// Everything the checks look at is gathered once, in an [Input]: the DNS
// through one resolver, the rendered messages, what the queue knows of the
// recipients, what the throttles have learned. A check is a function of it
// that answers one or more rows, whose ids never change. The answers make a
// [Report]. Package gather fills the input, package render writes the report.
//
// A check that could not be made is [NotChecked], never [Pass].
//
// It cannot know how a receiver judges the content of a message or the
// reputation of an address, nor what the DNS shows to others than the resolver
// that was asked.
package preflight
