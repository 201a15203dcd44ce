package dkim

import (
	"crypto"
	"crypto/ed25519"
	"crypto/rsa"
	"crypto/x509"
	"encoding/base64"
	"errors"
	"fmt"
	"strings"
)

// Name is where the record of a selector is published (RFC 6376 §3.6.2.1).
func Name(domain, selector string) string { return selector + "._domainkey." + domain }

// Name is where the key's record is published.
func (k *Key) Name() string { return Name(k.Domain, k.Selector) }

// Record is the text of the TXT record with the public key.
func (k *Key) Record() string { return Record(k.private.Public()) }

// Record is the text of the TXT record with a public key of RSA or Ed25519 (RFC
// 6376 §3.6.1).
func Record(public crypto.PublicKey) string {
	if key, ok := public.(ed25519.PublicKey); ok { // RFC 8463 §4.2: without ASN.1
		return "v=DKIM1; k=ed25519; p=" + base64.StdEncoding.EncodeToString(key)
	}
	der, err := x509.MarshalPKIXPublicKey(public)
	if err != nil {
		panic(err) // it is an RSA key, which can be marshalled
	}
	return "v=DKIM1; k=rsa; p=" + base64.StdEncoding.EncodeToString(der)
}

// A Published key is what a record says (RFC 6376 §3.6.1).
type Published struct {
	Public crypto.PublicKey
	// Testing is t=y: receivers treat the mail as unsigned.
	Testing bool
}

// ParseRecord reads a record. Unknown tags are ignored, as receivers do.
func ParseRecord(text string) (p Published, err error) {
	tags := map[string]string{"k": RSA}
	for part := range strings.SplitSeq(text, ";") {
		if name, value, ok := strings.Cut(part, "="); ok {
			tags[strings.TrimSpace(name)] = strings.Join(strings.Fields(value), "")
		}
	}
	if v, ok := tags["v"]; ok && v != "DKIM1" {
		return p, fmt.Errorf("v=%s", v)
	}
	if tags["p"] == "" {
		return p, errors.New("p= is empty: the key was revoked")
	}
	key, err := base64.StdEncoding.DecodeString(tags["p"])
	if err != nil {
		return p, errors.New("p= is not in base64")
	}
	if p.Public, err = parsePublic(tags["k"], key); err != nil {
		return p, err
	}
	for flag := range strings.SplitSeq(tags["t"], ":") {
		p.Testing = p.Testing || flag == "y"
	}
	return p, nil
}

func parsePublic(kind string, key []byte) (crypto.PublicKey, error) {
	switch kind {
	case Ed25519:
		if len(key) != ed25519.PublicKeySize {
			return nil, errors.New("p= is too short or too long for Ed25519")
		}
		return ed25519.PublicKey(key), nil
	case RSA:
		public, err := x509.ParsePKIXPublicKey(key)
		if err != nil {
			if public, err = x509.ParsePKCS1PublicKey(key); err != nil {
				return nil, errors.New("p= is no RSA key")
			}
		}
		return public, nil
	}
	return nil, fmt.Errorf("k=%s is unknown", kind)
}

// Is reports whether the record has a key.
func (p Published) Is(key crypto.PublicKey) bool {
	k, ok := p.Public.(interface{ Equal(crypto.PublicKey) bool })
	return ok && k.Equal(key)
}

// Bits is the size of an RSA key; 0 for others.
func (p Published) Bits() int {
	if key, ok := p.Public.(*rsa.PublicKey); ok {
		return key.N.BitLen()
	}
	return 0
}

// Publishes reports whether the records at the name of a selector let receivers
// verify what a key signs: there is one, and it has this key.
func Publishes(records []string, key crypto.PublicKey) bool {
	if len(records) != 1 {
		return false
	}
	p, err := ParseRecord(records[0])
	return err == nil && p.Is(key)
}
