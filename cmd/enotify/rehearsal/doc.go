// Package rehearsal sends a batch to nobody: the real batch, by a real node, through
// the limits that hold, to a mail host of our own on loopback.
//
// It runs on a private PostgreSQL, into which it copies the batch, its client, the
// suppressed addresses, and what limits the sending. Hours, quotas of days, warm-up and
// the batches ahead would take days to rehearse: the forecast counts them. So nothing changes in the
// database of the batch, and no address but loopback is connected to. The DNS is
// asked for real, for the client's records and for the mail hosts of all domains:
// their names decide which domains share limits. Only their addresses are replaced,
// by that of our mail host (internet.go).
//
// Begin with rehearsal.go.
package rehearsal
