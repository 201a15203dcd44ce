package sender

import (
	"context"
	"errors"
	"net/textproto"
	"time"

	"enotify/queue"
	"enotify/sender/bounce"
	"enotify/sender/compose"
)

// A passage is one message's way through a connection. Messages are written one after the
// other and answered in the same order (RFC 2920 §3.2), and the next may be written before
// the last is answered: where the host bears it, see ways. So a passage owns the writing
// side of the connection until it passes that on, and the reading side once the passage
// before it has read all its replies. On a quick connection it passes the writing side on
// before its own end has left: then the next one's envelope lies ready, and leaves in one
// write with that end.
type passage struct {
	c        *conn
	before   *passage    // whose replies come first; nil: all were read
	mayBegin func() bool // asked again right before its envelope leaves, if that had to wait; nil: always
	pass     func()      // lets another message be written
	ridden   bool        // it was written while those of others were due
	whole    bool        // all of it left together
	waited   bool        // for those, before it was written
	piped    bool        // its envelope left in one write
	ahead    bool        // another may lie ready behind it before its end has left
	alone    bool        // nothing may leave together with its end
	lost     bool        // a reply to it may come that nobody waits for

	*words

	// Of the connection, and guarded by its lock.
	ready    bool     // its envelope has left or lies ready: another one may be let in
	let      bool     // another one was let in
	next     *passage // whose envelope leaves together with its end
	ends     bool     // its end leaves, or has left: too late for next
	sent     bool     // its end has left
	followed bool     // the next envelope left before its replies were read
	joined   bool     // its envelope left together with the end of the one before

	after ending        // what the passage before has left
	done  chan struct{} // closed when it reads no more
	how   ending        // once done is closed
	at    time.Time     // when that was
}

// An ending is what a passage leaves to the one behind it.
type ending int

const (
	inStep ending = iota // the next reply is that of the next passage
	gone                 // there are no more replies that anybody can tell apart
	left                 // the host took its leave (421): it read nothing of what came after
)

// Errors of a passage whose connection ended with a message before it.
var (
	errGone = errors.New("the connection ended with the message before this one")
	errLeft = errors.New("the host took its leave after the message before this one")
)

// words holds the commands of a passage before its message. The memory serves another
// passage after it.
type words struct {
	commands [4]command
	text     []byte // of commands
}

// enter begins a passage. The caller owns the writing side of the connection.
func (c *conn) enter(mayBegin func() bool, pass func()) *passage {
	c.mu.Lock()
	defer c.mu.Unlock()
	p := &passage{c: c, before: c.last, mayBegin: mayBegin, pass: pass, done: make(chan struct{})}
	if n := len(c.spare); n > 0 {
		p.words, c.spare = c.spare[n-1], c.spare[:n-1]
	} else {
		p.words = &words{}
	}
	c.last = p
	c.out++
	c.carried++
	return p
}

// leave ends a passage. Nothing reads for it any more.
func (p *passage) leave(how ending) {
	c := p.c
	c.mu.Lock()
	if how != inStep {
		c.broken.Store(true)
	}
	p.how, p.at = how, time.Now()
	c.out--
	c.spare, p.words = append(c.spare, p.words), nil
	close(p.done)
	if c.last == p {
		c.last = nil
	}
	c.mu.Unlock()
	c.letNext()
}

// await waits until the replies are those of this passage.
func (p *passage) await() error {
	if p.before == nil {
		return nil
	}
	<-p.before.done
	p.after = p.before.how
	p.before = nil // and what was before it
	switch p.after {
	case gone:
		return errGone
	case left:
		return errLeft
	}
	return nil
}

// send carries out one mail transaction (RFC 5321 §3.3) for a client and returns
// the reply that confirmed it. It returns soon after ctx has ended. mayBegin and mayEnd are
// the functions of [queue.Message]; nil means always. Once all of m has left it is let go, see
// [compose.Message.Left]. It has pass called, at most once and by any goroutine, also after
// it has returned, when another message may be written.
func (c *conn) send(ctx context.Context, client, from, to string, m *compose.Message, mayBegin, mayEnd func() bool,
	pass func()) (queue.Reply, *failure) {
	begun := time.Now()
	ready := begun
	p := c.enter(mayBegin, pass)
	if alone := c.watch(ctx); alone != nil {
		defer alone()
	} else {
		defer c.rest()
	}
	if c.carriedOnce() {
		begun = c.begunAt // the first message bears what it takes to open it
	}
	before := p.before
	at := opening
	reply, err := p.transact(from, to, m, mayEnd, &at)
	if err == nil {
		if before != nil && before.at.After(begun) { // it has ended
			begun, ready = before.at, before.at
		}
		now := time.Now()
		c.took.Store(int64(now.Sub(begun)))
		c.alone.Store(int64(now.Sub(ready)))
		p.leave(inStep)
		return reply, nil
	}
	return queue.Reply{}, p.fail(ctx.Err() != nil, client, from, to, at, err)
}

