package sender

import (
	"cmp"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"slices"
	"sync"
	"time"

	"enotify/sender/dane"
	"enotify/sender/mtasts"
	"enotify/sender/tlsrpt"
	"enotify/spfguard/dns"
)

// errDANE stands for a host that its own TLSA records do not allow us to use.
var errDANE = fmt.Errorf("%w by DANE", errNoTLS)

// A protection is the TLS policy that holds for one mail host of a domain.
type protection struct {
	tls   TLSPolicy  // the least encryption; 0 is in the clear
	by    string     // see [HostTLS]
	why   string     // the same in words
	tlsa  []dns.TLSA // the certificate must fit one of these; nil: tls alone says
	names []string   // of the certificate, for tlsa
	err   error      // why the domain's mail may not go to this host; it wraps errNoTLS

	// What is counted for the domain's report; see countTLS.
	policy  tlsrpt.Policy      // that decides; Type "": none
	flaw    string             // failure of every session under it; "" is none
	testing *mtasts.Policy     // is tried, and has no effect
	fetch   *mtasts.FetchError // why an MTA-STS policy that is announced could not be had
}

// A tlsaAnswer is what the DNS proved about the certificate of a host.
type tlsaAnswer struct {
	records []dns.TLSA // all that were published; empty: nothing was proved
	err     error      // it is not known whether there are any
}

// decide is the one place that says which policy holds for a mail host of a
// domain. Every one of them raises what the others ask, and none lowers it, with
// one exception: a certificate that fits the TLSA records needs no authority.
//
//   - DANE, where the DNS proves that the host has TLSA records. Where none of
//     them can be used, encryption is still mandatory (RFC 7672 §2.2). While it
//     is not known whether there are any, the host is not used (§2.1.1).
//   - MTA-STS in mode enforce: the policy must name the host, and the certificate
//     must be good for its name (RFC 8461 §4). Usable TLSA records go first (§2).
//   - asked, the operator's setting.
func decide(domain, host string, asked TLSPolicy, sts mtasts.Kept, tlsa tlsaAnswer) *protection {
	p := &protection{tls: asked, by: "setting", why: "by the settings"}
	usable := dane.Usable(tlsa.records)
	if len(tlsa.records) > 0 || tlsa.err != nil {
		p.policy = tlsaPolicy(host, tlsa.records)
	}
	switch {
	case tlsa.err != nil:
		p.flaw = tlsrpt.NotProved
		p.by, p.err = "dane", fmt.Errorf("%w with %s: nobody knows whether it has TLSA records: %s", errDANE, host,
			tlsa.err.Error())
		p.why = "the TLSA records of the host cannot be looked up, so it gets no mail"
		return p
	case len(usable) > 0:
		return &protection{
			tls: Required, by: "dane", tlsa: usable, names: []string{host, domain}, policy: p.policy,
			why: fmt.Sprintf("DANE: %d TLSA records in signed DNS; the certificate must fit one", len(usable)),
		}
	case len(tlsa.records) > 0:
		p.tls, p.by, p.flaw = max(asked, Required), "dane", tlsrpt.TLSAInvalid
		p.why = "DANE: none of the TLSA records can be used, so encryption is mandatory and the certificate is not checked"
	}
	switch {
	case sts.Policy.Mode == mtasts.Testing && p.policy.Type == "":
		p.policy, p.testing = stsPolicy(domain, sts.Policy), &sts.Policy
		return p
	case sts.Policy.Mode != mtasts.Enforce:
		return p
	}
	p.policy, p.flaw = stsPolicy(domain, sts.Policy), ""
	p.tls, p.by = Verified, "mta-sts"
	p.why = fmt.Sprintf("MTA-STS policy %s of %s, in mode enforce until %s", sts.ID, domain,
		sts.Until().UTC().Format(time.RFC3339))
	if !sts.Policy.Matches(host) {
		p.flaw = tlsrpt.Invalid
		p.err = fmt.Errorf("%w with %s: the MTA-STS policy of %s does not name this host; the domain's owner has to correct the policy or the MX", errNoTLS, host, domain)
		p.why += ", which does not name this host, so it gets no mail"
	}
	return p
}

// need returns the policy that holds for a host of the route; it must not be changed.
func (r *route) need(host string) *protection {
	if p := r.dane[host]; p != nil {
		return p
	}
	return &settings[r.tls]
}

// settings holds, by policy, the protection where only the operator asks for one.
var settings = [...]protection{{}, {tls: Opportunistic}, {tls: Required}, {tls: Verified}}

// protect finds the policies of a domain and its hosts, and leaves out of the
// route the hosts that may not have its mail. The error says why none is left.
func (s *Sender) protect(ctx context.Context, domain string, r *route) error {
	policies := s.protections(ctx, domain, r)
	if policies == nil {
		return nil
	}
	if len(policies) > 0 {
		r.dane = policies
	}
	var err error
	r.mxs = slices.DeleteFunc(r.mxs, func(mx dns.MX) bool {
		p := policies[mx.Host]
		why := p.err
		if why == nil {
			why = s.distrusted.why(domain, mx.Host, time.Now())
		} else {
			s.countRefused(r, mx.Host, p)
		}
		err = cmp.Or(err, why)
		return why != nil
	})
	if len(r.mxs) > 0 {
		return nil
	}
	return err
}

