package spfguard

import (
	"fmt"
	"strconv"
	"strings"
)

// A Spec is a parsed domain-spec or macro-string (RFC 7208 §7.1).
type Spec struct {
	text  string
	parts []part // nil when there is no macro in text
}

// A part is literal text, or a macro when letter is not 0.
type part struct {
	literal string
	letter  byte // lower case
	escape  bool // the letter was upper case: URL-escape
	keep    int  // right-hand parts to keep; 0 keeps all
	reverse bool
	delims  string // "" is "."
	bare    bool   // no transformer, no delimiter
}

// String returns the spec as written.
func (s Spec) String() string { return s.text }

// Empty reports whether no spec was written.
func (s Spec) Empty() bool { return s.text == "" }

// Macros reports whether s depends on the message or the connection.
func (s Spec) Macros() bool {
	for _, p := range s.parts {
		if p.letter != 0 {
			return true
		}
	}
	return false
}

// Static returns the name that s stands for, whatever the message.
func (s Spec) Static() (name string, ok bool) {
	return strings.TrimSuffix(s.text, "."), s.parts == nil && s.text != ""
}

// parseDomainSpec parses macro-string domain-end: a domain-spec ends in a
// macro, or in a dot and a top label, which may have a dot after it.
func parseDomainSpec(text string) (Spec, string) {
	if text == "" {
		return Spec{}, "the domain is missing"
	}
	s, why := parseMacroString(text, false)
	if why != "" {
		return Spec{}, why
	}
	if n := len(s.parts); n > 0 && s.parts[n-1].literal == "" {
		return s, ""
	}
	if n := len(s.parts); n > 0 && endsInEscape(text) {
		return s, ""
	}
	end := strings.TrimSuffix(text, ".")
	dot := strings.LastIndexByte(end, '.')
	if dot < 0 {
		return Spec{}, fmt.Sprintf("%q is a single label: write the whole domain name", text)
	}
	if !isTopLabel(end[dot+1:]) {
		return Spec{}, fmt.Sprintf("%q does not end like a domain name", text)
	}
	return s, ""
}

// endsInEscape reports whether text, of valid syntax, ends in %%, %_ or %-.
func endsInEscape(text string) bool {
	for i := 0; i < len(text); i++ {
		if text[i] != '%' {
			continue
		}
		if text[i+1] == '{' {
			i += strings.IndexByte(text[i:], '}')
			continue
		}
		if i++; i == len(text)-1 {
			return true
		}
	}
	return false
}

// isTopLabel holds for letters, digits and inner hyphens that are not all digits.
func isTopLabel(s string) bool {
	if s == "" || s[0] == '-' || s[len(s)-1] == '-' {
		return false
	}
	digits := 0
	for i := range len(s) {
		switch c := s[i]; {
		case isDigit(c):
			digits++
		case !isAlpha(c) && c != '-':
			return false
		}
	}
	return digits < len(s)
}

// parseMacroString parses literals and macros. Only the text that exp= points
// to may use the letters c, r and t (§7.2).
func parseMacroString(text string, explanation bool) (Spec, string) {
	s := Spec{text: text}
	if !strings.Contains(text, "%") {
		return s, ""
	}
	letters := "slodiphv"
	if explanation {
		letters += "crt"
	}
	literal := func(l string) {
		if n := len(s.parts); n > 0 && s.parts[n-1].letter == 0 {
			s.parts[n-1].literal += l
		} else {
			s.parts = append(s.parts, part{literal: l})
		}
	}
	for rest := text; rest != ""; {
		i := strings.IndexByte(rest, '%')
		if i < 0 {
			literal(rest)
			break
		}
		if i > 0 {
			literal(rest[:i])
		}
		if rest = rest[i+1:]; rest == "" {
			return Spec{}, "a % at the end: a percent sign is written %%"
		}
		switch rest[0] {
		case '%':
			literal("%")
		case '_':
			literal(" ")
		case '-':
			literal("%20")
		case '{':
			end := strings.IndexByte(rest, '}')
			if end < 0 {
				return Spec{}, "a macro without its closing brace"
			}
			p, why := parseMacro(rest[1:end], letters)
			if why != "" {
				return Spec{}, fmt.Sprintf("%%%s: %s", rest[:end+1], why)
			}
			s.parts = append(s.parts, p)
			rest = rest[end:]
		default:
			return Spec{}, fmt.Sprintf("%%%c is no macro: a percent sign is written %%%%", rest[0])
		}
		rest = rest[1:]
	}
	return s, ""
}

// parseMacro parses what stands between braces: macro-letter transformers *delimiter.
func parseMacro(s, letters string) (p part, why string) {
	if s == "" || !strings.Contains(letters, strings.ToLower(s[:1])) {
		if s != "" && strings.Contains("crtCRT", s[:1]) {
			return p, "this macro may only stand in the text that exp= points to"
		}
		return p, "no such macro letter"
	}
	p.letter = s[0] | 0x20
	p.escape = s[0] != p.letter
	p.bare = len(s) == 1
	rest := strings.TrimLeft(s[1:], "0123456789")
	if digits := s[1 : len(s)-len(rest)]; digits != "" {
		n, err := strconv.Atoi(digits)
		if n == 0 {
			return p, "the number of parts must not be 0"
		}
		if err == nil {
			p.keep = n
		}
	}
	if rest != "" && rest[0]|0x20 == 'r' {
		p.reverse, rest = true, rest[1:]
	}
	if strings.Trim(rest, ".-+,/_=") != "" {
		return p, "after the letter come digits, then r, then delimiters out of .-+,/_="
	}
	p.delims = rest
	return p, ""
}
