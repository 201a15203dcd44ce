package dns

import (
	"fmt"
	"net/netip"
	"strings"

	"github.com/miekg/dns"
)

// A question is a name in the form that names have when they come off the
// wire, in lower case, and the type asked for.
type question struct {
	name  string
	qtype uint16
}

func (q question) String() string {
	return dns.TypeToString[q.qtype] + " " + plain(q.name)
}

// wireName brings name into the escaped, lower-case form with a final dot that
// comparisons need. What can be no name in the DNS exists nowhere, so the error
// is an ErrNXDomain: empty labels, labels over 63 and names over 255 octets
// (RFC 1035 §2.3.4), and IP addresses, which some servers would "resolve".
func wireName(name string) (string, error) {
	name = strings.TrimSuffix(name, ".")
	if isUsual(name) {
		return name + ".", nil
	}
	if _, err := netip.ParseAddr(name); err == nil {
		return "", fmt.Errorf("%s is an IP address and no name: %w", name, ErrNXDomain)
	}
	var buf [255]byte
	_, err := dns.PackDomainName(strings.ReplaceAll(name, `\`, `\\`)+".", buf[:], 0, nil, false)
	if err == nil && name != "" {
		if name, _, err = dns.UnpackDomainName(buf[:], 0); err == nil {
			return strings.ToLower(name), nil
		}
	}
	return "", fmt.Errorf("%q is no domain name: %w", name, ErrNXDomain)
}

// isUsual reports whether a name is in that form already, but for the dot: nearly all are,
// and each message looks some up.
func isUsual(name string) bool {
	const longest = 253 // octets of a name, without what the wire takes for its first and last label
	label, letters := 0, false
	for i := range len(name) {
		switch c := name[i]; {
		case c == '.':
			if label == 0 {
				return false
			}
			label, letters = 0, false
			continue
		case 'a' <= c && c <= 'z':
			letters = true
		case '0' <= c && c <= '9', c == '-', c == '_':
		default:
			return false
		}
		if label++; label > 63 {
			return false
		}
	}
	return label > 0 && letters && len(name) <= longest // a last label of digits may be an IP address
}

// plain is a wire name as people write it: without escapes and final dot.
func plain(name string) string {
	return unescape(strings.TrimSuffix(name, "."))
}

// unescape undoes \DDD and \X of the presentation format (RFC 1035 §5.1), in
// which the library hands out names and character-strings.
func unescape(s string) string {
	if !strings.Contains(s, `\`) {
		return s
	}
	out := make([]byte, 0, len(s))
	for i := 0; i < len(s); i++ {
		switch {
		case s[i] != '\\' || i+1 == len(s):
			out = append(out, s[i])
		case i+3 < len(s) && isDigit(s[i+1]) && isDigit(s[i+2]) && isDigit(s[i+3]):
			out = append(out, (s[i+1]-'0')*100+(s[i+2]-'0')*10+(s[i+3]-'0'))
			i += 3
		default:
			i++
			out = append(out, s[i])
		}
	}
	return string(out)
}

func isDigit(c byte) bool { return '0' <= c && c <= '9' }
