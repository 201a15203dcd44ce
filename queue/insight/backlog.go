package insight

import (
	"context"
	"time"

	"github.com/jackc/pgx/v5"

	"enotify/queue"
)

// A Backlog is what waits for a recipient domain or a site, and what was learned of it.
type Backlog struct {
	IsDomain bool   // some recipient is or was there
	IsSite   bool   // it serves domains
	Site     string // that serves the domain; "" when it is not known, or no domain
	Domains  int    // that the site serves

	Untried  int          // recipients there of the batches that are being sent, not tried yet
	Deferred int          // recipients there that wait for the next try
	NextDue  *time.Time   // when the first of those is due; nil when there is none
	Memos    []queue.Memo // what is kept of the domain, and of the site
}

const (
	backlogSQL = `
WITH scope AS (
	SELECT k.id, k.name, s.name AS site FROM enotify.domain k LEFT JOIN enotify.site s ON s.id = k.site_id
		WHERE k.name = $1 OR s.name = $1
), waiting AS (
	SELECT count(*)::int AS n, min(t.due_at) AS due
	FROM enotify.retry t JOIN enotify.batch b ON b.id = t.batch_id AND b.finished_at IS NULL
	WHERE t.intent_at IS NULL AND t.domain_id IN (SELECT id FROM scope)
)
SELECT EXISTS (SELECT FROM scope WHERE name = $1), EXISTS (SELECT FROM enotify.site s WHERE s.name = $1),
       coalesce((SELECT site FROM scope WHERE name = $1), ''), (SELECT count(*)::int FROM scope WHERE site = $1),
       coalesce((SELECT sum(d.last_seq - d.intent_seq) FROM enotify.batch b
         JOIN enotify.batch_domain d ON d.batch_id = b.id
                 WHERE b.state::text IN ('sending', 'draining') AND d.domain_id IN (SELECT id FROM scope)), 0)::int,
       w.n, w.due
FROM waiting w`
	memosOfSQL = `
SELECT kind, name, domain, state, version, clock_timestamp() - learned_at, learned_at
FROM enotify.pace WHERE kind = 'domain' AND name = $1 OR kind = 'site' AND name = ANY ($2)`
	sitesOfSQL = `SELECT name FROM enotify.site WHERE name = ANY ($1)`
)

// Backlog is the backlog of the recipient domain or site of that name.
func (r Reader) Backlog(ctx context.Context, name string) (b Backlog, err error) {
	err = r.read(ctx, func(tx pgx.Tx) error {
		row := tx.QueryRow(ctx, backlogSQL, name)
		if err := row.Scan(&b.IsDomain, &b.IsSite, &b.Site, &b.Domains, &b.Untried, &b.Deferred,
			&b.NextDue); err != nil {
			return err
		}
		rows, err := tx.Query(ctx, memosOfSQL, name, []string{name, b.Site})
		if err != nil {
			return err
		}
		b.Memos, err = pgx.CollectRows(rows, func(row pgx.CollectableRow) (m queue.Memo, err error) {
			return m, row.Scan(&m.Kind, &m.Name, &m.Domain, &m.State, &m.Version, &m.Age, &m.At)
		})
		return err
	})
	return b, err
}

// AreSites picks the names of sites that serve recipient domains.
func (r Reader) AreSites(ctx context.Context, names []string) (sites []string, err error) {
	return list(ctx, r, pgx.RowTo[string], sitesOfSQL, names)
}
