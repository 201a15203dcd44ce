package compose

import (
	"bytes"
	"strings"
	"unicode/utf8"
)

const (
	maxLine = 998 // octets without CRLF, RFC 5322 §2.1.1
	qpLine  = 76  // octets of a line in quoted-printable, RFC 2045 §6.7
)

// boundaryStart begins every boundary of ours. Neither quoted-printable nor
// base64 can write it (RFC 2045 §6.7), and 7bit is not used where a line
// begins with it.
const boundaryStart = "=_"

// newlines makes every end of a line LF: CRLF, and CR alone, are one too.
func newlines(s string) string {
	if strings.IndexByte(s, '\r') < 0 {
		return s
	}
	return strings.ReplaceAll(strings.ReplaceAll(s, "\r\n", "\n"), "\r", "\n")
}

// appendNewlines appends s with every end of a line as LF.
func appendNewlines(b, s []byte) []byte {
	for i, c := range s {
		if c == '\r' {
			if i+1 < len(s) && s[i+1] == '\n' {
				continue
			}
			c = '\n'
		}
		b = append(b, c)
	}
	return b
}

// sevenBit reports whether text, which begins at the start of a line, may go
// out as it is: in ASCII without control characters, in lines that fit, none of
// which means something to a mail host, a mailbox file or a multipart.
func sevenBit(text []byte) bool {
	for line := range bytes.SplitSeq(text, []byte{'\n'}) {
		if len(line) > maxLine || len(line) > 0 && line[0] == '.' ||
			bytes.HasPrefix(line, []byte("From ")) || bytes.HasPrefix(line, []byte("--"+boundaryStart)) {
			return false
		}
		for _, c := range line {
			if c < ' ' && c != '\t' || c > '~' {
				return false
			}
		}
	}
	return true
}

// appendCRLF appends text with its ends of lines as CRLF.
func appendCRLF(b, text []byte) []byte {
	for {
		i := bytes.IndexByte(text, '\n')
		if i < 0 {
			return append(b, text...)
		}
		b = append(append(b, text[:i]...), '\r', '\n')
		text = text[i+1:]
	}
}

const hex = "0123456789ABCDEF"

// appendQP appends text, which begins at the start of a line, in
// quoted-printable (RFC 2045 §6.7). No line begins with a dot, so that nothing
// is left to be doubled for SMTP, or with "From ", which mailbox files change.
// broken says that the text goes on after this: its last line is ended by a
// soft break.
func appendQP(b, text []byte, broken bool) []byte {
	col := 0
	for i := 0; i < len(text); {
		c := text[i]
		if c == '\n' {
			b = append(b, '\r', '\n')
			col = 0
			i++
			continue
		}
		size := 1
		plain := c > ' ' && c <= '~' && c != '='
		if c == ' ' || c == '\t' { // not at the end of a line
			plain = i+1 < len(text) && text[i+1] != '\n' || i+1 == len(text) && broken
		}
		width := 1
		if !plain {
			if c >= utf8.RuneSelf { // keep a character together
				if _, n := utf8.DecodeRune(text[i:]); n > 1 {
					size = n
				}
			}
			width = 3 * size
		}
		if end := i+size == len(text) || text[i+size] == '\n'; col+width > qpLine-1 &&
			(!end || broken || col+width > qpLine) {
			b = append(b, "=\r\n"...)
			col = 0
		}
		if plain && col == 0 && (c == '.' || c == 'F' && bytes.HasPrefix(text[i:], []byte("From "))) {
			plain, width = false, 3
		}
		if plain {
			b = append(b, c)
		} else {
			for _, c := range text[i : i+size] {
				b = append(b, '=', hex[c>>4], hex[c&15])
			}
		}
		col += width
		i += size
	}
	if broken && col > 0 {
		b = append(b, "=\r\n"...)
	}
	return b
}

var crlf = []byte("\r\n")

func endsLine(b []byte) bool { return bytes.HasSuffix(b, crlf) }
