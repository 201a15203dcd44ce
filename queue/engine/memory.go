package engine

import (
	"context"
	"encoding/json"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"

	"enotify/queue"
)

// A Memory is what an [Admission] has learned. The Server keeps it in the database,
// within about a second of a change and before it gives leases back, for the node
// that serves the same recipients next. Its methods must not wait.
type Memory interface {
	// Changed returns what differs from what is kept.
	Changed(now time.Time) []queue.Memo
	// Spent returns that part of it that must be kept before the messages
	// admitted last may begin.
	Spent(now time.Time) []queue.Memo
	// Kept is called with memos that were written, with their new Version, and with
	// memos that were not ours to write, with the old one.
	Kept(memos []queue.Memo)
	// Restore takes memos that have a higher Version than the known ones.
	Restore(memos []queue.Memo, now time.Time)
}

// overlap is how far back changes are read again: a write may become visible a
// little after one with a later time.
const overlap = 5 * time.Second

// Fenced twice: the caller holds the lease of the domain, so that a node which has
// lost it writes nothing; and the row is the one that the caller knows, so that a
// change by an operator is not overwritten.
const keepMemosSQL = `
WITH m AS (
	SELECT * FROM unnest($2::text[], $3::text[], $4::text[], $5::jsonb[], $6::bigint[])
		m (kind, name, domain, state, version)
)
INSERT INTO enotify.pace AS p (kind, name, domain, state, version)
SELECT m.kind, m.name, m.domain, m.state, m.version + 1
FROM m CROSS JOIN LATERAL (SELECT d.grp FROM enotify.domain d WHERE d.name = m.domain ORDER BY d.twin LIMIT 1) d
  JOIN enotify.lease l ON l.grp = d.grp
WHERE l.node_id = $1 AND l.until > clock_timestamp()
ORDER BY m.kind, m.name
ON CONFLICT (kind, name) DO UPDATE
SET domain = excluded.domain, state = excluded.state, version = excluded.version, learned_at = excluded.learned_at,
  updated_at = excluded.updated_at
WHERE p.version = excluded.version - 1
RETURNING p.kind, p.name, p.version`

// keepMemos writes memos and returns them with the versions that hold now.
func (db *store) keepMemos(ctx context.Context, node int32, memos []queue.Memo) ([]queue.Memo, error) {
	kinds, names, domains := make([]string, len(memos)), make([]string, len(memos)), make([]string, len(memos))
	states, versions := make([]json.RawMessage, len(memos)), make([]int64, len(memos))
	at := make(map[[2]string]int, len(memos))
	for i, m := range memos {
		kinds[i], names[i], domains[i], states[i], versions[i] = m.Kind, m.Name, m.Domain, m.State, m.Version
		if len(m.State) == 0 {
			states[i] = json.RawMessage("{}")
		}
		at[[2]string{m.Kind, m.Name}] = i
	}
	rows, err := db.pool.Query(ctx, keepMemosSQL, node, kinds, names, domains, states, versions)
	if err != nil {
		return nil, err
	}
	var key [2]string
	var version int64
	_, err = pgx.ForEachRow(rows, []any{&key[0], &key[1], &version}, func() error {
		memos[at[key]].Version = version
		return nil
	})
	return memos, err
}

// remember keeps what was learned here, and reads what others have kept.
func (v *serving) remember(ctx context.Context) error {
	if v.Memory == nil {
		return nil
	}
	if err := v.keepMemos(ctx, v.Memory.Changed(time.Now())); err != nil {
		return err
	}
	memos, asked, err := v.DB.Memos(ctx, v.restored)
	if err != nil {
		return fmt.Errorf("read what was learned: %w", err)
	}
	v.Memory.Restore(memos, time.Now())
	if len(memos) > 0 {
		v.restored = asked.Add(-overlap)
	}
	return nil
}

// keepSpent keeps what must be in the database before the messages just admitted
// may begin.
func (v *serving) keepSpent(ctx context.Context) error {
	if v.Memory == nil {
		return nil
	}
	return v.keepMemos(ctx, v.Memory.Spent(time.Now()))
}

func (v *serving) keepMemos(ctx context.Context, memos []queue.Memo) error {
	if len(memos) == 0 {
		return nil
	}
	memos, err := v.store.keepMemos(ctx, v.node.ID, memos)
	if err != nil {
		return fmt.Errorf("keep what was learned: %w", err)
	}
	v.Memory.Kept(memos)
	return nil
}
