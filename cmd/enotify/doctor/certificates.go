package doctor

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"net"
	"net/url"
	"time"

	"enotify/cmd/enotify/figures"
)

// soon is when a certificate should have been renewed: what renews them does so
// 30 days before their end.
const soon = 14 * 24 * time.Hour

// certificates checks the certificates that our servers show to others.
func (p *patient) certificates(ctx context.Context) (found []Finding) {
	if p.BounceCert != "" {
		found = append(found, p.listener())
	}
	if p.PublicURL != "" {
		found = append(found, p.page(ctx))
	}
	return found
}

// listener looks at the files for the bounce listener.
func (p *patient) listener() Finding {
	f := Finding{ID: "cert.bounce"}
	pair, err := tls.LoadX509KeyPair(p.BounceCert, p.BounceKey)
	if err != nil {
		return f.worse(Problem, fmt.Sprintf("The certificate %s with the key %s cannot be used: %v.", p.BounceCert,
			p.BounceKey, err), "correct --bounce-tls-cert and --bounce-tls-key")
	}
	f = expiry(f.ID, "the bounce listener", []*x509.Certificate{pair.Leaf})
	if f.Severity == Fine && len(p.own) > 0 {
		if err := pair.Leaf.VerifyHostname(p.own[0].helo); err != nil {
			return f.worse(Note, fmt.Sprintf("The certificate of the bounce listener is not for our name %s, which few mail servers mind.", p.own[0].helo))
		}
	}
	return f
}

// page looks at the certificate of the unsubscribe page, as a reader's mail
// program does.
func (p *patient) page(ctx context.Context) Finding {
	f := Finding{ID: "cert.page"}
	u, err := url.Parse(p.PublicURL)
	if err != nil || u.Hostname() == "" {
		return f.worse(Problem, fmt.Sprintf("--public-url %s is no URL.", p.PublicURL), "--public-url https://HOST")
	}
	at := u.Host
	if u.Port() == "" {
		at = net.JoinHostPort(u.Hostname(), "443")
	}
	d := &tls.Dialer{NetDialer: &net.Dialer{Timeout: dialTimeout}}
	ctx, cancel := context.WithTimeout(ctx, dialTimeout)
	defer cancel()
	conn, err := d.DialContext(ctx, "tcp", at)
	if bad := (*tls.CertificateVerificationError)(nil); errors.As(err, &bad) {
		return f.worse(Problem, fmt.Sprintf("The certificate of %s is not valid: %v. Mail programs do not unsubscribe readers there.", u.Hostname(), bad.Err), "renew it, or correct --public-url")
	}
	if err != nil {
		return f.worse(Problem, fmt.Sprintf("The unsubscribe page %s cannot be reached from here: %v.", p.PublicURL,
			err), "start what serves it, or correct --public-url")
	}
	defer conn.Close()
	return expiry(f.ID, u.Hostname(), conn.(*tls.Conn).ConnectionState().PeerCertificates)
}

// expiry looks when a certificate ends.
func expiry(id, whose string, chain []*x509.Certificate) Finding {
	f := Finding{ID: id}
	if len(chain) == 0 || chain[0] == nil {
		return f.worse(Note, fmt.Sprintf("The certificate of %s could not be read.", whose))
	}
	left := time.Until(chain[0].NotAfter)
	until := figures.Clock(chain[0].NotAfter)
	switch {
	case left <= 0:
		return f.worse(Problem, fmt.Sprintf("The certificate of %s has ended at %s.", whose, until), "renew it")
	case left < soon:
		return f.worse(Warning, fmt.Sprintf("The certificate of %s ends at %s, in %s.", whose, until,
			figures.Span(left)), "renew it")
	}
	return f.worse(Fine, fmt.Sprintf("The certificate of %s holds until %s.", whose, until))
}
