package insight

import (
	"context"
	"fmt"
	"maps"
	"slices"

	"github.com/jackc/pgx/v5"

	"enotify/queue"
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
	auditedSQL = `SELECT id, total FROM enotify.batch WHERE $1::bigint IN (0, id) ORDER BY id`
	rowsSQL    = `
SELECT batch_id, state, count(*)::int FROM enotify.delivery WHERE batch_id = ANY ($1) GROUP BY batch_id, state`
	// Sorts and hashes of a million rows stay in memory.
	memorySQL = `SET LOCAL work_mem = '128MB'`
)

// imbalances count what must not be, by batch, from the tables alone. Each reads
// every row once, however many domains and batches there are.
var imbalances = []struct{ sql, what string }{
	{`SELECT b.id, abs(b.total - coalesce(r.n, 0)) FROM enotify.batch b
	  LEFT JOIN (SELECT batch_id, count(*) AS n FROM enotify.recipient WHERE batch_id = ANY ($1) GROUP BY batch_id) r
	    ON r.batch_id = b.id
	  WHERE b.id = ANY ($1)`,
		"recipients more or fewer than were sealed"},
	{`SELECT id, abs(staged - duplicates - total) FROM enotify.batch WHERE id = ANY ($1)`,
		"staged rows that are neither recipients nor duplicates"},
	{`SELECT batch_id, sum(n - 1) FROM (
	      SELECT batch_id, count(*) AS n FROM enotify.recipient WHERE batch_id = ANY ($1) AND address <> ''
	        GROUP BY batch_id, lower(address) COLLATE "C" HAVING count(*) > 1) s
	  GROUP BY batch_id`,
		"addresses that stand twice"},
	{`SELECT b.id, abs(b.sendable - coalesce(d.n, 0)) FROM enotify.batch b
	  LEFT JOIN (SELECT batch_id, sum(last_seq - first_seq + 1) AS n FROM enotify.batch_domain WHERE batch_id = ANY ($1)
	    GROUP BY batch_id) d ON d.batch_id = b.id
	  WHERE b.id = ANY ($1)`,
		"recipients in no domain's range, or in two"},
	{`SELECT o.batch_id, count(*) FROM enotify.outcome o
	  WHERE o.batch_id = ANY ($1)
	    AND NOT EXISTS (SELECT FROM enotify.recipient r WHERE r.batch_id = o.batch_id AND r.seq = o.seq)
	  GROUP BY o.batch_id`,
		"outcomes without a recipient"},
	{`SELECT t.batch_id, count(*) FROM enotify.retry t
	  WHERE t.batch_id = ANY ($1)
	    AND NOT EXISTS (SELECT FROM enotify.recipient r WHERE r.batch_id = t.batch_id AND r.seq = t.seq)
	  GROUP BY t.batch_id`,
		"retries without a recipient"},
	{`SELECT batch_id, count(*) FROM enotify.retry t JOIN enotify.outcome o USING (batch_id, seq)
	  WHERE batch_id = ANY ($1) GROUP BY batch_id`,
		"recipients with an outcome that are to be tried again"},
	// Of each domain only the part of its range that was not tried is looked at.
	{`SELECT d.batch_id, sum(
	      (SELECT count(*) FROM enotify.outcome o WHERE o.batch_id = d.batch_id AND o.seq > d.intent_seq
	        AND o.seq <= d.last_seq)
	    + (SELECT count(*) FROM enotify.retry t WHERE t.batch_id = d.batch_id AND t.seq > d.intent_seq
	      AND t.seq <= d.last_seq))
	  FROM enotify.batch_domain d WHERE d.batch_id = ANY ($1) AND d.intent_seq < d.last_seq GROUP BY d.batch_id`,
		"recipients that were tried without an intent"},
	{`SELECT b.id, count(*) FROM enotify.batch b JOIN enotify.retry t ON t.batch_id = b.id
	  WHERE b.id = ANY ($1) AND b.finished_at IS NOT NULL GROUP BY b.id`,
		"retries of a batch that has finished"},
	{`SELECT batch_id, sum(abs(coalesce(c.n, 0) - coalesce(o.n, 0)))
	  FROM (SELECT batch_id, state, sum(n) AS n FROM enotify.batch_count WHERE batch_id = ANY ($1)
	    GROUP BY batch_id, state) c
	  FULL JOIN (SELECT batch_id, state, count(*) AS n FROM enotify.outcome WHERE batch_id = ANY ($1)
	    GROUP BY batch_id, state) o USING (batch_id, state)
	  GROUP BY batch_id`,
		"outcomes that batch_count has wrong"},
}

