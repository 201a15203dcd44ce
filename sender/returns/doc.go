// Package returns takes mail that came back: delivery reports, complaints, and
// requests to unsubscribe. It decides whom a mail is about and has that
// recorded.
//
//	package inbound, a listener --+
//	                              +--> Desk.Take --> package report: what does it say?
//	Mailbox: mbox, Maildir, file -+        |
//	                                       +-------> Desk.About: whom is it about?
//	                                       |
//	                                       +-------> Queue: record it
//
// What it cannot know: whether a report is true. So a mail counts for a
// recipient only by what nobody else could have written, see [Desk.About].
package returns
