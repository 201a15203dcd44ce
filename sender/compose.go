package sender

import (
	"bytes"
	"errors"
	"fmt"
	netmail "net/mail"
	"net/url"
	"slices"
	"strings"
	"unicode"

	"enotify/queue"

	"github.com/wneessen/go-mail"
)

const maxLine = 998 // octets without CRLF, RFC 5322 §2.1.1

// renderHead writes the fields that are the same whoever gets the message,
// but for the merge fields in them.
func renderHead(b *queue.Batch, subject, unsubscribe string) ([]byte, error) {
	if strings.ContainsFunc(subject, unicode.IsControl) {
		return nil, errors.New("the subject holds a line break or other control character")
	}
	m := newMsg(b.CreatedAt)
	m.FromMailAddress(&netmail.Address{Name: b.FromName, Address: b.From})
	if b.ReplyTo != "" {
		m.ReplyToMailAddress(&netmail.Address{Address: b.ReplyTo})
	}
	m.Subject(subject)
	// RFC 3834 §5: keeps vacation replies away, as the List- fields do.
	m.SetGenHeader("Auto-Submitted", "auto-generated")
	if unsubscribe != "" {
		if err := listUnsubscribe(m, unsubscribe); err != nil {
			return nil, err
		}
	}
	rendered, err := render(m)
	// go-mail insists on a Message-ID; the recipient's comes in its place
	return bytes.Replace(rendered, []byte("Message-ID: <>\r\n"), nil, 1), err
}

// listUnsubscribe adds the fields of RFC 2369 §3.2 and, for what a mail
// program may post to without asking, RFC 8058 §3.1.
func listUnsubscribe(m *mail.Msg, uri string) error {
	parsed, err := url.Parse(uri)
	unfit := func(r rune) bool { return r <= ' ' || r > '~' || r == '<' || r == '>' || r == '"' }
	if err != nil || strings.ContainsFunc(uri, unfit) {
		return fmt.Errorf("list-unsubscribe: %q is no URI", uri)
	}
	switch strings.ToLower(parsed.Scheme) {
	case "https":
		m.SetGenHeader(mail.HeaderListUnsubscribePost, "List-Unsubscribe=One-Click")
	case "http", "mailto":
	default:
		return fmt.Errorf("list-unsubscribe: %q is no https: or mailto: URI", uri)
	}
	m.SetListUnsubscribe(uri)
	return nil
}

// renderBody writes text, HTML, or both as alternatives (RFC 2046 §5.1.4),
// with the fields that describe them.
func renderBody(b *queue.Batch, text, html string) ([]byte, error) {
	m := newMsg(b.CreatedAt)
	if text != "" || html == "" {
		m.SetBodyString(mail.TypeTextPlain, text)
	}
	if html != "" {
		m.AddAlternativeString(mail.TypeTextHTML, html)
	}
	return renderEntity(m)
}

// renderAround writes what comes before and after a body so that it is followed
// by the attachments (RFC 2046 §5.1.3): nothing where there are none.
func renderAround(b *queue.Batch) (before, after []byte, err error) {
	if len(b.Attachments) == 0 {
		return nil, nil, nil
	}
	m := newMsg(b.CreatedAt)
	m.SetBodyString(mail.TypeTextPlain, "")
	for _, a := range b.Attachments {
		if err := attach(m, a.Filename, a.ContentType, a.Content); err != nil {
			return nil, nil, fmt.Errorf("attachment %q: %w", a.Filename, err)
		}
	}
	entity, err := renderEntity(m)
	if err != nil {
		return nil, nil, err
	}
	head, rest, _ := bytes.Cut(entity, []byte("\r\n\r\n--"))
	boundary, rest, _ := bytes.Cut(rest, []byte("\r\n"))
	before = slices.Concat(head, []byte("\r\n\r\n--"), boundary, []byte("\r\n"))
	next := slices.Concat([]byte("\r\n--"), boundary)
	return before, rest[bytes.Index(rest, next):], nil
}

// renderEntity leaves out all fields but those that describe the body (RFC 2045
// §2.4), which come last.
func renderEntity(m *mail.Msg) ([]byte, error) {
	rendered, err := render(m)
	if err != nil {
		return nil, err
	}
	return rendered[bytes.Index(rendered, []byte("\r\nContent-"))+2:], nil
}

// render writes m and makes sure that it may be sent: whatever the fields are
// filled with, no line is too long or ends in anything but CRLF.
func render(m *mail.Msg) ([]byte, error) {
	var b bytes.Buffer
	if _, err := m.WriteTo(&b); err != nil {
		return nil, fmt.Errorf("compose: %w", err)
	}
	rest := b.Bytes()
	for len(rest) > 0 {
		line, after, ended := bytes.Cut(rest, []byte{'\n'})
		rest = after
		if i := bytes.IndexByte(line, '\r'); ended && i != len(line)-1 || !ended && i >= 0 {
			return nil, errors.New("compose: a line ends in a bare CR or LF")
		}
		if len(line) > maxLine+1 {
			return nil, fmt.Errorf("compose: a line of %d octets, where RFC 5322 allows %d", len(line)-1, maxLine)
		}
	}
	return b.Bytes(), nil
}
