package insight

import (
	"context"
	"slices"
	"time"

	"github.com/jackc/pgx/v5"
)

// An Ahead is a batch that has the turn before another one, or was passed and is
// sent beside it.
type Ahead struct {
	Batch     int64
	Priority  int
	State     string
	NotBefore time.Time // zero: at once
	Windows   []string  // all of them must be open
	Client    string
	Pool      string // of egress addresses
	Domains   []SiteCount
}

// A SiteCount is how many messages wait for a recipient domain, and the site that
// takes its mail; the domain itself while that is unknown.
type SiteCount struct {
	Domain, Site string
	N            int
}

// A DueCount is how many deferred recipients wait for a recipient domain, and when
// they are due, on average.
type DueCount struct {
	SiteCount
	Batch   int64  // of those that were not tried, and of the batch that was asked about; else 0
	Pool    string // of egress addresses
	Untried bool   // they were put off before the first try
	At      time.Time
}

// Recipients that the warm-up of our addresses has put off are due as soon as it has room.
// They are counted by number first, which is cheaper for hundreds of thousands than by name.
const retriesSQL = `
WITH going AS MATERIALIZED (
	SELECT b.id, enotify.batch_pool(b.pool, b.priority, b.client_id) AS pool FROM enotify.batch b
	WHERE b.finished_at IS NULL AND b.state IN ('queued', 'sending', 'draining', 'retrying')
), waiting AS (
	SELECT t.domain_id, b.pool, t.tries = 0 AS untried, CASE WHEN t.tries = 0 OR b.id = $1 THEN b.id END AS batch,
		count(*)::int AS n,
	       avg(extract(epoch FROM CASE WHEN t.class = 'not_begun' AND t.reply LIKE 'the warm-up of %' THEN now()
	         ELSE t.due_at END)::float8) AS due
	FROM enotify.retry t JOIN going b ON b.id = t.batch_id WHERE t.intent_at IS NULL GROUP BY 1, 2, 3, 4
)
SELECT k.name, coalesce(s.name, k.name), w.n, coalesce(w.batch, 0), w.pool, w.untried, to_timestamp(w.due)
FROM waiting w JOIN enotify.domain k ON k.id = w.domain_id LEFT JOIN enotify.site s ON s.id = k.site_id`

// Retries counts the recipients that wait for another try, or were put off before the
// first one.
func (r Reader) Retries(ctx context.Context, own int64) ([]DueCount, error) {
	return list(ctx, r, func(row pgx.CollectableRow) (c DueCount, err error) {
		return c, row.Scan(&c.Domain, &c.Site, &c.N, &c.Batch, &c.Pool, &c.Untried, &c.At)
	}, retriesSQL, own)
}

const groupsSQL = `
SELECT n, coalesce(s.grp, (hashtextextended(n, 0) & 63)::smallint) FROM unnest($1::text[]) n
  LEFT JOIN enotify.site s ON s.name = n`

// Groups returns the group of recipient domains that each site is in, or will be.
func (r Reader) Groups(ctx context.Context, sites []string) (map[string]int16, error) {
	of := make(map[string]int16, len(sites))
	var site string
	var grp int16
	err := r.each(ctx, []any{&site, &grp}, func() { of[site] = grp }, groupsSQL, sites)
	return of, err
}

