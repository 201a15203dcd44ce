package spfguard

import (
	"fmt"
	"strings"
)

// maxString is the most octets of one string in a TXT record (RFC 1035 §3.3).
const maxString = 255

// ZoneLine writes the record of domain as a line of a zone file, in strings
// of at most 255 octets. Receivers join them without a space, so each ends
// with the one that separates terms.
func ZoneLine(domain, record string) string {
	var b strings.Builder
	b.WriteString(ASCII(domain) + ". IN TXT")
	for rest := record; ; {
		n := len(rest)
		if n > maxString {
			if n = strings.LastIndexByte(rest[:maxString], ' ') + 1; n == 0 {
				n = maxString
			}
		}
		b.WriteString(` "` + escapeString(rest[:n]) + `"`)
		if rest = rest[n:]; rest == "" {
			return b.String()
		}
	}
}

// escapeString writes octets as a zone file wants them (RFC 1035 §5.1).
func escapeString(s string) string {
	var b strings.Builder
	for i := range len(s) {
		switch c := s[i]; {
		case c == '"' || c == '\\':
			b.WriteByte('\\')
			b.WriteByte(c)
		case c < ' ' || c > '~':
			fmt.Fprintf(&b, `\%03d`, c)
		default:
			b.WriteByte(c)
		}
	}
	return b.String()
}
