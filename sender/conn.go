package sender

import (
	"container/list"
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"strconv"
	"sync"
	"sync/atomic"
	"time"

	"enotify/queue"
	"enotify/sender/bounce"

	"github.com/wneessen/go-mail/smtp"
)

// A conn is a connection to a mail host that has said EHLO, and STARTTLS where
// that was to be. Messages are written to it one at a time; see passage.
type conn struct {
	host   string
	site   string
	egress string     // that we come from, see egress.name
	from   netip.Addr // the same where it is known; the zero Addr where the system chose
	rules  bounce.Rules

	place    *place
	at       *list.Element // in pool.idle
	oneByOne *oneByOne     // hosts that have not borne PIPELINING
	ways     *ways         // what hosts bear
	deepened func(int)     // is told how many messages may be under way at once

	// Of the pool, and guarded by its lock.
	holders int  // messages that have it
	writer  bool // the one that got it last may write
	turn    int  // of that one; they are counted
	listed  bool // in siteConns.following

	mu       sync.Mutex
	last     *passage        // that wrote last and has not done reading; nil is none
	out      int             // passages that have not ended
	carried  int             // passages begun
	open     bool            // a transaction was begun and not ended: RSET before the next
	heardAt  time.Time       // when the latest reply to a message came
	watched  context.Context // see watch
	watchers int
	unwatch  func() bool
	spare    []*words // for passages to come

	raw     *rawConn // as dialled: closing it ends everything
	client  *smtp.Client
	offer                   // at EHLO, with STARTTLS the second
	rode    bool            // an envelope behind another message went well; of who reads
	secured TLSPolicy       // Opportunistic is in the clear
	fitted  fitted          // see meets
	counted map[string]bool // recipient domains for whose reports it was counted
	ends    ends            // for those reports
	inClear bool            // since encryption had failed
	broken  atomic.Bool     // nothing more can be said on it
	madeWay atomic.Bool     // it was closed for others, see writings
	group   atomic.Int32    // of the latest message, see queue.Message
	idleAt  time.Time       // when it last became idle; zero: never
	begunAt time.Time       // when it began to be opened
	took    atomic.Int64    // time, by the last message it took
	alone   atomic.Int64    // the same, without the time of opening the connection

	segments, block net.Buffers // of the message under way

	measured func(Phase, time.Duration) // of the Sender; may be nil

	commandTimeout time.Duration
	contentTimeout time.Duration
}

// What RFC 5321 §4.5.3.2 gives less time than a command or a message.
const (
	dataTimeout  = 2 * time.Minute // for the reply to DATA
	blockTimeout = 3 * time.Minute // for a block of the message to leave
)

const blockSize = 64 << 10 // octets

// data hands over the message, which is as it goes over the wire, final dot
// included. Go-mail's own writer looks at each octet and sends
// pieces of 4 KB, at the cost of all the rest of a transaction together.
// left is called when all of it has left.
func (p *passage) data(wire net.Buffers, mayEnd func() bool, left func(), at *stage) (queue.Reply, error) {
	c := p.c
	*at = content
	begun := time.Now()
	err := p.write(wire, mayEnd)
	c.measure(PhaseContent, begun)
	clear(c.segments) // an idle connection holds no message
	if err != nil {   // so the end, with the dot, has not left
		return queue.Reply{}, err
	}
	left()
	*at = confirming
	c.end(false) // whatever the reply (RFC 5321 §4.1.1.4)
	if !p.alone {
		p.isReady()
	}
	c.raw.readWithin(c.contentTimeout)
	begun = time.Now()
	code, said, err := readReply(c.client.Text.R, 250, true)
	c.measure(PhaseConfirm, begun)
	c.heard()
	if c.saysMore() && !p.wasFollowed() {
		c.broken.Store(true)
	}
	if err != nil {
		return queue.Reply{}, err
	}
	return parseReply(code, said), nil
}