// In the order of their turns, as next_batches() gives them: round by round, one batch of
// each client and login, the one first whose last turn is longest ago. A batch that must
// not begin just now comes after the others of its client. A batch that is not queued yet
// is the last one of its client. One that waits for an operator or for DNS is ahead of no
// other. Those that drain or were passed stand last.
const aheadSQL = `
WITH waiting AS (
	SELECT b.id, b.priority, b.client_id, b.created_by, coalesce(b.submitted_at, 'infinity') AS submitted_at,
		b.id = $1 AND b.state IN ('sending', 'draining', 'retrying') AS held, b.yielded_at IS NULL AS fresh,
		b.not_before > now() OR (b.send_window IS NOT NULL OR c.send_window IS NOT NULL)
			AND NOT enotify.window_allows(b.client_id, b.priority, b.send_window) AS later
	FROM enotify.batch b JOIN enotify.client c ON c.id = b.client_id
	WHERE b.finished_at IS NULL AND (b.id = $1 OR b.state = 'queued' AND b.expires_at > now()
	  AND ($2 OR b.not_before IS NULL
	    OR b.not_before <= greatest(now(), (SELECT not_before FROM enotify.batch WHERE id = $1))))
), flow AS (
	SELECT w.client_id, w.created_by, (SELECT max(t.turn_at) FROM enotify.batch t WHERE t.client_id = w.client_id
		AND t.created_by = w.created_by AND t.turn_at IS NOT NULL) AS turn_at
	FROM (SELECT DISTINCT client_id, created_by FROM waiting) w
), numbered AS (
	SELECT w.*, row_number() OVER f AS round, min(w.submitted_at) OVER a AS since, min(w.id) OVER a AS first
	FROM waiting w
	WINDOW f AS (PARTITION BY priority, held, fresh, client_id, created_by
	         ORDER BY coalesce(later, false), submitted_at, id),
	       a AS (PARTITION BY priority, held, fresh, client_id, created_by)
), queued AS (
	SELECT n.id, row_number() OVER (ORDER BY n.priority DESC, n.held DESC, n.fresh, n.round, f.turn_at NULLS FIRST,
		n.since, n.first) AS place
	FROM numbered n JOIN flow f USING (client_id, created_by)
), own AS (
	SELECT b.id, b.priority, q.place FROM enotify.batch b LEFT JOIN queued q ON q.id = b.id WHERE b.id = $1
	UNION ALL SELECT 0, CASE WHEN $2 THEN -2147483648 ELSE 0 END, NULL
		WHERE NOT EXISTS (SELECT FROM enotify.batch WHERE id = $1)
), b AS (
	SELECT b.id, b.priority, b.state::text, b.not_before, c.domain AS client,
		enotify.batch_pool(b.pool, b.priority, b.client_id) AS pool,
	       CASE WHEN b.priority < c.urgent THEN array_remove(ARRAY[b.send_window, c.send_window], NULL) END AS windows,
	       row_number() OVER (ORDER BY b.state IN ('draining', 'retrying'),
	         (b.state = 'sending' AND b.priority >= o.priority) DESC, q.place, b.id) AS place
	FROM enotify.batch b JOIN enotify.client c ON c.id = b.client_id CROSS JOIN own o LEFT JOIN queued q ON q.id = b.id
	WHERE b.id <> o.id AND b.finished_at IS NULL AND b.expires_at > now()
	  AND (b.state = 'draining' OR b.state = 'retrying' AND b.passed_at IS NOT NULL
	       OR b.state = 'sending' AND b.priority >= o.priority
	       OR b.state = 'queued' AND b.priority >= o.priority AND coalesce(q.place < o.place, q.place IS NOT NULL))
	ORDER BY place LIMIT nullif($3, 0)
)
SELECT b.id, b.priority, b.state, coalesce(b.not_before, '-infinity'::timestamptz) > now(),
  coalesce(b.not_before, now()), b.client, b.pool, coalesce(b.windows, '{}'), d.domains, d.untried
FROM b CROSS JOIN LATERAL (
	SELECT array_agg(d.domain_id ORDER BY d.first_seq) AS domains,
	       array_agg(d.last_seq - d.intent_seq ORDER BY d.first_seq) AS untried
	FROM enotify.batch_domain d WHERE d.batch_id = b.id AND d.intent_seq < d.last_seq) d
WHERE d.domains IS NOT NULL ORDER BY b.place`

// Many batches wait for the same recipient domains: their names are read once.
const takersSQL = `
SELECT k.id, k.name, coalesce(s.name, k.name) FROM enotify.domain k LEFT JOIN enotify.site s ON s.id = k.site_id
WHERE k.id = ANY ($1) AND k.no_mail IS NULL`

// Ahead lists the batches that have the turn before a batch, in the order of their
// turns, with the recipients they have not tried. For a batch not yet submitted, that
// is every batch.
func (r Reader) Ahead(ctx context.Context, batch int64) ([]Ahead, error) {
	return r.ahead(ctx, batch, false, 0)
}

// Queue lists the batches that wait for their turn or have it, in the order of their
// turns, up to most.
func (r Reader) Queue(ctx context.Context, most int) ([]Ahead, error) {
	return r.ahead(ctx, 0, true, most)
}

func (r Reader) ahead(ctx context.Context, batch int64, every bool, most int) (all []Ahead, err error) {
	err = r.read(ctx, func(tx pgx.Tx) error {
		rows, err := tx.Query(ctx, aheadSQL, batch, every, most)
		if err != nil {
			return err
		}
		var a Ahead
		var later bool
		var domains [][]int32 // of each batch
		var untried [][]int
		var notBefore time.Time
		var ids []int32
		var left []int
		dest := []any{&a.Batch, &a.Priority, &a.State, &later, &notBefore, &a.Client, &a.Pool, &a.Windows, &ids, &left}
		_, err = pgx.ForEachRow(rows, dest, func() error {
			if a.NotBefore = (time.Time{}); later {
				a.NotBefore = notBefore
			}
			all, domains, untried = append(all, a), append(domains, ids), append(untried, left)
			a.Windows, ids, left = nil, nil, nil
			return nil
		})
		if err != nil {
			return err
		}
		takers, err := takersOf(ctx, tx, domains)
		for i := range all {
			for k, id := range domains[i] {
				if c, ok := takers[id]; ok {
					c.N = untried[i][k]
					all[i].Domains = append(all[i].Domains, c)
				}
			}
		}
		return err
	})
	return slices.DeleteFunc(all, func(a Ahead) bool { return len(a.Domains) == 0 }), err
}

