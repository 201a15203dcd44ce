package sender

import (
	"errors"
	"fmt"
	"net"
	"net/textproto"
	"strconv"
	"strings"
	"time"
)

// rideTimeout is for the replies to the first envelope that a host gets behind a
// message it has not answered: one that forgets what came there never answers it.
const rideTimeout = 30 * time.Second

// A command of the envelope.
type command struct {
	verb     string
	line     string
	want     int           // code of the reply that accepts it, or its first digits
	patience time.Duration // from the reply before, or the command, to its reply (RFC 5321 §4.5.3.2)
}

// envelope says all that comes before the message, DATA included. Where the
// host offers PIPELINING it leaves in one write (RFC 2920), which saves two
// round trips of four; not where that went wrong lately. By chunks, DATA is left out;
// a host that has not shown that it knows BDAT gets a chunk of nothing. It advances
// at as it goes.
func (p *passage) envelope(from, to string, size int, byChunk bool, at *stage) error {
	c := p.c
	switch left := p.early(); {
	case strings.HasPrefix(left, "421") && !c.carriedOnce(): // it came with the reply to the message before
		return errLeft
	case left != "":
		return fmt.Errorf("%w: before MAIL it said %q", errOutOfStep, clean(left))
	}
	commands := c.commands(from, to, size, c.unended() || p.before != nil && p.before.whole)
	if byChunk {
		commands = commands[:len(commands)-1]
		if !c.ways.look(c.host, time.Now()).chunks {
			commands = append(commands, command{"BDAT", probe, 250, c.commandTimeout})
		}
	}
	together := 1
	p.piped = c.offers("PIPELINING") && !c.oneByOne.has(c.host, time.Now())
	if p.piped {
		together = len(commands)
	}
	for ; len(commands) > 0; commands = commands[together:] {
		if err := p.exchange(commands[:together], at); err != nil {
			return err
		}
	}
	return nil
}

// commands are the commands of one envelope. The addresses have no line breaks, which
// no letter is written with.
func (c *conn) commands(from, to string, size int, reset bool) []command {
	mail := "MAIL FROM:<" + from + ">"
	if c.offers("SIZE") { // a host that has no room says so before the message is on its way (RFC 1870 §5)
		mail += " SIZE=" + strconv.Itoa(size)
	}
	if c.offers("8BITMIME") {
		mail += " BODY=8BITMIME"
	}
	if !isASCII(from) || !isASCII(to) { // not wherever it is offered: the next relay may lack it
		mail += " SMTPUTF8"
	}
	commands := []command{
		{"RSET", "RSET", 250, c.commandTimeout},
		{"MAIL", mail, 250, c.commandTimeout},
		{"RCPT", "RCPT TO:<" + to + ">", 25, c.commandTimeout},
		{"DATA", "DATA", 354, min(c.commandTimeout, dataTimeout)},
	}
	if !reset {
		return commands[1:]
	}
	return commands
}

// exchange sends commands in one write and reads the replies to all of them,
// also after a refusal. Its error is the first refusal, unless the replies do
// not fit the commands: then nobody knows to which of them that was.
func (p *passage) exchange(group []command, at *stage) error {
	c := p.c
	if err := c.say(group); err != nil {
		return err
	}
	if err := p.await(); err != nil {
		return err
	}
	var refused error
	taken, begun := false, false // by RCPT, DATA
	for _, command := range group {
		if p.ridden && !c.ways.look(c.host, time.Now()).rode {
			command.patience = min(command.patience, rideTimeout)
		}
		err := c.hear(command)
		switch {
		case isRefusal(err) && command.verb == "RSET": // which nobody may refuse (RFC 5321 §4.1.1.5)
			return fmt.Errorf("%w: to RSET it said %q", errOutOfStep, clean(err.Error()))
		case command.verb == "BDAT" && refused == nil && unknownCommand(err):
			return errNoChunking
		case isRefusal(err):
			if refused == nil {
				refused = err
			}
			continue
		case err != nil && refused != nil && hasLeft(err): // after it had said what counts
			c.broken.Store(true)
			return refused
		case err != nil:
			return err
		}
		switch command.verb {
		case "RSET":
			c.end(false)
		case "MAIL":
			c.end(true)
			*at = envelope
		case "RCPT":
			c.end(true)
			taken = true
		case "DATA":
			begun = true
		case "BDAT":
			c.ways.learn(c.host, knowsChunks)
		}
	}
	if left := c.unasked(); left != "" {
		c.broken.Store(true)
		if refused == nil || !strings.HasPrefix(left, "421") { // as said after one error too many
			return fmt.Errorf("%w: nobody asked for %q", errOutOfStep, clean(left))
		}
		return refused
	}
	if refused != nil && begun {
		if taken { // after a refused MAIL: a dot might deliver an empty message
			return fmt.Errorf("%w: it wants a message after %q", errOutOfStep, clean(refused.Error()))
		}
		p.endEmpty()
	}
	return refused
}

// endEmpty ends the message for which a host asks though it took no recipient
// (RFC 2920 §3.1). It is delivered to nobody, whatever the reply.
func (p *passage) endEmpty() {
	var at stage // of this; the recipient's attempt ended with the refusal
	p.passed = true
	_, err := p.data(net.Buffers{[]byte(".\r\n")}, nil, func() {}, &at)
	p.passed = false
	if err != nil && !isRefusal(err) {
		p.c.broken.Store(true)
	}
}

// say sends commands in one write.
func (c *conn) say(group []command) error {
	if err := c.raw.SetWriteDeadline(time.Now().Add(c.commandTimeout)); err != nil {
		return err
	}
	w := c.client.Text.W
	for _, command := range group {
		_, _ = w.WriteString(command.line) // an error stays until Flush
		_, _ = w.WriteString("\r\n")
	}
	return w.Flush()
}

// hear reads the reply to a command.
func (c *conn) hear(to command) error {
	if err := c.patience(to.patience); err != nil {
		return err
	}
	_, _, err := readReply(&c.client.Text.Reader, to.want)
	return err
}

// early is what the host has said before the message was begun. While replies to
// others are due, that is for them to find out.
func (p *passage) early() string {
	if p.ridden {
		return ""
	}
	return p.c.unasked()
}

// unasked is what the host has said beyond the replies that were due.
func (c *conn) unasked() string {
	r := c.client.Text.R
	left, _ := r.Peek(r.Buffered())
	return string(left)
}

// isRefusal holds for a reply that refuses a command, and not the connection.
func isRefusal(err error) bool {
	said, is := errors.AsType[*textproto.Error](err)
	return is && said.Code >= 400 && said.Code != 421
}

// hasLeft reports whether the host closed the connection or took its leave
// (RFC 5321 §3.8). What makes no sense as a reply is neither.
func hasLeft(err error) bool {
	if said, is := errors.AsType[*textproto.Error](err); is {
		return said.Code == 421
	}
	_, garbage := errors.AsType[textproto.ProtocolError](err)
	return !garbage
}
