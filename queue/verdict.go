package queue

import (
	"context"
	"net/netip"
	"time"

	"github.com/jackc/pgx/v5"
)

// A Verdict is what the guard found for one identity and one egress address.
type Verdict struct {
	// "mailfrom", "from" where its domain differs, "dkim" for the keys that sign, "dmarc" where no proof is aligned
	Identity    string        `json:"identity"`
	Domain      string        `json:"domain"`
	Egress      netip.Addr    `json:"egress"`
	Result      string        `json:"result"` // RFC 7208 §2.6; of dkim: pass or fail; of dmarc: fail or temperror
	Blocks      bool          `json:"blocks"` // nothing may be sent from Egress for this client
	Record      string        `json:"record"`
	Explanation string        `json:"explanation"` // one sentence
	Fix         string        `json:"fix"`         // zone line; "" when nothing needs a cure
	ValidFor    time.Duration `json:"-"`
}

// Temporary reports whether the check failed: it says nothing about the client, whose
// batches wait.
func (v Verdict) Temporary() bool { return v.Result == "temperror" }

// A StoredVerdict is a verdict with its history.
type StoredVerdict struct {
	Verdict
	Since        time.Time  `json:"since"`         // when it was found first
	CheckedAt    time.Time  `json:"checked_at"`    // when it was found last
	SupersededAt *time.Time `json:"superseded_at"` // when it changed; nil: it is current
}

const verdictsSQL = `
SELECT v.identity, v.domain, v.egress, v.result, v.blocks, v.record, v.explanation, v.fix, v.since, v.checked_at,
  v.superseded_at
FROM enotify.verdict v JOIN enotify.client c ON c.id = v.client_id WHERE c.domain = $1
ORDER BY v.superseded_at DESC NULLS FIRST, v.identity, v.egress LIMIT $2`

// Verdicts lists the latest verdicts on a client, current ones first.
func (db *DB) Verdicts(ctx context.Context, client string, limit int) ([]StoredVerdict, error) {
	rows, err := db.pool.Query(ctx, verdictsSQL, client, limit)
	if err != nil {
		return nil, err
	}
	return pgx.CollectRows(rows, func(row pgx.CollectableRow) (v StoredVerdict, err error) {
		var egress netip.Prefix
		err = row.Scan(&v.Identity, &v.Domain, &egress, &v.Result, &v.Blocks, &v.Record, &v.Explanation, &v.Fix,
			&v.Since, &v.CheckedAt, &v.SupersededAt)
		v.Egress = egress.Addr()
		return v, err
	})
}