// takersOf names the recipient domains that take mail, and their sites.
func takersOf(ctx context.Context, tx pgx.Tx, domains [][]int32) (map[int32]SiteCount, error) {
	ids := slices.Concat(domains...)
	slices.Sort(ids)
	rows, err := tx.Query(ctx, takersSQL, slices.Compact(ids))
	if err != nil {
		return nil, err
	}
	takers := map[int32]SiteCount{}
	var id int32
	var c SiteCount
	_, err = pgx.ForEachRow(rows, []any{&id, &c.Domain, &c.Site}, func() error { takers[id] = c; return nil })
	return takers, err
}

const untriedSQL = `
SELECT k.name, coalesce(s.name, k.name), d.last_seq - d.intent_seq
FROM enotify.batch_domain d JOIN enotify.domain k ON k.id = d.domain_id LEFT JOIN enotify.site s ON s.id = k.site_id
WHERE d.batch_id = $1 AND d.intent_seq < d.last_seq AND k.no_mail IS NULL`

// Untried counts the recipients of a batch that were not tried.
func (r Reader) Untried(ctx context.Context, batch int64) ([]SiteCount, error) {
	return collect[SiteCount](ctx, r, untriedSQL, batch)
}

// An Allowance is what a client with a limit a day or a month has sent.
type Allowance struct {
	Client   string
	PerDay   int // 0: no limit
	PerMonth int
	Zone     string
	Today    int
	Month    int
}

const allowancesSQL = `
SELECT c.domain, coalesce(c.per_day, 0), coalesce(c.per_month, 0), c.zone,
  coalesce(sum(s.n) FILTER (WHERE s.day = t.today), 0)::int, coalesce(sum(s.n), 0)::int
FROM enotify.client c CROSS JOIN LATERAL (SELECT (now() AT TIME ZONE c.zone)::date AS today) t
LEFT JOIN enotify.client_sent s ON s.client_id = c.id AND s.day BETWEEN date_trunc('month', t.today)::date AND t.today
WHERE (c.per_day IS NOT NULL OR c.per_month IS NOT NULL) AND c.domain = ANY ($1) GROUP BY c.id`

// Allowances lists the allowances of the clients that have a limit.
func (r Reader) Allowances(ctx context.Context, clients []string) ([]Allowance, error) {
	return collect[Allowance](ctx, r, allowancesSQL, clients)
}

// A Deferral is how many first tries at a site were deferred.
type Deferral struct {
	Site            string
	Tried, Deferred int
}

// The last batch at a site counts. A site greylists a sender that it does not know: of the
// only batch there, the recipients that were not delivered since count. Of a batch with very
// many failures some attempts are enough.
const deferralsSQL = `
WITH recent AS (
	SELECT b.id FROM enotify.batch b WHERE b.started_at > now() - interval '7 days' AND b.pruned_at IS NULL
		ORDER BY b.id DESC LIMIT 20
), tried AS (
	SELECT coalesce(s.name, k.name) AS site, r.id AS batch, sum(d.intent_seq - d.first_seq + 1)::int AS n
	FROM recent r JOIN enotify.batch_domain d ON d.batch_id = r.id JOIN enotify.domain k ON k.id = d.domain_id
		LEFT JOIN enotify.site s ON s.id = k.site_id
	WHERE coalesce(s.name, k.name) = ANY ($1) GROUP BY 1, 2 HAVING sum(d.intent_seq - d.first_seq + 1) >= 20
), latest AS (
	SELECT site, max(batch) AS batch, count(*) = 1 AS only FROM tried GROUP BY 1
), put_off AS (
	SELECT coalesce(s.name, k.name) AS site, r.batch, count(*)::int AS n,
		(count(*) FILTER (WHERE o.state = 'delivered'))::int AS passed
	FROM (SELECT DISTINCT batch FROM latest) r CROSS JOIN LATERAL (SELECT a.seq FROM enotify.attempt a
		WHERE a.batch_id = r.batch AND a.n = 1 AND a.class IS NOT NULL AND coalesce(a.code, 400) < 500 LIMIT 5000) a
	JOIN enotify.recipient q ON q.batch_id = r.batch AND q.seq = a.seq JOIN enotify.domain k ON k.id = q.domain_id
		LEFT JOIN enotify.site s ON s.id = k.site_id
		LEFT JOIN enotify.outcome o ON o.batch_id = r.batch AND o.seq = a.seq
	WHERE coalesce(s.name, k.name) = ANY ($1) GROUP BY 1, 2
)
SELECT site, t.n, CASE WHEN l.only THEN p.n - p.passed ELSE p.n END
FROM latest l JOIN tried t USING (site, batch) JOIN put_off p USING (site, batch)`

// Deferrals counts the deferrals of the last batch at each site that had enough tries to
// tell.
func (r Reader) Deferrals(ctx context.Context, sites []string) ([]Deferral, error) {
	return collect[Deferral](ctx, r, deferralsSQL, sites)
}
