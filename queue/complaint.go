package queue

import (
	"context"
	"errors"
	"fmt"

	"github.com/jackc/pgx/v5"
)

// Shares of complaints: Google and Yahoo ask for less than 0.1 %, and never 0.3 %
// (support.google.com/a/answer/81126, senders.yahooinc.com/best-practices, read 2026-11).
// They count from ComplaintSample messages on: among fewer, one reader's mistake would make
// a rate.
const (
	ComplaintWarn   = 0.001
	ComplaintBlock  = 0.003
	ComplaintSample = 1000
)

// ComplaintRate is how many readers called a client's mail spam, of the batches that
// began in a number of days.
type ComplaintRate struct {
	Days       int `json:"days"`
	Accepted   int `json:"accepted"`   // messages that receivers took
	Complaints int `json:"complaints"` // recipients who complained
}

// Rate is the share of complaints, from 0 to 1.
func (c ComplaintRate) Rate() float64 {
	if c.Accepted == 0 {
		return 0
	}
	return float64(c.Complaints) / float64(c.Accepted)
}

// ComplaintLevel says how bad a rate is; a larger level is worse.
type ComplaintLevel int

// The levels: below the first threshold, or of too few messages; from the first threshold
// on; from the second on.
const (
	ComplaintsFew ComplaintLevel = iota
	ComplaintsWarn
	ComplaintsBlock
)

// Level compares the rate with the thresholds.
func (c ComplaintRate) Level() ComplaintLevel {
	switch {
	case c.Accepted < ComplaintSample, c.Rate() < ComplaintWarn:
		return ComplaintsFew
	case c.Rate() < ComplaintBlock:
		return ComplaintsWarn
	}
	return ComplaintsBlock
}

// WorstComplaints returns the rate with the highest level, and among several the highest of
// them.
func WorstComplaints(rates []ComplaintRate) (worst ComplaintRate) {
	for _, r := range rates {
		if r.Level() > worst.Level() || r.Level() == worst.Level() && r.Rate() > worst.Rate() {
			worst = r
		}
	}
	return worst
}

const (
	complaintRateSQL = `
SELECT r.days, r.accepted, r.complaints FROM enotify.client c CROSS JOIN LATERAL enotify.complaint_rate(c.id) r
  WHERE c.domain = $1`
	// The row is locked before the rates are asked for: of two complaints at once the
	// second sees the first.
	lockComplaintLevelSQL = `
INSERT INTO enotify.complaint_level AS l (client_id) SELECT b.client_id FROM enotify.batch b WHERE b.id = $1
ON CONFLICT (client_id) DO UPDATE SET level = CASE WHEN l.alerted_at < now() - interval '7 days' THEN 0 ELSE l.level END
RETURNING l.client_id, l.level`
	setComplaintLevelSQL = `UPDATE enotify.complaint_level SET level = $2, alerted_at = now() WHERE client_id = $1`
)

// ComplaintRates returns a client's rates over 1, 7 and 30 days.
func (db *DB) ComplaintRates(ctx context.Context, client string) ([]ComplaintRate, error) {
	return Collect[ComplaintRate](ctx, db, complaintRateSQL, client)
}

// complained raises an alert when a complaint about a batch brings its client over a
// threshold: at once, while the batch may still be stopped. It comes once for each
// threshold, and again after seven days.
func complained(ctx context.Context, tx pgx.Tx, batch int64, domain string) (*Alert, error) {
	var client int32
	var before ComplaintLevel
	err := tx.QueryRow(ctx, lockComplaintLevelSQL, batch).Scan(&client, &before)
	if errors.Is(err, pgx.ErrNoRows) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("complaints about batch %d: %w", batch, err)
	}
	rows, err := tx.Query(ctx, complaintRateSQL, domain)
	if err != nil {
		return nil, fmt.Errorf("complaints about mail of %s: %w", domain, err)
	}
	rates, err := pgx.CollectRows(rows, pgx.RowToStructByPos[ComplaintRate])
	if err != nil {
		return nil, fmt.Errorf("complaints about mail of %s: %w", domain, err)
	}
	worst := WorstComplaints(rates)
	if worst.Level() <= before {
		return nil, nil
	}
	if _, err := tx.Exec(ctx, setComplaintLevelSQL, client, worst.Level()); err != nil {
		return nil, fmt.Errorf("complaints about mail of %s: %w", domain, err)
	}
	a := Alert{Kind: AlertComplaints, Client: domain, Batch: batch,
		Next: fmt.Sprintf("enotify bounce report --client %s", domain)}
	limit := "0.1 %: Gmail and Yahoo put such mail into the spam folder"
	if worst.Level() == ComplaintsBlock {
		limit = "0.3 %: Gmail and Yahoo turn such mail away"
		a.Next = fmt.Sprintf("enotify batch pause %d", batch)
	}
	a.Text = fmt.Sprintf("%d readers of %d messages of %s called it spam in batches of the last %d days (%.2f %%), which is over %s",
		worst.Complaints, worst.Accepted, domain, worst.Days, 100*worst.Rate(), limit)
	return &a, RaiseIn(ctx, tx, a)
}
