package sender

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"net"
	"net/textproto"
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
	raw     net.Conn // as dialled: closing it ends everything
	client  *smtp.Client
	carried int       // messages handed over so far, refused ones with them
	open    bool      // a transaction was begun and not ended: RSET before the next
	broken  bool      // nothing more can be said on it
	idleAt  time.Time // when it was last put aside; zero when it never was

	commandTimeout time.Duration
	contentTimeout time.Duration
}

// send carries out one mail transaction (RFC 5321 §3.3) and returns the reply
// that confirmed it. It returns soon after ctx has ended.
func (c *conn) send(ctx context.Context, from, to string, wire []byte) (queue.Reply, *failure) {
	stop := context.AfterFunc(ctx, func() { c.raw.Close() })
	defer stop()
	at := opening
	reply, err := c.transact(from, to, wire, &at)
	reused := !c.idleAt.IsZero()
	c.carried++
	if err == nil {
		return reply, nil
	}
	f := &failure{stage: at, host: c.host, site: c.site, err: err, ended: ctx.Err() != nil}
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
	if c.open {
		if err := c.command(c.client.Reset); err != nil {
			return queue.Reply{}, err
		}
		c.open = false
	}
	c.client.SkipSMTPUTF8(isASCII(from) && isASCII(to)) // else it is asked for wherever it is offered
	if err := c.command(func() error { return c.client.Mail("<" + from + ">") }); err != nil {
		return queue.Reply{}, err
	}
	c.open = true
	*at = envelope
	if err := c.command(func() error { return c.client.Rcpt("<" + to + ">") }); err != nil {
		return queue.Reply{}, err
	}
	return c.data(wire, at)
}

// data hands over the message, which is as it goes over the wire, final dot
// included. The client's own writer for that looks at each octet and sends
// pieces of 4 KB, at the cost of all the rest of a transaction together.
func (c *conn) data(wire []byte, at *stage) (queue.Reply, error) {
	text := c.client.Text
	if err := c.command(func() error { return request(text, 354, "DATA") }); err != nil {
		return queue.Reply{}, err
	}
	if err := c.client.UpdateDeadline(c.contentTimeout); err != nil {
		return queue.Reply{}, err
	}
	*at = content
	_, err := text.W.Write(wire)
	if err == nil {
		err = text.W.Flush()
	}
	if err != nil { // so the end, with the dot, has not left
		return queue.Reply{}, err
	}
	*at, c.open = confirming, false // ended, whatever the reply (RFC 5321 §4.1.1.4)
	code, said, err := text.ReadResponse(250)
	if err != nil {
		return queue.Reply{}, err
	}
	return parseReply(code, said), nil
}

// request sends a command and reads its reply.
func request(text *textproto.Conn, want int, command string) error {
	id, err := text.Cmd("%s", command)
	if err != nil {
		return err
	}
	text.StartResponse(id)
	defer text.EndResponse(id)
	_, _, err = text.ReadResponse(want)
	return err
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
		if offered, _ := c.client.Extension("SMTPUTF8"); !offered {
			return fmt.Errorf("%w (%s)", errNoUTF8, c.host)
		}
	}
	return nil
}

// command gives one command its time.
func (c *conn) command(do func() error) error {
	if err := c.client.UpdateDeadline(c.commandTimeout); err != nil {
		return err
	}
	return do()
}

const quitTimeout = 5 * time.Second

// quit ends the connection politely when it still works (RFC 5321 §4.1.1.10).
func (c *conn) quit() {
	if !c.broken && c.client.UpdateDeadline(quitTimeout) == nil {
		c.client.Quit() // nothing depends on the reply
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
