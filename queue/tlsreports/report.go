package tlsreports

import (
	"context"
	"encoding/json"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"

	"enotify/queue"
)

// A Store holds the counts and reports of a database.
type Store struct{ db *queue.DB }

// Of is the store in a database.
func Of(db *queue.DB) Store { return Store{db} }

// A Result is how many connections for a recipient domain ended alike on a day.
type Result struct {
	Day      time.Time // at 00:00 UTC
	Domain   string
	Shape    [16]byte        // identifies Policy and Failure
	Policy   json.RawMessage // in the form of RFC 8460 §4.4
	Failure  json.RawMessage // the same; nil: the policy was met
	Sessions int64
}

// A domain may have 100 shapes a day. What comes beyond them is counted without its
// details, as a failure or not under no policy.
const noteResultsSQL = `
INSERT INTO enotify.tls_result AS t (day, domain, shape, policy, failure, sessions)
SELECT day, domain, CASE WHEN fits THEN shape ELSE md5(kind)::uuid END,
       CASE WHEN fits THEN policy ELSE jsonb_build_object('policy-type', 'no-policy-found', 'policy-domain',
         domain) END,
       CASE WHEN fits OR kind = '' THEN failure ELSE jsonb_build_object('result-type', kind) END, sum(sessions)
FROM (
	SELECT least(n.day, (now() AT TIME ZONE 'UTC')::date) AS day, n.domain, n.shape, n.policy::jsonb AS policy,
		n.failure::jsonb AS failure, n.sessions,
	       coalesce(n.failure::jsonb ->> 'result-type', '') AS kind,
	       EXISTS (SELECT FROM enotify.tls_result o WHERE (o.day, o.domain, o.shape) = (n.day, n.domain, n.shape))
	       OR (SELECT count(*) FROM enotify.tls_result o WHERE (o.day, o.domain) = (n.day, n.domain))
	          + row_number() OVER (PARTITION BY n.day, n.domain ORDER BY n.shape) <= 100 AS fits
	FROM unnest($1::date[], $2::text[], $3::uuid[], $4::text[], $5::text[], $6::bigint[]) n (day, domain, shape, policy,
		failure, sessions)
) n
GROUP BY 1, 2, 3, 4, 5 ORDER BY 1, 2, 3
ON CONFLICT (day, domain, shape) DO UPDATE SET sessions = t.sessions + excluded.sessions`

// Note adds to what was counted.
func (s Store) Note(ctx context.Context, results []Result) error {
	n := len(results)
	days, domains, shapes := make([]time.Time, n), make([]string, n), make([][16]byte, n)
	policies, failures, sessions := make([]string, n), make([]*string, n), make([]int64, n)
	for i, r := range results {
		days[i], domains[i], shapes[i], policies[i], sessions[i] = r.Day, r.Domain, r.Shape, string(r.Policy),
			r.Sessions
		if r.Failure != nil {
			failure := string(r.Failure)
			failures[i] = &failure
		}
	}
	_, err := s.db.Pool().Exec(ctx, noteResultsSQL, days, domains, shapes, policies, failures, sessions)
	return queue.AsRefusal(err)
}

const tlsResultsSQL = `
SELECT day, domain, shape, policy, failure, sessions FROM enotify.tls_result
WHERE domain = $1 AND day = coalesce($2, (now() AT TIME ZONE 'UTC')::date) ORDER BY sessions DESC, shape`

// Results lists what was counted for a recipient domain on a day; on the zero
// day, today.
func (s Store) Results(ctx context.Context, domain string, day time.Time) ([]Result, error) {
	var of *time.Time
	if !day.IsZero() {
		of = &day
	}
	return queue.Collect[Result](ctx, s.db, tlsResultsSQL, domain, of)
}

// A Report is the report on TLS of a day to a recipient domain.
type Report struct {
	Day        time.Time
	Domain     string
	Tries      int      // by nodes
	Posted     []string // https addresses that have taken it
	BatchID    *int64   // that mails it
	FinishedAt *time.Time
	Result     string // of sending it, in words

	Installation string // tells this database from others
}

