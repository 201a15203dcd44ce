package engine

import "enotify/queue"

// A result is an outcome on its way to the database, with what the engine
// knows of the recipient.
type result struct {
	queue.Result
	domain string
	grp    int16
	first  bool // a first try of the batch, not of those that wait in retry
}

// flight names a try that is under way or not recorded yet. One recipient may
// have two: a try that was requeued while its result was written again.
type flight struct {
	batch int64
	seq   int32
	try   int32
}

func (r *result) flight() flight { return flight{r.Batch, r.Seq, int32(r.Try)} }
