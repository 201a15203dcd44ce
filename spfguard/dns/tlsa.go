package dns

import (
	"context"
	"encoding/hex"

	"github.com/miekg/dns"
)

// A TLSA record says which certificate a server has (RFC 6698 §2.1).
type TLSA struct {
	Usage    uint8
	Selector uint8
	Matching uint8
	Data     []byte
}

// TLSA returns the TLSA records of name, such as _25._tcp.mx.example.com. They
// prove something only in an answer that is Secure.
func (r *Resolver) TLSA(ctx context.Context, name string) (Answer[TLSA], error) {
	return lookup(ctx, r, name, dns.TypeTLSA, func(rr dns.RR) (TLSA, bool) {
		t, ok := rr.(*dns.TLSA)
		if !ok {
			return TLSA{}, false
		}
		data, err := hex.DecodeString(t.Certificate)
		return TLSA{Usage: t.Usage, Selector: t.Selector, Matching: t.MatchingType, Data: data}, err == nil
	})
}
