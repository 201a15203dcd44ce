package sender

import "context"

// watch has the connection closed when ctx ends, until stop is called. Messages of one ctx
// share one watch for as long as one of them is under way.
func (c *conn) watch(ctx context.Context) (stop func()) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.watchers > 0 && c.watched != ctx {
		alone := context.AfterFunc(ctx, func() { c.raw.Close() })
		return func() { alone() }
	}
	if c.watchers++; c.watchers == 1 {
		c.watched, c.unwatch = ctx, context.AfterFunc(ctx, func() { c.raw.Close() })
	}
	return c.rest
}

// rest ends the part of one message in a watch.
func (c *conn) rest() {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.watchers--; c.watchers == 0 {
		c.unwatch()
		c.watched, c.unwatch = nil, nil
	}
}
