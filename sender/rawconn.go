package sender

import (
	"errors"
	"net"
	"sync/atomic"
	"time"
)

// maxUnasked is how much a host may say without being asked in between. Replies
// have no limit of their own, and a line of a gigabyte would be read to its end.
const maxUnasked = 64 << 10 // octets

var errEndless = errors.New("the host talks without end")

// A rawConn is a connection as dialled. It fails when the other side talks
// without end, and adds the space to a reply that is nothing but its code, which
// the client of go-mail wants and RFC 5321 §4.2 does not.
type rawConn struct {
	net.Conn
	unasked atomic.Int64
	tls     atomic.Bool // what is read are records, and no replies
	column  int         // in the line that is being read
	words   bool        // it has had more than digits
	pending []byte      // read, and not handed on
	block   net.Buffers // that is being written

	patience time.Duration
	due      time.Time // when the reply must have come that is waited for; zero: the deadline says
	readBy   time.Time // the deadline that was set last by due
	writeBy  time.Time // the same for writing
}

// late is how much more than asked a deadline gives at most, as a share of that: then
// most messages need no deadline of their own.
const late = 64

// readWithin gives the reply that is waited for so much time from now.
func (c *rawConn) readWithin(d time.Duration) { c.due = time.Now().Add(d); c.patience = d }

// writeWithin gives what is written next so much time from now.
func (c *rawConn) writeWithin(d time.Duration) error {
	by := time.Now().Add(d)
	if !c.writeBy.Before(by) && c.writeBy.Sub(by) <= d/late {
		return nil
	}
	c.writeBy = by.Add(d / late)
	return c.SetWriteDeadline(c.writeBy)
}

// SetDeadline is that of [net.Conn].
func (c *rawConn) SetDeadline(t time.Time) error {
	c.due, c.readBy, c.writeBy = time.Time{}, time.Time{}, time.Time{}
	return c.Conn.SetDeadline(t)
}

// untilDue sets the deadline of what is read next.
func (c *rawConn) untilDue() error {
	if c.due.IsZero() || !c.readBy.Before(c.due) && c.readBy.Sub(c.due) <= c.patience/late {
		return nil
	}
	c.readBy = c.due.Add(c.patience / late)
	return c.SetReadDeadline(c.readBy)
}

func (c *rawConn) Read(p []byte) (int, error) {
	if len(c.pending) > 0 {
		n := copy(p, c.pending)
		c.pending = c.pending[n:]
		return n, nil
	}
	if c.unasked.Load() > maxUnasked {
		return 0, errEndless
	}
	if err := c.untilDue(); err != nil {
		return 0, err
	}
	n, err := c.Conn.Read(p)
	c.unasked.Add(int64(n))
	if c.tls.Load() {
		return n, err
	}
	said := c.spaced(p[:n])
	n = copy(p, said)
	c.pending = append(c.pending[:0], said[n:]...)
	return n, err
}

// cut reports whether the host talked without end. The last line that was read may
// then be the beginning of one.
func (c *conn) cut() bool {
	return c.raw.unasked.Load() > maxUnasked
}

// spaced is what was read, with a space behind each code that ends its line.
func (c *rawConn) spaced(said []byte) []byte {
	var with []byte
	from := 0
	for i, b := range said {
		if (b == '\r' || b == '\n') && c.column == 3 && !c.words {
			with = append(append(with, said[from:i]...), ' ')
			from, c.words = i, true
		}
		if c.column++; b == '\n' {
			c.column, c.words = 0, false
		} else if b < '0' || b > '9' {
			c.words = true
		}
	}
	if with == nil {
		return said
	}
	return append(with, said[from:]...)
}

// writev writes all of a block at once where the system can, and returns how many octets left.
func (c *rawConn) writev(block net.Buffers) (int64, error) {
	c.unasked.Store(0)
	c.block = block // which would else go to the heap each time
	return c.block.WriteTo(c.Conn)
}

// clientHello is the first octet of a record with which TLS begins (RFC 8446
// §5.1). No command begins with it.
const clientHello = 22

func (c *rawConn) Write(p []byte) (int, error) {
	c.unasked.Store(0)
	if len(p) > 0 && p[0] == clientHello && !c.tls.Load() {
		c.tls.Store(true)
	}
	return c.Conn.Write(p)
}
