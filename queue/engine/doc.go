// Package engine sends what is queued. A [Server] is one node: it takes the
// turn, hands every recipient to a [queue.Handler], and records the outcomes.
//
//	heartbeat  once a second: renew leases, move batches on, take the turn
//	survey     beside it: the sites of the domains of the batch that is next
//	sendSmall  small batches that are next: turn and intent in one round trip for many
//	relay      hands their messages out, one batch after the other
//	pick       how many messages may begin now, by domain: see [Admission]
//	intend     write that intent, read those recipients: one round trip
//	pipeline   an intent is written while those before it are handed out and the next is picked
//	Handler    one SMTP attempt each; it reads what the batch says when it needs it: see contents
//	flush      write outcomes, as many as came in while the last write ran
//
// The states of a batch and the order of the locks are in the documentation of
// package queue. SQL that only the engine runs stands with the step that runs
// it, as a method of store.
//
// # Journal
//
// With a StateDir a node writes a line on its own disk right before the end of a
// message leaves, and one with the outcome. They outlive a kill. The next node of
// that host, or one that runs there already when the leases run out, reads them:
// an outcome is recorded; a message that had not left is sent; one that had left,
// and has no outcome, stays in doubt. When a line cannot be written, nothing begins.
package engine
