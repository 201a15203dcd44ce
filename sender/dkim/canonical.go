package dkim

import (
	"bytes"
	"crypto/sha256"
	"strings"
)

// HashBody is the hash of a body in relaxed canonical form (RFC 6376 §3.4.4):
// white space within lines is one space, at their end none, and there are no
// empty lines at the end. The lines of body end in CRLF.
func HashBody(body []byte) [sha256.Size]byte {
	canonical := make([]byte, 0, len(body))
	for line := range bytes.SplitSeq(body, []byte("\r\n")) {
		canonical = append(relaxed(canonical, line), "\r\n"...)
	}
	end := len(canonical)
	for end >= 2 && (end == 2 || canonical[end-3] == '\n') {
		end -= 2
	}
	return sha256.Sum256(canonical[:end])
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

// parseHeader reads the fields of a header, each of which ends in CRLF.
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
