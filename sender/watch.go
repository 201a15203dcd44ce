package sender

import "context"

// watch has the connection closed when ctx ends. Messages of one ctx share one watch for as long
// as one of them is under way, until each has called rest; one of another ctx has its own, which
// alone ends.
func (c *conn) watch(ctx context.Context) (alone func() bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.watchers > 0 && c.watched != ctx {
		return context.AfterFunc(ctx, func() { c.raw.Close() })
	}
	if c.watchers++; c.watchers == 1 {
		c.watched, c.unwatch = ctx, context.AfterFunc(ctx, func() { c.raw.Close() })
	}
	return nil
}

// rest ends the part of one message in the watch that several share.
func (c *conn) rest() {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.watchers--; c.watchers == 0 {
		c.unwatch()
		c.watched, c.unwatch = nil, nil
	}
}
