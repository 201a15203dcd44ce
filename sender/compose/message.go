package compose

import (
	"crypto/sha256"
	"errors"
	"net"
	"strings"
	"sync"
	"time"

	"enotify/queue"
	"enotify/sender/dkim"
	"enotify/sender/messageid"
)

// A Message is a letter for one recipient: segments that all messages of the
// batch share, and between them what is the recipient's own. It is good until
// Left or Release.
type Message struct {
	letter     *Letter
	give       func() // gives back what the message takes; may be nil
	signatures []byte
	own        []byte // what is the recipient's own, one after the other
	head       int    // own[:head] is the header, the empty line included
	body       []span

	values []byte
	ends   []int
	lines  []byte
}

// A span is a piece of the body: a shared segment, or octets of Message.own.
type span struct {
	shared   segment
	from, to int
}

// messages are kept for the next recipient, except large ones.
var messages = sync.Pool{New: func() any { return new(Message) }}

const maxKept = 64 << 10 // octets

// Charge has give called when the message does not need its letter or its memory any more.
func (m *Message) Charge(give func()) { m.give = give }

// Left gives back all that the message takes, since its last octet has left: its reply may be
// long in coming. After it, only Release may be called.
func (m *Message) Left() {
	give := m.give
	if m.Own() > maxKept {
		*m = Message{}
	} else {
		clear(m.body)
		*m = Message{own: m.own[:0], body: m.body[:0], values: m.values[:0], ends: m.ends[:0], lines: m.lines[:0]}
	}
	if give != nil {
		give()
	}
}

// Release gives the message's memory back.
func (m *Message) Release() {
	m.Left()
	messages.Put(m)
}

// Own is the memory that only this message uses, in octets.
func (m *Message) Own() int { return cap(m.own) + cap(m.values) + cap(m.lines) }

// Compose writes the message for one recipient, with fields of its own, each
// with its CRLF: CRLF at the end of every line, no line over 998 octets (RFC
// 5322 §2.1.1). The error says why this recipient gets none.
func (l *Letter) Compose(to queue.Message, fields []byte) (*Message, error) {
	m := messages.Get().(*Message)
	m.letter = l
	if err := m.compose(to, fields); err != nil {
		m.Release()
		return nil, err
	}
	if n := int64(m.Own()); n > l.record.most.Load() {
		l.record.most.Store(n)
	}
	return m, nil
}

func (m *Message) compose(to queue.Message, fields []byte) error {
	l := m.letter
	if strings.ContainsAny(to.Address, "\r\n\x00") {
		return errors.New("the address holds a line break")
	}
	var data map[string]any
	if l.merges() {
		var err error
		if data, err = readData(to); err != nil {
			return err
		}
	}
	m.own = append(m.own[:0], l.head...)
	m.own = append(append(append(m.own, "To: <"...), to.Address...), ">\r\nMessage-ID: "...)
	m.own = append(messageid.ID{Batch: l.batch.ID, Seq: to.Seq, Created: l.batch.CreatedAt,
		Client: l.batch.Client}.Append(m.own), crlf...)
	if err := m.fields(data); err != nil {
		return err
	}
	m.own = append(append(m.own, fields...), "MIME-Version: 1.0\r\n"...)
	html, text, err := m.fill(data)
	if err != nil {
		return err
	}
	if l.mimeHead != nil {
		m.own = append(append(m.own, l.mimeHead...), crlf...)
		m.head = len(m.own)
	}
	for _, s := range l.slots {
		switch {
		case s.text == nil:
			m.body = append(m.body, span{shared: s.fixed})
		case s.text == l.html:
			m.text(s, html)
		default:
			m.text(s, text)
		}
	}
	if n := len(m.body); n == 0 || !endsLine(m.octets(m.body[n-1]).plain) {
		m.body = append(m.body, span{shared: same(crlf)})
	}
	return nil
}

// fields writes the fields that merge fields are in.
func (m *Message) fields(data map[string]any) error {
	if part := m.letter.subject; part != nil {
		subject, err := part.string(data)
		if err == nil {
			err = checkSubject(subject)
		}
		if err != nil {
			return err
		}
		m.own = appendText(m.own, "Subject", subject)
	}
	for _, f := range m.letter.merged {
		value, err := f.value.string(data)
		if err == nil {
			err = checkFieldValue(f.name, value)
		}
		if err != nil {
			return err
		}
		m.own = appendText(m.own, f.name, value)
	}
	if part := m.letter.unsubscribe; part != nil {
		uri, err := part.string(data)
		if err != nil {
			return err
		}
		if m.own, err = appendUnsubscribe(m.own, uri); err != nil {
			return err
		}
	}
	return nil
}

