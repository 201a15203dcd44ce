package bounce

import "strings"

// replyCode reads a reply code of RFC 5321 §4.2 at the start of s: three
// digits, 4 or 5 the first, and no digit or letter after them. It returns 0
// when there is none.
func replyCode(s string) int {
	if len(s) < 3 || s[0] != '4' && s[0] != '5' || !digit(s[1]) || !digit(s[2]) {
		return 0
	}
	if len(s) > 3 {
		switch c := s[3]; {
		case digit(c), c == '.' && len(s) > 4 && digit(s[4]), 'a' <= c && c <= 'z', 'A' <= c && c <= 'Z', c == '_':
			return 0
		}
	}
	return int(s[0]-'0')*100 + int(s[1]-'0')*10 + int(s[2]-'0')
}

// enhancedCode is EnhancedCode of a failure.
func enhancedCode(s string) string {
	if s == "" || s[0] == '2' {
		return ""
	}
	return EnhancedCode(s)
}

// EnhancedCode returns the enhanced status code (RFC 3463 §2) at the start of
// s, as in "5.1.1", or "". An IP address or a version number is none.
func EnhancedCode(s string) string {
	if len(s) < 5 || s[0] != '2' && s[0] != '4' && s[0] != '5' || s[1] != '.' {
		return ""
	}
	i := 2
	for part := range 2 {
		start := i
		for i < len(s) && i-start < 3 && digit(s[i]) {
			i++
		}
		if i == start {
			return ""
		}
		if part == 0 {
			if i == len(s) || s[i] != '.' {
				return ""
			}
			i++
		}
	}
	if i < len(s) && (digit(s[i]) || s[i] == '.' && i+1 < len(s) && digit(s[i+1])) {
		return ""
	}
	return s[:i]
}

// findEnhanced returns the first enhanced status code anywhere in s, or "".
// qmail puts it at the end, "(#5.1.1)"; gateways put it behind a name.
func findEnhanced(s string) string {
	if len(s) > maxText {
		s = s[:maxText]
	}
	for i := 0; ; i++ {
		dot := strings.IndexByte(s[i:], '.')
		if dot < 0 {
			return ""
		}
		i += dot
		if i == 0 || i > 1 && (digit(s[i-2]) || s[i-2] == '.' || letter(s[i-2])) {
			continue
		}
		if e := enhancedCode(s[i-1:]); e != "" {
			return e
		}
	}
}

// isCode reports whether a token is nothing but codes: 550, 5.7.1, 550-5.7.1, #5.1.1.
func isCode(tok string) bool {
	tok = strings.TrimLeft(tok, "#-")
	if replyCode(tok) != 0 {
		tok = strings.TrimLeft(tok[3:], "-#")
	}
	tok = tok[len(enhancedCode(tok)):]
	return tok == "" || tok == "." || tok == "-"
}

func isIPv4(tok string) bool {
	tok = strings.TrimRight(tok, ".")
	if len(tok) < 7 || len(tok) > 15 {
		return false
	}
	dots := 0
	for i := range len(tok) {
		switch {
		case tok[i] == '.':
			dots++
		case !digit(tok[i]):
			return false
		}
	}
	return dots == 3
}

func digit(c byte) bool  { return '0' <= c && c <= '9' }
func letter(c byte) bool { return 'a' <= c|0x20 && c|0x20 <= 'z' }
