package engine

import "time"

const (
	smallGap   = 10 * time.Millisecond // between two looks, over some time: anybody may send NOTIFY
	smallLooks = 4                     // that may follow each other at once
)

// looks spaces the looks for small batches that are next: there are as many as batches come,
// within bounds. After a while without a look, several may follow at once; one that took
// long is followed by a longer rest.
type looks struct {
	paid time.Time // each look uses up smallGap, or twice what it took, of the time up to then
}

// next is when the next look may be.
func (l *looks) next() time.Time { return l.paid.Add(-(smallLooks - 1) * smallGap) }

// note notes a look.
func (l *looks) note(begun time.Time, took time.Duration) {
	if l.paid.Before(begun) {
		l.paid = begun
	}
	l.paid = l.paid.Add(max(smallGap, 2*took))
}
