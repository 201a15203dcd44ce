package sender

import (
	"errors"
	"fmt"
	"net/textproto"
	"strconv"
	"time"

	"enotify/queue"
	"enotify/sender/compose"
)

// errNoChunking stands for a host that offers CHUNKING and does not know BDAT.
var errNoChunking = errors.New("the host offers CHUNKING and does not know BDAT")

// bdat appends the command for a message of so many octets, the only and last chunk
// of it (RFC 3030 §2).
func bdat(to []byte, octets int) []byte {
	to = append(to, "BDAT "...)
	to = strconv.AppendInt(to, int64(octets), 10)
	return append(to, " LAST\r\n"...)
}

// probe is a chunk of nothing, which a host that knows BDAT takes. Were a message sent
// to one that does not, its lines would be read as commands.
const probe = "BDAT 0"

// unknownCommand holds for the replies of a host that does not know a command, or
// not so (RFC 5321 §4.2.2).
func unknownCommand(err error) bool {
	said, is := errors.AsType[*textproto.Error](err)
	return is && said.Code >= 500 && said.Code <= 504
}

// together writes envelope and message in one go, and reads the replies to all of it.
// From the last octet on the message may be taken, whatever was said of the envelope,
// until the reply says that it was not.
func (p *passage) together(from, to string, m *compose.Message, mayEnd func() bool, at *stage) (queue.Reply, error) {
	c := p.c
	p.follow()
	if left := p.early(); left != "" {
		return queue.Reply{}, fmt.Errorf("%w: before MAIL it said %q", errOutOfStep, clean(left))
	}
	commands := p.say(from, to, m.Size(), p.ridden || c.unended(), true)
	p.text = bdat(p.text, m.Size())
	c.segments = m.AppendPlain(append(c.segments[:0], p.text))
	begun := time.Now()
	err := p.write(c.segments, mayEnd)
	c.measure(PhaseContent, begun)
	clear(c.segments) // an idle connection holds no message
	if err != nil {   // so the end has not left
		return queue.Reply{}, err
	}
	m.Left()
	*at = confirming
	p.isReady()
	if err := p.await(); err != nil {
		if errors.Is(err, errLeft) {
			*at = opening // it was not read
		}
		return queue.Reply{}, err
	}
	reply, err := p.verdict(commands, at)
	c.end(err != nil)
	if err == nil {
		c.tookChunks()
	}
	return reply, err
}

// verdict reads the replies to a message that left together with its envelope.
func (p *passage) verdict(commands []command, at *stage) (queue.Reply, error) {
	c := p.c
	var refused error
	refusedAt := opening
	for i := range commands {
		command := &commands[i]
		err := c.hear(command)
		switch {
		case err == nil:
			continue
		case isRefusal(err) && command.verb == "RSET":
			return queue.Reply{}, fmt.Errorf("%w: to RSET it said %q", errOutOfStep, clean(err.Error()))
		case isRefusal(err):
			if refused == nil {
				refused = err
				if command.verb == "RCPT" {
					refusedAt = envelope
				}
			}
			continue
		case refused != nil && hasLeft(err):
			c.broken.Store(true)
			*at = refusedAt
			return queue.Reply{}, refused
		case isLeave(err) && command.verb != "RCPT":
			*at = opening
		case isLeave(err):
			*at = envelope
		}
		return queue.Reply{}, err
	}
	c.raw.readWithin(c.contentTimeout)
	begun := time.Now()
	code, said, err := readReply(c.client.Text.R, 250, true)
	c.measure(PhaseConfirm, begun)
	c.heard()
	if c.saysMore() && !p.wasFollowed() {
		c.broken.Store(true)
	}
	switch {
	case refused == nil && err == nil:
		return parseReply(code, said), nil
	case refused == nil:
		return queue.Reply{}, err
	case err == nil: // nobody knows whom it took it for
		return queue.Reply{}, fmt.Errorf("%w: it took a message after %q", errOutOfStep, clean(refused.Error()))
	case isRefusal(err), hasLeft(err):
		c.broken.Store(c.broken.Load() || !isRefusal(err))
		*at = refusedAt
		return queue.Reply{}, refused
	}
	return queue.Reply{}, err
}

// isLeave holds for the reply by which a host takes its leave (RFC 5321 §3.8).
func isLeave(err error) bool {
	said, is := errors.AsType[*textproto.Error](err)
	return is && said.Code == 421
}
