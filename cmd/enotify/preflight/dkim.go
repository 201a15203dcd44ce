package preflight

import (
	"context"
	"crypto"
	"crypto/ed25519"
	"crypto/rsa"
	"crypto/x509"
	"encoding/base64"
	"errors"
	"fmt"
	"strings"
)

// A Key is the public half of a key that we sign with.
type Key struct {
	Domain   string // d=
	Selector string // s=
	Public   crypto.PublicKey
}

func (k Key) name() string { return k.Selector + "._domainkey." + k.Domain }

// record is what the client has to publish for the key (RFC 6376 §3.6.1, RFC
// 8463 §4).
func (k Key) record() (string, error) {
	switch public := k.Public.(type) {
	case *rsa.PublicKey:
		der, err := x509.MarshalPKIXPublicKey(public)
		return "v=DKIM1; k=rsa; p=" + base64.StdEncoding.EncodeToString(der), err
	case ed25519.PublicKey:
		return "v=DKIM1; k=ed25519; p=" + base64.StdEncoding.EncodeToString(public), nil
	}
	return "", fmt.Errorf("a key of type %T", k.Public)
}

// The least sizes of RSA keys that receivers take (RFC 8301 §3.2), and that
// they should see.
const (
	minRSA  = 1024
	goodRSA = 2048
)

// checkDKIM looks at what is published for our keys.
func checkDKIM(ctx context.Context, in *Input) []Finding {
	f := Finding{ID: "dkim.key", Severity: Pass}
	switch {
	case in.KeyTrouble != nil:
		f.Severity, f.Found = Block, fmt.Sprintf("The mail cannot be signed, and a node would hold it: %v.", in.KeyTrouble)
		return []Finding{f}
	case in.Keys == nil:
		f.Severity, f.Found = NotChecked, "No directory of keys was named, so nobody knows here whether the mail will be signed."
		f.Advice = "Name the one that enotify run has: --dkim-dir DIR."
		return []Finding{f}
	case len(in.Keys) == 0:
		f.Severity = Warn
		f.Found = fmt.Sprintf("There is no key for %s: its mail is not signed.", in.Client)
		f.Advice = fmt.Sprintf("Make one, enotify client key %s --selector s1 --dkim-dir DIR, publish it, then enotify client set %s --dkim-selector s1.", in.Client, in.Client)
		return []Finding{f}
	}
	for _, k := range in.Keys {
		severity, said, published, err := examineKey(ctx, in, k)
		if err != nil {
			return []Finding{unsure(f.ID, err)}
		}
		if published != "" {
			f.Evidence = append(f.Evidence, zoneTXT(k.name(), published))
		}
		f.Found = strings.TrimSpace(f.Found + " " + said)
		if severity == Block || severity == Warn && f.Severity == Pass {
			f.Severity = severity
		}
		if want, err := k.record(); err == nil && severity == Block {
			f.Fix = append(f.Fix, zoneTXT(k.name(), want))
			f.Advice = "Publish the line; receivers see it once the old answer has run out."
		}
	}
	return []Finding{f}
}

// examineKey compares the record of a key with the key. Its errors are
// temporary.
func examineKey(ctx context.Context, in *Input, k Key) (severity Severity, said, published string, err error) {
	records, err := in.txt(ctx, k.name())
	if err != nil {
		return "", "", "", err
	}
	switch len(records) {
	case 0:
		return Block, fmt.Sprintf("Nothing is published at %s.", k.name()), "", nil
	case 1:
	default:
		return Block, fmt.Sprintf("There are %d records at %s; receivers may take any of them.", len(records), k.name()), records[0], nil
	}
	public, testing, err := parseKey(records[0])
	switch {
	case err != nil:
		return Block, fmt.Sprintf("The record at %s is no key: %v.", k.name(), err), records[0], nil
	case !sameKey(public, k.Public):
		return Block, fmt.Sprintf("The key at %s is not the one we sign with.", k.name()), records[0], nil
	case testing:
		return Warn, fmt.Sprintf("The key at %s is marked as a test (t=y): receivers treat the mail as unsigned.", k.name()), records[0], nil
	}
	if r, ok := public.(*rsa.PublicKey); ok {
		switch bits := r.N.BitLen(); {
		case bits < minRSA:
			return Block, fmt.Sprintf("The key at %s has %d bits; receivers ignore keys under %d.", k.name(), bits, minRSA), records[0], nil
		case bits < goodRSA:
			return Warn, fmt.Sprintf("The key at %s has %d bits; make a new one of %d.", k.name(), bits, goodRSA), records[0], nil
		}
	}
	return Pass, fmt.Sprintf("The key at %s is ours.", k.name()), records[0], nil
}

// parseKey reads a key record (RFC 6376 §3.6.1).
func parseKey(record string) (public crypto.PublicKey, testing bool, err error) {
	tags := map[string]string{"k": "rsa"}
	for part := range strings.SplitSeq(record, ";") {
		if name, value, ok := strings.Cut(part, "="); ok {
			tags[strings.TrimSpace(name)] = strings.Join(strings.Fields(value), "")
		}
	}
	if v, ok := tags["v"]; ok && v != "DKIM1" {
		return nil, false, fmt.Errorf("v=%s", v)
	}
	if tags["p"] == "" {
		return nil, false, errors.New("p= is empty: the key was revoked")
	}
	der, err := base64.StdEncoding.DecodeString(tags["p"])
	if err != nil {
		return nil, false, errors.New("p= is not in base64")
	}
	switch tags["k"] {
	case "ed25519":
		if len(der) != ed25519.PublicKeySize {
			return nil, false, errors.New("p= is too short or too long for Ed25519")
		}
		public = ed25519.PublicKey(der)
	case "rsa":
		if public, err = x509.ParsePKIXPublicKey(der); err != nil {
			if public, err = x509.ParsePKCS1PublicKey(der); err != nil {
				return nil, false, errors.New("p= is no RSA key")
			}
		}
	default:
		return nil, false, fmt.Errorf("k=%s is unknown", tags["k"])
	}
	for flag := range strings.SplitSeq(tags["t"], ":") {
		testing = testing || flag == "y"
	}
	return public, testing, nil
}

func sameKey(a, b crypto.PublicKey) bool {
	k, ok := a.(interface{ Equal(crypto.PublicKey) bool })
	return ok && k.Equal(b)
}
