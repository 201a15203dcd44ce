package queue

import (
	"context"
	"encoding/json"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"
)

// A TLSResult is how many connections for a recipient domain ended alike on a day.
type TLSResult struct {
	Day      time.Time // at 00:00 UTC
	Domain   string
	Shape    [16]byte        // identifies Policy and Failure
	Policy   json.RawMessage // in the form of RFC 8460 §4.4
	Failure  json.RawMessage // the same; nil: the policy was met
	Sessions int64
}

// A domain may have 100 shapes a day. What comes beyond them is counted without its
// details, as a failure or not under no policy.
const noteTLSResultsSQL = `
INSERT INTO enotify.tls_result AS t (day, domain, shape, policy, failure, sessions)
SELECT day, domain, CASE WHEN fits THEN shape ELSE md5(kind)::uuid END,
       CASE WHEN fits THEN policy ELSE jsonb_build_object('policy-type', 'no-policy-found', 'policy-domain', domain) END,
       CASE WHEN fits OR kind = '' THEN failure ELSE jsonb_build_object('result-type', kind) END, sum(sessions)
FROM (
	SELECT least(n.day, (now() AT TIME ZONE 'UTC')::date) AS day, n.domain, n.shape, n.policy::jsonb AS policy, n.failure::jsonb AS failure, n.sessions,
	       coalesce(n.failure::jsonb ->> 'result-type', '') AS kind,
	       EXISTS (SELECT FROM enotify.tls_result o WHERE (o.day, o.domain, o.shape) = (n.day, n.domain, n.shape))
	       OR (SELECT count(*) FROM enotify.tls_result o WHERE (o.day, o.domain) = (n.day, n.domain))
	          + row_number() OVER (PARTITION BY n.day, n.domain ORDER BY n.shape) <= 100 AS fits
	FROM unnest($1::date[], $2::text[], $3::uuid[], $4::text[], $5::text[], $6::bigint[]) n (day, domain, shape, policy, failure, sessions)
) n
GROUP BY 1, 2, 3, 4, 5 ORDER BY 1, 2, 3
ON CONFLICT (day, domain, shape) DO UPDATE SET sessions = t.sessions + excluded.sessions`

// NoteTLSResults adds to what was counted.
func (db *DB) NoteTLSResults(ctx context.Context, results []TLSResult) error {
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
	_, err := db.pool.Exec(ctx, noteTLSResultsSQL, days, domains, shapes, policies, failures, sessions)
	return AsRefusal(err)
}

const tlsResultsSQL = `
SELECT day, domain, shape, policy, failure, sessions FROM enotify.tls_result
WHERE domain = $1 AND day = coalesce($2, (now() AT TIME ZONE 'UTC')::date) ORDER BY sessions DESC, shape`

// TLSResults lists what was counted for a recipient domain on a day; on the zero
// day, today.
func (db *DB) TLSResults(ctx context.Context, domain string, day time.Time) ([]TLSResult, error) {
	var of *time.Time
	if !day.IsZero() {
		of = &day
	}
	return collect[TLSResult](ctx, db, tlsResultsSQL, domain, of)
}

// A TLSReport is the report on TLS of a day to a recipient domain.
type TLSReport struct {
	Day        time.Time
	Domain     string
	Tries      int      // by nodes
	Posted     []string // https addresses that have taken it
	BatchID    *int64   // that mails it
	FinishedAt *time.Time
	Result     string // what became of it; for people

	Installation string // tells this database from others
}

// A report is due between ten minutes and two and a half hours after its day, so
// that a receiver does not get those of all senders, and the queue not those to all
// receivers, at once (RFC 8460 §5.5). A try that failed is repeated later and later.
const (
	forgetTLSSQL = `
WITH old AS (DELETE FROM enotify.tls_report WHERE day < (now() AT TIME ZONE 'UTC')::date - 30)
DELETE FROM enotify.tls_result WHERE day < (now() AT TIME ZONE 'UTC')::date - 3`
	claimTLSReportsSQL = `
WITH due AS (
	SELECT DISTINCT r.day, r.domain FROM enotify.tls_result r
	WHERE r.day < (now() AT TIME ZONE 'UTC')::date
	AND (r.day + 1)::timestamp AT TIME ZONE 'UTC' + interval '10 min' + make_interval(secs => hashtextextended(r.domain, 0) & 8191) < now()
	AND NOT EXISTS (SELECT FROM enotify.tls_report t WHERE (t.day, t.domain) = (r.day, r.domain) AND (t.finished_at IS NOT NULL OR t.claimed_until > now()))
	LIMIT $1)
INSERT INTO enotify.tls_report AS t (day, domain, claimed_until) SELECT day, domain, now() + interval '10 min' FROM due
ON CONFLICT (day, domain) DO UPDATE SET claimed_until = now() + interval '10 min' * least(t.tries + 1, 12), tries = t.tries + 1
RETURNING day, domain, tries, posted, batch_id, finished_at, result, (SELECT left(installation::text, 8) FROM enotify.era) AS installation`
)

