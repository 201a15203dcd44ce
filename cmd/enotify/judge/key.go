package judge

import (
	"context"
	"crypto"
	"fmt"
	"strings"

	"enotify/sender/dkim"
)

// A Key is the public half of a key that we sign with.
type Key struct {
	Domain   string // d=
	Selector string // s=
	Public   crypto.PublicKey
}

// Name is where the record of the key is published.
func (k Key) Name() string { return dkim.Name(k.Domain, k.Selector) }

// zoneLines are the zone lines of keys, as a verdict has them in its record.
func zoneLines(keys []Key) string {
	var lines []string
	for _, k := range keys {
		lines = append(lines, k.Name()+" IN TXT "+dkim.Record(k.Public))
	}
	return strings.Join(lines, "\n")
}

// ParseLines reads the keys of a domain from the record of a verdict. It leaves
// out what is no key of the domain.
func ParseLines(domain, lines string) (keys []Key) {
	for line := range strings.Lines(lines) {
		name, record, _ := strings.Cut(strings.TrimSpace(line), " IN TXT ")
		selector, of := strings.CutSuffix(name, dkim.Name(domain, ""))
		published, err := dkim.ParseRecord(record)
		if of && err == nil {
			keys = append(keys, Key{Domain: domain, Selector: selector, Public: published.Public})
		}
	}
	return keys
}

// Signers are the domains that sign, d= of DKIM (RFC 6376 §3.5).
func Signers(keys []Key) []string {
	var domains []string
	seen := map[string]bool{}
	for _, k := range keys {
		if !seen[k.Domain] {
			domains = append(domains, k.Domain)
		}
		seen[k.Domain] = true
	}
	return domains
}

// A KeyState is what a receiver makes of our signature by the record of its key.
type KeyState struct {
	Key       Key
	Unusable  bool // receivers cannot verify the signature
	Doubtful  bool // most can
	Said      string
	Published string // record; "" if there is none
}

// Examine compares the record of a key with the key. Its errors are temporary.
func (j *Judge) Examine(ctx context.Context, k Key) (KeyState, error) {
	records, err := j.txt(ctx, k.Name())
	if err != nil {
		return KeyState{}, err
	}
	s := KeyState{Key: k, Unusable: true}
	if len(records) > 0 {
		s.Published = records[0]
	}
	switch len(records) {
	case 0:
		s.Said = fmt.Sprintf("Nothing is published at %s.", k.Name())
		return s, nil
	case 1:
	default:
		s.Said = fmt.Sprintf("There are %d records at %s; receivers may take any of them.", len(records), k.Name())
		return s, nil
	}
	key, err := dkim.ParseRecord(records[0])
	bits := key.Bits()
	switch {
	case err != nil:
		s.Said = fmt.Sprintf("The record at %s is no key: %v.", k.Name(), err)
	case !key.Is(k.Public):
		s.Said = fmt.Sprintf("The key at %s is not the one we sign with.", k.Name())
	case bits > 0 && bits < dkim.LeastRSA:
		s.Said = fmt.Sprintf("The key at %s has %d bits; receivers ignore keys under %d.", k.Name(), bits,
			dkim.LeastRSA)
	default:
		s.Unusable = false
		s.Said = fmt.Sprintf("The key at %s is ours.", k.Name())
	}
	switch {
	case s.Unusable:
	case key.Testing:
		s.Doubtful, s.Said = true, fmt.Sprintf("The key at %s is marked as a test (t=y): receivers treat the mail as unsigned.", k.Name())
	case bits > 0 && bits < dkim.UsualRSA:
		s.Doubtful, s.Said = true, fmt.Sprintf("The key at %s has %d bits; make a new one of %d.", k.Name(), bits,
			dkim.UsualRSA)
	}
	return s, nil
}
