package dkim

import (
	"crypto/ed25519"
	"crypto/x509"
	"encoding/base64"
)

// Name is where the record of a selector is published (RFC 6376 §3.6.2.1).
func Name(domain, selector string) string { return selector + "._domainkey." + domain }

// Name is where the key's record is published.
func (k *Key) Name() string { return Name(k.Domain, k.Selector) }

// Record is the text of the TXT record with the public key (RFC 6376 §3.6.1).
func (k *Key) Record() string {
	public := k.private.Public()
	if key, ok := public.(ed25519.PublicKey); ok { // RFC 8463 §4.2: without ASN.1
		return "v=DKIM1; k=ed25519; p=" + base64.StdEncoding.EncodeToString(key)
	}
	der, err := x509.MarshalPKIXPublicKey(public)
	if err != nil {
		panic(err) // it is an RSA key, which can be marshalled
	}
	return "v=DKIM1; k=rsa; p=" + base64.StdEncoding.EncodeToString(der)
}
