package engine

import "time"

// A clock is the database's time. The wall clock of this host is not used: between
// two heartbeats its monotonic clock counts on.
type clock struct {
	there, here time.Time // the same moment, at the database and by our monotonic clock
}

// at is what the database's clock showed at our time t.
func (c *clock) at(t time.Time) time.Time { return c.there.Add(t.Sub(c.here)) }
