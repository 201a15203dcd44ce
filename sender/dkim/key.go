package dkim

import (
	"crypto"
	"crypto/ed25519"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
	"regexp"
)

// A Key signs for a domain under a selector (RFC 6376 §3.1).
type Key struct {
	Domain   string // d=, in A-labels
	Selector string // s=
	private  crypto.Signer
}

// Types of keys, as GenerateKey takes and Type returns them, and as k= of the
// record names them.
const (
	RSA     = "rsa"
	Ed25519 = "ed25519"
)

// Sizes of RSA keys in bits (RFC 8301 §3.2): receivers take none below the
// least, and need not take any above the most; new ones have the usual.
const (
	LeastRSA = 1024
	MostRSA  = 4096
	UsualRSA = 2048
)

// Type is RSA or Ed25519.
func (k *Key) Type() string {
	if _, ok := k.private.(ed25519.PrivateKey); ok {
		return Ed25519
	}
	return RSA
}

// Public is the half that is published.
func (k *Key) Public() crypto.PublicKey { return k.private.Public() }

// Weakness says in words why receivers may think little of the key, "" when
// they have no reason to.
func (k *Key) Weakness() string {
	if key, ok := k.private.(*rsa.PrivateKey); ok && key.N.BitLen() < UsualRSA {
		return fmt.Sprintf("an RSA key of %d bits, where RFC 8301 asks for %d", key.N.BitLen(), UsualRSA)
	}
	return ""
}

// selector is what CheckSelector takes: labels (RFC 6376 §3.1), joined by dots.
var selector = regexp.MustCompile(`^[a-z0-9]([a-z0-9-]*[a-z0-9])?(\.[a-z0-9]([a-z0-9-]*[a-z0-9])?)*$`)

// CheckSelector reports why s is no selector.
func CheckSelector(s string) error {
	if !selector.MatchString(s) || len(s) > 63 {
		return fmt.Errorf("%q is no DKIM selector: letters a to z, digits, and hyphens between them, 63 at most", s)
	}
	return nil
}

// domain is what may become the name of a folder.
var domain = regexp.MustCompile(`^[a-z0-9_-]+(\.[a-z0-9_-]+)+$`)

// check reports why there can be no key for a domain and a selector.
func check(d, s string) error {
	if !domain.MatchString(d) || len(d) > 253 {
		return fmt.Errorf("%q is no domain name in lower case", d)
	}
	return CheckSelector(s)
}

// parseKey reads a private key in PEM: PKCS #8, or PKCS #1 for RSA.
func parseKey(text []byte) (crypto.Signer, error) {
	block, _ := pem.Decode(text)
	if block == nil {
		return nil, errors.New("it is no PEM file")
	}
	var private any
	var err error
	switch block.Type {
	case "RSA PRIVATE KEY":
		private, err = x509.ParsePKCS1PrivateKey(block.Bytes)
	case "PRIVATE KEY":
		private, err = x509.ParsePKCS8PrivateKey(block.Bytes)
	default:
		return nil, fmt.Errorf("it holds a %q, and no private key without password", block.Type)
	}
	if err != nil {
		return nil, err
	}
	switch key := private.(type) {
	case ed25519.PrivateKey:
		return key, nil
	case *rsa.PrivateKey:
		if key.N.BitLen() < LeastRSA {
			return nil, fmt.Errorf("its RSA key has %d bits, and receivers ignore keys of less than %d (RFC 8301)",
				key.N.BitLen(), LeastRSA)
		}
		if key.N.BitLen() > MostRSA {
			return nil, fmt.Errorf("its RSA key has %d bits, and receivers need not check keys of more than %d (RFC 8301)",
				key.N.BitLen(), MostRSA)
		}
		return key, nil
	}
	return nil, fmt.Errorf("it holds a key of the type %T, and DKIM knows RSA and Ed25519", private)
}

// generate makes a private key and writes it in PEM, PKCS #8.
func generate(kind string) (private crypto.Signer, text []byte, err error) {
	switch kind {
	case RSA:
		private, err = rsa.GenerateKey(rand.Reader, UsualRSA)
	case Ed25519:
		_, private, err = ed25519.GenerateKey(rand.Reader)
	default:
		return nil, nil, fmt.Errorf("%q is no type of key: %s or %s", kind, RSA, Ed25519)
	}
	if err != nil {
		return nil, nil, err
	}
	der, err := x509.MarshalPKCS8PrivateKey(private)
	if err != nil {
		return nil, nil, err
	}
	return private, pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: der}), nil
}