// fill finds what fills the holes of the bodies.
func (m *Message) fill(data map[string]any) (html, text valuesOf, err error) {
	l := m.letter
	if l.same() {
		return html, text, nil
	}
	if l.html != nil {
		if m.values, m.ends, err = l.html.part.fill(m.values, m.ends, data); err != nil {
			return html, text, err
		}
		html = valuesOf{octets: m.values, ends: m.ends}
	}
	text.start = len(m.values)
	before := len(m.ends)
	if l.derived != nil {
		m.values, m.ends = l.derived.fill(m.values, m.ends, html)
	} else if m.values, m.ends, err = l.text.part.fill(m.values, m.ends, data); err != nil {
		return html, text, err
	}
	html.octets, text.octets, text.ends = m.values, m.values, m.ends[before:]
	html.ends = m.ends[:before]
	return html, text, nil
}

// text writes a body in the encoding that this recipient's needs.
func (m *Message) text(s slot, values valuesOf) {
	var c *coded
	c, m.lines = s.text.choose(m.lines, values)
	from := len(m.own)
	if s.head || m.letter.mimeHead == nil {
		m.own = append(append(m.own, c.head...), crlf...)
	}
	if !s.head { // the text is the whole message, and its head ends the header
		m.head, from = len(m.own), len(m.own)
	}
	for _, k := range c.chunks {
		if k.run != nil {
			m.lines = k.text(m.lines[:0], values)
			m.own = s.text.encode(m.own, c, k, m.lines)
			continue
		}
		if len(m.own) > from {
			m.body = append(m.body, span{from: from, to: len(m.own)})
			from = len(m.own)
		}
		m.body = append(m.body, span{shared: same(k.fixed)})
	}
	if len(m.own) > from {
		m.body = append(m.body, span{from: from, to: len(m.own)})
	}
}

// octets are the octets of a span. What is a recipient's own never needs a dot.
func (m *Message) octets(s span) segment {
	if s.shared.plain != nil {
		return s.shared
	}
	return same(m.own[s.from:s.to])
}

// Header is the fields of the message, signatures not included, each with its CRLF.
func (m *Message) Header() []byte { return m.own[:m.head-len(crlf)] }

// BodyHash is the body hash of DKIM. Where the body is the same for all it is taken once.
func (m *Message) BodyHash() [sha256.Size]byte {
	if !m.letter.same() {
		return m.hash()
	}
	m.letter.hashed.Do(func() { m.letter.bodyHash = m.hash() })
	return m.letter.bodyHash
}

func (m *Message) hash() [sha256.Size]byte {
	h := dkim.NewBodyHash()
	for _, s := range m.body {
		h.Write(m.octets(s).plain)
	}
	return h.Sum()
}

// Date is the message's date.
func (m *Message) Date() time.Time { return m.letter.Date() }

// Sign puts a field in front of the message.
func (m *Message) Sign(field []byte) { m.signatures = append(m.signatures, field...) }

// Size is the message's size in octets (RFC 1870 §3), dots not doubled.
func (m *Message) Size() int {
	n := len(m.signatures) + m.head
	for _, s := range m.body {
		n += len(m.octets(s).plain)
	}
	return n
}

// Bytes is the message in one piece.
func (m *Message) Bytes() []byte {
	b := make([]byte, 0, m.Size())
	b = append(append(b, m.signatures...), m.own[:m.head]...)
	for _, s := range m.body {
		b = append(b, m.octets(s).plain...)
	}
	return b
}

var end = []byte(".\r\n")

// AppendWire appends the segments of the message as it goes over the wire, the
// final dot included (RFC 5321 §4.5.2). They must not be changed.
func (m *Message) AppendWire(to net.Buffers) net.Buffers {
	if len(m.signatures) > 0 {
		to = append(to, m.signatures)
	}
	to = append(to, m.own[:m.head])
	for _, s := range m.body {
		if wire := m.octets(s).wire; len(wire) > 0 {
			to = append(to, wire)
		}
	}
	return append(to, end)
}

// AppendPlain appends the segments of the message as it is, without a final dot, as
// BDAT wants it (RFC 3030 §2). They must not be changed.
func (m *Message) AppendPlain(to net.Buffers) net.Buffers {
	if len(m.signatures) > 0 {
		to = append(to, m.signatures)
	}
	to = append(to, m.own[:m.head])
	for _, s := range m.body {
		if plain := m.octets(s).plain; len(plain) > 0 {
			to = append(to, plain)
		}
	}
	return to
}
