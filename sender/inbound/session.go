package inbound

import (
	"context"
	"crypto/tls"
	"errors"
	"io"
	"log/slog"
	"net"
	"slices"
	"strings"

	"github.com/emersion/go-smtp"

	"enotify/queue"
	"enotify/sender/token"
)

// backend makes the sessions of a server.
type backend struct {
	*Server
	door *door
	work context.Context // does not end when the server is to stop
}

func (b *backend) NewSession(c *smtp.Conn) (smtp.Session, error) {
	raw := c.Conn()
	if secure, ok := raw.(*tls.Conn); ok {
		raw = secure.NetConn()
	}
	return &session{backend: b, guest: raw.(*guest)}, nil
}

// A session is one connection.
type session struct {
	*backend
	guest *guest
	to    []recipient
}

// A recipient is one that RCPT named, and that we signed for or that is fixed.
type recipient struct {
	address string
	purpose token.Purpose
	subject token.Subject
}

var (
	errNotOurs = &smtp.SMTPError{Code: 550, EnhancedCode: smtp.EnhancedCode{5, 1, 1}, Message: "no such address here"}
	errBusy    = &smtp.SMTPError{Code: 450, EnhancedCode: smtp.EnhancedCode{4, 7, 1},
		Message: "too much mail from you at once, try again in a while"}
	errTooSlow = &smtp.SMTPError{Code: 451, EnhancedCode: smtp.EnhancedCode{4, 4, 2},
		Message: "the mail did not come in time, try again"}
	errLater = &smtp.SMTPError{Code: 451, EnhancedCode: smtp.EnhancedCode{4, 3, 0},
		Message: "cannot record it just now, try again"}
)

// Mail accepts any envelope sender.
func (s *session) Mail(string, *smtp.MailOptions) error { return nil }

// Rcpt takes an address that we have signed, of a recipient who is still known,
// and the fixed ones.
func (s *session) Rcpt(to string, _ *smtp.RcptOptions) error {
	if slices.ContainsFunc(s.Feedback, func(fixed string) bool { return strings.EqualFold(fixed, to) }) {
		s.name(recipient{address: to})
		return nil
	}
	ctx, cancel := context.WithTimeout(s.work, databaseFor)
	defer cancel()
	purpose, text, ok := token.Split(to)
	if !ok {
		return errNotOurs
	}
	subject, err := s.Open(ctx, purpose, text)
	switch {
	case token.Refused(err):
		s.logger().Debug("mail refused: its address is not signed by us", "remote", s.guest.from, "reason", err)
		return errNotOurs
	case err != nil:
		s.logger().Warn("mail put off: the keys cannot be read", "error", err)
		return errLater
	}
	switch err := s.Known(ctx, subject); {
	case errors.Is(err, queue.ErrNotFound):
		return errNotOurs
	case err != nil:
		s.logger().Warn("mail put off: the database does not answer", "error", err)
		return errLater
	}
	s.name(recipient{to, purpose, subject})
	return nil
}

func (s *session) name(r recipient) {
	s.to = append(s.to, r)
	s.guest.names()
}

// Data accepts a mail for all of its recipients or for none.
func (s *session) Data(r io.Reader) error {
	s.guest.hands(true)
	defer s.guest.hands(false)
	data, err := s.read(r)
	if err != nil {
		return err
	}
	for _, to := range s.to {
		if err := s.deliver(to, data); err != nil {
			return err // the others are recorded once more next time, which changes nothing
		}
	}
	return nil
}

// LMTPData answers for each recipient (RFC 2033 §4.2).
func (s *session) LMTPData(r io.Reader, status smtp.StatusCollector) error {
	s.guest.hands(true)
	defer s.guest.hands(false)
	data, err := s.read(r)
	if err != nil {
		return err
	}
	for _, to := range s.to {
		status.SetStatus(to.address, s.deliver(to, data))
	}
	return nil
}

// read reads all of a mail, since the remote says all of it, and keeps the
// beginning.
func (s *session) read(r io.Reader) ([]byte, error) {
	if !s.door.allow(s.guest.from) {
		return nil, errBusy
	}
	data, err := io.ReadAll(io.LimitReader(r, keptBytes))
	if err == nil {
		_, err = io.Copy(io.Discard, r)
	}
	if late := net.Error(nil); errors.As(err, &late) && late.Timeout() {
		return nil, errTooSlow // else it would be refused for good
	}
	return data, err
}

func (s *session) deliver(to recipient, data []byte) error {
	ctx, cancel := context.WithTimeout(s.work, databaseFor)
	defer cancel()
	err := s.Deliver(ctx, Mail{To: to.purpose, Subject: to.subject, Data: data})
	switch {
	case err == nil:
		s.guest.brings()
		return nil
	case errors.Is(err, queue.ErrNotFound):
		return errNotOurs
	}
	s.logger().Warn("mail put off: it could not be recorded", slog.Int64("batch", to.subject.Batch),
		slog.String("message", queue.MessageName(to.subject.Batch, to.subject.Seq)), slog.Any("error", err))
	return errLater
}

// Reset forgets the recipients (RFC 5321 §4.1.1.5).
func (s *session) Reset() { s.to = nil }

// Logout ends the session.
func (s *session) Logout() error { return nil }
