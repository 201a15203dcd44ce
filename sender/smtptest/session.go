package smtptest

import (
	"bufio"
	"cmp"
	"crypto/tls"
	"io"
	"net"
	"strings"
	"time"
)

// A session is one connection's conversation (RFC 5321 §3).
type session struct {
	server *Server
	raw    net.Conn // as accepted
	conn   net.Conn // raw, or TLS over it
	r      *bufio.Reader
	w      *bufio.Writer
	number int
	nth    int

	helo   string
	secure bool
	from   string
	mail   bool // MAIL was accepted
	rcpts  []string
	chunks []byte // of BDAT
}

func newSession(s *Server, conn net.Conn, number int) *session {
	var from io.Reader = conn
	if s.config.Heard != nil {
		from = overheard{conn, number, s.config.Heard}
	}
	var to io.Writer = conn
	if s.config.Drip > 0 {
		to = dripping{conn, s.config.Drip}
	}
	return &session{
		server: s, raw: conn, conn: conn, number: number,
		r: bufio.NewReaderSize(from, 16<<10),
		w: bufio.NewWriterSize(to, 1<<10),
	}
}

// dripping is a writer of single octets.
type dripping struct {
	io.Writer
	every time.Duration
}

func (d dripping) Write(p []byte) (n int, err error) {
	for n < len(p) && err == nil {
		time.Sleep(d.every)
		var one int
		one, err = d.Writer.Write(p[n : n+1])
		n += one
	}
	return n, err
}

// overheard is a reader that tells what it reads.
type overheard struct {
	io.Reader
	number int
	heard  func(conn int, octets []byte)
}

func (o overheard) Read(p []byte) (n int, err error) {
	n, err = o.Reader.Read(p)
	o.heard(o.number, p[:n])
	return n, err
}

func (s *session) serve(admitted bool) {
	if !admitted {
		s.say("421 4.7.0 " + s.server.config.Hostname + " Too many concurrent connections from your address")
		s.w.Flush()
		return
	}
	if !s.answer("CONNECT", "", "220 "+s.server.config.Hostname+" ESMTP") {
		return
	}
	for {
		line, err := s.read()
		if err != nil {
			return
		}
		verb, arg, _ := strings.Cut(line, " ")
		if !s.command(strings.ToUpper(verb), arg) {
			return
		}
	}
}

// read returns the next command. Replies leave in one packet when the client
// sent its commands in one (RFC 2920 §3.2).
func (s *session) read() (string, error) {
	if s.r.Buffered() == 0 {
		if err := s.flush(); err != nil {
			return "", err
		}
	}
	line, err := s.r.ReadString('\n')
	if s.server.config.Forgetful {
		_, _ = s.r.Discard(s.r.Buffered())
	}
	return strings.TrimRight(line, "\r\n"), err
}

// flush sends the replies to what came in one packet.
func (s *session) flush() error {
	if s.w.Buffered() > 0 {
		time.Sleep(s.server.config.RoundTrip)
	}
	return s.w.Flush()
}

// command carries out one command and reports whether the session goes on.
func (s *session) command(verb, arg string) bool {
	switch verb {
	case "EHLO", "HELO":
		return s.hello(verb, arg)
	case "MAIL":
		return s.mailFrom(arg)
	case "RCPT":
		return s.rcptTo(arg)
	case "DATA":
		return s.data()
	case "BDAT":
		return s.bdat(arg)
	case "STARTTLS":
		return s.startTLS()
	case "RSET":
		s.reset()
		return s.answer(verb, arg, "250 2.0.0 Ok")
	case "NOOP":
		return s.answer(verb, arg, "250 2.0.0 Ok")
	case "QUIT":
		s.server.leave(s.raw) // it no longer counts when the client reads the reply
		s.answer(verb, arg, "221 2.0.0 Bye")
		s.w.Flush()
		return false
	}
	return s.answer(verb, arg, "502 5.5.1 Command not implemented")
}

func (s *session) hello(verb, arg string) bool {
	s.helo = arg
	s.server.named(s.raw, arg)
	s.reset()
	lines := []string{s.server.config.Hostname}
	if verb == "EHLO" {
		lines = append(lines, s.server.config.Extensions...)
		if s.server.config.TLS != nil && !s.secure {
			lines = append(lines, "STARTTLS")
		}
	}
	reply := ""
	for _, line := range lines[:len(lines)-1] {
		reply += "250-" + line + "\n"
	}
	reply += "250 " + lines[len(lines)-1]
	return s.answer(verb, arg, reply)
}

func (s *session) mailFrom(arg string) bool {
	path := mailbox(arg, "FROM:")
	usual := "250 2.1.0 Ok"
	if s.mail {
		usual = "503 5.5.1 Nested MAIL command"
	} else if s.server.isTooFast(time.Now()) {
		usual = "450 4.7.28 Messages come at too high a rate, slow down"
	}
	return s.accepted("MAIL", arg, usual, func() { s.from, s.mail = path, true })
}

