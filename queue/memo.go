package queue

import (
	"context"
	"encoding/json"
	"time"

	"github.com/jackc/pgx/v5"
)

// The kinds of a Memo. A name may have a memo of each kind.
const (
	Site   = "site"
	Domain = "domain"
)

// A Memo is what is kept of one site or recipient domain.
type Memo struct {
	Kind    string          // Site or Domain
	Name    string          // of it
	Domain  string          // a recipient domain of it: who holds its lease may write
	State   json.RawMessage // a JSON object; empty when there is nothing to remember
	Version int64           // grows with each write; 0: never written

	Changes int           // for the Memory: tells in Kept what it has written
	Age     time.Duration // since State was so, by the database's clock
	At      time.Time     // the same as a time
}

const memosSQL = `
SELECT kind, name, domain, state, version, clock_timestamp() - learned_at, learned_at, clock_timestamp()
FROM enotify.pace WHERE updated_at > $1`

// Memos lists the memos that changed after a time by the database's clock, with the
// zero time all of them. It returns the database's time.
func (db *DB) Memos(ctx context.Context, since time.Time) (memos []Memo, asked time.Time, err error) {
	rows, err := db.pool.Query(ctx, memosSQL, since)
	if err != nil {
		return nil, since, AsRefusal(err)
	}
	asked = since
	memos, err = pgx.CollectRows(rows, func(row pgx.CollectableRow) (m Memo, err error) {
		return m, row.Scan(&m.Kind, &m.Name, &m.Domain, &m.State, &m.Version, &m.Age, &m.At, &asked)
	})
	return memos, asked, AsRefusal(err)
}

// ForgetLearned forgets what was learned of a site, and ends its holds. Running
// nodes follow at once. The limits that were set for it stay.
func (db *DB) ForgetLearned(ctx context.Context, site string) error {
	var found bool
	if err := db.pool.QueryRow(ctx, `SELECT enotify.forget_learned($1)`, site).Scan(&found); err != nil {
		return AsRefusal(err)
	}
	if !found {
		return NotFound(NounLearned, site)
	}
	return nil
}
