package sender

import (
	"cmp"
	"crypto/x509"
	"encoding/hex"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"strings"
	"time"

	"enotify/sender/dane"
	"enotify/sender/mtasts"
	"enotify/sender/tlsrpt"
	"enotify/spfguard/dns"
)

// counts reports whether the results of TLS of a domain's mail are counted. Neither a
// smarthost nor a host named by its address has a policy, and the delivery of a report on
// TLS is not counted for the next one.
func (s *Sender) counts(domain string, report bool) bool {
	_, isLiteral := literal(domain)
	return s.TLSResults != nil && s.Smarthost == "" && !isLiteral && !report
}

// countTLS counts a session with a host for the domain's report (RFC 8460 §4): c,
// or the error with which TLS failed. A host that could not be reached says nothing
// about TLS, nor does a second connection in the clear.
func (s *Sender) countTLS(r *route, host string, c *conn, err error, from, at netip.Addr) {
	need := r.need(host)
	if r.domain == "" || err != nil && !errors.Is(err, errNoTLS) {
		return
	}
	if c != nil {
		c.counted = map[string]bool{r.domain: true}
		c.inClear = need.tls == 0
	}
	if need.tls == 0 {
		return
	}
	var by ends
	if from.IsValid() {
		by.from = from.Unmap().String()
	}
	by.at = at.String()
	s.count(r, host, failureOf(c, need, host, err, s.RootCAs), by)
}

// The ends of a connection are the addresses as reports have them; from is "" where it is not
// known.
type ends struct{ from, at string }

// countReused counts a connection that was opened for another domain, once for each
// domain whose mail it carries.
func (s *Sender) countReused(r *route, c *conn) {
	if r.domain == "" || c.counted[r.domain] {
		return
	}
	if c.counted == nil {
		c.counted = map[string]bool{}
	}
	c.counted[r.domain] = true
	if c.ends.at == "" {
		if local, ok := c.raw.LocalAddr().(*net.TCPAddr); ok {
			c.ends.from = local.AddrPort().Addr().Unmap().String()
		}
		at, _ := c.raw.RemoteAddr().(*net.TCPAddr)
		c.ends.at = at.AddrPort().Addr().Unmap().String()
	}
	s.count(r, c.host, failureOf(c, r.need(c.host), c.host, nil, s.RootCAs), c.ends)
}

// countRefused counts that a policy does not allow a host: once a minute, since
// each message of the domain finds it again.
func (s *Sender) countRefused(r *route, host string, p *protection) {
	now := time.Now()
	if r.domain == "" || s.told.why(r.domain, host, now) != nil {
		return
	}
	s.told.add(r.domain, host, distrust{now.Add(time.Minute), p.err}, now)
	s.TLSResults.Note(now, r.domain, p.policy, &tlsrpt.Failure{Type: p.flaw, MX: host, Reason: "host-not-allowed"})
}

func (s *Sender) count(r *route, host string, failure *tlsrpt.Failure, by ends) {
	need, now := r.need(host), time.Now()
	policy := need.policy
	if policy.Type == "" {
		policy = tlsrpt.Policy{Type: tlsrpt.NoPolicy, Domain: r.domain}
	}
	where := func(f *tlsrpt.Failure) *tlsrpt.Failure {
		if f != nil {
			f.MX, f.ReceivingIP, f.SendingIP = host, by.at, by.from
		}
		return f
	}
	s.TLSResults.Note(now, r.domain, policy, where(failure))
	if need.fetch != nil {
		s.TLSResults.Note(now, r.domain, tlsrpt.Policy{Type: tlsrpt.STS, Domain: r.domain},
			where(&tlsrpt.Failure{Type: need.fetch.Type}))
	}
}

// failureOf says why a session did not meet its policy; nil is when it did.
func failureOf(c *conn, need *protection, host string, err error, roots *x509.CertPool) *tlsrpt.Failure {
	switch {
	case err != nil:
		return typed(err)
	case need.flaw != "":
		return &tlsrpt.Failure{Type: need.flaw}
	case c.inClear:
		return &tlsrpt.Failure{Type: tlsrpt.Invalid, Reason: handshake}
	case c.secured == Opportunistic:
		return &tlsrpt.Failure{Type: tlsrpt.NotOffered}
	case need.testing == nil:
		return nil
	case !need.testing.Matches(host):
		return &tlsrpt.Failure{Type: tlsrpt.Invalid, Reason: "host-not-allowed"}
	}
	state, _ := c.client.TLSConnectionState()
	if err := vouched(state.PeerCertificates, host, roots); err != nil {
		return typed(err)
	}
	return nil
}

// vouched checks a chain of certificates as TLS does where the certificate counts.
func vouched(chain []*x509.Certificate, host string, roots *x509.CertPool) error {
	if len(chain) == 0 {
		return x509.UnknownAuthorityError{}
	}
	between := x509.NewCertPool()
	for _, c := range chain[1:] {
		between.AddCert(c)
	}
	_, err := chain[0].Verify(x509.VerifyOptions{DNSName: host, Roots: roots, Intermediates: between})
	return err
}

const handshake = "tls-handshake-failed"

// typed puts an error of STARTTLS into the words of RFC 8460 §4.3.
func typed(err error) *tlsrpt.Failure {
	var name x509.HostnameError
	var invalid x509.CertificateInvalidError
	var unknown x509.UnknownAuthorityError
	switch {
	case errors.Is(err, errNotOffered):
		return &tlsrpt.Failure{Type: tlsrpt.NotOffered}
	case errors.As(err, &name):
		return &tlsrpt.Failure{Type: tlsrpt.HostMismatch}
	case errors.As(err, &invalid) && invalid.Reason == x509.Expired:
		return &tlsrpt.Failure{Type: tlsrpt.Expired}
	case errors.As(err, &invalid), errors.As(err, &unknown):
		return &tlsrpt.Failure{Type: tlsrpt.NotTrusted}
	case errors.Is(err, dane.ErrNoMatch):
		return &tlsrpt.Failure{Type: tlsrpt.Invalid, Reason: "no-tlsa-record-fits"}
	}
	return &tlsrpt.Failure{Type: tlsrpt.Invalid, Reason: handshake}
}

func tlsaPolicy(host string, records []dns.TLSA) tlsrpt.Policy {
	p := tlsrpt.Policy{Type: tlsrpt.TLSA, Domain: host}
	for _, r := range records {
		p.Strings = append(p.Strings, fmt.Sprintf("%d %d %d %s", r.Usage, r.Selector, r.Matching,
			cmp.Or(strings.ToUpper(hex.EncodeToString(r.Data)), "-")))
	}
	return p
}

func stsPolicy(domain string, p mtasts.Policy) tlsrpt.Policy {
	return tlsrpt.Policy{Type: tlsrpt.STS, Strings: p.Text(), Domain: domain, MX: p.MX}
}
