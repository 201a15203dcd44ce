package smtptest

import (
	"bufio"
	"bytes"
	"errors"
	"net"
	"slices"
	"time"
)

// A Message is one that the server accepted.
type Message struct {
	From string   // envelope sender
	To   []string // envelope recipients
	Data []byte   // without dot-stuffing and the final dot
	At   time.Time
	Conn int    // number of the connection it came by
	Peer string // IP address it came from
	Helo string // how the client named itself
	TLS  bool

	// Octets is the size of Data, also when that is not kept.
	Octets int
	// BareEnds is the number of CR without LF and LF without CR, which RFC 5321
	// §2.3.8 forbids.
	BareEnds int
}

// Messages are those kept, in the order in which they were accepted.
func (s *Server) Messages() []Message {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.Clone(s.messages)
}

// Copies says how many of the messages kept went to each recipient.
func (s *Server) Copies() map[string]int {
	s.mu.Lock()
	defer s.mu.Unlock()
	copies := make(map[string]int)
	for _, m := range s.messages {
		for _, to := range m.To {
			copies[to]++
		}
	}
	return copies
}

// Delivered is the number of messages accepted.
func (s *Server) Delivered() int { return int(s.delivered.Load()) }

// Octets is the size of all messages accepted.
func (s *Server) Octets() int64 { return s.octets.Load() }

// BareEnds is the number of CR without LF and LF without CR in all messages.
func (s *Server) BareEnds() int { return int(s.bareEnds.Load()) }

// Connections is the number of connections made, refused ones with them.
func (s *Server) Connections() int { return int(s.connections.Load()) }

// Refused is the number of connections turned away for MaxConnections.
func (s *Server) Refused() int { return int(s.refused.Load()) }

// TooFast is the number of messages turned away for PerSecond.
func (s *Server) TooFast() int { return int(s.tooFast.Load()) }

// Peak is the highest number of connections that were open at once.
func (s *Server) Peak() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.peak
}

// Open is the number of connections open now.
func (s *Server) Open() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return len(s.conns)
}

// OpenFrom is the number of connections open now whose client named itself so.
func (s *Server) OpenFrom(helo string) int {
	s.mu.Lock()
	defer s.mu.Unlock()
	n := 0
	for _, name := range s.conns {
		if name == helo {
			n++
		}
	}
	return n
}

func (s *Server) record(from *session, c content) {
	s.delivered.Add(1)
	s.octets.Add(int64(c.octets))
	s.bareEnds.Add(int64(c.bareEnds))
	if s.config.Discard {
		return
	}
	m := Message{
		From: from.from, To: from.rcpts, Data: c.data, At: time.Now(), Conn: from.number, Peer: from.peer(),
		Helo: from.helo, TLS: from.secure, Octets: c.octets, BareEnds: c.bareEnds,
	}
	if s.config.Received != nil {
		s.config.Received(m)
		return
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.messages = append(s.messages, m)
}

func (s *session) peer() string {
	host, _, _ := net.SplitHostPort(s.raw.RemoteAddr().String())
	return host
}

// greylisted reports whether it is too early to accept the recipient.
func (s *Server) greylisted(to string) bool {
	if s.config.Greylist <= 0 {
		return false
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	first, known := s.seen[to]
	if !known {
		s.seen[to] = time.Now()
		return true
	}
	return time.Since(first) < s.config.Greylist
}

// isTooFast reports whether one message more is too many, and counts it.
func (s *Server) isTooFast(now time.Time) bool {
	if s.config.PerSecond == 0 {
		return false
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.begun = slices.DeleteFunc(s.begun, func(t time.Time) bool { return now.Sub(t) >= time.Second })
	if len(s.begun) >= s.config.PerSecond {
		s.tooFast.Add(1)
		return true
	}
	s.begun = append(s.begun, now)
	return false
}

// content is what followed a DATA command.
type content struct {
	data     []byte // nil when it is not kept
	octets   int
	bareEnds int
}

// readData reads up to the line that holds only a dot (RFC 5321 §4.5.2).
func readData(r *bufio.Reader, keep bool) (content, error) {
	var c content
	begin := true // at the beginning of a line
	for {
		chunk, err := r.ReadSlice('\n')
		if err != nil && !errors.Is(err, bufio.ErrBufferFull) {
			return c, err
		}
		whole := err == nil
		if begin && whole && bytes.Equal(chunk, []byte(".\r\n")) {
			return c, nil
		}
		if begin && chunk[0] == '.' {
			chunk = chunk[1:]
		}
		c.octets += len(chunk)
		c.bareEnds += bareEnds(chunk)
		if keep {
			c.data = append(c.data, chunk...)
		}
		begin = whole
	}
}

// bareEnds counts in a piece that has at most one LF, at its end.
func bareEnds(chunk []byte) int {
	n := bytes.Count(chunk, []byte{'\r'})
	switch {
	case bytes.HasSuffix(chunk, []byte("\r\n")):
		return n - 1
	case bytes.HasSuffix(chunk, []byte("\n")):
		return n + 1
	}
	return n
}
