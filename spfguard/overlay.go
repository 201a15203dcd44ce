package spfguard

import (
	"context"
	"strings"
	"time"

	"enotify/spfguard/dns"
)

// An overlay is the DNS as it would be if domain published record and no
// other SPF record.
type overlay struct {
	Resolver
	domain, record string
}

// unpublishedTTL is the TTL of a record that no DNS has yet: other TTLs bound it.
const unpublishedTTL = 24 * time.Hour

func (o overlay) TXT(ctx context.Context, name string) (dns.Answer[string], error) {
	if strings.EqualFold(name, o.domain) {
		return dns.Answer[string]{Records: []string{o.record}, TTL: unpublishedTTL}, nil
	}
	return o.Resolver.TXT(ctx, name)
}
