package dns

import (
	"errors"
	"strings"
	"time"

	"github.com/miekg/dns"
)

// No answer is kept for longer than a day, no denial longer than three hours
// (RFC 2308 §5), whatever its TTL says.
const (
	maxTTL         = 24 * time.Hour
	maxNegativeTTL = 3 * time.Hour
)

var errChain = errors.New("CNAME loop, or a chain too long")

// An answer gathers what one or more responses say to a question.
type answer struct {
	rrs    []dns.RR      // the records at the end of the chain
	ttl    time.Duration // the least on the way
	err    error         // ErrNXDomain or ErrNoData
	follow string        // the CNAME to ask for next, "" when all is said

	begun    bool // ttl holds
	unsigned bool // part of the answer was not validated
}

// add reads the response to q: the chain of CNAMEs from q's name (RFC 1034
// §3.6.2), then the records of q's type, or the denial. Its error is temporary.
func (a *answer) add(msg *dns.Msg, q question) error {
	if msg.Rcode != dns.RcodeSuccess && msg.Rcode != dns.RcodeNameError {
		return rcodeError(msg.Rcode)
	}
	a.follow = ""
	a.unsigned = a.unsigned || !msg.AuthenticatedData
	name, hops := q.name, 0
	for {
		cname := find(msg.Answer, name, dns.TypeCNAME)
		if len(cname) == 0 || q.qtype == dns.TypeCNAME {
			break
		}
		a.limit(cname)
		name = strings.ToLower(cname[0].(*dns.CNAME).Target)
		if hops++; hops > len(msg.Answer) {
			return errChain
		}
	}
	if a.rrs = find(msg.Answer, name, q.qtype); len(a.rrs) > 0 {
		a.limit(a.rrs)
		return nil
	}
	soa := authority(msg.Ns)
	switch {
	case msg.Rcode == dns.RcodeNameError:
		a.err = ErrNXDomain
	case name != q.name && soa == nil:
		a.follow = name
		return nil
	default:
		a.err = ErrNoData
	}
	a.deny(soa)
	return nil
}

// limit lowers the TTL to the least of rrs.
func (a *answer) limit(rrs []dns.RR) {
	for _, rr := range rrs {
		a.lower(min(time.Duration(rr.Header().Ttl)*time.Second, maxTTL))
	}
}

// deny lowers the TTL to the TTL of a denial: the lesser of the SOA's TTL and its
// MINIMUM field; one without SOA must not be kept (RFC 2308 §5).
func (a *answer) deny(soa *dns.SOA) {
	if soa == nil {
		a.lower(0)
		return
	}
	a.lower(min(time.Duration(min(soa.Hdr.Ttl, soa.Minttl))*time.Second, maxNegativeTTL))
}

func (a *answer) lower(ttl time.Duration) {
	if !a.begun || ttl < a.ttl {
		a.ttl = ttl
	}
	a.begun = true
}

func find(rrs []dns.RR, name string, rrtype uint16) []dns.RR {
	var found []dns.RR
	for _, rr := range rrs {
		if h := rr.Header(); h.Rrtype == rrtype && strings.EqualFold(h.Name, name) {
			found = append(found, rr)
		}
	}
	return found
}

func authority(rrs []dns.RR) *dns.SOA {
	for _, rr := range rrs {
		if soa, ok := rr.(*dns.SOA); ok {
			return soa
		}
	}
	return nil
}

func sameQuestion(a, b dns.Question) bool {
	return a.Qtype == b.Qtype && strings.EqualFold(a.Name, b.Name)
}
