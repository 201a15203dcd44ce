package spfguard

import (
	"fmt"
	"net/netip"
	"strconv"
	"strings"
)

const version = "v=spf1"

// A SyntaxError says where a record breaks the grammar of RFC 7208 §12.
type SyntaxError struct {
	Pos  int    // offset in the record, in octets
	Term string // the term at fault, as written
	Why  string
}

func (e *SyntaxError) Error() string { return fmt.Sprintf("%q: %s", e.Term, e.Why) }

// SyntaxErrors are all that a record has.
type SyntaxErrors []*SyntaxError

func (es SyntaxErrors) Error() string {
	texts := make([]string, len(es))
	for i, e := range es {
		texts[i] = e.Error()
	}
	return strings.Join(texts, "; ")
}

// As finds the first one for errors.As.
func (es SyntaxErrors) As(target any) bool {
	first, ok := target.(**SyntaxError)
	if ok {
		*first = es[0]
	}
	return ok
}

// isSPF reports whether text begins with the version section (§4.5). What does
// not is no SPF record, and none of our business.
func isSPF(text string) bool {
	return len(text) >= len(version) && strings.EqualFold(text[:len(version)], version) &&
		(len(text) == len(version) || text[len(version)] == ' ')
}

// Parse parses a record completely (§4.6: an error anywhere makes all of it a
// permerror). Its error is of type SyntaxErrors.
func Parse(text string) (*Record, error) {
	if !isSPF(text) {
		return nil, SyntaxErrors{{Term: text, Why: `a record begins with "v=spf1" and a space`}}
	}
	r := new(Record)
	var errs SyntaxErrors
	for _, f := range fields(text, len(version)) {
		t, why := parseTerm(f.text)
		if (t.Kind == Redirect || t.Kind == Exp) && r.Find(t.Kind) != nil && why == "" {
			why = string(t.Kind) + "= may stand only once (RFC 7208 §6)"
		}
		if why != "" {
			errs = append(errs, &SyntaxError{Pos: f.pos, Term: f.text, Why: why})
			continue
		}
		t.Text, t.Pos = f.text, f.pos
		r.Terms = append(r.Terms, t)
	}
	if len(errs) > 0 {
		return nil, errs
	}
	return r, nil
}

// A field is what stands between spaces.
type field struct {
	text     string
	pos, end int
}

// fields splits at spaces, and at nothing else (§4.6.1: 1*SP).
func fields(text string, from int) []field {
	var fs []field
	for i := from; i < len(text); {
		if text[i] == ' ' {
			i++
			continue
		}
		end := strings.IndexByte(text[i:], ' ')
		if end < 0 {
			end = len(text) - i
		}
		fs = append(fs, field{text[i : i+end], i, i + end})
		i += end
	}
	return fs
}

// parseTerm parses one mechanism or modifier (§4.6.1), and says why it cannot.
func parseTerm(s string) (t Term, why string) {
	for i := range len(s) {
		if s[i] < '!' || s[i] > '~' {
			return t, fmt.Sprintf("octet 0x%02x is no visible ASCII character", s[i])
		}
	}
	if name, value, ok := strings.Cut(s, "="); ok && isName(name) {
		return parseModifier(name, value)
	}
	t.Qualifier = Pass
	rest := s
	switch s[0] {
	case '+':
		rest = s[1:]
	case '-':
		t.Qualifier, rest = Fail, s[1:]
	case '~':
		t.Qualifier, rest = SoftFail, s[1:]
	case '?':
		t.Qualifier, rest = Neutral, s[1:]
	}
	end := strings.IndexAny(rest, ":/")
	if end < 0 {
		end = len(rest)
	}
	t.Kind = Kind(strings.ToLower(rest[:end]))
	return t, parseMechanism(&t, rest[end:])
}

// isName holds for name = ALPHA *( ALPHA / DIGIT / "-" / "_" / "." ).
func isName(s string) bool {
	for i := range len(s) {
		if c := s[i]; !isAlpha(c) && (i == 0 || !isDigit(c) && c != '-' && c != '_' && c != '.') {
			return false
		}
	}
	return s != ""
}

