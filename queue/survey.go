package queue

import (
	"context"
	"time"
)

// A Survey is what the DNS says of a recipient domain before anything is sent
// to it.
type Survey struct {
	Site string        // that takes its mail: all domains of a site share its limits and its lease
	TTL  time.Duration // for which this holds; kept for 5 min at least and a day at most
	// NoMail is the outcome of all its recipients when the domain takes no mail;
	// nil when it does.
	NoMail *Outcome
}

const (
	minSurvey = 5 * time.Minute // a TTL of 0 must not have each batch ask again
	maxSurvey = 24 * time.Hour  // a TTL may be a mistake
)

// Kept is how long the survey holds.
func (s Survey) Kept() time.Duration { return min(max(s.TTL, minSurvey), maxSurvey) }

// A DomainFact is what is known of a recipient domain.
type DomainFact struct {
	Domain string
	Survey
}

const noteDomainsSQL = `SELECT enotify.note_domains($1, $2, $3, $4, $5, $6, $7)`

// NoteDomains keeps what was found out about domains, for the node that will send to
// them and for the next preflight.
func (db *DB) NoteDomains(ctx context.Context, facts []DomainFact) error {
	n := len(facts)
	names, sites, seconds, classes := make([]string, n), make([]string, n), make([]float64, n), make([]string, n)
	codes, enhanced, replies := make([]int, n), make([]string, n), make([]string, n)
	for i, f := range facts {
		names[i], sites[i] = f.Domain, f.Site
		seconds[i] = f.Kept().Seconds()
		if f.NoMail != nil {
			classes[i], codes[i], enhanced[i], replies[i] = string(f.NoMail.Class), f.NoMail.Reply.Code,
				f.NoMail.Reply.Enhanced, f.NoMail.Reply.Text
		}
	}
	_, err := db.pool.Exec(ctx, noteDomainsSQL, names, sites, seconds, classes, codes, enhanced, replies)
	return AsRefusal(err)
}
