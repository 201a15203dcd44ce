package sender

import (
	"context"
	"errors"
	"time"

	"enotify/queue"
)

// Survey finds who takes the mail of a domain, as Deliver will when it comes to
// it. It is for the Server of package engine. An error is temporary: nobody knows yet.
func (s *Sender) Survey(ctx context.Context, domain string) (queue.Survey, error) {
	r, err := s.route(ctx, domain)
	switch {
	case errors.Is(err, errNullMX), errors.Is(err, errNoDomain), errors.Is(err, errNoHost):
		no := (&failure{stage: routing, err: err}).outcome()
		return queue.Survey{Site: r.site, TTL: r.ttl, NoMail: &no}, nil
	case errors.Is(err, errNotDialled): // by the settings of this node; the DNS says that there is a host
	case err != nil:
		return queue.Survey{}, err
	}
	if _, isLiteral := literal(domain); s.STS != nil && s.Smarthost == "" && !isLiteral {
		s.STS.Ahead(ctx, domain) // the first message need not wait for it
	}
	return queue.Survey{Site: r.site, TTL: r.ttl}, nil
}

// fixedRoute is how long a route is good that no DNS has to do with: until the
// settings change.
const fixedRoute = time.Minute
