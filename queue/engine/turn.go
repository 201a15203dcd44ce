package engine

import (
	"cmp"
	"context"
	"errors"
	"slices"
	"time"

	"github.com/jackc/pgx/v5"
)

// A batch may take the turn when the sites of its domains are known, and the guard
// lets it.
const eligibleSQL = `
SELECT b.id, b.priority FROM enotify.next_batches(1, true) n (id) JOIN enotify.batch b ON b.id = n.id`

// lockNextSQL passes over a batch whose content an application is replacing.
const lockNextSQL = `
SELECT b.id, b.priority FROM enotify.next_batches(20, true) WITH ORDINALITY n (id, place)
  JOIN enotify.batch b ON b.id = n.id
WHERE b.state = 'queued' ORDER BY n.place LIMIT 1 FOR NO KEY UPDATE OF b SKIP LOCKED`

// activeSQL are the batches that have the turn or had it: few, beside thousands that have
// only retries.
const activeSQL = `ARRAY(
	SELECT o.id FROM enotify.batch o WHERE o.state = 'sending'
	UNION ALL SELECT o.id FROM enotify.batch o WHERE o.state = 'draining'
	UNION ALL SELECT o.id FROM enotify.batch o
		WHERE o.finished_at IS NULL AND o.state = 'retrying' AND o.passed_at IS NOT NULL)`

const (
	activeTurnsSQL = `
SELECT b.id, b.priority, b.state::text,
       b.state <> 'retrying' OR EXISTS (SELECT FROM enotify.batch_domain d
         WHERE d.batch_id = b.id AND d.intent_seq < d.last_seq)
FROM enotify.batch b
WHERE b.id = ANY (` + activeSQL + `)
ORDER BY b.turn_at, b.id`
	yieldSQL = `
UPDATE enotify.batch SET state = 'queued', yielded_at = clock_timestamp(),
  reason = 'waits for a batch of higher priority'
  WHERE id = $1 AND state IN ('sending', 'draining')`
	drainSQL = `
UPDATE enotify.batch SET state = 'draining', reason = 'waits for slow sites' WHERE id = $1 AND state = 'sending'`
	passSQL = `
UPDATE enotify.batch SET state = 'retrying', passed_at = now(), reason = 'the rest waits for sites that do not move'
  WHERE id = $1 AND state IN ('sending', 'draining')`
	beginSQL = `
UPDATE enotify.batch SET state = $2::enotify.batch_state, started_at = coalesce(started_at, now()),
  turn_at = clock_timestamp(), passed_at = NULL, yielded_at = NULL, reason = '',
       turn_intents = (SELECT coalesce(sum(d.intent_seq - d.first_seq + 1), 0) FROM enotify.batch_domain d
         WHERE d.batch_id = $1) WHERE id = $1 AND state = 'queued'`
	// Of batches that were passed: every recipient has been tried by now.
	triedSQL = `
UPDATE enotify.batch SET passed_at = NULL, reason = ''
WHERE id IN (SELECT id FROM enotify.batch WHERE id = ANY ($1) AND state = 'retrying'
  ORDER BY id FOR NO KEY UPDATE SKIP LOCKED)`
)

// A turn is a batch that has the turn, that had it and has untried recipients, or
// that is next.
type turn struct {
	ID       int64
	Priority int
}

// turns holds the batches whose first tries are under way.
type turns struct {
	sending  turn    // has the turn; ID 0: none
	draining []turn  // had it, and go before it in their domains; the earliest first
	passed   []turn  // had it, and do not move; the earliest first
	tried    []int64 // were passed, and have no untried recipients any more
}

// order lists the batches whose first tries may begin. Where two of them have
// the same domain, the first one goes before the other.
func (t turns) order() []int64 {
	all := slices.Concat(t.passed, t.draining)
	if t.sending.ID != 0 {
		all = append(all, t.sending)
	}
	slices.SortStableFunc(all, func(a, b turn) int { return cmp.Compare(b.Priority, a.Priority) })
	ids := make([]int64, len(all))
	for i, b := range all {
		ids[i] = b.ID
	}
	return ids
}

// held lists the batches that keep the turn while they move.
func (t turns) held() []turn {
	held := slices.Clip(t.draining)
	if t.sending.ID != 0 {
		held = append(held, t.sending)
	}
	return held
}

