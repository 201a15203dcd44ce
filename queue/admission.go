package queue

import "time"

// A Wait says when it makes sense to ask again for the right to send to a
// domain. The zero value means now.
type Wait struct {
	Until time.Time // ask again at this time; zero when only Site counts
	Site  string    // or as soon as a message of this site is done; "" when only Until counts
}

// A Closure says that a destination takes nothing from us. The zero value is
// that of one which does, be it slowly.
type Closure struct {
	Until time.Time // nothing begins before
	Since time.Time // of one that is tried again and again: it has taken nothing since; else zero
	Class Class     // SpamBlock or Throttled
	Reply Reply     // that brought it about
}
