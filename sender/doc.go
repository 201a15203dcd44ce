// Package sender delivers the messages it is handed, one attempt each, and
// returns its outcome. It never retries, counts or remembers recipients: that
// is package queue's, whose Handler [Sender.Deliver] is.
//
// The life of an attempt:
//
//	message --route--> MX hosts --pool--> connection --compose--> segments --send--> reply
//	             |               |                      |                |
//	             | no such       | closed to us         | a merge field  | refused, broken
//	             v domain        v                      v is missing     v
//	           Bounced         NotBegun               Invalid          failure.outcome
//
// The files, in that order:
//   - route.go, site.go: MX by RFC 5321 §5.1, and the site they belong to;
//     unanswered.go: domains whose DNS is silent.
//   - protection.go, and packages mtasts and dane: which encryption holds for each
//     host; tls.go: STARTTLS and what the operator asks; explain.go: the same for people.
//   - pool.go, idle.go: connections are kept and reused; a site has as many as package
//     throttle allows. A message waits for one rather than being deferred.
//   - dial.go, rawconn.go: TCP, banner, EHLO, STARTTLS; deadhosts.go: hosts not worth a time-out.
//   - render.go, and package compose: the message, once there is a connection for
//     it; those that wait hold no text.
//   - sign.go, and package dkim: signatures, of the octets as they are sent.
//   - passage.go: one mail transaction, and how far it came; behind.go: when the next may be
//     written behind it; depth.go: how many at once; conn.go: the connection; envelope.go: what
//     it says before the message, together where the host offers PIPELINING and bears it
//     (onebyone.go); chunk.go: envelope and message together; ways.go: what each host has borne;
//     reply.go: what it is answered.
//   - smarthost.go: our login there, and what happens while it is not accepted.
//   - failure.go: the one place where a reply is classified, and where a failed
//     attempt becomes an outcome. What is done about each class is package
//     queue's Treatment.
//
// What it cannot know: whether a message arrived whose connection broke after
// its last octet had left and before the reply. It says so: queue.Unknown.
package sender
