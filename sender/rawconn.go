package sender

import (
	"errors"
	"net"
	"sync/atomic"
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
	raw, ok := c.raw.(*rawConn)
	return ok && raw.unasked.Load() > maxUnasked
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

// writev writes all of a block at once where the system can.
func (c *rawConn) writev(block net.Buffers) error {
	c.unasked.Store(0)
	_, err := block.WriteTo(c.Conn)
	return err
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
