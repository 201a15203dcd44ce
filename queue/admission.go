package queue

import "time"

// A Wait says when it makes sense to ask again for the right to send to a
// domain. The zero value means now.
type Wait struct {
	Until time.Time // ask again at this time; zero when only Site counts
	Site  string    // or as soon as a message of this site is done; "" when only Until counts
}

// A Closure says that a destination takes nothing from us. The zero value says that
// it takes mail, however slowly.
type Closure struct {
	Until time.Time // nothing begins before
	Since time.Time // when it is tried again and again: it has taken nothing since then; else zero
	Class Class     // SpamBlock, Throttled or Offline
	Reply Reply     // that closed it
	// Certain says that a try before Until would fail without asking anybody.
	Certain bool
}
