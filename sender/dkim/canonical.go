package dkim

import (
	"bytes"
	"crypto/sha256"
	"hash"
	"strings"
)

// A BodyHash takes the hash of a body in relaxed canonical form (RFC 6376
// §3.4.4), piece by piece: white space within lines is one space, at their end
// none, and there are no empty lines at the end. The lines end in CRLF; a piece
// may end anywhere.
type BodyHash struct {
	sum     hash.Hash
	space   bool // white space that is written when the line goes on
	cr      bool // a CR that is written when no LF follows
	lines   int  // ends of lines that are written when another line follows
	written bool // whether the line that lines begin with has anything on it
	buf     []byte
}

// NewBodyHash begins a hash.
func NewBodyHash() *BodyHash { return &BodyHash{sum: sha256.New()} }

// plainRun is how many octets of a piece are hashed where they lie.
const plainRun = 64

// Write adds a piece of the body. It keeps nothing of it.
func (h *BodyHash) Write(p []byte) {
	for len(p) > 0 {
		switch c := p[0]; {
		case h.cr && c == '\n':
			h.cr, h.space = false, false
			h.lines++
			p = p[1:]
			continue
		case c == '\r' && !h.cr:
			h.cr = true
			p = p[1:]
			continue
		case c == ' ' || c == '\t':
			if h.cr {
				h.settle()
			}
			h.space = true
			p = p[1:]
			continue
		}
		h.settle()
		n := 1 + asItIs(p[1:])
		h.put(p[:n])
		p = p[n:]
	}
}

// asItIs is how many octets of p, which goes on behind text, are canonical as they are:
// nearly all of an ordinary body, which is then hashed in one piece.
func asItIs(p []byte) int {
	n := 0
	for n < len(p) {
		switch c := p[n]; {
		case c != ' ' && c != '\t' && c != '\r':
			n++
		case c == ' ' && n+1 < len(p) && p[n+1] > ' ':
			n += 2
		case c == '\r' && n+2 < len(p) && p[n+1] == '\n' && p[n+2] > ' ':
			n += 3
		default:
			return n
		}
	}
	return n
}

// Slices of their own would be one allocation for each space of a body.
var lineEnd, oneSpace, bareCR = []byte("\r\n"), []byte{' '}, []byte{'\r'}

// settle writes what was held back, since the line goes on.
func (h *BodyHash) settle() {
	for ; h.lines > 0; h.lines-- {
		h.put(lineEnd)
	}
	if h.space {
		h.put(oneSpace)
		h.space = false
	}
	if h.cr {
		h.put(bareCR)
		h.cr = false
	}
}

func (h *BodyHash) put(p []byte) {
	h.written = true
	if len(p) >= plainRun {
		h.flush()
		h.sum.Write(p)
		return
	}
	if h.buf = append(h.buf, p...); len(h.buf) > 4096 {
		h.flush()
	}
}

func (h *BodyHash) flush() {
	h.sum.Write(h.buf)
	h.buf = h.buf[:0]
}

// Sum ends the body and returns the hash.
func (h *BodyHash) Sum() (sum [sha256.Size]byte) {
	if h.cr {
		h.settle()
	}
	if h.written {
		h.put(lineEnd) // of a last line, ended or not
	}
	h.flush()
	h.sum.Sum(sum[:0])
	return sum
}

// HashBody is the hash of a whole body.
func HashBody(body []byte) [sha256.Size]byte {
	h := NewBodyHash()
	h.Write(body)
	return h.Sum()
}

// relaxed appends a line to b, runs of white space as one space, and none at
// the end.
func relaxed(b, line []byte) []byte {
	if bytes.IndexByte(line, ' ') < 0 && bytes.IndexByte(line, '\t') < 0 {
		return append(b, line...)
	}
	space := false
	for _, c := range line {
		if c == ' ' || c == '\t' {
			space = true
			continue
		}
		if space {
			b = append(b, ' ')
			space = false
		}
		b = append(b, c)
	}
	return b
}

// A field is one of a header: its name in lower case, and all of it in relaxed
// canonical form (RFC 6376 §3.4.2), without CRLF.
type field struct {
	name      string
	canonical []byte
}

// parseHeader reads the fields of a header; each ends in CRLF.
func parseHeader(header []byte) []field {
	var fields []field
	for len(header) > 0 {
		end := 0
		for { // a line that begins with white space goes on with the field
			i := bytes.Index(header[end:], []byte("\r\n"))
			if i < 0 {
				end = len(header)
				break
			}
			end += i + 2
			if end == len(header) || header[end] != ' ' && header[end] != '\t' {
				break
			}
		}
		fields = append(fields, newField(header[:end]))
		header = header[end:]
	}
	return fields
}

func newField(text []byte) field {
	name, value, _ := bytes.Cut(text, []byte{':'})
	f := field{name: strings.ToLower(strings.TrimRight(string(name), " \t"))}
	f.canonical = append(make([]byte, 0, len(text)), f.name...)
	f.canonical = append(f.canonical, ':')
	unfolded := bytes.ReplaceAll(value, []byte("\r\n"), nil)
	f.canonical = relaxed(f.canonical, bytes.TrimLeft(unfolded, " \t"))
	return f
}
