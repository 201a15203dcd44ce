package preflight

import (
	"context"
	"crypto"
)

// What [Run] decides about a client's records, for whoever lists them in
// another way.

// PublishedDMARC finds the DMARC record that holds for a domain as receivers
// do (RFC 9989), by txt, for which no record is no error. The name is "" when
// there is none.
func PublishedDMARC(ctx context.Context, domain string, txt func(ctx context.Context, name string) ([]string, error)) (name, text string, err error) {
	walk, err := treeWalk(ctx, domain, txt)
	if err != nil {
		return "", "", err
	}
	p, ok := policy(domain, walk)
	if !ok {
		return "", "", nil
	}
	return "_dmarc." + p.Domain, p.Record.Text, nil
}

// FirstDMARC is a record to begin with, for a domain that has none.
func FirstDMARC(domain string) (name, text string) {
	org := organizational(domain, nil)
	return "_dmarc." + org, firstDMARC(org)
}

// firstDMARC asks for reports, to the one mailbox that every domain with mail
// has (RFC 5321 §4.5.1), and changes nothing else.
func firstDMARC(at string) string { return "v=DMARC1; p=none; rua=mailto:postmaster@" + at }

// Publishes reports whether the records at the name of a selector let receivers
// verify what the key of public signs: there is one, and it has this key.
func Publishes(records []string, public crypto.PublicKey) bool {
	if len(records) != 1 {
		return false
	}
	published, _, err := parseKey(records[0])
	return err == nil && sameKey(published, public)
}
