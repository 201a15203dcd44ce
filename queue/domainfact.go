package queue

import (
	"context"
	"time"

	"github.com/jackc/pgx/v5"
)

// A DomainFact is what is known of a recipient domain.
type DomainFact struct {
	Domain string
	Survey
}

const domainFactsSQL = `
SELECT k.name, s.name, extract(epoch FROM k.surveyed_until - now())::float8, k.no_mail::text, coalesce(k.no_mail_code, 0)::int, coalesce(k.no_mail_enhanced, ''), coalesce(k.no_mail_reply, '')
FROM unnest($1::text[]) n JOIN enotify.domain k ON k.name = n JOIN enotify.site s ON s.id = k.site_id
WHERE k.surveyed_until > now()`

// DomainFacts returns what is known of domains and still holds.
func (db *DB) DomainFacts(ctx context.Context, domains []string) ([]DomainFact, error) {
	rows, err := db.pool.Query(ctx, domainFactsSQL, domains)
	if err != nil {
		return nil, refusal(err)
	}
	facts, err := pgx.CollectRows(rows, func(row pgx.CollectableRow) (f DomainFact, err error) {
		var seconds float64
		var class *string
		var no Outcome
		err = row.Scan(&f.Domain, &f.Site, &seconds, &class, &no.Reply.Code, &no.Reply.Enhanced, &no.Reply.Text)
		f.TTL = time.Duration(seconds * float64(time.Second))
		if class != nil {
			no.State, no.Class = Bounced, Class(*class)
			f.NoMail = &no
		}
		return f, err
	})
	return facts, refusal(err)
}
