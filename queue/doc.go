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
//	queued   -> sending paused blocked cancelled done
//	sending  -> draining retrying queued paused blocked cancelled done
//	draining -> retrying queued paused blocked cancelled done
//	retrying -> queued paused blocked cancelled done
//	paused   -> queued cancelled done
//	blocked  -> queued paused cancelled done
//	done     -> queued
//
// Its way is draft, queued, sending, retrying, done. Done comes from anywhere
// when everyone has an outcome or the batch expires; from done there is a way
// back by a requeue, or when a node says late whom it had not sent to.
// Cancelled is final.
//
// One is in state sending, by a unique index. It holds the turn until everyone
// was tried; one of higher priority takes the turn at once. A batch takes no
// turn before its domains were surveyed: who serves them, and which take no mail
// at all, whose recipients then fail at once.
//
// Under [ByDestination] a batch that only waits for slow sites drains: the next
// one takes the turn, and stays behind it in every recipient domain where it has
// first tries left or under way. So no domain serves two batches at once, but
// for retries, which go when they are due. Draining is otherwise like sending,
// and ends like it; a batch of higher priority sends both back into the queue.
//
// # A recipient
//
// A batch is sealed into rows numbered by domain, which never change. What
// moves is a watermark per batch and domain, the intent: above it nothing was
// sent. A recipient at or below it has an outcome, or waits in retry, or is
// under way, or is in doubt since the node that sent it died.
//
// What is delivered may come back: a [Report] turns the outcome, and what
// follows from it is as if the receiver had refused at once. Each report
// counts once, however often and on whatever way it comes.
//
// # Nodes
//
// Recipient domains belong to 64 groups, and each group is leased to one node,
// so that a rate kept in one process is exact for all. The domains of one site
// are in one group, so its limits are exact too; one whose site the DNS did not
// tell before the turn is in a group of its own until its next batch, and one
// whose site has changed moves when nothing of it is under way. A lease has an
// epoch, which every intent is fenced by. When it runs out, another node takes the
// group, and settles what is in doubt there as the batch says: [Hold] or
// [Resend]. Results of the old node that come late are facts, and welcome: they
// replace unknown.
//
// The guard's verdict is on a client and an address. A batch begins when every
// address of every live node may send for its client. A node that joins later
// and may not, or was not looked at yet, sends nothing of it, and leaves the
// groups to those that may while the batch is due.
//
// # Locks
//
// Whoever takes several of these takes them in this order, and of one kind the
// lowest number first:
//
//	client rows            guard, resume, requeue, refusals, changes of a client
//	lock_turn, lock_survey who has the turn; which domain is in which group
//	domain rows, leases    survey and regroup; heartbeat and takeover
//	lock_nodes             an intent its own node; takeover, reclaim and regroup
//	write_results          before outcomes of a batch are written
//	lock_results           to count its outcomes or to take them back
//	lock_report            reports about one recipient, one after the other
//	verdict rows           guard
//	batch rows             every change of state
//	batch_domain, retry, outcome, batch_count, suppression rows
//
// The functions lock_… and write_results lock rows of enotify.engine_lock, where
// migrations/006_locks.sql says why. No application may call them, and a
// transaction of an application locks no client row in a way that conflicts.
//
// Two take less than it seems. A node that cancels or expires recipients waiting
// for a retry does not call lock_results: nobody writes results of those. A batch
// that is done is revived after the outcomes were written, under write_results.
package queue