// protections are the policies of the hosts of a route; nil where none but the
// operator's can be.
func (s *Sender) protections(ctx context.Context, domain string, r *route) map[string]*protection {
	if s.Smarthost != "" || s.STS == nil && !s.Resolver.DNSSEC {
		return nil
	}
	if _, isLiteral := literal(domain); isLiteral {
		return nil
	}
	var answers map[string]tlsaAnswer
	if s.Resolver.DNSSEC && r.secure {
		answers = s.tlsaOf(ctx, r.mxs)
	}
	var sts mtasts.Kept
	var fetch *mtasts.FetchError
	if s.STS != nil {
		var err error
		sts, err = s.STS.Of(ctx, domain)
		_ = errors.As(err, &fetch) // else there is none
	}
	if len(answers) == 0 && sts.Policy.Mode != mtasts.Enforce && sts.Policy.Mode != mtasts.Testing && fetch == nil {
		return nil
	}
	policies := make(map[string]*protection, len(r.mxs))
	for _, mx := range r.mxs {
		p := decide(domain, mx.Host, r.tls, sts, answers[mx.Host])
		p.fetch = fetch
		policies[mx.Host] = p
	}
	return policies
}

// tlsaOf looks up the TLSA records of hosts, all at once. Hosts whose addresses
// are not signed are not asked for: their name servers may not know the type
// (RFC 7672 §2.2.2). An MX that is an alias is not followed: RFC 5321 §5.1 has
// none.
func (s *Sender) tlsaOf(ctx context.Context, mxs []dns.MX) map[string]tlsaAnswer {
	var wg sync.WaitGroup
	var mu sync.Mutex
	answers := map[string]tlsaAnswer{}
	for _, mx := range mxs {
		wg.Go(func() {
			if !s.signedHost(ctx, mx.Host) {
				return
			}
			found, err := s.Resolver.TLSA(ctx, "_25._tcp."+mx.Host)
			mu.Lock()
			defer mu.Unlock()
			switch {
			case err == nil && found.Secure:
				answers[mx.Host] = tlsaAnswer{records: found.Records}
			case err != nil && !isDenial(err):
				answers[mx.Host] = tlsaAnswer{err: err}
			}
		})
	}
	wg.Wait()
	return answers
}

func (s *Sender) signedHost(ctx context.Context, host string) bool {
	v4, err := s.Resolver.A(ctx, host)
	if err == nil {
		return v4.Secure
	}
	v6, err := s.Resolver.AAAA(ctx, host)
	return err == nil && v6.Secure
}

// verify checks a certificate against the TLSA records; nil where there are none.
// It is asked for resumed sessions too.
func (p *protection) verify() func(tls.ConnectionState) error {
	if p.tlsa == nil {
		return nil
	}
	return func(state tls.ConnectionState) error {
		return dane.Verify(p.tlsa, state.PeerCertificates, p.names, time.Now())
	}
}

// failure is what the failures of STARTTLS under this policy wrap.
func (p *protection) failure() error {
	if p.tlsa != nil {
		return errDANE
	}
	return errNoTLS
}

// meets reports whether a connection is as safe as p wants it.
func (c *conn) meets(p *protection) bool {
	if p.err != nil || p.tlsa == nil {
		return p.err == nil && c.secured >= p.tls
	}
	if !c.fitted.same(p) {
		state, encrypted := c.client.TLSConnectionState()
		c.fitted = fitted{p.tlsa, p.names, encrypted && p.verify()(state) == nil}
	}
	return c.fitted.ok
}

// A fitted says whether the certificate of a connection fitted the TLSA records that it was
// last checked against.
type fitted struct {
	tlsa  []dns.TLSA
	names []string
	ok    bool
}

func (f *fitted) same(p *protection) bool {
	return slices.Equal(f.names, p.names) && slices.EqualFunc(f.tlsa, p.tlsa, func(a, b dns.TLSA) bool {
		return a.Usage == b.Usage && a.Selector == b.Selector && a.Matching == b.Matching &&
			slices.Equal(a.Data, b.Data)
	})
}

// distrusted remembers hosts that failed a domain's DANE, so that not every
// message of the domain tries them. It is apart from the dead hosts, since mail to
// other domains may go there.
type distrusted struct {
	mu    sync.Mutex
	hosts map[[2]string]distrust // by domain and host
}

type distrust struct {
	until time.Time
	err   error
}

func (d *distrusted) why(domain, host string, now time.Time) error {
	d.mu.Lock()
	defer d.mu.Unlock()
	if known, ok := d.hosts[[2]string{domain, host}]; ok && now.Before(known.until) {
		return known.err
	}
	return nil
}

// distrust remembers that a host failed the domain's DANE, if err says so.
func (s *Sender) distrust(r *route, host string, err error) {
	names := r.need(host).names
	if len(names) < 2 || !errors.Is(err, errDANE) {
		return
	}
	now := time.Now()
	s.distrusted.add(names[1], host, distrust{now.Add(cmp.Or(s.DeadTime, time.Minute)), err}, now)
}

func (d *distrusted) add(domain, host string, why distrust, now time.Time) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.hosts == nil {
		d.hosts = map[[2]string]distrust{}
	}
	for key, known := range d.hosts {
		if !now.Before(known.until) {
			delete(d.hosts, key)
		}
	}
	d.hosts[[2]string{domain, host}] = why
}
