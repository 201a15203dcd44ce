package sender

import (
	"bufio"
	"context"
	"net"
	"time"

	"github.com/wneessen/go-mail"
	"github.com/wneessen/go-mail/smtp"
)

// This file holds every option that go-mail is given. The rest of the package
// uses the connection of its smtp.Client, which keeps three things apart that
// its Send folds into one error: what the receiver said (all lines, unquoted),
// how far the transaction had come when it broke, and whether it was ours to
// reset. It also sends neither NOOP before nor RSET after each message.

// newClient makes a client that talks over the connection conn. It greets, and
// leaves STARTTLS to us, since we must tell its errors from the errors of EHLO.
func newClient(host, helo string, conn net.Conn, timeout time.Duration) (*mail.Client, error) {
	return mail.NewClient(host,
		mail.WithHELO(helo),
		mail.WithTimeout(timeout),
		mail.WithTLSPolicy(mail.NoTLS),
		mail.WithDialContextFunc(func(context.Context, string, string) (net.Conn, error) { return conn, nil }),
	)
}

// Buffers of a connection in the clear, in octets: a reply is mostly one line, an envelope
// three (RFC 5321 §4.5.3.1 allows 512 octets a line). Longer ones take several reads or
// writes.
const (
	replyBuffer    = 512
	envelopeBuffer = 1024
)

// slim gives a client in the clear small buffers in place of two of 4 KB: there may be
// thousands of connections. Those of TLS stay, since they are filled record by record.
func slim(client *smtp.Client, conn net.Conn) {
	if client.Text.R.Buffered() > 0 { // the host has said too much, which is for the envelope to find
		return
	}
	client.Text.R = bufio.NewReaderSize(conn, replyBuffer)
	client.Text.W = bufio.NewWriterSize(conn, envelopeBuffer)
}