func parseModifier(name, value string) (t Term, why string) {
	switch t.Kind = Kind(strings.ToLower(name)); t.Kind {
	case Redirect, Exp:
		t.Spec, why = parseDomainSpec(value)
	default:
		t.Kind, t.Name = Unknown, name
		t.Spec, why = parseMacroString(value, false)
	}
	return t, why
}

// parseMechanism parses what follows the mechanism's name: "", ":…" or "/…".
func parseMechanism(t *Term, rest string) (why string) {
	arg, hasArg := strings.CutPrefix(rest, ":")
	switch t.Kind {
	case All:
		if rest != "" {
			return "all takes no argument"
		}
	case IP4, IP6:
		if !hasArg {
			return string(t.Kind) + " needs a network, as in " + example(t.Kind)
		}
		t.Net, why = parseNetwork(t.Kind, arg)
	case A, MX:
		if arg, why = parseDualCIDR(t, arg); why == "" && (hasArg || arg != "") {
			if !hasArg {
				return fmt.Sprintf("%q is no prefix length", arg)
			}
			t.Spec, why = parseDomainSpec(arg)
		}
	case PTR:
		if rest != "" && !hasArg {
			return "ptr takes no prefix length"
		}
		if hasArg {
			t.Spec, why = parseDomainSpec(arg)
		}
	case Include, Exists:
		if !hasArg {
			return string(t.Kind) + " needs a domain, as in " + example(t.Kind)
		}
		t.Spec, why = parseDomainSpec(arg)
	default:
		return "no mechanism has this name"
	}
	return why
}

func example(k Kind) string {
	switch k {
	case IP4:
		return "ip4:192.0.2.0/24"
	case IP6:
		return "ip6:2001:db8::/32"
	default:
		return string(k) + ":example.com"
	}
}

// parseNetwork parses ip4-network or ip6-network with its prefix length (§5.6).
func parseNetwork(k Kind, s string) (netip.Prefix, string) {
	host, bits, hasBits := strings.Cut(s, "/")
	addr, err := netip.ParseAddr(host)
	if err != nil || addr.Zone() != "" || (k == IP4) != addr.Is4() {
		return netip.Prefix{}, fmt.Sprintf("%q is no IPv%s address", host, k[2:])
	}
	n := addr.BitLen()
	if hasBits {
		var why string
		if n, why = parseBits(bits, n); why != "" {
			return netip.Prefix{}, why
		}
	}
	return netip.PrefixFrom(addr, n), ""
}

// parseDualCIDR takes [ "/" ip4 ] [ "//" ip6 ] from the end of s and returns
// what stands before it (§5.3).
func parseDualCIDR(t *Term, s string) (rest, why string) {
	t.Bits4, t.Bits6 = 32, 128
	if head, bits, ok := cutBits(s); ok && strings.HasSuffix(head, "/") {
		s = head[:len(head)-1]
		if t.Bits6, why = parseBits(bits, 128); why != "" {
			return "", why
		}
	}
	if head, bits, ok := cutBits(s); ok {
		s = head
		t.Bits4, why = parseBits(bits, 32)
	}
	return s, why
}

// cutBits splits s before a final slash with digits.
func cutBits(s string) (head, bits string, ok bool) {
	i := len(s)
	for i > 0 && isDigit(s[i-1]) {
		i--
	}
	if i == len(s) || i == 0 || s[i-1] != '/' {
		return s, "", false
	}
	return s[:i-1], s[i:], true
}

// parseBits parses a prefix length, which has no leading zero.
func parseBits(s string, limit int) (int, string) {
	n, err := strconv.Atoi(s)
	if err != nil || n > limit || strconv.Itoa(n) != s {
		return 0, fmt.Sprintf("%q is no prefix length of 0 to %d", s, limit)
	}
	return n, ""
}

func isAlpha(c byte) bool { return 'a' <= c|0x20 && c|0x20 <= 'z' }
func isDigit(c byte) bool { return '0' <= c && c <= '9' }

// lower is strings.ToLower for ASCII, of the same length whatever s holds.
func lower(s string) string {
	octets := []byte(s)
	for i, c := range octets {
		if 'A' <= c && c <= 'Z' {
			octets[i] = c | 0x20
		}
	}
	return string(octets)
}
