package sender

import (
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
// leaves STARTTLS to us, since we must tell its errors from the errors of EHLO.
func newClient(host, helo string, conn net.Conn, timeout time.Duration) (*mail.Client, error) {
	return mail.NewClient(host,
		mail.WithHELO(helo),
		mail.WithTimeout(timeout),
		mail.WithTLSPolicy(mail.NoTLS),
		mail.WithDialContextFunc(func(context.Context, string, string) (net.Conn, error) { return conn, nil }),
	)
}
