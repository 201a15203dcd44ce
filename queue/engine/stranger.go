package engine

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"time"

	"github.com/jackc/pgx/v5"

	"enotify/queue"
)

// strangerAfter is how long the row of a batch may be locked before others no longer
// wait for it: our own steps lock it for milliseconds.
const strangerAfter = 500 * time.Millisecond

// strangers are the batches whose rows somebody else has locked, such as an operator
// whose transaction is open. Such a batch is sent as it stands, but it cannot change
// its state, so it cannot give the turn on: others begin as draining. They belong to
// the loop.
type strangers struct {
	since map[int64]time.Time
	over  map[int64]bool // those that would move on, so that they need the turn no longer
	told  map[int64]bool
}

// found notes which of the batches are locked just now, of those that were looked at.
func (s *strangers) found(looked, locked []int64, now time.Time) {
	if s.since == nil {
		s.since, s.over, s.told = map[int64]time.Time{}, map[int64]bool{}, map[int64]bool{}
	}
	for _, id := range looked {
		if !slices.Contains(locked, id) {
			delete(s.since, id)
			delete(s.over, id)
			delete(s.told, id)
		} else if s.since[id].IsZero() {
			s.since[id] = now
		}
	}
}

// holds reports whether somebody has locked a batch for so long that others do not
// wait for it.
func (s *strangers) holds(id int64, now time.Time) bool {
	since, locked := s.since[id]
	return locked && now.Sub(since) >= strangerAfter
}

// list returns the batches that strangers hold and that are over.
func (s *strangers) list(now time.Time) []int64 {
	ids := []int64{}
	for id := range s.over {
		if s.holds(id, now) {
			ids = append(ids, id)
		}
	}
	slices.Sort(ids)
	return ids
}

// lockedSQL locks those of the batches that nobody else has locked, and lists the others.
const lockedSQL = `
WITH free AS (SELECT b.id FROM enotify.batch b WHERE b.id = ANY ($1) ORDER BY b.id FOR NO KEY UPDATE SKIP LOCKED)
SELECT w.id FROM enotify.batch w WHERE w.id = ANY ($1) AND w.id NOT IN (SELECT id FROM free) ORDER BY w.id`

func lockFree(ctx context.Context, tx pgx.Tx, ids []int64) (locked []int64, err error) {
	rows, err := tx.Query(ctx, lockedSQL, ids)
	if err != nil {
		return nil, err
	}
	return pgx.CollectRows(rows, pgx.RowTo[int64])
}

// recheck looks again at the batches that were locked.
func (db *store) recheck(ctx context.Context, s *strangers) error {
	clear(s.over)
	if len(s.since) == 0 {
		return nil
	}
	ids := slices.Sorted(maps.Keys(s.since))
	return db.inTx(ctx, func(tx pgx.Tx) error {
		locked, err := lockFree(ctx, tx, ids)
		if err == nil {
			s.found(ids, locked, time.Now())
		}
		return err
	})
}

// The row says which transaction has locked it, unless several have. What a login may
// see of others depends on its rights: the number of the process it always sees.
const whoLocksSQL = `
SELECT l.pid, coalesce(a.usename::text, ''), a.xact_start
FROM enotify.batch b JOIN pg_locks l ON l.locktype = 'transactionid' AND l.transactionid = b.xmax AND l.granted
LEFT JOIN pg_stat_activity a ON a.pid = l.pid WHERE b.id = $1`

// tellStrangers says who has locked a batch that others do not wait for any more.
func (v *serving) tellStrangers(ctx context.Context, now time.Time) error {
	s := &v.strangers
	for id, since := range s.since {
		if s.told[id] || !s.holds(id, now) {
			continue
		}
		s.told[id] = true
		who, end := "another session", "end that transaction"
		var pid int32
		var login string
		var began *time.Time
		err := v.store.pool.QueryRow(ctx, whoLocksSQL, id).Scan(&pid, &login, &began)
		if err == nil {
			who = fmt.Sprintf("process %d of login %s", pid, login)
			end = fmt.Sprintf("end that transaction (SELECT pg_terminate_backend(%d))", pid)
			if began != nil {
				since = *began
			}
		}
		a := queue.Alert{Kind: queue.AlertStalled, Batch: id, Next: fmt.Sprintf("enotify batch show %d", id),
			Text: fmt.Sprintf("%s has locked batch %d since %s: it is sent, but cannot be paused or end; "+
				"other batches go on beside it; %s", who, id, since.UTC().Format(time.DateTime+" MST"), end)}
		v.log.Warn("a batch is locked by an open transaction", "batch", id, "holder", who, "since", since,
			"next", end)
		if err := v.DB.Raise(ctx, a); err != nil {
			return err
		}
		v.alert([]queue.Alert{a})
	}
	return nil
}
