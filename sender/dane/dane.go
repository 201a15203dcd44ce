package dane

import (
	"bytes"
	"crypto/sha256"
	"crypto/sha512"
	"crypto/x509"
	"errors"
	"fmt"
	"slices"
	"time"

	"enotify/spfguard/dns"
)

// Usages of records that mean something for SMTP (RFC 7672 §3.1). The others, 0
// and 1, lean on public authorities, which nobody agreed upon for SMTP.
const (
	usageTA = 2 // DANE-TA: the certificate of an authority in the host's chain
	usageEE = 3 // DANE-EE: the certificate of the host
)

// Selectors and matching types (RFC 6698 §2.1.2 and §2.1.3).
const (
	wholeCertificate = 0
	publicKey        = 1

	asItIs     = 0
	hashSHA256 = 1
	hashSHA512 = 2
)

// Usable keeps the records that a certificate can be checked against (RFC 7672
// §2.2). Where a digest is published in two strengths, the weaker one does not
// count (RFC 7671 §9).
func Usable(records []dns.TLSA) []dns.TLSA {
	usable := slices.DeleteFunc(slices.Clone(records), func(r dns.TLSA) bool { return !isUsable(r) })
	strong := func(r dns.TLSA) bool {
		return slices.ContainsFunc(usable, func(o dns.TLSA) bool {
			return o.Usage == r.Usage && o.Selector == r.Selector && o.Matching == hashSHA512
		})
	}
	var kept []dns.TLSA
	for _, r := range usable {
		if r.Matching != hashSHA256 || !strong(r) {
			kept = append(kept, r)
		}
	}
	return kept
}

func isUsable(r dns.TLSA) bool {
	if r.Usage != usageTA && r.Usage != usageEE || r.Selector > publicKey {
		return false
	}
	switch r.Matching {
	case asItIs:
		var err error
		if r.Selector == wholeCertificate {
			_, err = x509.ParseCertificate(r.Data)
		} else {
			_, err = x509.ParsePKIXPublicKey(r.Data)
		}
		return err == nil
	case hashSHA256:
		return len(r.Data) == sha256.Size
	case hashSHA512:
		return len(r.Data) == sha512.Size
	}
	return false
}

// ErrNoMatch stands for a certificate that no TLSA record is for.
var ErrNoMatch = errors.New("the certificate fits none of the TLSA records")

// Verify checks the chain that a host presented, its own certificate first,
// against usable records. names are those that the certificate may have where a
// record names an authority: the mail host and the recipient domain (RFC 7672
// §3.2.2). Where it names the host's certificate, neither names nor dates count
// (§3.1.1).
func Verify(records []dns.TLSA, chain []*x509.Certificate, names []string, now time.Time) error {
	if len(chain) == 0 {
		return ErrNoMatch
	}
	err := ErrNoMatch
	for _, r := range records {
		if r.Usage == usageEE {
			if matches(r, chain[0]) {
				return nil
			}
			continue
		}
		for _, anchor := range anchors(r, chain) {
			var wrong error
			if wrong = vouches(anchor, chain, names, now); wrong == nil {
				return nil
			}
			err = fmt.Errorf("the authority of a TLSA record does not vouch for the certificate: %w", wrong)
		}
	}
	return err
}

// anchors are the certificates of authorities that a record of usage DANE-TA
// names: the names in the chain that match, or the one that the record holds, which
// the host may leave out (RFC 7672 §3.1.2).
func anchors(r dns.TLSA, chain []*x509.Certificate) []*x509.Certificate {
	if r.Selector == wholeCertificate && r.Matching == asItIs {
		if c, err := x509.ParseCertificate(r.Data); err == nil {
			return []*x509.Certificate{c}
		}
	}
	return slices.DeleteFunc(slices.Clone(chain), func(c *x509.Certificate) bool { return !matches(r, c) })
}

func vouches(anchor *x509.Certificate, chain []*x509.Certificate, names []string, now time.Time) error {
	roots, between := x509.NewCertPool(), x509.NewCertPool()
	roots.AddCert(anchor)
	for _, c := range chain[1:] {
		between.AddCert(c)
	}
	err := ErrNoMatch
	for _, name := range names {
		_, err = chain[0].Verify(x509.VerifyOptions{DNSName: name, Roots: roots, Intermediates: between,
			CurrentTime: now, KeyUsages: []x509.ExtKeyUsage{x509.ExtKeyUsageAny}})
		if err == nil {
			return nil
		}
	}
	return err
}

// matches reports whether a record is for a certificate (RFC 6698 §2.1).
func matches(r dns.TLSA, c *x509.Certificate) bool {
	data := c.Raw
	if r.Selector == publicKey {
		data = c.RawSubjectPublicKeyInfo
	}
	switch r.Matching {
	case asItIs:
		return bytes.Equal(r.Data, data)
	case hashSHA256:
		sum := sha256.Sum256(data)
		return bytes.Equal(r.Data, sum[:])
	case hashSHA512:
		sum := sha512.Sum512(data)
		return bytes.Equal(r.Data, sum[:])
	}
	return false
}
