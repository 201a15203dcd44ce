package sender

// isReady notes that another message may be written behind this one, and lets it in.
func (p *passage) isReady() {
	p.c.mu.Lock()
	p.ready = true
	p.c.mu.Unlock()
	p.c.letNext()
}

// letNext lets another message in behind the last one, if that is ready and the
// connection may have one more. Any passage may call it.
func (c *conn) letNext() {
	most := c.most()
	c.mu.Lock()
	last := c.last
	lets := last != nil && last.ready && !last.let && last.pass != nil && c.out < most
	if lets {
		last.let = true
	}
	c.mu.Unlock()
	if lets {
		last.pass()
	}
}

// join has the envelope of p leave together with the end of the message before it, and
// reports whether it did; waited says that the message before has ended meanwhile. Where
// that end has left already, neither is so: the caller writes the envelope behind it.
func (p *passage) join() (joined, waited bool, err error) {
	c := p.c
	c.mu.Lock()
	before := p.before
	if before == nil || before.sent {
		c.mu.Unlock()
		p.follow()
		return false, false, nil
	}
	if !before.ends {
		before.next = p
	}
	p.ready = p.ahead
	c.mu.Unlock()
	c.letNext()
	p.waited = true
	if err := p.await(); err != nil {
		return false, true, err
	}
	if c.broken.Load() {
		return false, true, errGone
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	p.ridden = p.joined
	return p.joined, true, nil
}

// follow notes that p is written by itself, while the replies to the one before may be due.
func (p *passage) follow() {
	p.c.mu.Lock()
	defer p.c.mu.Unlock()
	if p.ridden = p.before != nil; p.ridden {
		p.before.followed = true
	}
}

// takeNext is the passage whose envelope leaves together with the end of p; nil is none. It
// is too late for another one then.
func (p *passage) takeNext() *passage {
	p.c.mu.Lock()
	next := p.next
	p.ends = true
	p.c.mu.Unlock()
	if next == nil || p.alone || next.mayBegin != nil && !next.mayBegin() {
		return nil
	}
	return next
}

// endLeft notes that the end of p has left, with the envelope of next where that is not nil.
func (p *passage) endLeft(next *passage) {
	p.c.mu.Lock()
	defer p.c.mu.Unlock()
	p.sent = true
	if next != nil {
		p.followed, next.joined = true, true
	}
}

// wasFollowed reports whether the next envelope left before the replies to p were read.
func (p *passage) wasFollowed() bool {
	p.c.mu.Lock()
	defer p.c.mu.Unlock()
	return p.followed
}
