package insight

import (
	"context"
	"time"

	"github.com/jackc/pgx/v5"

	"enotify/queue"
)

const domainFactsSQL = `
SELECT k.name, s.name, extract(epoch FROM k.surveyed_until - now())::float8, k.no_mail::text,
  coalesce(k.no_mail_code, 0)::int, coalesce(k.no_mail_enhanced, ''), coalesce(k.no_mail_reply, '')
FROM unnest($1::text[]) n JOIN enotify.domain k ON k.name = n JOIN enotify.site s ON s.id = k.site_id
WHERE k.surveyed_until > now()`

// DomainFacts returns what is known of domains and still holds.
func (r Reader) DomainFacts(ctx context.Context, domains []string) ([]queue.DomainFact, error) {
	return list(ctx, r, func(row pgx.CollectableRow) (f queue.DomainFact, err error) {
		var seconds float64
		var class *string
		var no queue.Outcome
		err = row.Scan(&f.Domain, &f.Site, &seconds, &class, &no.Reply.Code, &no.Reply.Enhanced, &no.Reply.Text)
		f.TTL = time.Duration(seconds * float64(time.Second))
		if class != nil {
			no.State, no.Class = queue.Bounced, queue.Class(*class)
			f.NoMail = &no
		}
		return f, err
	}, domainFactsSQL, domains)
}
