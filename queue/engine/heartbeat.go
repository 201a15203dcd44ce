package engine

import (
	"context"
	"time"

	"enotify/queue"
)

// heartbeat does what is due about once a second: renew the leases and share
// them fairly, move batches on, take the turn, look for retries that are due.
// With UntilIdle it reports whether nothing is due. One that comes soon after
// another only moves batches on and takes the turn. A heartbeat that nothing asked for only renews
// the leases, where newsSQL finds nothing else to do.
func (v *serving) heartbeat(ctx context.Context, asked bool) (idle bool, err error) {
	ctx, cancel := context.WithTimeout(ctx, roundTrip) // a database that is cut off without a word
	defer cancel()
	now := time.Now()
	stall := v.progress.next()
	must := v.phase != steady || v.Node.Turn == queue.ByDestination || !stall.IsZero() && !stall.After(now)
	if v.vacant.Swap(false) || must || now.Sub(v.renewed) >= breath {
		if err := v.keepAlive(ctx); err != nil {
			return false, err
		}
		v.renewed = now
	}
	if !asked && v.still(now) {
		if news, err := v.news(ctx); err != nil || !news {
			return false, err
		}
	} else {
		v.mark = 0 // what is read now may differ from what the last question saw, and be so again at the next
	}
	if must || now.Sub(v.refreshed) >= breath {
		if err := v.refresh(ctx); err != nil {
			return false, err
		}
		v.refreshed = now
	}
	moves, more, err := v.store.advance(ctx, &v.strangers)
	if err != nil {
		return false, err
	}
	v.logMoves(moves)
	if more {
		v.Wake()
	}
	if time.Since(v.swept) >= sweep {
		ended, err := v.store.endDrafts(ctx)
		if err != nil {
			return false, err
		}
		v.logMoves(ended)
		if err := v.dropOldPlans(ctx); err != nil {
			return false, err
		}
		v.swept = time.Now()
	}
	if err := v.settleFaults(ctx); err != nil {
		return false, err
	}
	if err := v.survey(ctx); err != nil {
		return false, err
	}
	if err := v.stopOutOfPlan(ctx); err != nil {
		return false, err
	}
	if v.mayLook() {
		if err := v.look(ctx, time.Now()); err != nil {
			return false, err
		}
	}
	turns, err := v.store.takeTurn(ctx, len(v.smalls.list) > 0 || v.relay.waiting() > 0, &v.strangers)
	if err != nil {
		return false, err
	}
	if err := v.tellStrangers(ctx, time.Now()); err != nil {
		return false, err
	}
	v.follow(turns)
	if len(v.batches.unread) > 0 { // the guard let them go for the addresses as they were at that moment, no earlier
		if err := v.lookAtEgress(ctx); err != nil {
			return false, err
		}
	}
	if err := v.review(ctx); err != nil {
		return false, err
	}
	if err := v.load(ctx); err != nil {
		return false, err
	}
	// forget_learned ends the hold of a site and makes its recipients due in one
	// transaction: memory that is read after the recipients has no such hold any more.
	if v.lanes.retries() {
		if err := v.remember(ctx); err != nil {
			return false, err
		}
	}
	if err := v.direct(ctx); err != nil {
		return false, err
	}
	v.phase = steady
	v.reach.prune()
	if err := v.watch(ctx); err != nil {
		return false, err
	}
	if !v.UntilIdle || more || len(v.batches.order) > 0 || v.flights.count() > 0 {
		return false, nil // not idle, or not needed without UntilIdle
	}
	return v.store.idle(ctx)
}

// keepAlive renews the leases.
func (v *serving) keepAlive(ctx context.Context) error {
	if err := v.journal.heal(); err != nil {
		v.store.tellTrouble(ctx, v.node.ID, err)
		return err
	}
	return v.renew(ctx)
}

// refresh reads what the node keeps a copy of, and does what else a heartbeat does about
// the node.
func (v *serving) refresh(ctx context.Context) error {
	if err := v.remember(ctx); err != nil {
		return err
	}
	if v.leases.orphaned {
		if err := v.replay(ctx); err != nil {
			return err
		}
		v.leases.orphaned = false
	}
	if err := v.reclaim(ctx); err != nil {
		return err
	}
	if err := v.store.stopRefused(ctx); err != nil {
		return err
	}
	if err := v.lookAtEgress(ctx); err != nil {
		return err
	}
	return v.waitForPools(ctx)
}

// follow takes note of how the turns stand.
func (v *serving) follow(t turns) {
	v.batches.follow(t)
	held := t.held()
	ids := make([]int64, len(held))
	for i, b := range held {
		ids[i] = b.ID
	}
	v.progress.follow(ids, time.Now())
}

func (v *serving) logMoves(moves []move) {
	for _, m := range moves {
		v.log.Info("batch moved on", "batch", m.ID, "state", m.State)
	}
}