// How much is audited at once.
const (
	auditedBatches    = 2000
	auditedRecipients = 1_000_000
)

// Audit checks one batch, or with 0 all of them, in one snapshot: it may run
// while mail is sent.
func (r Reader) Audit(ctx context.Context, batch int64) (audits []Audit, err error) {
	audits = []Audit{}
	err = r.read(ctx, func(tx pgx.Tx) error {
		if _, err := tx.Exec(ctx, memorySQL); err != nil {
			return err
		}
		rows, err := tx.Query(ctx, auditedSQL, batch)
		if err != nil {
			return err
		}
		type sealed struct {
			ID    int64
			Total int
		}
		all, err := pgx.CollectRows(rows, pgx.RowToStructByPos[sealed])
		if err != nil {
			return err
		}
		if batch != 0 && len(all) == 0 {
			return queue.NotFound(queue.NounBatch, batch)
		}
		var some []int64
		recipients := 0
		for i, b := range all {
			some = append(some, b.ID)
			recipients += b.Total
			if last := i == len(all)-1; !last && len(some) < auditedBatches && recipients < auditedRecipients {
				continue
			}
			done, err := audit(ctx, tx, some)
			if err != nil {
				return fmt.Errorf("audit of batches %d to %d: %w", some[0], b.ID, err)
			}
			audits = append(audits, done...)
			some, recipients = some[:0], 0
		}
		return nil
	})
	return audits, err
}

func audit(ctx context.Context, tx pgx.Tx, batches []int64) ([]Audit, error) {
	found, err := queue.Statuses(ctx, tx, `id = ANY ($1) ORDER BY id`, batches)
	if err != nil {
		return nil, err
	}
	audits := make([]Audit, len(found))
	kept := map[int64]*Audit{} // of batches that still have their recipients
	for i, s := range found {
		a := &audits[i]
		*a = Audit{Batch: s.ID, State: s.State, Total: s.Total, States: map[string]int{}, Problems: []string{}}
		if s.PrunedAt == nil {
			kept[s.ID] = a
			continue
		}
		for _, c := range s.Counts() { // all there is
			a.States[string(c.State)] = c.N
		}
	}
	ids := slices.Sorted(maps.Keys(kept))
	rows, err := tx.Query(ctx, rowsSQL, ids)
	if err != nil {
		return nil, err
	}
	var id int64
	var state string
	var n int
	if _, err := pgx.ForEachRow(rows, []any{&id, &state, &n},
		func() error { kept[id].States[state] = n; return nil }); err != nil {
		return nil, err
	}
	for i, s := range found {
		audits[i].compare(s)
	}
	for _, i := range imbalances {
		rows, err := tx.Query(ctx, i.sql, ids)
		if err != nil {
			return nil, fmt.Errorf("%s: %w", i.what, err)
		}
		_, err = pgx.ForEachRow(rows, []any{&id, &n}, func() error {
			if n != 0 {
				kept[id].Problems = append(kept[id].Problems, fmt.Sprintf("%s: %d", i.what, n))
			}
			return nil
		})
		if err != nil {
			return nil, fmt.Errorf("%s: %w", i.what, err)
		}
	}
	return audits, nil
}

// compare holds the counts, which follow from sums, against the rows.
func (a *Audit) compare(s queue.Status) {
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
			a.Problems = append(a.Problems,
				fmt.Sprintf("the %s of all states add up to %d, but %d recipients were sealed", sum.of, sum.n, s.Total))
		}
	}
}
