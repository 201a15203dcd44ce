package spfguard

import (
	"fmt"
	"strings"
	"unicode/utf8"
)

// A stray character is one that editors and web forms put into records.
type stray struct {
	rule, name  string
	replacement string
	remedy      string
}

func strayOf(r rune) (stray, bool) {
	switch {
	case r == '\uFEFF' || r >= '\u200B' && r <= '\u200D' || r == '\u2060':
		return stray{"char.invisible", "an invisible character (byte order mark or zero-width)", "", "delete it: retype the record instead of pasting it"}, true
	case r == '\u00A0' || r >= '\u2000' && r <= '\u200A' || r == '\u202F' || r == '\u3000':
		return stray{"char.space", "a space that is no ASCII space", " ", "replace it by a plain space"}, true
	case r == '\t' || r == '\n' || r == '\r':
		return stray{"char.tab", "a tab or line break", " ", "replace it by a space: only spaces separate terms (RFC 7208 §4.6.1)"}, true
	case r >= '\u2010' && r <= '\u2015' || r == '\u2212':
		return stray{"char.dash", "a dash that is no hyphen", "-", `replace it by "-"`}, true
	case r == '"' || r >= '\u2018' && r <= '\u201F':
		return stray{"char.quote", "a quotation mark inside the value", "", "delete it: the quotes of a zone file are not part of the value"}, true
	case r < ' ' || r == 0x7f:
		return stray{"char.control", "a control character", "", "delete it"}, true
	}
	return stray{}, false
}

// clean fills text and origin. Two strings of a zone file in a row, as in
// "one" "two", are joined without a space, as receivers do.
func (x *examination) clean() {
	var b strings.Builder
	put := func(s string, at int) {
		for range len(s) {
			x.origin = append(x.origin, at)
		}
		b.WriteString(s)
	}
	note := func(at, size int, rule, message, remedy string) {
		x.findings = append(x.findings, Finding{Rule: rule, Severity: Error, Pos: at, End: at + size, Text: x.original[at : at+size],
			Message: message, Remedy: remedy})
	}
	for i := 0; i < len(x.original); {
		r, size := utf8.DecodeRuneInString(x.original[i:])
		if n := gapOfStrings(x.original[i:]); n > 0 && i > 0 {
			note(i, n, "strings.joined", "the border between two strings: receivers join them without a space", "paste the value as one line, and let the DNS software split it")
			i += n
			continue
		}
		if s, ok := strayOf(r); ok {
			note(i, size, s.rule, s.name, s.remedy)
			put(s.replacement, i)
			i += size
			continue
		}
		if r >= utf8.RuneSelf {
			note(i, size, "char.nonascii", fmt.Sprintf("%q is no ASCII character", x.original[i:i+size]), "write international domain names as A-labels (xn--…)")
		}
		for j := range size {
			put(x.original[i+j:i+j+1], i+j)
		}
		i += size
	}
	x.text = b.String()
	x.origin = append(x.origin, len(x.original))
}

// gapOfStrings is the length of `" "` at the start of s, or 0.
func gapOfStrings(s string) int {
	if s[0] != '"' {
		return 0
	}
	rest := strings.TrimLeft(s[1:], " \t\r\n")
	if len(rest) < len(s)-1 && strings.HasPrefix(rest, `"`) {
		return len(s) - len(rest) + 1
	}
	return 0
}
