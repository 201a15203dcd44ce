package spfguard

import (
	"context"
	"encoding/hex"
	"net/netip"
	"slices"
	"strconv"
	"strings"
	"time"
)

// maxName is the most octets a domain name has when written (RFC 7208 §7.3).
const maxName = 253

// target expands the domain-spec of a term to the name to ask for: one final
// dot does not count, and of a name that is too long the labels on the left go
// until it fits (§7.3). Without domain-spec it is the current domain.
func (e *evaluation) target(ctx context.Context, s *Spec, domain string, st *Step) string {
	if s.Empty() {
		return domain
	}
	name := strings.TrimSuffix(e.expand(ctx, s, domain, st), ".")
	for len(name) > maxName {
		_, rest, ok := strings.Cut(name, ".")
		if !ok {
			break
		}
		name = rest
	}
	return name
}

// expand replaces the macros of s (§7.2). Queries for %{p} are on st's account.
func (e *evaluation) expand(ctx context.Context, s *Spec, domain string, st *Step) string {
	if s.parts == nil {
		return s.text
	}
	var b strings.Builder
	for i := range s.parts {
		p := &s.parts[i]
		if p.letter == 0 {
			b.WriteString(p.literal)
			continue
		}
		v := e.value(ctx, p.letter, domain, st)
		if !p.bare {
			v = p.transform(v)
		}
		if p.escape {
			v = urlEscape(v)
		}
		b.WriteString(v)
	}
	return b.String()
}

// value is what a macro letter stands for (§7.2).
func (e *evaluation) value(ctx context.Context, letter byte, domain string, st *Step) string {
	switch letter {
	case 's':
		return e.local + "@" + e.origin
	case 'l':
		return e.local
	case 'o':
		return e.origin
	case 'd':
		return domain
	case 'i':
		return dotted(e.ip)
	case 'p':
		return e.validated(ctx, domain, st)
	case 'v':
		if e.ip.Is4() {
			return "in-addr"
		}
		return "ip6"
	case 'h':
		return e.helo
	case 'c':
		return e.ip.String()
	case 'r':
		if e.checker.Receiver == "" {
			return "unknown"
		}
		return e.checker.Receiver
	default: // 't'
		return strconv.FormatInt(time.Now().Unix(), 10)
	}
}

// transform splits, reverses and truncates (§7.3), and joins with dots.
func (p *part) transform(v string) string {
	delims := p.delims
	if delims == "" {
		delims = "."
	}
	labels := splitAny(v, delims)
	if p.reverse {
		slices.Reverse(labels)
	}
	if p.keep > 0 && p.keep < len(labels) {
		labels = labels[len(labels)-p.keep:]
	}
	return strings.Join(labels, ".")
}

// splitAny splits v at each octet of delims, keeping empty parts.
func splitAny(v, delims string) []string {
	var labels []string
	for {
		i := strings.IndexAny(v, delims)
		if i < 0 {
			return append(labels, v)
		}
		labels = append(labels, v[:i])
		v = v[i+1:]
	}
}

// dotted is the address as %{i} has it: dotted quad, or dotted nibbles.
func dotted(ip netip.Addr) string {
	if ip.Is4() {
		return ip.String()
	}
	octets := ip.As16()
	nibbles := strings.ToUpper(hex.EncodeToString(octets[:]))
	return strings.Join(strings.Split(nibbles, ""), ".")
}

// urlEscape escapes all but the unreserved characters of RFC 3986 §2.3.
func urlEscape(s string) string {
	var b strings.Builder
	for i := range len(s) {
		c := s[i]
		if isAlpha(c) || isDigit(c) || strings.IndexByte("-._~", c) >= 0 {
			b.WriteByte(c)
			continue
		}
		b.WriteByte('%')
		b.WriteByte("0123456789ABCDEF"[c>>4])
		b.WriteByte("0123456789ABCDEF"[c&15])
	}
	return b.String()
}

// validated is %{p}: a name of the address that resolves back to it, the
// domain itself before a name under it before any other (§7.3).
func (e *evaluation) validated(ctx context.Context, domain string, st *Step) string {
	best := "unknown"
	rank := 0
	for _, name := range e.validatedNames(ctx, st) {
		r := 1
		switch {
		case strings.EqualFold(name, domain):
			r = 3
		case under(name, domain):
			r = 2
		}
		if r > rank {
			best, rank = name, r
		}
	}
	return best
}

// under reports whether name is domain or below it.
func under(name, domain string) bool {
	if len(name) == len(domain) {
		return strings.EqualFold(name, domain)
	}
	cut := len(name) - len(domain)
	return cut > 0 && name[cut-1] == '.' && strings.EqualFold(name[cut:], domain)
}
