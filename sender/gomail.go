package sender

import (
	"bytes"
	"context"
	"net"
	"time"

	"github.com/wneessen/go-mail"
)

// This file holds every option that go-mail is given. The rest of the package
// uses the connection of its smtp.Client, which keeps three things apart that
// its Send folds into one error: what the receiver said (all lines, unquoted),
// how far the transaction had come when it broke, and whether it was ours to
// reset. It also sends neither NOOP before nor RSET after each message.

// newClient makes a client that talks over the connection conn. It greets, and
// leaves STARTTLS to us, who want to know its errors from those of EHLO.
func newClient(host, helo string, conn net.Conn, timeout time.Duration) (*mail.Client, error) {
	return mail.NewClient(host,
		mail.WithHELO(helo),
		mail.WithTimeout(timeout),
		mail.WithTLSPolicy(mail.NoTLS),
		mail.WithDialContextFunc(func(context.Context, string, string) (net.Conn, error) { return conn, nil }),
	)
}

// newMsg makes a message in quoted-printable, which no relay has to re-encode
// and whose lines are always short enough. go-mail would make up a Date and a
// Message-ID at each writing; ours are the same on every try.
func newMsg(date time.Time) *mail.Msg {
	m := mail.NewMsg(
		mail.WithNoDefaultUserAgent(),
		mail.WithEncoding(mail.EncodingQP),
		mail.WithCharset(mail.CharsetUTF8),
	)
	m.SetDateWithValue(date.UTC())
	m.SetMessageIDWithValue("")
	return m
}

// attach adds a file of the given media type; "" lets its name decide.
func attach(m *mail.Msg, name, mediaType string, content []byte) error {
	var options []mail.FileOption
	if mediaType != "" {
		options = append(options, mail.WithFileContentType(mail.ContentType(mediaType)))
	}
	return m.AttachReader(name, bytes.NewReader(content), options...)
}
