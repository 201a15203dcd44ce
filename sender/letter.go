package sender

import (
	"bytes"
	"crypto/sha256"
	"errors"
	"fmt"
	"mime"
	"net/mail"
	"strconv"
	"strings"
	"sync"

	"enotify/queue"
)

// A letter is a batch made ready to be written to anyone: its templates are
// parsed, and what is the same for all recipients is rendered and encoded.
//
// It is written in pieces: the head, all fields that the batch decides; the
// fields of the recipient, To and Message-ID; the body with the fields that
// describe it (RFC 2045 §2.4), and around it what adds the attachments. Each is
// rendered once per batch, but head and body for each recipient if merge fields
// are in them.
type letter struct {
	batch       *queue.Batch
	subject     part
	unsubscribe part
	text, html  part

	head, body    []byte // nil when they have merge fields
	before, after []byte // the body

	hashed   sync.Once
	bodyHash [sha256.Size]byte // where body is not nil, for DKIM
}

// CheckTemplates reports why no message of the batch could be composed: a
// template that does not parse, an address or a header that is none. What
// depends on a recipient's data shows when that recipient's turn comes.
func CheckTemplates(b *queue.Batch) error {
	_, err := newLetter(b)
	return err
}

func newLetter(b *queue.Batch) (*letter, error) {
	if err := checkBatch(b); err != nil {
		return nil, err
	}
	l := &letter{batch: b}
	var errs [4]error
	l.subject, errs[0] = textPart("subject", b.Subject)
	l.unsubscribe, errs[1] = textPart("list-unsubscribe", b.ListUnsubscribe)
	l.text, errs[2] = textPart("text", b.Text)
	l.html, errs[3] = htmlPart("html", b.HTML)
	if err := errors.Join(errs[:]...); err != nil {
		return nil, err
	}
	var err error
	if l.subject.merge == nil && l.unsubscribe.merge == nil {
		if l.head, err = renderHead(b, b.Subject, b.ListUnsubscribe); err != nil {
			return nil, err
		}
	}
	if l.text.merge == nil && l.html.merge == nil {
		if l.body, err = renderBody(b, b.Text, b.HTML); err != nil {
			return nil, err
		}
	}
	if l.before, l.after, err = renderAround(b); err != nil {
		return nil, err
	}
	return l, nil
}

// checkBatch looks at what goes into header fields. go-mail lets line breaks
// through in some of them.
func checkBatch(b *queue.Batch) error {
	if err := checkAddress("from address", b.From); err != nil {
		return err
	}
	if b.ReplyTo != "" {
		if err := checkAddress("reply-to address", b.ReplyTo); err != nil {
			return err
		}
	}
	if strings.ContainsAny(b.FromName, "\r\n\x00") {
		return errors.New("the from name holds a line break")
	}
	if strings.ContainsAny(b.ReturnPath, " \r\n\x00") {
		return errors.New("the return path holds a space or line break")
	}
	for _, a := range b.Attachments {
		if a.ContentType == "" {
			continue
		}
		if _, _, err := mime.ParseMediaType(a.ContentType); err != nil || strings.ContainsAny(a.ContentType, "\r\n") {
			return fmt.Errorf("attachment %q: %q is no media type", a.Filename, a.ContentType)
		}
	}
	return nil
}

func checkAddress(name, address string) error {
	parsed, err := mail.ParseAddress(address)
	if err != nil || parsed.Name != "" || strings.ContainsAny(address, "<>\r\n") {
		return fmt.Errorf("the %s %q is no mail address", name, address)
	}
	return nil
}

