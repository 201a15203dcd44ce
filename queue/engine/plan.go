package engine

import (
	"context"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"

	"enotify/queue/window"
)

// The plan is when a client may send, and how much: its windows and those of its
// batches, its messages a day and a month, its batches at once.
//
// Three places keep to it. A batch outside of the plan takes no turn (outOfPlanSQL).
// One that has the turn gives it on (stopSQL), and goes on in its order when it may.
// An intent is refused by the function may_take, so that the plan is exact for
// however many nodes: it counts the messages in its own transaction.

// outOfPlanSQL says of a batch b in state queued that it waits for its plan.
const outOfPlanSQL = `enotify.out_of_plan(b.client_id, b.priority, b.send_window, b.started_at IS NOT NULL)`

const (
	dueWindowsSQL = `
SELECT u.spec FROM (
	SELECT b.send_window FROM enotify.batch b WHERE b.finished_at IS NULL AND b.send_window IS NOT NULL
	UNION SELECT c.send_window FROM enotify.client c WHERE c.send_window IS NOT NULL
) u (spec)
LEFT JOIN enotify.send_window s ON s.spec = u.spec WHERE s.spec IS NULL OR s.closes_at <= now() LIMIT 1000`
	keepWindowSQL = `
INSERT INTO enotify.send_window AS s (spec, opens_at, closes_at) VALUES ($1, $2, $3)
ON CONFLICT (spec) DO UPDATE SET opens_at = excluded.opens_at, closes_at = excluded.closes_at
  WHERE s.closes_at < excluded.closes_at`
	dropWindowsSQL = `DELETE FROM enotify.send_window WHERE closes_at < now() - interval '1 day'`
	dropCountsSQL  = `DELETE FROM enotify.client_sent WHERE day < now()::date - 62`
	dropWarmedSQL  = `DELETE FROM enotify.warmup_mail WHERE at < now() - interval '30 days'`
)

// openWindows keeps, for each of these windows, which are in use and have no span or one
// that is over, the span that is open or the next one. A window whose zone is not known
// here stays closed: the error says so.
func (v *serving) openWindows(ctx context.Context, due []string) error {
	if len(due) == 0 {
		return nil
	}
	now := v.clock.Load().at(time.Now())
	var b pgx.Batch
	for _, spec := range due {
		w, err := window.Read(spec)
		if err != nil {
			v.log.Error("a window cannot be read, and stays closed", "error", err, "next",
				"enotify client set DOMAIN --window, or use a newer enotify")
			continue
		}
		if s, ok := w.Next(now); ok {
			b.Queue(keepWindowSQL, spec, s.Opens, s.Closes)
		}
	}
	return v.store.pool.SendBatch(ctx, &b).Close()
}

const (
	// Clients with batches under way that have no messages left in their day or month.
	isSpentSQL = `c.id IN (SELECT b.client_id FROM enotify.batch b
	WHERE b.finished_at IS NULL AND b.started_at IS NOT NULL)
  AND (c.per_day IS NOT NULL OR c.per_month IS NOT NULL)
  AND coalesce(c.spent_until <= now(), true) AND enotify.quota_left(c.id) = 0`
	spentSQL  = `UPDATE enotify.client c SET spent_until = enotify.quota_resumes(c.id) WHERE ` + isSpentSQL
	isOverSQL = `b.id = ANY (` + activeSQL + `)
		AND (b.state IN ('sending', 'draining') OR b.state = 'retrying' AND b.passed_at IS NOT NULL)
	  AND (NOT enotify.window_allows(b.client_id, b.priority, b.send_window)
	       OR c.spent_until > now() AND EXISTS (SELECT FROM enotify.batch_domain d
	         WHERE d.batch_id = b.id AND d.intent_seq < d.last_seq))`
	// One question stands for the steps below: mostly none of them has anything to do.
	planSQL = `
SELECT ARRAY(` + dueWindowsSQL + `), EXISTS (SELECT FROM enotify.client c WHERE ` + isSpentSQL + `),
  EXISTS (SELECT FROM enotify.batch b JOIN enotify.client c ON c.id = b.client_id WHERE ` + isOverSQL + `)`
	// A batch that was passed goes back too: else it would go first in its domains.
	stopSQL = `
WITH over AS MATERIALIZED (
	SELECT b.id, CASE WHEN enotify.window_allows(b.client_id, b.priority, b.send_window)
	                  THEN 'stopped: its client has sent all that it may for now'
	                  ELSE 'stopped at the end of its window' END AS why
	FROM enotify.batch b JOIN enotify.client c ON c.id = b.client_id WHERE ` + isOverSQL + `
	ORDER BY b.id FOR NO KEY UPDATE OF b SKIP LOCKED
)
UPDATE enotify.batch b SET state = 'queued', passed_at = NULL, reason = over.why FROM over WHERE b.id = over.id
RETURNING b.id, b.reason`
)

// stopOutOfPlan has batches give the turn on whose window has closed, or whose client
// has used up its messages. It passes over one that an application has locked: no
// intent of it succeeds meanwhile.
func (v *serving) stopOutOfPlan(ctx context.Context) error {
	var windows []string
	var spent, over bool
	if err := v.store.pool.QueryRow(ctx, planSQL).Scan(&windows, &spent, &over); err != nil {
		return fmt.Errorf("look for windows and quotas that have ended: %w", err)
	}
	if err := v.openWindows(ctx, windows); err != nil {
		return err
	}
	if spent {
		if _, err := v.store.execShort(ctx, spentSQL); err != nil && !locked(err) {
			return fmt.Errorf("note which clients have used up their messages: %w", err)
		}
	}
	if len(windows) == 0 && !spent && !over {
		return nil
	}
	rows, err := v.store.pool.Query(ctx, stopSQL)
	if err != nil {
		return err
	}
	var id int64
	var why string
	_, err = pgx.ForEachRow(rows, []any{&id, &why}, func() error {
		v.log.Info("batch gives the turn on", "batch", id, "why", why)
		return nil
	})
	return err
}

// dropOldPlans forgets windows that nobody uses, counts that no limit needs, and what left
// from which address so long ago that no complaint about it is to be expected.
func (v *serving) dropOldPlans(ctx context.Context) error {
	for _, sql := range []string{dropWindowsSQL, dropCountsSQL, dropWarmedSQL} {
		if _, err := v.store.pool.Exec(ctx, sql); err != nil {
			return fmt.Errorf("forget old windows and counts: %w", err)
		}
	}
	return nil
}

// An allowance is how many messages a client may still send in its day and month, as
// the last heartbeat found it, less those picked since. It belongs to the loop.
type allowance struct{ left int }

// allowed is how many first tries of a batch may be picked, of so many.
func (b *batches) allowed(batch int64, n int) int {
	if a := b.allowances[batch]; a != nil {
		return min(n, a.left)
	}
	return n
}

// spend notes first tries that were picked.
func (b *batches) spend(batch int64, n int) {
	if a := b.allowances[batch]; a != nil {
		a.left -= n
	}
}

// limited reports whether the messages of a batch are counted.
func (b *batches) limited(batch int64) bool { return b.allowances[batch] != nil }