// takeTurn gives the turn to the batch that should have it, and returns the turns
// as they are then. A batch of higher priority takes it at once. With keep no batch
// begins. A batch that a stranger has locked keeps its state, and the turn only while
// it moves.
func (db *store) takeTurn(ctx context.Context, keep bool, s *strangers) (t turns, err error) {
	t, c, err := db.decide(ctx, db.pool, false, s)
	if err != nil {
		return t, err
	}
	if len(t.tried) > 0 {
		if _, err := db.pool.Exec(ctx, triedSQL, t.tried); err != nil {
			return t, err
		}
	}
	if c.begin.ID == 0 || keep {
		return t, nil
	}
	// A domain that cannot move to the group of its site now is safe where it is.
	_ = db.inTx(ctx, func(tx pgx.Tx) error { return regroupBatch(ctx, tx, c.begin.ID) })
	err = db.inTx(ctx, func(tx pgx.Tx) error {
		if _, err := tx.Exec(ctx, `SELECT enotify.lock_turn()`); err != nil {
			return err
		}
		if _, err := tx.Exec(ctx, shortWaitSQL); err != nil {
			return err
		}
		if t, c, err = db.decide(ctx, tx, true, s); err != nil || c.begin.ID == 0 {
			return err
		}
		ids := []int64{} // the next one is locked already
		for _, b := range t.held() {
			ids = append(ids, b.ID)
		}
		locked, err := lockFree(ctx, tx, ids)
		if err != nil {
			return err
		}
		now := time.Now()
		s.found(ids, locked, now)
		if slices.ContainsFunc(locked, func(id int64) bool { return !s.holds(id, now) }) {
			return nil // our own steps lock a batch too, for a moment
		}
		for _, id := range c.yield {
			if slices.Contains(locked, id) {
				continue
			}
			if _, err := tx.Exec(ctx, yieldSQL, id); err != nil {
				return err
			}
		}
		for _, id := range c.pass {
			if slices.Contains(locked, id) {
				continue
			}
			if _, err := tx.Exec(ctx, passSQL, id); err != nil {
				return err
			}
		}
		state := "sending"
		switch {
		case slices.Contains(locked, t.sending.ID): // it stays in that state, and only one may have it
			state = "draining"
		case c.drain:
			if _, err := tx.Exec(ctx, drainSQL, t.sending.ID); err != nil {
				return err
			}
		}
		if _, err = tx.Exec(ctx, beginSQL, c.begin.ID, state); err != nil {
			return err
		}
		t, err = active(ctx, tx)
		return err
	})
	if locked(err) { // the turn stays where it is
		return active(ctx, db.pool)
	}
	return t, err
}

type querier interface {
	Query(ctx context.Context, sql string, args ...any) (pgx.Rows, error)
}

// A change of the turn.
type change struct {
	begin turn    // takes it; ID 0: there is no change
	yield []int64 // batches of lower priority, which go back into the queue
	pass  []int64 // batches that do not move, which go on as retrying
	drain bool    // the batch that has it drains
}

// decide returns the turns as they are, and how they should change. With lock, the
// batch that is next is locked.
func (db *store) decide(ctx context.Context, q querier, lock bool, s *strangers) (t turns, c change, err error) {
	if t, err = active(ctx, q); err != nil {
		return t, c, err
	}
	nextSQL := eligibleSQL
	if lock {
		nextSQL = lockNextSQL
	}
	rows, err := q.Query(ctx, nextSQL)
	if err != nil {
		return t, c, err
	}
	next, err := pgx.CollectExactlyOneRow(rows, pgx.RowToStructByPos[turn])
	if errors.Is(err, pgx.ErrNoRows) {
		return t, c, nil
	}
	if err != nil {
		return t, c, err
	}
	var stay []int64
	for _, b := range t.held() {
		if b.Priority < next.Priority {
			c.yield = append(c.yield, b.ID)
		} else {
			stay = append(stay, b.ID)
		}
	}
	if len(stay) > 0 {
		if c.pass, err = stuck(ctx, q, stay); err != nil {
			return t, change{}, err
		}
		now := time.Now()
		stay = slices.DeleteFunc(stay, func(id int64) bool {
			return slices.Contains(c.pass, id) || s.over[id] && s.holds(id, now)
		})
	}
	c.drain = slices.Contains(stay, t.sending.ID)
	mayBegin := len(stay) == 0
	if !mayBegin && len(stay) <= maxDraining {
		if mayBegin, err = byDestination(ctx, q); err == nil && mayBegin && c.drain {
			mayBegin, err = onlyWaits(ctx, q, t.sending.ID)
		}
	}
	if err != nil || !mayBegin {
		return t, change{}, err
	}
	c.begin = next
	return t, c, nil
}

// active lists the batches whose first tries are under way.
func active(ctx context.Context, q querier) (t turns, err error) {
	rows, err := q.Query(ctx, activeTurnsSQL)
	if err != nil {
		return t, err
	}
	var b turn
	var state string
	var untried bool
	_, err = pgx.ForEachRow(rows, []any{&b.ID, &b.Priority, &state, &untried}, func() error {
		switch {
		case state == "sending":
			t.sending = b
		case state == "draining":
			t.draining = append(t.draining, b)
		case untried:
			t.passed = append(t.passed, b)
		default:
			t.tried = append(t.tried, b.ID)
		}
		return nil
	})
	return t, err
}

// NOTIFY is lost while a node does not listen, so this is asked each second.
const idleSQL = `
SELECT NOT EXISTS (SELECT FROM enotify.batch b WHERE b.state IN ('sending', 'draining'))
   AND NOT EXISTS (SELECT FROM enotify.batch b
     WHERE b.state = 'queued' AND (b.not_before IS NULL OR b.not_before <= now()) AND b.expires_at > now()
	AND b.reason NOT LIKE 'waits for DNS%' AND b.reason NOT LIKE 'waits for an address of pool%'
	AND NOT ` + outOfPlanSQL + `)
   AND NOT EXISTS (SELECT FROM enotify.batch b WHERE b.finished_at IS NULL AND b.state = 'retrying' AND (
	EXISTS (SELECT FROM enotify.retry t WHERE t.batch_id = b.id AND t.intent_at IS NOT NULL)
	OR b.reason NOT LIKE 'waits for an address of pool%'
		AND enotify.window_allows(b.client_id, b.priority, b.send_window)
	   AND EXISTS (SELECT FROM enotify.retry t WHERE t.batch_id = b.id AND t.due_at <= now())))`

// idle reports whether nothing is due: what is left waits for a time, for DNS or for the operator.
func (db *store) idle(ctx context.Context) (idle bool, err error) {
	err = db.pool.QueryRow(ctx, idleSQL).Scan(&idle)
	return idle, err
}
