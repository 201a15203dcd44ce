// Package insight answers questions about the queue, and can change nothing in
// it: the transactions of a [Reader] are READ ONLY.
//
//	census         what the seal of a batch would find among its recipients
//	forecast       what has the turn before a batch
//	history        what was sent for a client
//	batch_history  the states of a batch, why recipients have not got it, who is in doubt
//	failures       what receivers said to all recipients in scope
//	explain        everything known of one address
//	backlog        what waits for a recipient domain or site
//	domains        what the DNS said of recipient domains
//	waiting        which sites a batch waits for
//	sites          which sites all batches wait for
//	flow           outcomes by time
//	audit          whether each recipient is in exactly one state
//	gauges         how much waits, for metrics
//	durability     settings of the server under which it may forget
package insight
