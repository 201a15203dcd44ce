package engine

import "time"

// A Schedule says when a deferred recipient is tried again.
type Schedule struct {
	First time.Duration // wait after the first try; 0 is 5 min, soon after which greylisting lets one in
	Max   time.Duration // longest wait; 0 is 4 h
}

// Backoff is the wait after the given number of tries: First, doubled for
// every further one up to Max, and moved by up to 20 % so that what was
// deferred together does not come back together. jitter is a random number in
// [0,1).
func (s Schedule) Backoff(attempts int, jitter float64) time.Duration {
	first, longest := s.First, s.Max
	if first <= 0 {
		first = 5 * time.Minute
	}
	if longest <= 0 {
		longest = max(4*time.Hour, first)
	}
	wait := first
	for i := 1; i < attempts && wait < longest; i++ {
		wait *= 2
	}
	return time.Duration(float64(min(wait, longest)) * (0.8 + 0.4*jitter))
}
