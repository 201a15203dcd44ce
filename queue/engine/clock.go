package engine

import "time"

// A clock is the database's time. The wall clock of this host is not used: between
// two heartbeats its monotonic clock counts on.
type clock struct {
	there, here time.Time // the same moment, at the database and by our monotonic clock
}

// follow is the clock after a question that was asked and answered at our times, and
// whose answer holds the database's. When in between that was is not known: the clock
// goes on as it does, as long as that may be so. Results are dated by it, and each slow
// answer would make it jump.
func (c *clock) follow(asked, answered, there time.Time) clock {
	switch {
	case c.at(asked).After(there):
		return clock{there, asked}
	case c.at(answered).Before(there):
		return clock{there, answered}
	}
	return *c
}

// at is what the database's clock showed at our time t.
func (c *clock) at(t time.Time) time.Time { return c.there.Add(t.Sub(c.here)) }
