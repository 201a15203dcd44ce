package sender

import (
	"bytes"
	"errors"
	"fmt"
	"net"
	"net/textproto"
	"strconv"
	"strings"
	"time"
)

// rideTimeout bounds the wait for the replies to the first envelope that a host gets behind
// a message it has not answered. A host that drops such input never replies to it.
const rideTimeout = 30 * time.Second

// A command of the envelope.
type command struct {
	verb     string
	line     []byte        // with its end
	want     int           // code of the reply that accepts it, or its first digits
	patience time.Duration // from the reply before, or the command, to its reply (RFC 5321 §4.5.3.2)
}

// envelope sends the commands before the message, DATA included, and advances at as it goes.
// To a host that offers PIPELINING they leave in one write (RFC 2920), which saves two round
// trips of four, unless that went wrong lately; and in the same write as the end of the
// message before, where that has not left yet. With byChunk there is no DATA, and a host
// that has not shown that it knows BDAT gets an empty chunk.
func (p *passage) envelope(from, to string, size int, byChunk bool, at *stage) error {
	c := p.c
	p.piped = c.pipelining && !c.oneByOne.has(c.host, time.Now())
	if p.piped {
		commands := p.say(from, to, size, false, byChunk) // the end of another message ends its transaction
		joined, waited, err := p.join()
		switch {
		case err != nil:
			return err
		case joined:
			return p.hearAll(commands, at)
		case waited && p.mayBegin != nil && !p.mayBegin():
			return errUnbegun
		}
	}
	switch left := p.early(); {
	case strings.HasPrefix(left, "421") && !c.carriedOnce(): // it came with the reply to the message before
		return errLeft
	case left != "":
		return fmt.Errorf("%w: before MAIL it said %q", errOutOfStep, clean(left))
	}
	commands := p.say(from, to, size, c.unended() || p.before != nil && p.before.whole, byChunk)
	if p.piped {
		return p.exchange(p.text, commands, at)
	}
	for i := range commands {
		if err := p.exchange(commands[i].line, commands[i:i+1], at); err != nil {
			return err
		}
	}
	return nil
}

// say sets p.text to the commands of an envelope, and returns them. The addresses have no line
// breaks, which no letter is written with.
func (p *passage) say(from, to string, size int, reset, byChunk bool) []command {
	c := p.c
	commands, text := p.commands[:0], p.text[:0]
	add := func(verb string, want int, patience time.Duration) {
		commands = append(commands, command{verb, nil, want, patience})
	}
	if reset {
		text = append(text, "RSET\r\n"...)
		add("RSET", 250, c.commandTimeout)
	}
	text = append(append(append(text, "MAIL FROM:<"...), from...), '>')
	if c.size { // a host that has no room says so before the message is on its way (RFC 1870 §5)
		text = strconv.AppendInt(append(text, " SIZE="...), int64(size), 10)
	}
	if c.eightBit {
		text = append(text, " BODY=8BITMIME"...)
	}
	if !isASCII(from) || !isASCII(to) { // not wherever it is offered: the next relay may lack it
		text = append(text, " SMTPUTF8"...)
	}
	text = append(text, "\r\nRCPT TO:<"...)
	text = append(append(text, to...), ">\r\n"...)
	add("MAIL", 250, c.commandTimeout)
	add("RCPT", 25, c.commandTimeout)
	switch {
	case !byChunk:
		text = append(text, "DATA\r\n"...)
		add("DATA", 354, min(c.commandTimeout, dataTimeout))
	case !p.whole && !c.ways.look(c.host, time.Now()).chunks:
		text = append(append(text, probe...), "\r\n"...)
		add("BDAT", 250, c.commandTimeout)
	}
	p.text = text
	for i := range commands {
		end := bytes.IndexByte(text, '\n') + 1
		commands[i].line, text = text[:end], text[end:]
	}
	return commands
}

// exchange sends text, which is a group of commands, in one write and reads the replies to
// all of them.
func (p *passage) exchange(text []byte, group []command, at *stage) error {
	c := p.c
	if err := c.flush(text); err != nil {
		return err
	}
	if p.piped && p.ahead {
		p.isReady()
	}
	if err := p.await(); err != nil {
		return err
	}
	return p.hearAll(group, at)
}

// hearAll reads the replies to a group of commands, also after a refusal. Its error is the
// first refusal, unless the replies do not fit the commands: then nobody knows to which of
// them that was.
func (p *passage) hearAll(group []command, at *stage) error {
	c := p.c
	var refused error
	taken, begun := false, false // by RCPT, DATA
	for _, command := range group {
		if p.ridden && !c.rode && !c.ways.look(c.host, time.Now()).rode {
			command.patience = min(command.patience, rideTimeout)
		}
		err := c.hear(&command)
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
	p.alone = true
	_, err := p.data(net.Buffers{[]byte(".\r\n")}, nil, func() {}, &at)
	if err != nil && !isRefusal(err) {
		p.c.broken.Store(true)
		p.lost = true
	}
}

// flush sends commands in one write.
func (c *conn) flush(text []byte) error {
	if err := c.raw.writeWithin(c.commandTimeout); err != nil {
		return err
	}
	w := c.client.Text.W
	_, _ = w.Write(text) // an error stays until Flush
	return w.Flush()
}

// hear reads the reply to a command.
func (c *conn) hear(to *command) error {
	c.raw.readWithin(to.patience)
	_, _, err := readReply(c.client.Text.R, to.want, false)
	return err
}

// early is what the host has said before the message was begun. While replies to other
// messages are due, those messages read it.
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

// saysMore reports whether the host has said more than the replies that were due.
func (c *conn) saysMore() bool { return c.client.Text.R.Buffered() > 0 }

// isRefusal holds for a reply that refuses a command, and not the connection.
func isRefusal(err error) bool {
	said, is := errors.AsType[*textproto.Error](err)
	return is && said.Code >= 400 && said.Code != 421
}

// hasLeft reports whether the host closed the connection or took its leave (RFC 5321 §3.8).
// A line that is no reply is neither.
func hasLeft(err error) bool {
	if said, is := errors.AsType[*textproto.Error](err); is {
		return said.Code == 421
	}
	_, garbage := errors.AsType[textproto.ProtocolError](err)
	return !garbage
}
