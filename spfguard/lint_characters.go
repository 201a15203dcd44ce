package spfguard

import (
	"fmt"
	"strings"
	"unicode"
	"unicode/utf8"
)

// A stray character is one that editors, web forms and zone files put into
// records.
type stray struct {
	rule, name  string
	replacement string
	remedy      string
}

func strayOf(r rune) (stray, bool) {
	switch {
	case r == '\uFEFF' || r == '\u00AD' || r == '\u2060' || r >= '\u200B' && r <= '\u200F' ||
		r >= '\u202A' && r <= '\u202E' || r >= '\u2066' && r <= '\u2069':
		return stray{
			"char.invisible",
			"an invisible character (byte order mark, zero-width or direction mark)",
			"",
			"delete it: retype the record instead of pasting it",
		}, true
	case r == '\u00A0' || r >= '\u2000' && r <= '\u200A' || r == '\u202F' || r == '\u3000':
		return stray{"char.space", "a space that is no ASCII space", " ", "replace it by a plain space"}, true
	case r == '\t' || r == '\n' || r == '\r':
		return stray{
			"char.tab",
			"a tab or line break",
			" ",
			"replace it by a space: only spaces separate terms (RFC 7208 §4.6.1)",
		}, true
	case r >= '\u2010' && r <= '\u2015' || r == '\u2212' || r == '\uFE58' || r == '\uFE63':
		return stray{"char.dash", "a dash that is no hyphen", "-", `replace it by "-"`}, true
	case r == '\u02DC' || r == '\u223C':
		return stray{"char.tilde", "a tilde of another alphabet", "~", `replace it by "~"`}, true
	case r == '"' || r == '\'' || r == '`' || r == '\u00B4' || r == '\u00AB' || r == '\u00BB' ||
		r >= '\u2018' && r <= '\u201F':
		return stray{
			"char.quote",
			"a quotation mark inside the value",
			"",
			"delete it: the quotes of a zone file are not part of the value",
		}, true
	case r >= '\uFF01' && r <= '\uFF5E':
		ascii := string(r - '\uFF01' + '!')
		return stray{
			"char.fullwidth",
			fmt.Sprintf("a full-width %q", ascii),
			ascii,
			fmt.Sprintf("replace it by a plain %q", ascii),
		}, true
	case r == '\u3002':
		return stray{"char.fullwidth", "a full stop of another script", ".", `replace it by "."`}, true
	case r < ' ' || r == 0x7f:
		return stray{"char.control", "a control character", "", "delete it"}, true
	}
	return stray{}, false
}

// encoded are spaces and quotes as HTML and URLs write them, and what a zone
// file puts a backslash before.
var encoded = []struct{ text, replacement string }{
	{"&nbsp;", " "}, {"&#160;", " "}, {"&#32;", " "}, {"%20", " "}, {"%22", ""},
	{"&quot;", ""}, {"&#34;", ""}, {"&#39;", ""}, {"&amp;", "&"},
	{`\"`, ""}, {`\'`, ""}, {`\;`, ";"}, {`\,`, ","}, {`\ `, " "}, {`\~`, "~"}, {`\-`, "-"},
}

// lookalikes are letters of other alphabets that cannot be told from Latin ones.
var lookalikes = map[rune]byte{
	'а': 'a', 'с': 'c', 'е': 'e', 'ѕ': 's', 'і': 'i', 'ј': 'j', 'о': 'o', 'р': 'p', 'х': 'x', 'у': 'y', 'ԁ': 'd',
	'ӏ': 'l', 'м': 'm', 'А': 'A', 'С': 'C', 'Е': 'E', 'І': 'I', 'М': 'M', 'О': 'O', 'Р': 'P', 'Х': 'X',
	'ο': 'o', 'ν': 'v', 'α': 'a', 'ι': 'i', 'ρ': 'p',
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
		x.findings = append(
			x.findings,
			Finding{Rule: rule, Severity: Error, Pos: at, End: at + size, Text: x.original[at : at+size],
				Message: message, Remedy: remedy},
		)
	}
	for i := 0; i < len(x.original); {
		r, size := utf8.DecodeRuneInString(x.original[i:])
		if n := gapOfStrings(x.original[i:]); n > 0 && i > 0 {
			note(i, n, "strings.joined", "the border between two strings: receivers join them without a space",
				"paste the value as one line, and let the DNS software split it")
			i += n
			continue
		}
		if n, replacement := encodedAt(x.original[i:]); n > 0 && (i == 0 || x.original[i-1] != '%') { // %% is a macro
			note(i, n, "char.encoded", fmt.Sprintf("%q is an encoded or escaped character", x.original[i:i+n]),
				fmt.Sprintf("write %q in its place", replacement))
			put(replacement, i)
			i += n
			continue
		}
		if s, ok := strayOf(r); ok {
			note(i, size, s.rule, s.name, s.remedy)
			put(s.replacement, i)
			i += size
			continue
		}
		if latin, ok := lookalikes[r]; ok && x.disguised(i) {
			note(i, size, "char.lookalike",
				fmt.Sprintf("%q is of another alphabet and only looks like %q", x.original[i:i+size], string(latin)),
				"type it again on a Latin keyboard")
			put(string(latin), i)
			i += size
			continue
		}
		if r >= utf8.RuneSelf {
			note(i, size, "char.nonascii", fmt.Sprintf("%q is no ASCII character", x.original[i:i+size]),
				"write international domain names as A-labels (xn--…)")
		}
		for j := range size {
			put(x.original[i+j:i+j+1], i+j)
		}
		i += size
	}
	x.text = b.String()
	x.origin = append(x.origin, len(x.original))
}

func encodedAt(s string) (length int, replacement string) {
	if s[0] != '&' && s[0] != '%' && s[0] != '\\' {
		return 0, ""
	}
	for _, e := range encoded {
		if len(s) >= len(e.text) && strings.EqualFold(s[:len(e.text)], e.text) {
			return len(e.text), e.replacement
		}
	}
	return 0, ""
}

// disguised reports whether the letter at offset i stands in a word that would
// be plain Latin without letters that only look so: a label that mixes
// alphabets, or the name of a mechanism. An international domain name does not.
func (x *examination) disguised(i int) bool {
	border := func(r rune) bool { return !unicode.IsLetter(r) && !unicode.IsDigit(r) && r != '-' && r != '_' }
	from := max(0, i-maxName) // no word of interest is longer
	near := x.original[from:min(len(x.original), i+maxName)]
	start := strings.LastIndexFunc(near[:i-from], border)
	if start >= 0 { // the border may have several octets
		_, size := utf8.DecodeRuneInString(near[start:])
		start += size
	}
	word := near[max(0, start):]
	if end := strings.IndexFunc(word, border); end >= 0 {
		word = word[:end]
	}
	var latin strings.Builder
	ascii := false
	for _, r := range word {
		plain, ok := lookalikes[r]
		switch {
		case ok:
			latin.WriteByte(plain)
		case r >= utf8.RuneSelf:
			return false
		default:
			ascii = ascii || unicode.IsLetter(r)
			latin.WriteByte(byte(r))
		}
	}
	name := strings.ToLower(strings.TrimLeft(latin.String(), "-"))
	return ascii || isMechanism(name) || name == string(Redirect) || name == string(Exp)
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
