package inbound

import (
	"cmp"
	"context"
	"crypto/tls"
	"log/slog"
	"net"
	"net/netip"
	"time"

	"github.com/emersion/go-smtp"
	"golang.org/x/time/rate"

	"enotify/sender/token"
)

// A Mail is one that came for an address that we signed, or for a fixed one of
// Server.Feedback.
type Mail struct {
	To      token.Purpose // what the address is for; "" of a fixed address
	Subject token.Subject // whom it names; the zero value of a fixed address
	Data    []byte        // as it came, cut at 1 MiB
}

// A Server takes mail in. Open, Known and Deliver must be set; zero values of
// the others are useful. Its fields must not change once it serves.
type Server struct {
	Name string      // ours, in banner and EHLO reply; "" is localhost
	LMTP bool        // RFC 2033, for a mail server of ours in front
	TLS  *tls.Config // offers STARTTLS (RFC 3207); nil does not

	// Open returns the recipient that a token names, as token.Keys.Open does.
	Open func(ctx context.Context, p token.Purpose, text string) (token.Subject, error)
	// Known reports whether that recipient is still known. An error of it or of
	// Deliver that wraps queue.ErrNotFound says no: the remote is told not to try again.
	Known func(ctx context.Context, s token.Subject) error
	// Deliver records a mail. When it returns nil, the mail is answered for. It
	// may get the same mail again.
	Deliver func(ctx context.Context, m Mail) error

	// Feedback are fixed addresses that take mail too, unsigned: the feedback loops
	// of mail providers write to one address for all senders.
	Feedback []string

	MaxBytes       int64         // of a mail; 0 is 40 MiB, what our largest message comes back as
	MaxConnections int           // at once, and as many of Trusted remotes beside them; 0 is 100
	MaxPerRemote   int           // connections at once from an address; 0 is 10
	Rate           rate.Limit    // mails per second from an address; 0 is 10, with a burst of 50
	Timeout        time.Duration // for a command, or a piece of a mail; 0 is 1 min
	// IdleGrace is how long a connection may hand in nothing before it has to make way
	// for a new one when there are MaxConnections; 0 is 1.5 s.
	IdleGrace time.Duration

	// Trusted remotes have neither of the limits of an address, as a mail server
	// of ours in front that hands in what all the world sends; nil is loopback.
	Trusted []netip.Prefix

	Log *slog.Logger // nil is none
}

var loopback = []netip.Prefix{netip.MustParsePrefix("127.0.0.0/8"), netip.MustParsePrefix("::1/128")}

const (
	keptBytes   = 1 << 20 // of a mail
	maxTo       = 100     // RFC 5321 §4.5.3.1.8
	databaseFor = 20 * time.Second
)

// Serve takes mail from l until ctx ends, and then lets the mails under way
// finish for as long as grace. It closes l.
func (s *Server) Serve(ctx context.Context, l net.Listener, grace time.Duration) error {
	door := &door{Listener: l, most: cmp.Or(s.MaxConnections, 100), perRemote: cmp.Or(s.MaxPerRemote, 10),
		timeout: cmp.Or(s.Timeout, time.Minute), grace: cmp.Or(s.IdleGrace, 1500*time.Millisecond), rate: cmp.Or(s.Rate, 10),
		guests: map[*guest]struct{}{}, remotes: map[netip.Prefix]*remote{}}
	if door.trusted = s.Trusted; s.Trusted == nil {
		door.trusted = loopback
	}
	server := smtp.NewServer(&backend{Server: s, door: door, work: context.WithoutCancel(ctx)})
	server.Domain = cmp.Or(s.Name, "localhost")
	server.LMTP = s.LMTP
	server.TLSConfig = s.TLS
	server.MaxMessageBytes = cmp.Or(s.MaxBytes, 40<<20)
	server.MaxRecipients = maxTo
	server.MaxLineLength = 0 // a mail with a long line would be refused; of commands, the door has a bound
	server.ReadTimeout, server.WriteTimeout = door.timeout, door.timeout
	server.EnableSMTPUTF8 = true
	server.ErrorLog = quiet{s.logger()}

	var failed error
	served := make(chan struct{})
	go func() {
		defer close(served)
		failed = server.Serve(door)
	}()
	select {
	case <-served:
		return failed
	case <-ctx.Done():
	}
	_ = door.Close() // server.Shutdown does so too, and says why it failed
	stop, cancel := context.WithTimeout(context.WithoutCancel(ctx), grace)
	defer cancel()
	if err := server.Shutdown(stop); err != nil {
		server.Close() // cuts those off that had their time
	}
	<-served
	return nil
}

func (s *Server) logger() *slog.Logger {
	if s.Log == nil {
		return slog.New(slog.DiscardHandler)
	}
	return s.Log
}

// quiet logs errors of a connection at level debug: strangers cause them at will.
type quiet struct{ log *slog.Logger }

func (q quiet) Printf(format string, v ...any) {
	q.log.Debug("inbound connection", "what", format, "args", v)
}
func (q quiet) Println(v ...any) { q.log.Debug("inbound connection", "args", v) }
