// Package queue has the nouns of the database and their SQL: batches and
// recipients, outcomes, suppressions, clients, verdicts, nodes.
//
// Applications enqueue with the SQL functions of package migrations; the
// tables are the API. Package engine sends: its Server is one node, which hands
// each recipient to a [Handler] once. It relates to a Handler as an http.Server
// does to its own: the handler makes one attempt and returns an [Outcome],
// there is no error.
//
// # A batch
//
//	draft    -> queued cancelled
//	queued   -> sending draining paused blocked cancelled done
//	sending  -> draining retrying queued paused blocked cancelled done
//	draining -> retrying queued paused blocked cancelled done
//	retrying -> queued paused blocked cancelled done
//	paused   -> queued cancelled done
//	blocked  -> queued paused cancelled done
//	done     -> queued
//
// The usual way is draft, queued, sending, retrying, done. A batch becomes done
// when every recipient has an outcome, or when it expires. A requeue brings it back
// from done, and so does a node that reports late that it had not sent to some
// recipients. Cancelled is final.
//
// At most one batch is in state sending, by a unique index. It holds the turn until
// every recipient was tried; a batch of higher priority takes the turn at once, and the
// one that had it goes on before others of its priority. Among those the turn goes round
// the clients, by the login that created the batch: next is the one whose last turn is
// longest ago, with its oldest batch. So a login with thousands of batches delays each
// other client by one of them. No batch takes the turn before its domains were surveyed:
// which sites serve them, and which domains take no mail at all. Recipients at those fail
// at once.
//
// Under [ByDestination] a batch that only waits for slow sites drains: the next batch
// takes the turn, and waits in every recipient domain where the draining one has
// first tries left or under way. So no domain serves two batches at once, except for
// retries, which are sent when they are due. Draining is otherwise like sending, and
// ends like it; a batch of higher priority sends both back into the queue.
//
// A batch is stuck when, for 1.5 s, no node has finished a first try of it; attempts
// that reached no receiver do not count. Its sites are closed, dead or silent. Then
// the batch gives the turn away, under [Strict] too. It goes on as retrying, with untried
// recipients (batch.passed_at); a batch that takes the turn later stays behind it
// in its domains, unless its priority is higher.
//
// A batch whose row somebody else has locked, such as an operator with an open
// transaction, is sent as it stands, but its state cannot change. When it needs the
// turn no longer, others begin beside it as draining, one after the other.
//
// A small batch may take the turn, begin all of its recipients and give the turn on in
// one transaction, together with others that are next: the turn passes at once when
// nothing is left to begin. It is retrying while its messages are under way. The node
// hands them out in the order of the turns: a batch comes up when nothing of the one
// before it is left to begin, and in each domain when the one before it has ended. An
// urgent one borrows the turn of a batch of lower priority.
//
// # A recipient
//
// A batch is sealed into rows numbered by domain, which never change. What moves is
// a watermark per batch and domain, the intent: nothing above it was sent. A
// recipient at or below it has an outcome, or waits in retry, or is under way, or is
// in doubt since the node that sent to it died.
//
// A delivered message may come back: a [Report] changes the outcome, with the same
// consequences as if the receiver had refused at once. Each report counts once,
// however often and by whatever way it arrives.
//
// # Nodes
//
// Recipient domains belong to 64 groups, and each group is leased to one node, so
// that a rate kept in one process holds for all nodes. The domains of one site are in
// one group, so its limits hold too. A domain whose site was not known before the turn
// stays in its own group until its next batch; a domain whose site has changed moves
// when nothing of it is under way. A lease has an epoch, which fences every intent.
// When the lease runs out, another node takes the group and settles what is in doubt
// there as the batch says: [Hold] or [Resend]. Late results of the old node are facts:
// they replace unknown.
//
// A verdict of the guard is about a client and an address. A batch begins when every
// address of every live node may send for its client. A node that joins later and is
// not authorised, or not yet checked, sends none of the batch. While the batch is
// due, authorised nodes take over its groups.
//
// # Locks
//
// A transaction that takes several of these takes them in this order, and of one kind
// the lowest number first:
//
//	client rows            guard, resume, requeue, refusals, changes of a client
//	lock_turn, lock_survey who has the turn; which domain is in which group
//	domain rows, leases    survey and regroup; heartbeat and takeover
//	lock_nodes             an intent its own node; takeover, reclaim and regroup
//	write_results          before outcomes of a batch are written
//	lock_results           to count its outcomes or to take them back
//	lock_report            reports about one recipient, one after the other
//	lock_tls_reports       who sends which report on TLS; nothing else is locked after it
//	lock_join              a node that joins; it locks none of the others
//	verdict rows           guard
//	batch rows             every change of state
//	batch_domain, retry, outcome, batch_count, suppression rows
//	complaint_level rows   a complaint, after its report is written
//
// The functions lock_… and write_results lock rows of enotify.engine_lock, where
// migrations/006_locks.sql says why. No application may call them, and a
// transaction of an application locks no client row in a way that conflicts.
//
// Two transactions take fewer. One that cancels or expires recipients waiting for a
// retry does not call lock_results: no results of those are written. A batch that is
// done is revived after the outcomes were written, under write_results.
package queue
