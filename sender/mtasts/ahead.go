package mtasts

import (
	"context"
	"time"
)

// maxAhead is how many records are asked for ahead at once.
const maxAhead = 128

// Ahead asks for the DNS record of a domain, so that Of finds the answer in the memory of
// the resolver. It waits for nothing, and asks for nothing where the state is known, or
// where many records are being asked for. A policy that is announced is not fetched: its
// host may be slow, and mail for the domain may never come.
func (p *Policies) Ahead(ctx context.Context, domain string) {
	if _, ok := p.known(domain, time.Now()); ok {
		return
	}
	if p.ahead.Add(1) > maxAhead {
		p.ahead.Add(-1)
		return
	}
	ctx = context.WithoutCancel(ctx) // the caller is done
	go func() {
		defer p.ahead.Add(-1)
		ctx, cancel := context.WithTimeout(ctx, fetchTimeout)
		defer cancel()
		_, _ = p.Resolver.TXT(ctx, record(domain))
	}()
}

// record is the name of the DNS record that announces the policy of a domain.
func record(domain string) string { return "_mta-sts." + domain }
