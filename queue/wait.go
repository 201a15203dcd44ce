package queue

import "time"

// A Wait says when it makes sense to ask again for the right to send to a
// domain. The zero value means now.
type Wait struct {
	Until time.Time // ask again at this time; zero when only Site counts
	Site  string    // or as soon as a message of this site is done; "" when only Until counts
}
