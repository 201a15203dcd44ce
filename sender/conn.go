package sender

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"net"
	"slices"
	"strconv"
	"time"

	"enotify/queue"

	"github.com/wneessen/go-mail/smtp"
)

// A conn is a connection to a mail host that has said EHLO, and STARTTLS where
// that was to be. One message at a time goes through it.
type conn struct {
	host    string
	site    string
	egress  string   // that we come from, see egress.name
	raw     net.Conn // as dialled: closing it ends everything
	client  *smtp.Client
	carried int           // messages handed over so far, refused ones with them
	open    bool          // a transaction was begun and not ended: RSET before the next
	secured TLSPolicy     // Opportunistic is in the clear
	broken  bool          // nothing more can be said on it
	idleAt  time.Time     // when it was last put aside; zero when it never was
	begunAt time.Time     // when it began to be opened
	took    time.Duration // by the last message it took

	commandTimeout time.Duration
	contentTimeout time.Duration
}

// send carries out one mail transaction (RFC 5321 §3.3) and returns the reply
// that confirmed it. It returns soon after ctx has ended.
func (c *conn) send(ctx context.Context, from, to string, wire []byte) (queue.Reply, *failure) {
	stop := context.AfterFunc(ctx, func() { c.raw.Close() })
	defer stop()
	begun := time.Now()
	if c.carried == 0 {
		begun = c.begunAt // the first message bears what it takes to open it
	}
	at := opening
	reply, err := c.transact(from, to, wire, &at)
	reused := !c.idleAt.IsZero()
	c.carried++
	if err == nil {
		c.took = time.Since(begun)
		return reply, nil
	}
	f := &failure{stage: at, host: c.host, site: c.site, egress: c.egress, err: err, ended: ctx.Err() != nil}
	gone := !isOurs(err) && !f.goesOn()
	c.broken = c.broken || gone
	f.stale = reused && gone && at == opening && !f.ended
	return queue.Reply{}, f
}

// transact advances at as it goes.
func (c *conn) transact(from, to string, wire []byte, at *stage) (queue.Reply, error) {
	if err := c.fits(from, to, len(wire)); err != nil {
		return queue.Reply{}, err
	}
	if err := c.envelope(from, to, at); err != nil {
		return queue.Reply{}, err
	}
	return c.data(wire, at)
}

// What RFC 5321 §4.5.3.2 gives less time than a command or a message.
const (
	dataTimeout  = 2 * time.Minute // for the reply to DATA
	blockTimeout = 3 * time.Minute // for a block of the message to leave
)

const blockSize = 64 << 10 // octets

// data hands over the message, which is as it goes over the wire, final dot
// included. The client's own writer for that looks at each octet and sends
// pieces of 4 KB, at the cost of all the rest of a transaction together.
func (c *conn) data(wire []byte, at *stage) (queue.Reply, error) {
	*at = content
	if err := c.write(wire); err != nil { // so the end, with the dot, has not left
		return queue.Reply{}, err
	}
	*at, c.open = confirming, false // ended, whatever the reply (RFC 5321 §4.1.1.4)
	if err := c.client.UpdateDeadline(c.contentTimeout); err != nil {
		return queue.Reply{}, err
	}
	code, said, err := c.client.Text.ReadResponse(250)
	c.broken = c.broken || c.unasked() != ""
	if err != nil {
		return queue.Reply{}, err
	}
	return parseReply(code, said), nil
}

func (c *conn) write(wire []byte) error {
	w := c.client.Text.W
	for block := range slices.Chunk(wire, blockSize) {
		if err := c.client.UpdateDeadline(min(c.contentTimeout, blockTimeout)); err != nil {
			return err
		}
		if _, err := w.Write(block); err != nil {
			return err
		}
	}
	return w.Flush()
}

// stuffed makes a message ready for the wire: dots that begin a line doubled,
// a line with a dot at the end (RFC 5321 §4.5.2). It may reuse data.
func stuffed(data []byte) []byte {
	if bytes.Contains(data, []byte("\n.")) {
		data = bytes.ReplaceAll(data, []byte("\n."), []byte("\n.."))
	}
	return append(data, ".\r\n"...)
}

// fits reports what the host said at EHLO that it would not take.
func (c *conn) fits(from, to string, octets int) error {
	if offered, size := c.client.Extension("SIZE"); offered {
		if most, err := strconv.Atoi(size); err == nil && most > 0 && octets > most {
			return fmt.Errorf("%w: %d octets, where %s takes %d", errTooLarge, octets, c.host, most)
		}
	}
	if !isASCII(from) || !isASCII(to) {
		if !c.offers("SMTPUTF8") {
			return fmt.Errorf("%w (%s)", errNoUTF8, c.host)
		}
	}
	return nil
}

// offers reports whether the host named an extension at EHLO.
func (c *conn) offers(extension string) bool {
	offered, _ := c.client.Extension(extension)
	return offered
}

const quitTimeout = 5 * time.Second

// quit ends the connection politely when it still works (RFC 5321 §4.1.1.10).
func (c *conn) quit() {
	if !c.broken && c.client.UpdateDeadline(quitTimeout) == nil {
		_ = c.client.Quit() // nothing depends on the reply
	}
	c.raw.Close() // Quit leaves it open when it fails
}

// isOurs holds for errors that were found before anything was said.
func isOurs(err error) bool {
	return errors.Is(err, errTooLarge) || errors.Is(err, errNoUTF8)
}

func isASCII(s string) bool {
	for i := range len(s) {
		if s[i] >= 0x80 {
			return false
		}
	}
	return true
}
