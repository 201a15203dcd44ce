package smtptest

import (
	"bytes"
	"io"
	"strconv"
	"strings"
)

// bdat takes a chunk of a message (RFC 3030 §2). The script is asked for BDAT, and for
// "." when the last chunk is there. A script that does not know BDAT, by a reply of
// 500 to 504, leaves the chunk to be read as commands, as such a host does.
func (s *session) bdat(arg string) bool {
	size, last, _ := strings.Cut(strings.ToUpper(arg), " ")
	octets, err := strconv.Atoi(size)
	if err != nil || octets < 0 || !s.server.offers("CHUNKING") {
		return s.answer("BDAT", arg, "502 5.5.1 Command not implemented")
	}
	reply := s.reply("BDAT", arg, "")
	if reply == Drop {
		s.w.Flush()
		return false
	}
	if strings.HasPrefix(reply, "50") {
		s.say(reply)
		return true
	}
	chunk := make([]byte, octets)
	if _, err := io.ReadFull(s.r, chunk); err != nil {
		return false
	}
	s.chunks = append(s.chunks, chunk...)
	switch {
	case reply != "" && (last != "LAST" || !strings.HasPrefix(reply, "2")):
		return s.spoken(reply)
	case last != "LAST":
		if len(s.rcpts) == 0 {
			return s.spoken("503 5.5.1 Need RCPT command")
		}
		return s.spoken("250 2.0.0 " + size + " octets received")
	}
	c := content{octets: len(s.chunks)}
	for line := range bytes.SplitAfterSeq(s.chunks, []byte("\n")) {
		c.bareEnds += bareEnds(line)
	}
	if !s.server.config.Discard {
		c.data = s.chunks
	}
	s.chunks = nil
	if len(s.rcpts) == 0 { // the transaction stays as it was (RFC 3030 §2)
		return s.answer(".", arg, "503 5.5.1 Need RCPT command")
	}
	if reply != "" {
		s.server.record(s, c)
		s.reset()
		return s.spoken(reply)
	}
	ok := s.accepted(".", arg, "250 2.0.0 Ok: queued", func() { s.server.record(s, c) })
	s.reset()
	return ok
}

// spoken says a reply, and reports whether the session goes on.
func (s *session) spoken(reply string) bool {
	s.say(reply)
	if strings.HasPrefix(reply, "421") {
		s.w.Flush()
		return false
	}
	return true
}

// offers reports whether EHLO names an extension.
func (s *Server) offers(extension string) bool {
	for _, e := range s.config.Extensions {
		if name, _, _ := strings.Cut(e, " "); strings.EqualFold(name, extension) {
			return true
		}
	}
	return false
}
