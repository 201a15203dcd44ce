package dnstest

import (
	"fmt"
	"slices"
	"strings"

	"github.com/miekg/dns"
)

const (
	defaultTTL  = 300 // seconds
	negativeTTL = 60  // seconds
	maxChain    = 16  // CNAMEs
)

// A zone is the whole made-up DNS.
type zone struct {
	records map[string][]dns.RR // of all types, by name
	below   map[string]int      // names with records below each name
}

func newZone() zone { return zone{map[string][]dns.RR{}, map[string]int{}} }

// Replace makes text the whole zone.
func (s *Server) Replace(text string) error {
	z := newZone()
	if err := z.put(text); err != nil {
		return err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.zone = z
	return nil
}

// Put adds text to the zone, and replaces the record sets (name and type) that it mentions.
func (s *Server) Put(text string) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.zone.put(text)
}

// PutTXT replaces the TXT records of name, whatever octets they hold. A record
// longer than 255 octets is split as it must be (RFC 1035 §3.3.14).
func (s *Server) PutTXT(name string, records ...string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.zone.remove(fold(name), dns.TypeTXT)
	for _, text := range records {
		txt := &dns.TXT{Hdr: dns.RR_Header{Name: fold(name), Rrtype: dns.TypeTXT, Class: dns.ClassINET,
			Ttl: defaultTTL}}
		for len(text) > 255 {
			txt.Txt = append(txt.Txt, escape(text[:255]))
			text = text[255:]
		}
		txt.Txt = append(txt.Txt, escape(text))
		s.zone.add(txt)
	}
}

// Delete removes name with all its records.
func (s *Server) Delete(name string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.zone.set(fold(name), nil)
}

func (z zone) put(text string) error {
	zp := dns.NewZoneParser(strings.NewReader(text), ".", "")
	zp.SetDefaultTTL(defaultTTL)
	var rrs []dns.RR
	for rr, ok := zp.Next(); ok; rr, ok = zp.Next() {
		rrs = append(rrs, rr)
	}
	if err := zp.Err(); err != nil {
		return fmt.Errorf("dnstest: %w", err)
	}
	for _, rr := range rrs {
		z.remove(fold(rr.Header().Name), rr.Header().Rrtype)
	}
	for _, rr := range rrs {
		z.add(rr)
	}
	return nil
}

func (z zone) add(rr dns.RR) {
	name := fold(rr.Header().Name)
	z.set(name, append(z.records[name], rr))
}

func (z zone) remove(name string, rrtype uint16) {
	z.set(name, slices.DeleteFunc(z.records[name], func(rr dns.RR) bool { return rr.Header().Rrtype == rrtype }))
}

// set gives a name its records; none is no name.
func (z zone) set(name string, rrs []dns.RR) {
	one, had := 1, len(z.records[name]) > 0
	if len(rrs) > 0 {
		z.records[name] = rrs
	} else {
		delete(z.records, name)
		one = -1
	}
	if had == (len(rrs) > 0) {
		return
	}
	for parent := name; parent != "."; {
		parent = above(parent)
		z.below[parent] += one
	}
}

// above is the name without its first label.
func above(name string) string {
	i, end := dns.NextLabel(name, 0)
	if end {
		return "."
	}
	return name[i:]
}

// answer fills resp with what the zone says to q.
func (z zone) answer(resp *dns.Msg, q dns.Question) {
	name := fold(q.Name)
	for range maxChain {
		rrs, exists := z.lookup(name)
		var cname *dns.CNAME
		found := false
		for _, rr := range rrs {
			rr = dns.Copy(rr)
			rr.Header().Name = name // of a wildcard
			if c, ok := rr.(*dns.CNAME); ok && q.Qtype != dns.TypeCNAME {
				cname = c
			} else if rr.Header().Rrtype == q.Qtype {
				resp.Answer = append(resp.Answer, rr)
				found = true
			}
		}
		switch {
		case found:
			return
		case cname != nil:
			resp.Answer = append(resp.Answer, cname)
			name = fold(cname.Target)
			continue
		case !exists:
			resp.Rcode = dns.RcodeNameError
		}
		resp.Ns = []dns.RR{z.authority(name)}
		return
	}
	resp.Rcode, resp.Answer = dns.RcodeServerFailure, nil // a loop
}

// lookup finds the records of name, or of the wildcard that covers it
// (RFC 4592 §3.3.1), and whether name exists at all.
func (z zone) lookup(name string) (rrs []dns.RR, exists bool) {
	if z.exists(name) {
		return z.records[name], true
	}
	for parent := name; parent != "."; {
		parent = above(parent)
		if rrs, ok := z.records["*."+strings.TrimPrefix(parent, ".")]; ok {
			return rrs, true
		}
		if z.exists(parent) {
			return nil, false
		}
	}
	return nil, false
}

// exists holds for names with records and for those above them (RFC 8020).
func (z zone) exists(name string) bool {
	return len(z.records[name]) > 0 || z.below[name] > 0
}

// authority is the SOA nearest above name, or one for the root.
func (z zone) authority(name string) dns.RR {
	for off, end := 0, false; !end; off, end = dns.NextLabel(name, off) {
		for _, rr := range z.records[name[off:]] {
			if rr.Header().Rrtype == dns.TypeSOA {
				return rr
			}
		}
	}
	return &dns.SOA{
		Hdr: dns.RR_Header{Name: ".", Rrtype: dns.TypeSOA, Class: dns.ClassINET, Ttl: negativeTTL},
		Ns:  "ns.invalid.", Mbox: "hostmaster.invalid.", Serial: 1,
		Refresh: 3600, Retry: 600, Expire: 86400, Minttl: negativeTTL,
	}
}

// escape writes octets in the presentation format (RFC 1035 §5.1).
func escape(s string) string {
	var b strings.Builder
	for i := range len(s) {
		if c := s[i]; c < ' ' || c > '~' || c == '\\' || c == '"' {
			fmt.Fprintf(&b, `\%03d`, c)
		} else {
			b.WriteByte(c)
		}
	}
	return b.String()
}
