package queue

import (
	"context"
	"fmt"

	"github.com/jackc/pgx/v5"
)

// An Audit reports whether every sealed recipient of a batch is in exactly one state,
// by the counts and by the rows.
type Audit struct {
	Batch    int64          `json:"batch"`
	State    string         `json:"state"`
	Total    int            `json:"total"`    // recipients sealed
	States   map[string]int `json:"states"`   // recipients by state, counted row by row
	Problems []string       `json:"problems"` // one sentence each; none: it balances
}

const (
	auditIDsSQL = `SELECT id FROM enotify.batch_status WHERE $1::bigint IN (0, id) ORDER BY id`
	rowsSQL     = `SELECT state, count(*)::int FROM enotify.delivery WHERE batch_id = $1 GROUP BY state`
)

// imbalances count what must not be, from the tables alone.
var imbalances = []struct{ sql, what string }{
	{`SELECT abs(total - (SELECT count(*) FROM enotify.recipient r WHERE r.batch_id = $1)) FROM enotify.batch WHERE id = $1`,
		"recipients more or fewer than were sealed"},
	{`SELECT abs(staged - duplicates - total) FROM enotify.batch WHERE id = $1`,
		"staged rows that are neither recipients nor duplicates"},
	{`SELECT count(*) - count(DISTINCT lower(address)) FROM enotify.recipient WHERE batch_id = $1`,
		"addresses that stand twice"},
	{`SELECT abs(sendable - (SELECT coalesce(sum(d.last_seq - d.first_seq + 1), 0) FROM enotify.batch_domain d WHERE d.batch_id = $1)) FROM enotify.batch WHERE id = $1`,
		"recipients in no domain's range, or in two"},
	{`SELECT count(*) FROM enotify.outcome o WHERE o.batch_id = $1 AND NOT EXISTS (SELECT FROM enotify.recipient r WHERE r.batch_id = o.batch_id AND r.seq = o.seq)`,
		"outcomes without a recipient"},
	{`SELECT count(*) FROM enotify.retry t WHERE t.batch_id = $1 AND NOT EXISTS (SELECT FROM enotify.recipient r WHERE r.batch_id = t.batch_id AND r.seq = t.seq)`,
		"retries without a recipient"},
	{`SELECT count(*) FROM enotify.retry t JOIN enotify.outcome o USING (batch_id, seq) WHERE batch_id = $1`,
		"recipients with an outcome that are to be tried again"},
	{`SELECT count(*) FROM enotify.batch_domain d
	  JOIN LATERAL (SELECT seq FROM enotify.outcome WHERE batch_id = $1 UNION ALL SELECT seq FROM enotify.retry WHERE batch_id = $1) s
	  ON s.seq > d.intent_seq AND s.seq <= d.last_seq WHERE d.batch_id = $1`,
		"recipients that were tried without an intent"},
	{`SELECT count(*) FROM enotify.batch b JOIN enotify.retry t ON t.batch_id = b.id WHERE b.id = $1 AND b.finished_at IS NOT NULL`,
		"retries of a batch that has finished"},
	{`SELECT coalesce(sum(abs(coalesce(c.n, 0) - coalesce(o.n, 0))), 0)
	  FROM (SELECT state, sum(n) AS n FROM enotify.batch_count WHERE batch_id = $1 GROUP BY state) c
	  FULL JOIN (SELECT state, count(*) AS n FROM enotify.outcome WHERE batch_id = $1 GROUP BY state) o USING (state)`,
		"outcomes that batch_count has wrong"},
}

// Audit checks one batch, or with 0 all of them, in one snapshot: it may run
// while mail is sent.
func (db *DB) Audit(ctx context.Context, batch int64) (audits []Audit, err error) {
	snapshot := pgx.TxOptions{IsoLevel: pgx.RepeatableRead, AccessMode: pgx.ReadOnly}
	err = pgx.BeginTxFunc(ctx, db.pool, snapshot, func(tx pgx.Tx) error {
		all, err := ids(ctx, tx, auditIDsSQL, batch)
		if err != nil {
			return err
		}
		if batch != 0 && len(all) == 0 {
			return notFound(NounBatch, batch)
		}
		audits = make([]Audit, len(all))
		for i, id := range all {
			if audits[i], err = audit(ctx, tx, id); err != nil {
				return fmt.Errorf("audit of batch %d: %w", id, err)
			}
		}
		return nil
	})
	return audits, AsRefusal(err)
}

func audit(ctx context.Context, tx pgx.Tx, batch int64) (Audit, error) {
	s, err := status(ctx, tx, batch)
	if err != nil {
		return Audit{}, err
	}
	a := Audit{Batch: batch, State: s.State, Total: s.Total, States: map[string]int{}, Problems: []string{}}
	if s.PrunedAt != nil { // the counts are all there is
		for _, c := range s.Counts() {
			a.States[string(c.State)] = c.N
		}
		a.compare(s)
		return a, nil
	}
	rows, err := tx.Query(ctx, rowsSQL, batch)
	if err != nil {
		return Audit{}, err
	}
	var state string
	var n int
	if _, err := pgx.ForEachRow(rows, []any{&state, &n}, func() error { a.States[state] = n; return nil }); err != nil {
		return Audit{}, err
	}
	a.compare(s)
	for _, i := range imbalances {
		if err := tx.QueryRow(ctx, i.sql, batch).Scan(&n); err != nil {
			return Audit{}, fmt.Errorf("%s: %w", i.what, err)
		}
		if n != 0 {
			a.Problems = append(a.Problems, fmt.Sprintf("%s: %d", i.what, n))
		}
	}
	return a, nil
}

// compare holds the counts, which follow from sums, against the rows.
func (a *Audit) compare(s Status) {
	byCount, byRow := 0, 0
	for _, c := range s.Counts() {
		byCount += c.N
		byRow += a.States[string(c.State)]
		if rows := a.States[string(c.State)]; c.N != rows {
			a.Problems = append(a.Problems, fmt.Sprintf("%s: the count is %d, the rows are %d", c.State, c.N, rows))
		}
	}
	for _, sum := range []struct {
		of string
		n  int
	}{{"counts", byCount}, {"rows", byRow}} {
		if sum.n != s.Total {
			a.Problems = append(a.Problems, fmt.Sprintf("the %s of all states add up to %d, but %d recipients were sealed", sum.of, sum.n, s.Total))
		}
	}
}