// A report is due between ten minutes and two and a half hours after its day, so
// that a receiver does not get those of all senders, and the queue not those to all
// receivers, at once (RFC 8460 §5.5). A try that failed is repeated later and later.
const (
	forgetTLSSQL = `
WITH old AS (DELETE FROM enotify.tls_report WHERE day < (now() AT TIME ZONE 'UTC')::date - 30)
DELETE FROM enotify.tls_result WHERE day < (now() AT TIME ZONE 'UTC')::date - 3`
	claimReportsSQL = `
WITH due AS (
	SELECT DISTINCT r.day, r.domain FROM enotify.tls_result r
	WHERE r.day < (now() AT TIME ZONE 'UTC')::date
	AND (r.day + 1)::timestamp AT TIME ZONE 'UTC' + interval '10 min'
		+ make_interval(secs => hashtextextended(r.domain, 0) & 8191) < now()
	AND NOT EXISTS (SELECT FROM enotify.tls_report t WHERE (t.day, t.domain) = (r.day, r.domain)
		AND (t.finished_at IS NOT NULL OR t.claimed_until > now()))
	LIMIT $1)
INSERT INTO enotify.tls_report AS t (day, domain, claimed_until) SELECT day, domain, now() + interval '10 min' FROM due
ON CONFLICT (day, domain) DO UPDATE SET claimed_until = now() + interval '10 min' * least(t.tries + 1, 12),
  tries = t.tries + 1
RETURNING day, domain, tries, posted, batch_id, finished_at, result,
  (SELECT left(installation::text, 8) FROM enotify.era) AS installation`
)

// Claim gives this node up to n reports that are due, for ten minutes. No
// other node gets them meanwhile.
func (s Store) Claim(ctx context.Context, n int) (claimed []Report, err error) {
	err = pgx.BeginTxFunc(ctx, s.db.Pool(), pgx.TxOptions{IsoLevel: pgx.ReadCommitted}, func(tx pgx.Tx) error {
		if _, err := tx.Exec(ctx, `SELECT enotify.lock_tls_reports()`); err != nil {
			return err
		}
		rows, err := tx.Query(ctx, claimReportsSQL, n)
		if err != nil {
			return err
		}
		claimed, err = pgx.CollectRows(rows, pgx.RowToStructByName[Report])
		return err
	})
	return claimed, queue.AsRefusal(err)
}

// Forget removes counts and reports that are over.
func (s Store) Forget(ctx context.Context) error {
	_, err := s.db.Pool().Exec(ctx, forgetTLSSQL)
	return queue.AsRefusal(err)
}

// A Mail is a report as it is mailed.
type Mail struct {
	From, Subject, Text string
	Headers             map[string]string
	Filename            string
	Content             []byte
	To                  []string
}

const sendReportSQL = `SELECT enotify.send_tls_report($1, $2, $3, $4, $5, $6, $7, $8, $9)`

// Send queues a report that was claimed, unless that was done before, and
// returns its batch. However often it is called, and whoever is killed meanwhile,
// there is one.
func (s Store) Send(ctx context.Context, r Report, m Mail) (batch *int64, err error) {
	err = s.db.Pool().QueryRow(ctx, sendReportSQL, r.Day, r.Domain, m.From, m.Subject, m.Text, m.Headers, m.Filename,
		m.Content, m.To).Scan(&batch)
	if err != nil {
		return nil, fmt.Errorf("TLS report to %s for %s: %w", r.Domain, r.Day.Format(time.DateOnly), queue.AsRefusal(err))
	}
	return batch, nil
}

const postedReportSQL = `
UPDATE enotify.tls_report SET posted = posted || $3::text WHERE day = $1 AND domain = $2 AND NOT $3 = ANY (posted)`

// Posted remembers that an https address has taken a report.
func (s Store) Posted(ctx context.Context, r Report, page string) error {
	_, err := s.db.Pool().Exec(ctx, postedReportSQL, r.Day, r.Domain, page)
	return queue.AsRefusal(err)
}

const finishReportSQL = `
WITH done AS (
	UPDATE enotify.tls_report SET finished_at = now(), result = left($3, 1000) WHERE day = $1 AND domain = $2
		RETURNING day, domain)
DELETE FROM enotify.tls_result r USING done WHERE (r.day, r.domain) = (done.day, done.domain)`

// Finish records the result of sending a report, ends it, and removes its counts.
func (s Store) Finish(ctx context.Context, r Report, result string) error {
	_, err := s.db.Pool().Exec(ctx, finishReportSQL, r.Day, r.Domain, result)
	return queue.AsRefusal(err)
}

const lastReportSQL = `
SELECT day, domain, tries, posted, batch_id, finished_at, result, '' AS installation FROM enotify.tls_report
  WHERE domain = $1 ORDER BY day DESC LIMIT 1`

// Last is the latest report to a recipient domain; nil when there is none.
func (s Store) Last(ctx context.Context, domain string) (*Report, error) {
	found, err := queue.Collect[Report](ctx, s.db, lastReportSQL, domain)
	if err != nil || len(found) == 0 {
		return nil, err
	}
	return &found[0], nil
}
