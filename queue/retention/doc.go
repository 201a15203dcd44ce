// Package retention deletes what is kept no longer: the recipients and the content of
// finished batches, rows of each kind that are older than its rule, an address that is
// to be forgotten, and the room of staged rows.
//
// What it deletes it deletes in small steps, each a transaction of its own: it may be
// interrupted, and called again. Counts, log and key of a batch stay.
package retention