// write appends the message for one recipient to buf: CRLF at the end of every
// line, no line over 998 octets (RFC 5322 §2.1.1), not dot-stuffed.
func (l *letter) write(buf []byte, m queue.Message) ([]byte, error) {
	head, body := l.head, l.body
	if head == nil || body == nil {
		data, err := mergeData(m)
		if err != nil {
			return nil, err
		}
		if head == nil {
			if head, err = l.fillHead(data); err != nil {
				return nil, err
			}
		}
		if body == nil {
			if body, err = l.fillBody(data); err != nil {
				return nil, err
			}
		}
	}
	if strings.ContainsAny(m.Address, "\r\n\x00") {
		return nil, errors.New("the address holds a line break")
	}
	buf = append(buf, head...)
	buf = append(buf, "To: <"...)
	buf = append(buf, m.Address...)
	buf = append(buf, ">\r\nMessage-ID: "...)
	buf = appendMessageID(buf, l.batch, m.Seq)
	buf = append(buf, "\r\n"...)
	buf = append(buf, l.before...)
	buf = append(buf, body...)
	buf = append(buf, l.after...)
	if !bytes.HasSuffix(buf, []byte("\r\n")) {
		buf = append(buf, "\r\n"...)
	}
	return buf, nil
}

func (l *letter) fillHead(data map[string]any) ([]byte, error) {
	subject, err := l.subject.fill(data)
	if err != nil {
		return nil, err
	}
	unsubscribe, err := l.unsubscribe.fill(data)
	if err != nil {
		return nil, err
	}
	return renderHead(l.batch, subject, unsubscribe)
}

func (l *letter) fillBody(data map[string]any) ([]byte, error) {
	text, err := l.text.fill(data)
	if err != nil {
		return nil, err
	}
	html, err := l.html.fill(data)
	if err != nil {
		return nil, err
	}
	return renderBody(l.batch, text, html)
}

// appendMessageID derives the Message-ID (RFC 5322 §3.6.4) from the batch and
// the recipient's number in it, so that a second copy can be known as one. The
// time tells batches apart that have one number in two databases.
func appendMessageID(buf []byte, b *queue.Batch, seq int32) []byte {
	buf = append(buf, "<enotify."...)
	buf = strconv.AppendInt(buf, b.ID, 10)
	buf = append(buf, '.')
	buf = strconv.AppendInt(buf, int64(seq), 10)
	buf = append(buf, '.')
	buf = strconv.AppendInt(buf, b.CreatedAt.UnixMicro(), 36)
	buf = append(buf, '@')
	buf = append(buf, b.Client...)
	return append(buf, '>')
}

// letters keeps the letters of the batches sent last. Batches under way are
// few: one has the turn, the others only have retries.
type letters struct {
	mu   sync.Mutex
	kept []*kept // the one used last at the end
}

type kept struct {
	batch  *queue.Batch
	ready  sync.Once
	letter *letter
	err    error
}

const (
	maxLetters      = 8
	maxLetterOctets = 32 << 20
)

// of returns the letter of a batch, and makes it when it is new. Batches are
// told apart by pointer.
func (c *letters) of(b *queue.Batch) (*letter, error) {
	k := c.find(b)
	k.ready.Do(func() { k.letter, k.err = newLetter(b) })
	return k.letter, k.err
}

func (c *letters) find(b *queue.Batch) *kept {
	c.mu.Lock()
	defer c.mu.Unlock()
	last := len(c.kept) - 1
	for i := last; i >= 0; i-- {
		k := c.kept[i]
		if k.batch != b {
			continue
		}
		if i < last {
			copy(c.kept[i:], c.kept[i+1:])
			c.kept[last] = k
		}
		return k
	}
	k := &kept{batch: b}
	c.kept = append(c.kept, k)
	octets := 0
	for i := len(c.kept) - 1; i >= 0; i-- {
		octets += size(c.kept[i].batch)
		if n := len(c.kept) - i; n > 1 && (n > maxLetters || octets > maxLetterOctets) {
			c.kept = append([]*kept(nil), c.kept[i+1:]...)
			break
		}
	}
	return k
}

// size is about what the letter of a batch takes.
func size(b *queue.Batch) int {
	n := len(b.Text) + len(b.HTML)
	for _, a := range b.Attachments {
		n += 4 * len(a.Content) / 3
	}
	return n
}
