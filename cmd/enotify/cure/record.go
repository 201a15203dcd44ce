package cure

import (
	"fmt"
	"strconv"
	"strings"

	"github.com/miekg/dns"

	"enotify/cmd/enotify/dmarc"
)

// A Record is one to be published, in the parts that the forms of DNS providers
// ask for.
type Record struct {
	Zone     string // domain whose zone it belongs in, without the dot at the end
	Name     string // full name, without the dot at the end
	Type     string // TXT or MX
	Value    string // of TXT the text in one piece, of MX the host without the dot at the end
	Priority int    // of MX
}

// Parse reads a line of a zone file, as [enotify/spfguard.ZoneLine] writes it. The zone
// is that of the organization, by the public suffix list; see [Zone] for the one that
// the DNS has.
func Parse(line string) (Record, error) {
	rr, err := dns.NewRR(line)
	if err != nil || rr == nil {
		return Record{}, fmt.Errorf("%q is no line of a zone file", line)
	}
	r := Record{Name: strings.TrimSuffix(rr.Header().Name, "."), Type: dns.TypeToString[rr.Header().Rrtype]}
	r.Zone = dmarc.Organizational(r.Name, nil)
	switch rr := rr.(type) {
	case *dns.TXT:
		r.Value = unescaped(strings.Join(rr.Txt, ""))
	case *dns.MX:
		r.Value, r.Priority = strings.TrimSuffix(rr.Mx, "."), int(rr.Preference)
	default:
		return Record{}, fmt.Errorf("%q is neither TXT nor MX", line)
	}
	return r, nil
}

// Host is the name within the zone; @ is the zone itself.
func (r Record) Host() string {
	if strings.EqualFold(r.Name, r.Zone) {
		return "@"
	}
	return strings.TrimSuffix(r.Name, "."+r.Zone)
}

// unescaped undoes what the presentation format of RFC 1035 §5.1 escapes.
func unescaped(text string) string {
	var b strings.Builder
	for i := 0; i < len(text); i++ {
		if text[i] != '\\' || i+1 == len(text) {
			b.WriteByte(text[i])
			continue
		}
		if i+3 < len(text) {
			if n, err := strconv.ParseUint(text[i+1:i+4], 10, 8); err == nil {
				b.WriteByte(byte(n))
				i += 3
				continue
			}
		}
		i++
		b.WriteByte(text[i])
	}
	return b.String()
}