// write sends segments in blocks, each within its time. In the clear a block is
// one writev, and nothing is copied. The last block has the final dot in it: it
// leaves when mayEnd allows it, together with the envelope of the next passage if that lies
// ready. An error says that this end has not left.
func (p *passage) write(segments net.Buffers, mayEnd func() bool) error {
	c := p.c
	for len(segments) > 0 {
		if err := c.raw.writeWithin(min(c.contentTimeout, blockTimeout)); err != nil {
			return err
		}
		c.block = c.block[:0]
		for room := blockSize; room > 0 && len(segments) > 0; {
			n := min(room, len(segments[0]))
			c.block = append(c.block, segments[0][:n])
			room -= n
			if segments[0] = segments[0][n:]; len(segments[0]) == 0 {
				segments = segments[1:]
			}
		}
		if len(segments) == 0 && mayEnd != nil && !mayEnd() {
			return errWithdrawn // nothing was begun that a closed connection does not undo (RFC 5321 §4.1.1.4)
		}
		if len(segments) > 0 {
			if left, err := c.writeBlock(nil); !left {
				return err
			}
			continue
		}
		next := p.takeNext()
		var behind []byte
		if next != nil {
			behind = next.text
		}
		left, err := c.writeBlock(behind)
		if !left {
			return err
		}
		if err != nil { // of the envelope behind it, which does not join
			c.broken.Store(true)
			next = nil
		}
		p.endLeft(next)
	}
	return nil
}

// writeBlock writes c.block, and behind it what another passage says. It reports whether
// all of the block has left; the error may be of what is behind it.
func (c *conn) writeBlock(behind []byte) (left bool, err error) {
	if c.secured == Opportunistic {
		octets := 0
		for _, segment := range c.block {
			octets += len(segment)
		}
		if len(behind) > 0 {
			c.block = append(c.block, behind)
		}
		n, err := c.raw.writev(c.block)
		return n >= int64(octets), err
	}
	w := c.client.Text.W // small segments go together into a record of TLS
	for _, segment := range c.block {
		if _, err := w.Write(segment); err != nil {
			return false, err
		}
	}
	if err := w.Flush(); err != nil {
		return false, err
	}
	if len(behind) == 0 {
		return true, nil
	}
	_, _ = w.Write(behind) // in a record of its own: of one that is cut off, nothing is read
	return true, w.Flush()
}

// end notes whether a transaction was left open.
func (c *conn) end(open bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.open = open
}

func (c *conn) unended() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.open
}

func (c *conn) heard() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.heardAt = time.Now()
}

// begun is how many messages it has been given.
func (c *conn) begun() int {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.carried
}

func (c *conn) carriedOnce() bool { return c.begun() == 1 }

// tookChunks notes a message that was taken by BDAT.
func (c *conn) tookChunks() {
	c.ways.learn(c.host, tookChunks)
	if c.ways.look(c.host, time.Now()).good <= 1 { // the window may have changed
		c.deepened(c.depth())
	}
}

// fits reports what the host said at EHLO that it would not take.
func (c *conn) fits(from, to string, octets int) error {
	if c.mostOctets > 0 && octets > c.mostOctets {
		return fmt.Errorf("%w: %d octets, where %s takes %d", errTooLarge, octets, c.host, c.mostOctets)
	}
	if !c.utf8 && (!isASCII(from) || !isASCII(to)) {
		return fmt.Errorf("%w (%s)", errNoUTF8, c.host)
	}
	return nil
}

// An offer is the extensions of a host that we use: PIPELINING, CHUNKING, SIZE, 8BITMIME
// and SMTPUTF8.
type offer struct {
	pipelining, chunking, size, eightBit, utf8 bool
	mostOctets                                 int // of a message, by SIZE; 0: it names none
}

// offered is what the host named at EHLO.
func offered(client *smtp.Client) offer {
	names := func(extension string) bool {
		named, _ := client.Extension(extension)
		return named
	}
	o := offer{pipelining: names("PIPELINING"), chunking: names("CHUNKING"), eightBit: names("8BITMIME"),
		utf8: names("SMTPUTF8")}
	named, most := client.Extension("SIZE")
	if o.size = named; named {
		if n, err := strconv.Atoi(most); err == nil {
			o.mostOctets = max(0, n)
		}
	}
	return o
}

const quitTimeout = 5 * time.Second

// quit ends the connection politely when it still works (RFC 5321 §4.1.1.10).
func (c *conn) quit() {
	if !c.broken.Load() && c.client.UpdateDeadline(quitTimeout) == nil {
		_ = c.client.Quit() // nothing depends on the reply
	}
	c.raw.Close() // Quit leaves it open when it fails
}

// isOurs holds for errors that were found before anything was said.
func isOurs(err error) bool {
	return errors.Is(err, errTooLarge) || errors.Is(err, errNoUTF8) || errors.Is(err, errUnbegun)
}

func isASCII(s string) bool {
	for i := range len(s) {
		if s[i] >= 0x80 {
			return false
		}
	}
	return true
}
