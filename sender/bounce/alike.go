package bounce

import (
	"net/netip"
	"strings"
)

// Alike reduces a reply to what it has in common with others of its kind: in
// place of addresses, IP addresses, times, and the numbers that servers give
// to sessions and messages, there is a word in angle brackets. Replies that
// are alike are equal then.
func Alike(text string) string {
	if len(text) > maxText {
		text = text[:maxText]
	}
	var b strings.Builder
	last := ""
	for token := range strings.FieldsSeq(text) {
		head := len(token) - len(strings.TrimLeft(token, `<([{"'`))
		bare := strings.TrimRight(token[head:], `>)]}"',;:.!?`)
		word := alike(bare)
		if word == last && strings.HasPrefix(word, "<") { // as in a date of three words
			continue
		}
		last = word
		if b.Len() > 0 {
			b.WriteByte(' ')
		}
		if word == bare {
			b.WriteString(token)
			continue
		}
		b.WriteString(word)
	}
	return b.String()
}

func alike(word string) string {
	switch {
	case enhancedCode(word) == word && word != "":
		return word
	case strings.Contains(word, "@"):
		return "<address>"
	case strings.Contains(word, "://"):
		if cut := strings.IndexAny(word, "?#"); cut >= 0 {
			return word[:cut]
		}
		return word
	case isIPv4(word), isIPv6(word), isAddrPort(word):
		return "<ip>"
	case isClock(word):
		return "<time>"
	case isID(word):
		return "<id>"
	}
	return word
}

func isIPv6(word string) bool {
	return strings.Count(word, ":") >= 3 && strings.Trim(word, "0123456789abcdefABCDEF:.") == ""
}

func isAddrPort(word string) bool {
	if strings.Contains(word, "]:") && word[0] != '[' { // taken off its front as punctuation
		word = "[" + word
	}
	_, err := netip.ParseAddrPort(word)
	return err == nil
}

// isClock holds for 12:34:56 and 2026-11-23T12:34:56Z.
func isClock(word string) bool {
	return strings.Trim(word, "0123456789-:+.TZ") == "" &&
		(strings.Count(word, ":") >= 1 || strings.Count(word, "-") == 2) && strings.IndexFunc(word, isNumeral) == 0
}

func isNumeral(r rune) bool { return '0' <= r && r <= '9' }

// isID holds for what no person would say: long, and digits in or among letters.
func isID(word string) bool {
	digits, letters, changes := 0, 0, 0
	last := byte(0)
	for i := range len(word) {
		kind := byte(0)
		switch {
		case digit(word[i]):
			digits, kind = digits+1, 'd'
		case letter(word[i]):
			letters, kind = letters+1, 'l'
		}
		if kind != 0 && last != 0 && kind != last {
			changes++
		}
		if kind != 0 {
			last = kind
		}
	}
	return digits >= 5 && letters == 0 || len(word) >= 8 && digits >= 2 && letters > 0 && changes >= 2
}