// fail ends a passage that failed at a stage, and returns the failure. cut reports that our
// own context ended it.
func (p *passage) fail(cut bool, client, from, to string, at stage, err error) *failure {
	c := p.c
	if garbage := textproto.ProtocolError(""); errors.As(err, &garbage) && c.cut() {
		err = errEndless
	}
	if c.madeWay.Load() {
		err = errMadeWay
	}
	f := newFailure(failure{stage: at, host: c.host, site: c.site, egress: c.egress, err: err,
		ended: cut || errors.Is(err, errWithdrawn)},
		c.rules, bounce.About{Recipient: to, Ours: []string{from, client}})
	how := inStep
	if !isOurs(err) && !f.goesOn() {
		if how = gone; f.reply.Code == 421 || errors.Is(err, errLeft) {
			how = left
		}
	}
	_ = p.await()
	if p.lost && how == inStep {
		how = gone
	}
	if p.after != inStep { // in any case: the replies before are not those of the next one
		how = p.after
	}
	used := !c.idleAt.IsZero() || p.ridden || p.waited || errors.Is(err, errGone) || errors.Is(err, errLeft)
	f.stale = used && how != inStep && at == opening && !f.ended && !errors.Is(err, errMadeWay)
	p.blame(f, how, at)
	p.leave(how)
	return f
}

// blame draws the lesson of a connection that broke, or got out of step.
func (p *passage) blame(f *failure, how ending, at stage) {
	c := p.c
	switch silent := how == gone && f.reply.Code == 0 && !f.ended; {
	case !silent, errors.Is(f.err, errGone), errors.Is(f.err, errMadeWay):
	case p.whole:
		c.ways.learn(c.host, broke)
		c.deepened(c.depth())
	case at == confirming && p.wasFollowed():
		c.ways.learn(c.host, noRide)
	case p.ridden && at <= envelope:
		c.ways.learn(c.host, noRide)
	case p.piped && !f.stale && (at <= envelope || errors.Is(f.err, errOutOfStep)):
		c.oneByOne.add(c.host, time.Now())
	}
}

// transact carries out the transaction, and advances at as it goes.
func (p *passage) transact(from, to string, m *compose.Message, mayEnd func() bool, at *stage) (queue.Reply, error) {
	c := p.c
	if c.broken.Load() {
		return queue.Reply{}, errGone
	}
	if err := c.fits(from, to, m.Size()); err != nil {
		return queue.Reply{}, err
	}
	byChunk := p.choose(time.Now())
	if p.whole {
		return p.together(from, to, m, mayEnd, at)
	}
	p.ahead = !byChunk && c.quick() && m.Size() <= compose.Free
	begun, before := time.Now(), p.before
	err := p.envelope(from, to, m.Size(), byChunk, at)
	if errors.Is(err, errNoChunking) {
		byChunk = false
		c.ways.learn(c.host, noChunks)
		err = p.envelope(from, to, m.Size(), false, at)
	}
	if before != nil && p.before == nil && before.at.After(begun) {
		begun = before.at // it waited until then
	}
	c.measure(PhaseEnvelope, begun)
	if err != nil {
		return queue.Reply{}, err
	}
	if p.ridden && !c.rode {
		c.ways.learn(c.host, rode)
		c.rode = true
	}
	c.lay(m, byChunk)
	reply, err := p.data(c.segments, mayEnd, m.Left, at)
	if err == nil && byChunk {
		c.tookChunks()
	}
	return reply, err
}

// lay has the segments of a message ready that leave behind its envelope.
func (c *conn) lay(m *compose.Message, byChunk bool) {
	c.segments = c.segments[:0]
	if byChunk {
		c.segments = m.AppendPlain(append(c.segments, bdat(nil, m.Size())))
	} else {
		c.segments = m.AppendWire(c.segments)
	}
}

// choose decides how the message leaves: p.whole, or by BDAT behind its envelope, or
// after DATA.
func (p *passage) choose(now time.Time) (byChunk bool) {
	w := p.c.ways.look(p.c.host, now)
	p.c.mu.Lock()
	p.whole = p.c.inWhole(&w, now)
	p.c.mu.Unlock()
	return p.c.chunked(&w, now)
}