// ClaimTLSReports gives this node up to n reports that are due, for ten minutes. No
// other node gets them meanwhile.
func (db *DB) ClaimTLSReports(ctx context.Context, n int) (claimed []TLSReport, err error) {
	err = db.inTx(ctx, func(tx pgx.Tx) error {
		if _, err := tx.Exec(ctx, `SELECT enotify.lock_tls_reports()`); err != nil {
			return err
		}
		rows, err := tx.Query(ctx, claimTLSReportsSQL, n)
		if err != nil {
			return err
		}
		claimed, err = pgx.CollectRows(rows, pgx.RowToStructByName[TLSReport])
		return err
	})
	return claimed, AsRefusal(err)
}

// ForgetTLSResults removes counts and reports that are over.
func (db *DB) ForgetTLSResults(ctx context.Context) error {
	_, err := db.pool.Exec(ctx, forgetTLSSQL)
	return AsRefusal(err)
}

// A TLSReportMail is a report as it is mailed.
type TLSReportMail struct {
	From, Subject, Text string
	Headers             map[string]string
	Filename            string
	Content             []byte
	To                  []string
}

const sendTLSReportSQL = `SELECT enotify.send_tls_report($1, $2, $3, $4, $5, $6, $7, $8, $9)`

// SendTLSReport queues a report that was claimed, unless that was done before, and
// returns its batch. However often it is called, and whoever is killed meanwhile,
// there is one.
func (db *DB) SendTLSReport(ctx context.Context, r TLSReport, m TLSReportMail) (batch *int64, err error) {
	err = db.pool.QueryRow(ctx, sendTLSReportSQL, r.Day, r.Domain, m.From, m.Subject, m.Text, m.Headers, m.Filename,
		m.Content, m.To).Scan(&batch)
	if err != nil {
		return nil, fmt.Errorf("TLS report to %s for %s: %w", r.Domain, r.Day.Format(time.DateOnly), AsRefusal(err))
	}
	return batch, nil
}

const postedTLSReportSQL = `
UPDATE enotify.tls_report SET posted = posted || $3::text WHERE day = $1 AND domain = $2 AND NOT $3 = ANY (posted)`

// PostedTLSReport remembers that an https address has taken a report.
func (db *DB) PostedTLSReport(ctx context.Context, r TLSReport, page string) error {
	_, err := db.pool.Exec(ctx, postedTLSReportSQL, r.Day, r.Domain, page)
	return AsRefusal(err)
}

const finishTLSReportSQL = `
WITH done AS (
	UPDATE enotify.tls_report SET finished_at = now(), result = left($3, 1000) WHERE day = $1 AND domain = $2 RETURNING day, domain)
DELETE FROM enotify.tls_result r USING done WHERE (r.day, r.domain) = (done.day, done.domain)`

// FinishTLSReport notes what became of a report, for which nothing is left to do,
// and removes what was counted for it.
func (db *DB) FinishTLSReport(ctx context.Context, r TLSReport, result string) error {
	_, err := db.pool.Exec(ctx, finishTLSReportSQL, r.Day, r.Domain, result)
	return AsRefusal(err)
}

const lastTLSReportSQL = `
SELECT day, domain, tries, posted, batch_id, finished_at, result, '' AS installation FROM enotify.tls_report WHERE domain = $1 ORDER BY day DESC LIMIT 1`

// LastTLSReport is the latest report to a recipient domain; nil when there is none.
func (db *DB) LastTLSReport(ctx context.Context, domain string) (*TLSReport, error) {
	found, err := collect[TLSReport](ctx, db, lastTLSReportSQL, domain)
	if err != nil || len(found) == 0 {
		return nil, err
	}
	return &found[0], nil
}
