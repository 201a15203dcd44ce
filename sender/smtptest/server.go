// Package smtptest is an SMTP receiver on loopback that does what a script
// tells it: refuse, delay, greylist, drop the line at any moment, talk garbage.
// It is a real server on a real socket, quick enough to measure senders with,
// and serves tests and the demo alike.
package smtptest

import (
	"crypto/tls"
	"errors"
	"net"
	"sync"
	"sync/atomic"
	"time"
)

// Drop is the reply to a command that closes the connection instead.
const Drop = "\x00drop"

// A Config says how a Server behaves. The zero value accepts all mail, keeps
// it, and offers PIPELINING, 8BITMIME, SIZE and ENHANCEDSTATUSCODES.
type Config struct {
	Addr       string   // HOST:PORT to listen on; "" is 127.0.0.1 and a free port
	Hostname   string   // name in banner and EHLO reply; "" is mx.test
	Extensions []string // EHLO keywords with parameters; nil is the default, empty is none

	// TLS, when set, is offered by STARTTLS (RFC 3207). See SelfSigned.
	TLS *tls.Config

	// MaxConnections at once; those above it get 421 as their banner. 0 is no limit.
	MaxConnections int

	// PerSecond is how many messages may be begun in any second; those above it
	// get 450 4.7.28. 0 is no limit.
	PerSecond int

	// Greylist turns every recipient away with 451 4.7.1 until this long after
	// its first try. 0 is off.
	Greylist time.Duration

	// Delay before each reply, as of a receiver that is busy.
	Delay time.Duration

	// Drip is the time before each octet of a reply, as of a receiver that wants to
	// hold every connection.
	Drip time.Duration

	// RoundTrip is the time to the client and back, as of a receiver far away:
	// what one packet asked for waits for it once, however many commands it is.
	RoundTrip time.Duration

	// Prompt sends each reply at once. Else those to commands that came in one
	// packet leave in one packet too.
	Prompt bool

	// Forgetful drops what came in one packet behind a command, as of a receiver
	// that offers PIPELINING and does not bear it.
	Forgetful bool

	// ForgetsAfterDot drops what came in one packet behind a final dot, or has come
	// by then.
	ForgetsAfterDot bool

	// Discard counts messages and does not keep them.
	Discard bool

	// Received, when set, is handed each accepted message, which is then not
	// kept. It is called from many goroutines.
	Received func(Message)

	// Heard, when set, is handed all octets as they came, before any STARTTLS,
	// in pieces. It is called from many goroutines.
	Heard func(conn int, octets []byte)

	// Reply decides what to say to a command: "" for the usual, Drop, or any
	// text; lines are separated by \n, and CRLF is added. A reply of 4xx or 5xx
	// refuses the command. It is called from many goroutines, and may sleep.
	Reply func(Command) string
}

// A Command is one that a client sent.
type Command struct {
	Verb string // in upper case; also CONNECT for the banner, and "." for the end of the data
	Arg  string // what follows the verb
	From string // envelope sender, once MAIL was accepted
	To   string // latest recipient that was accepted; of RCPT, the one in question
	Peer string // IP address it came from
	Conn int    // number of the connection, from 1 in the order of arrival
	Nth  int    // number of the command on its connection, from 0 for CONNECT
}

// A Server is a receiver that runs. All methods are safe for concurrent use.
type Server struct {
	Addr string // HOST:PORT it listens on

	config   Config
	listener net.Listener
	done     sync.WaitGroup

	delivered   atomic.Int64
	octets      atomic.Int64
	bareEnds    atomic.Int64
	connections atomic.Int64
	refused     atomic.Int64
	tooFast     atomic.Int64

	mu       sync.Mutex
	closed   bool
	conns    map[net.Conn]string // how its client named itself
	peak     int
	seen     map[string]time.Time // recipients that Greylist knows
	messages []Message
	begun    []time.Time // messages of the last second, where PerSecond counts
}

// Start listens and serves until Close.
func Start(config Config) (*Server, error) {
	if config.Addr == "" {
		config.Addr = "127.0.0.1:0"
	}
	if config.Hostname == "" {
		config.Hostname = "mx.test"
	}
	if config.Extensions == nil {
		config.Extensions = []string{"PIPELINING", "8BITMIME", "SIZE 52428800", "ENHANCEDSTATUSCODES"}
	}
	listener, err := net.Listen("tcp", config.Addr)
	if err != nil {
		return nil, err
	}
	s := &Server{
		Addr:     listener.Addr().String(),
		config:   config,
		listener: listener,
		conns:    make(map[net.Conn]string),
		seen:     make(map[string]time.Time),
	}
	s.done.Go(s.accept)
	return s, nil
}

// Close stops listening, cuts all connections and waits for their goroutines.
func (s *Server) Close() error {
	s.mu.Lock()
	s.closed = true
	err := s.listener.Close()
	for conn := range s.conns {
		conn.Close()
	}
	s.mu.Unlock()
	s.done.Wait()
	if errors.Is(err, net.ErrClosed) {
		return nil
	}
	return err
}

func (s *Server) accept() {
	for {
		conn, err := s.listener.Accept()
		if err != nil {
			return
		}
		number := int(s.connections.Add(1))
		admitted, ok := s.enter(conn)
		if !ok {
			conn.Close()
			return
		}
		s.done.Go(func() {
			defer conn.Close()
			defer s.leave(conn)
			newSession(s, conn, number).serve(admitted)
		})
	}
}

// enter counts conn in. It is not admitted when the limit is reached, and not
// ok when the server is closing.
func (s *Server) enter(conn net.Conn) (admitted, ok bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed {
		return false, false
	}
	if s.config.MaxConnections > 0 && len(s.conns) >= s.config.MaxConnections {
		s.refused.Add(1)
		return false, true
	}
	s.conns[conn] = ""
	s.peak = max(s.peak, len(s.conns))
	return true, true
}

// named is told how a client names itself.
func (s *Server) named(conn net.Conn, helo string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if _, open := s.conns[conn]; open {
		s.conns[conn] = helo
	}
}

func (s *Server) leave(conn net.Conn) {
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.conns, conn)
}
