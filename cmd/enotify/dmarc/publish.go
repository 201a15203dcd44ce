package dmarc

import "context"

// Published finds the record that applies to mail from a domain. ok is false
// when there is none. txt is the function that [Walk] takes.
func Published(ctx context.Context, domain string,
	txt func(ctx context.Context, name string) ([]string, error)) (p Found, ok bool, err error) {
	walk, err := Walk(ctx, domain, txt)
	if err != nil {
		return p, false, err
	}
	p, ok = Policy(domain, walk)
	return p, ok, nil
}

// Name is where the record of a domain is.
func Name(domain string) string { return "_dmarc." + domain }

// First is a record to begin with, for a domain that has none. It asks for
// reports, to the one mailbox that every domain with mail has (RFC 5321
// §4.5.1), and changes nothing else.
func First(domain string) string { return "v=DMARC1; p=none; rua=mailto:postmaster@" + domain }
