package bounce

import (
	"strings"
	"unicode"
	"unicode/utf8"
)

// maxText is how much of a reply is looked at, in bytes. RFC 5321 §4.5.3.1.5
// allows 512 a line; what comes after a few kilobytes is a quoted message.
const maxText = 8 << 10

// fold turns a reply into plain lower-case words with one space around each,
// so that a phrase of the table matches however it was punctuated, wrapped or
// accented. An address becomes "@", an IPv4 address "%"; codes are dropped,
// since a wrapped reply repeats them in mid-sentence. Umlauts become two
// letters, as Germans write them when they have to, other accents are taken
// off, bytes that are no UTF-8 are read as Latin-1. The words of a URL have a "/"
// before them, since they say nothing of their own: "…/user-unknown" is a page.
func fold(dst []byte, s string) []byte { return foldTokens(dst, s, nil) }

// foldTokens folds s, and reports of each token where its words will begin and
// where it is in s; report may be nil.
func foldTokens(dst []byte, s string, report func(folded, start, end int)) []byte {
	if len(s) > maxText {
		s = s[:maxText]
	}
	dst = append(dst, "  "...) // a second space, for phrases at the beginning
	for i := 0; i < len(s); {
		if delimiter(s[i]) {
			i++
			continue
		}
		j := i + urlLen(s[i:])
		isURL := j > i
		for !isURL && j < len(s) && !delimiter(s[j]) {
			j++
		}
		if report != nil {
			report(len(dst), i, j)
		}
		if isURL {
			dst = foldURL(dst, s[i:j])
		} else {
			dst = foldToken(dst, s[i:j])
		}
		i = j
	}
	return append(space(dst), ' ') // and for those at the end
}

// urlLen is the length of the URL at the beginning of s; 0 is none.
func urlLen(s string) int {
	if len(s) < 8 || s[0]|0x20 != 'h' && s[0]|0x20 != 'w' {
		return 0
	}
	if !strings.EqualFold(s[:4], "www.") && !strings.EqualFold(s[:7], "http://") &&
		!strings.EqualFold(s[:8], "https://") {
		return 0
	}
	if end := strings.IndexAny(s, " \t\r\n<>\"()[]{},;"); end >= 0 {
		return end
	}
	return len(s)
}

func foldURL(dst []byte, url string) []byte {
	within := false
	for i := range len(url) {
		c := url[i]
		if letter(c) {
			c |= 0x20
		} else if !digit(c) {
			within = false
			continue
		}
		if !within {
			dst, within = append(space(dst), '/'), true
		}
		dst = append(dst, c)
	}
	return space(dst)
}

func delimiter(c byte) bool {
	switch c {
	case ' ', '\t', '\r', '\n', '<', '>', '(', ')', '[', ']', '{', '}', '"', ',', ';', ':', '=', '|', '/', '!', '?',
		'*':
		return true
	}
	return false
}

func foldToken(dst []byte, tok string) []byte {
	switch {
	case strings.IndexByte(tok, '@') >= 0:
		return word(dst, "@")
	case isCode(tok):
		return dst
	case isIPv4(tok):
		return word(dst, "%")
	case len(tok) >= 6 && tok[1] == '-' && strings.EqualFold(tok[:6], "e-mail"):
		dst, tok = append(dst, 'e'), tok[2:]
	}
	for i := 0; i < len(tok); {
		c := tok[i]
		switch {
		case 'a' <= c && c <= 'z', '0' <= c && c <= '9':
			dst = append(dst, c)
		case 'A' <= c && c <= 'Z':
			dst = append(dst, c+'a'-'A')
		case c == '\'' || c == '`':
			// n't, l'adresse: one word
		case c < utf8.RuneSelf:
			dst = space(dst)
		default:
			r, n := utf8.DecodeRuneInString(tok[i:])
			if r == utf8.RuneError && n == 1 {
				r = rune(c)
			}
			dst = foldRune(dst, r)
			i += n
			continue
		}
		i++
	}
	return space(dst)
}

func word(dst []byte, w string) []byte {
	dst = space(dst)
	if len(dst) >= 3 && string(dst[len(dst)-3:]) == " "+w+" " {
		return dst
	}
	return append(append(dst, w...), ' ')
}

func space(dst []byte) []byte {
	if dst[len(dst)-1] != ' ' {
		dst = append(dst, ' ')
	}
	return dst
}

// latin folds U+00C0 to U+00FF; "" is punctuation.
var latin = [64]string{
	"a", "a", "a", "a", "ae", "a", "ae", "c", "e", "e", "e", "e", "i", "i", "i", "i",
	"d", "n", "o", "o", "o", "o", "oe", "", "o", "u", "u", "u", "ue", "y", "th", "ss",
	"a", "a", "a", "a", "ae", "a", "ae", "c", "e", "e", "e", "e", "i", "i", "i", "i",
	"d", "n", "o", "o", "o", "o", "oe", "", "o", "u", "u", "u", "ue", "y", "th", "y",
}

// extended folds U+0100 to U+017F, as Polish, Czech or Turkish have them.
const extended = "aaaaaaccccccccddddeeeeeeeeeegggggggghhhhiiiiiiiiiiiijjkkklllllll" +
	"lllnnnnnnnnnoooooooorrrrrrssssssssttttttuuuuuuuuuuuuwwyyyzzzzzzs"

func foldRune(dst []byte, r rune) []byte {
	switch {
	case 0xC0 <= r && r <= 0xFF:
		if f := latin[r-0xC0]; f != "" {
			return append(dst, f...)
		}
		return space(dst)
	case r == '’' || r == '‘':
		return dst
	case r == 'œ' || r == 'Œ':
		return append(dst, "oe"...)
	case 0x100 <= r && r <= 0x17F:
		return append(dst, extended[r-0x100])
	case 0x300 <= r && r <= 0x36F: // combining accents
		return dst
	case 0xFF01 <= r && r <= 0xFF5E: // full-width ASCII
		return foldRune(dst, r-0xFEE0)
	case r < utf8.RuneSelf || !unicode.IsLetter(r):
		if unicode.IsLetter(r) || unicode.IsDigit(r) {
			return append(dst, byte(unicode.ToLower(r)))
		}
		return space(dst)
	}
	return utf8.AppendRune(dst, unicode.ToLower(r))
}
