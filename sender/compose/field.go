package compose

import (
	"encoding/base64"
	"strings"
	"unicode/utf8"
)

const (
	foldAt      = 78 // octets of a line of the header, RFC 5322 §2.1.1
	encodedWord = 75 // octets of an encoded-word, RFC 2047 §2
)

// appendField appends a field whose value is in ASCII and has no line breaks,
// folded before spaces (RFC 5322 §2.2.3).
func appendField(b []byte, name, value string) []byte {
	start := len(b)
	b = append(append(b, name...), ": "...)
	return append(appendFolded(b, value, len(b)-start), "\r\n"...)
}

// appendFolded appends value after col octets of a line. What cannot be folded
// stays long.
func appendFolded(b []byte, value string, col int) []byte {
	for value != "" {
		// A word goes with the space before it; a line is never of spaces alone.
		n := len(value)
		for i := 1; i < len(value); i++ {
			if value[i] == ' ' && value[i-1] != ' ' {
				n = i
				break
			}
		}
		word := value[:n]
		if col+len(word) > foldAt && word[0] == ' ' && strings.TrimLeft(word, " ") != "" && col > 1 {
			b = append(b, "\r\n"...)
			col = 0
		}
		b = append(b, word...)
		col += len(word)
		value = value[n:]
	}
	return b
}

// appendText appends a field of unstructured text (RFC 5322 §3.6.5), in
// encoded-words (RFC 2047) where it is not ASCII, or would not come through as
// it is.
func appendText(b []byte, name, value string) []byte {
	if !needsEncoding(value) {
		return appendField(b, name, value)
	}
	b = append(append(b, name...), ": "...)
	return append(appendEncoded(b, value, len(name)+2), "\r\n"...)
}

func needsEncoding(s string) bool {
	word := 0
	for i := range len(s) {
		if word++; s[i] == ' ' {
			word = 0
		}
		if s[i] >= utf8.RuneSelf || s[i] < ' ' || s[i] == 0x7f || word > maxLine-foldAt {
			return true
		}
	}
	return strings.Contains(s, "=?") || strings.HasPrefix(s, " ") || strings.HasSuffix(s, " ") ||
		strings.Contains(s, "  ")
}

// appendEncoded appends s as encoded-words after col octets of a line. None of
// them cuts a character (RFC 2047 §5).
func appendEncoded(b []byte, s string, col int) []byte {
	quoted := 0
	for i := range len(s) {
		if !plainInWord(s[i]) {
			quoted++
		}
	}
	asB := 2*quoted > len(s)/3 // Q takes 3 octets for one, B 4 for 3
	for s != "" {
		room := min(encodedWord, foldAt-col) - len("=?UTF-8?Q??=")
		n := fits(s, room, asB)
		if n == 0 {
			b = append(b, "\r\n "...)
			col = 1
			n = fits(s, encodedWord-len("=?UTF-8?Q??="), asB)
		}
		if asB {
			b = append(b, "=?UTF-8?B?"...)
			b = base64.StdEncoding.AppendEncode(b, []byte(s[:n]))
		} else {
			b = append(b, "=?UTF-8?Q?"...)
			for i := range n {
				switch c := s[i]; {
				case c == ' ':
					b = append(b, '_')
				case plainInWord(c):
					b = append(b, c)
				default:
					b = append(b, '=', hex[c>>4], hex[c&15])
				}
			}
		}
		b = append(b, "?="...)
		if s = s[n:]; s != "" {
			b = append(b, "\r\n "...)
			col = 1
		}
	}
	return b
}

// fits is the number of octets of s that an encoded-word of that room holds.
func fits(s string, room int, asB bool) (n int) {
	taken := 0
	for n < len(s) {
		_, size := utf8.DecodeRuneInString(s[n:])
		if asB {
			taken = base64.StdEncoding.EncodedLen(n + size)
		} else {
			for _, c := range []byte(s[n : n+size]) {
				if c == ' ' || plainInWord(c) {
					taken++
				} else {
					taken += 3
				}
			}
		}
		if taken > room {
			return n
		}
		n += size
	}
	return n
}

// plainInWord holds for what stands for itself in an encoded-word also within a
// name (RFC 2047 §5 (3)).
func plainInWord(c byte) bool {
	return 'a' <= c && c <= 'z' || 'A' <= c && c <= 'Z' || '0' <= c && c <= '9' || strings.IndexByte("!*+-/", c) >= 0
}

// appendMailbox appends a field with one mailbox (RFC 5322 §3.4).
func appendMailbox(b []byte, field, name, address string) []byte {
	start := len(b)
	b = append(append(b, field...), ": "...)
	switch {
	case name == "":
	case needsEncoding(name):
		b = appendEncoded(b, name, len(b)-start)
	case strings.ContainsAny(name, `()<>[]:;@\,."`):
		quoted := `"` + strings.NewReplacer(`\`, `\\`, `"`, `\"`).Replace(name) + `"`
		b = appendFolded(b, quoted, len(b)-start)
	default:
		b = appendFolded(b, name, len(b)-start)
	}
	if name != "" {
		line := len(b) - start
		for i := len(b) - 1; i >= start; i-- {
			if b[i] == '\n' {
				line = len(b) - i - 1
				break
			}
		}
		if line+len(address)+3 > foldAt {
			b = append(b, '\r', '\n')
		}
		b = append(b, ' ')
	}
	b = append(append(b, '<'), address...)
	return append(b, ">\r\n"...)
}

// appendParameter appends a parameter of a MIME field on a line of its own:
// quoted where it is ASCII, else by RFC 2231, in sections where it is long. An
// encoded-word is not allowed there (RFC 2047 §5).
func appendParameter(b []byte, name, value string) []byte {
	ascii := true
	for i := range len(value) {
		ascii = ascii && value[i] >= ' ' && value[i] <= '~'
	}
	if ascii && len(value)+len(name) < foldAt-6 {
		b = append(append(append(b, ";\r\n "...), name...), `="`...)
		for i := range len(value) {
			if value[i] == '"' || value[i] == '\\' {
				b = append(b, '\\')
			}
			b = append(b, value[i])
		}
		return append(b, '"')
	}
	var sections []string
	var section []byte
	room := foldAt - len(name) - len(" *00*=UTF-8'';")
	for i := 0; i < len(value); {
		_, size := utf8.DecodeRuneInString(value[i:])
		var one []byte
		for _, c := range []byte(value[i : i+size]) {
			if plainInParameter(c) {
				one = append(one, c)
			} else {
				one = append(one, '%', hex[c>>4], hex[c&15])
			}
		}
		if len(section)+len(one) > room {
			sections, section = append(sections, string(section)), nil
		}
		section = append(section, one...)
		i += size
	}
	sections = append(sections, string(section))
	for i, s := range sections {
		b = append(append(append(b, ";\r\n "...), name...), '*')
		if len(sections) > 1 {
			if i >= 10 {
				b = append(b, byte('0'+i/10))
			}
			b = append(b, byte('0'+i%10), '*')
		}
		b = append(b, '=')
		if i == 0 {
			b = append(b, "UTF-8''"...)
		}
		b = append(b, s...)
	}
	return b
}

// plainInParameter holds for an attribute-char of RFC 2231 §7.
func plainInParameter(c byte) bool {
	return c > ' ' && c < 0x7f && strings.IndexByte(`*'%()<>@,;:\"/[]?=`, c) < 0
}
