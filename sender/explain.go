package sender

import (
	"context"

	"enotify/sender/mtasts"
)

// A DomainTLS says how mail to a domain is encrypted, and why.
type DomainTLS struct {
	// STS is the MTA-STS policy of the domain; Mode "" is none.
	STS mtasts.Kept
	// STSError says why a policy that the domain announces could not be had; nil
	// is when it could, or none is announced.
	STSError error
	// Validated says that signed DNS names the hosts, as DANE needs it.
	Validated bool
	Hosts     []HostTLS // in the order in which they are tried
}

// A HostTLS is the policy that holds for one mail host of a domain.
type HostTLS struct {
	Host    string
	TLS     TLSPolicy
	By      string // dane, mta-sts or setting
	Why     string // a sentence without its dot
	Refused string // why the domain's mail may not go there; "" is when it may
}

// ExplainTLS finds which policies hold for a domain as Deliver would. asked is the
// operator's setting.
func (s *Sender) ExplainTLS(ctx context.Context, domain string, asked TLSPolicy) (DomainTLS, error) {
	r, err := s.route(ctx, domain)
	if err != nil {
		return DomainTLS{}, err
	}
	r.tls = asked
	policies := s.protections(ctx, domain, r)
	found := DomainTLS{Validated: r.secure && s.Resolver.DNSSEC}
	if s.STS != nil && s.Smarthost == "" {
		found.STS, found.STSError = s.STS.Of(ctx, domain)
	}
	for _, mx := range r.mxs {
		p, ok := policies[mx.Host]
		if !ok {
			p = &protection{tls: asked, by: "setting", why: "by the settings"}
		}
		h := HostTLS{Host: mx.Host, TLS: p.tls, By: p.by, Why: p.why}
		if p.err != nil {
			h.Refused = clean(p.err.Error())
		}
		found.Hosts = append(found.Hosts, h)
	}
	return found, nil
}
