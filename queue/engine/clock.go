package engine

import "time"

// A clock is the database's time. The wall clock of this host is not used: between
// two heartbeats its monotonic clock counts on.
type clock struct {
	there, here time.Time // the same moment, at the database and by our monotonic clock
}

// follow returns the clock after a question to the database: we asked and had the answer at
// our times asked and answered, and the answer holds the database's time there. The database
// may have read it at any moment in between, so a clock that fits some such moment goes on
// unchanged. Otherwise each slow answer would make the dates of results jump.
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
