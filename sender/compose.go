package sender

import (
	"bytes"
	"errors"
	"fmt"
	netmail "net/mail"
	"net/url"
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

// renderEntity writes the body: text, HTML, or both as alternatives (RFC 2046
// §5.1.4), with the attachments.
func renderEntity(b *queue.Batch, text, html string) ([]byte, error) {
	m := newMsg(b.CreatedAt)
	if text != "" || html == "" {
		m.SetBodyString(mail.TypeTextPlain, text)
	}
	if html != "" {
		m.AddAlternativeString(mail.TypeTextHTML, html)
	}
	for _, a := range b.Attachments {
		if err := attach(m, a.Filename, a.ContentType, a.Content); err != nil {
			return nil, fmt.Errorf("attachment %q: %w", a.Filename, err)
		}
	}
	rendered, err := render(m)
	if err != nil {
		return nil, err
	}
	// the entity begins with the first of the Content- fields, which come last
	entity := rendered[bytes.Index(rendered, []byte("\r\nContent-"))+2:]
	if !bytes.HasSuffix(entity, []byte("\r\n")) {
		entity = append(entity, "\r\n"...)
	}
	return entity, nil
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
