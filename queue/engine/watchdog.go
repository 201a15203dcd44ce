package engine

import (
	"context"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"

	"enotify/queue"
)

// stallTime is how long a batch may have the turn without a message of it being
// begun or recorded, while nothing waits for a site.
var stallTime = time.Minute

// A watchdog notices a turn that does not move. It belongs to the loop.
type watchdog struct {
	turn  int64
	moved time.Time // when it last did, as far as this node knows
	told  bool
}

// watch looks at the turn after a heartbeat. A turn without lanes here and with
// nothing under way makes the next heartbeat read everything again: another node
// may have its lanes, or what is in the database is not what we believe.
func (v *serving) watch(ctx context.Context) error {
	w := &v.watchdog
	if v.batches.turn != w.turn || v.flights.count() > 0 || v.lanes.waiting(v.batches.turn) {
		*w = watchdog{turn: v.batches.turn, moved: time.Now()}
		return nil
	}
	if w.turn == 0 {
		return nil
	}
	v.phase.worsen(stale)
	if time.Since(w.moved) < stallTime || w.told {
		return nil
	}
	n, err := v.store.settleOwn(ctx, v.node.ID)
	if err != nil {
		return fmt.Errorf("settle batch %d, which does not move: %w", w.turn, err)
	}
	if n == 0 {
		w.moved = time.Now() // other nodes have what is left
		return nil
	}
	w.told = true
	a := queue.Alert{Kind: queue.AlertStalled, Batch: w.turn, Next: fmt.Sprintf("enotify batch show %d", w.turn),
		Text: fmt.Sprintf("batch %d had not moved for a minute: %d recipients were neither waiting nor under way, and are now settled as in doubt", w.turn, n)}
	v.log.Error("batch did not move", "batch", w.turn, "recipients", n, "next", a.Next)
	if err := v.DB.Raise(ctx, a); err != nil {
		return err
	}
	v.alert([]queue.Alert{a})
	return nil
}

const ownGroupsSQL = `
SELECT grp FROM enotify.lease WHERE node_id = $1 AND until > clock_timestamp() ORDER BY grp FOR UPDATE`

// settleOwn settles what lies under the intents of the node's groups and has no
// outcome, when nothing is under way here; n counts those recipients.
func (db *store) settleOwn(ctx context.Context, node int32) (n int64, err error) {
	err = db.inTx(ctx, func(tx pgx.Tx) error {
		rows, err := tx.Query(ctx, ownGroupsSQL, node)
		if err != nil {
			return err
		}
		grps, err := pgx.CollectRows(rows, pgx.RowTo[int16])
		if err != nil || len(grps) == 0 {
			return err
		}
		holders := make([]int32, len(grps))
		for i := range holders {
			holders[i] = node
		}
		n, err = settle(ctx, tx, grps, holders)
		return err
	})
	return n, err
}