func (s *session) rcptTo(arg string) bool {
	path := mailbox(arg, "TO:")
	usual := "250 2.1.5 Ok"
	switch {
	case !s.mail:
		usual = "503 5.5.1 Need MAIL command"
	case s.server.greylisted(path):
		usual = "451 4.7.1 Greylisted, please try again later"
	}
	s.rcpts = append(s.rcpts, path)
	refused := true
	ok := s.accepted("RCPT", arg, usual, func() { refused = false })
	if refused {
		s.rcpts = s.rcpts[:len(s.rcpts)-1]
	}
	return ok
}

func (s *session) data() bool {
	usual, end := "354 End data with <CR><LF>.<CR><LF>", "250 2.0.0 Ok: queued"
	if len(s.rcpts) == 0 { // though a script may go on without
		usual, end = "503 5.5.1 Need RCPT command", "554 5.5.1 No valid recipients"
	}
	begun := false
	if !s.accepted("DATA", "", usual, func() { begun = true }) {
		return false
	}
	if !begun {
		return true
	}
	if err := s.flush(); err != nil {
		return false
	}
	content, err := readData(s.r, !s.server.config.Discard)
	if err != nil {
		return false
	}
	if s.server.config.ForgetsAfterDot {
		time.Sleep(5 * time.Millisecond) // so that it comes
		_ = s.raw.SetReadDeadline(time.Now().Add(time.Millisecond))
		_, _ = s.r.Peek(1)
		_ = s.raw.SetReadDeadline(time.Time{})
		_, _ = s.r.Discard(s.r.Buffered())
	}
	ok := s.accepted(".", "", end, func() {
		if len(s.rcpts) > 0 {
			s.server.record(s, content)
		}
	})
	s.reset()
	return ok
}

func (s *session) startTLS() bool {
	begun := false
	usual := "220 2.0.0 Ready to start TLS"
	if s.server.config.TLS == nil || s.secure {
		usual = "502 5.5.1 STARTTLS not offered"
	}
	if !s.accepted("STARTTLS", "", usual, func() { begun = true }) {
		return false
	}
	if !begun {
		return true
	}
	if err := s.w.Flush(); err != nil {
		return false
	}
	conn := tls.Server(s.conn, s.server.config.TLS)
	if conn.Handshake() != nil {
		return false
	}
	s.conn, s.secure = conn, true
	s.r.Reset(conn)
	s.w.Reset(conn)
	s.reset()
	return true
}

func (s *session) reset() {
	s.from, s.mail, s.rcpts, s.chunks = "", false, nil, nil
}

// accepted answers as answer does, and calls then when the reply is a good one.
// A reply of 421 ends the session (RFC 5321 §3.8).
func (s *session) accepted(verb, arg, usual string, then func()) bool {
	reply := s.reply(verb, arg, usual)
	if reply == Drop {
		s.w.Flush() // what was said before
		return false
	}
	if strings.HasPrefix(reply, "2") || strings.HasPrefix(reply, "3") {
		then()
	}
	s.say(reply)
	if strings.HasPrefix(reply, "421") {
		s.w.Flush()
		return false
	}
	return true
}

// answer says usual, or what the script has instead, and reports whether the
// session goes on.
func (s *session) answer(verb, arg, usual string) bool {
	return s.accepted(verb, arg, usual, func() {})
}

// reply asks the script, and falls back on usual.
func (s *session) reply(verb, arg, usual string) string {
	config := &s.server.config
	if config.Delay > 0 {
		time.Sleep(config.Delay)
	}
	nth := s.nth
	s.nth++
	if config.Reply == nil {
		return usual
	}
	c := Command{Verb: verb, Arg: arg, From: s.from, Peer: s.peer(), Conn: s.number, Nth: nth}
	if len(s.rcpts) > 0 {
		c.To = s.rcpts[len(s.rcpts)-1]
	}
	return cmp.Or(config.Reply(c), usual)
}

func (s *session) say(reply string) {
	io.WriteString(s.w, strings.ReplaceAll(reply, "\n", "\r\n"))
	io.WriteString(s.w, "\r\n")
	if s.server.config.Prompt {
		s.w.Flush() // an error comes again with the next reply
	}
}

// mailbox takes it out of FROM:<mailbox> or TO:<mailbox> and what may follow.
func mailbox(arg, prefix string) string {
	if len(arg) < len(prefix) || !strings.EqualFold(arg[:len(prefix)], prefix) {
		return ""
	}
	_, arg, _ = strings.Cut(arg, "<")
	return arg[:max(0, strings.LastIndexByte(arg, '>'))]
}
