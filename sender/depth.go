package sender

import "time"

// room reports whether the connection may have one more message.
func (c *conn) room() bool {
	most := c.most()
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.out < most
}

// most is how many messages may have the connection: those that the host may have, and
// where the host is quick another that lies ready. Whole messages do not wait for the end of another.
func (c *conn) most() int {
	if !c.pipelining || c.broken.Load() {
		return 0
	}
	switch depth, chunked, rides := c.bears(time.Now()); {
	case !rides:
		return 0
	case depth > 1 && !chunked && c.quick():
		return depth + 1
	default:
		return depth
	}
}

// depth is how many messages the host may have at once on one connection.
func (c *conn) depth() int {
	depth, _, _ := c.bears(time.Now())
	return depth
}

// bears says how many messages the host may have at once on one connection, whether they
// go by BDAT, and whether one may be written before the one before it is answered.
func (c *conn) bears(now time.Time) (depth int, chunked, rides bool) {
	w := c.ways.look(c.host, now)
	chunked = c.chunked(&w, now)
	switch {
	case !c.pipelining, c.oneByOne.has(c.host, now), now.Before(w.noRide):
		return 1, chunked, false
	case chunked && w.took && !now.Before(w.inSteps):
		return max(1, w.window), true, true
	}
	return 2, chunked, true
}

// quickTime is what the latest message took at most where another may lie ready: at a
// slow host it had better wait where another connection can take it.
const quickTime = 250 * time.Millisecond

func (c *conn) quick() bool {
	took := time.Duration(c.alone.Load())
	return took > 0 && took < quickTime
}

// chunked reports whether messages go by BDAT. Without PIPELINING that saves nothing.
func (c *conn) chunked(w *way, now time.Time) bool {
	return c.chunking && c.pipelining && !now.Before(w.noChunks) && !c.oneByOne.has(c.host, now)
}

// hotFor is how long after a reply a connection counts as open: one that was idle may
// have been closed, and what is then written to it all at once would be in doubt.
const hotFor = 500 * time.Millisecond

// inWhole reports whether a message leaves all together. The caller has c.mu.
func (c *conn) inWhole(w *way, now time.Time) bool {
	return c.chunked(w, now) && w.took && !now.Before(w.inSteps) && (c.out > 1 || now.Sub(c.heardAt) < hotFor)
}
