package engine

import (
	"context"
	"slices"
	"time"

	"enotify/queue"

	"github.com/jackc/pgx/v5"
)

// keep does what is due about once a second: renew the leases and share them
// fairly, move batches on, take the turn, look for retries that are due. With
// UntilIdle it says whether nothing is due.
func (v *serving) keep(ctx context.Context) (idle bool, err error) {
	ctx, cancel := context.WithTimeout(ctx, roundTrip) // a database that is cut off without a word
	defer cancel()
	if err := v.journal.heal(); err != nil {
		return false, err
	}
	if err := v.renew(ctx); err != nil {
		return false, err
	}
	if err := v.remember(ctx); err != nil {
		return false, err
	}
	if v.orphans {
		if err := v.replay(ctx); err != nil {
			return false, err
		}
		v.orphans = false
	}
	if err := v.reclaim(ctx); err != nil {
		return false, err
	}
	moves, err := v.store.advance(ctx)
	if err != nil {
		return false, err
	}
	v.report(moves)
	if err := v.store.stopRefused(ctx); err != nil {
		return false, err
	}
	if err := v.settleFaults(ctx); err != nil {
		return false, err
	}
	if err := v.survey(ctx); err != nil {
		return false, err
	}
	turns, err := v.store.takeTurn(ctx)
	if err != nil {
		return false, err
	}
	v.follow(turns)
	if err := v.halt(ctx); err != nil {
		return false, err
	}
	if err := v.load(ctx); err != nil {
		return false, err
	}
	v.mu.Lock()
	busy := v.total > 0
	v.mu.Unlock()
	if busy || len(v.order) > 0 || !v.UntilIdle {
		return false, nil // or nobody asks
	}
	return v.store.idle(ctx)
}

// follow takes note of how the turns stand.
func (v *serving) follow(t turns) {
	if t.sending.ID != v.turn {
		v.turn = t.sending.ID
		clear(v.assigned)
	}
	order := make([]int64, 0, len(t.draining)+1)
	for _, d := range t.draining {
		order = append(order, d.ID)
	}
	if v.turn != 0 {
		order = append(order, v.turn)
	}
	if !slices.Equal(order, v.order) {
		v.order, v.stale = order, true
		v.mu.Lock()
		v.shared = len(order) > 1
		v.mu.Unlock()
	}
}

// renew beats, and moves our share of the groups towards a fair one.
func (v *serving) renew(ctx context.Context) error {
	if v.MessageTime != nil {
		v.node.MessageTime = v.MessageTime()
	}
	asked := time.Since(v.start)
	held, alive, now, err := v.store.beat(ctx, v.node, v.waitsFor)
	if err != nil {
		return err
	}
	v.waitsFor = 0
	v.clock.Store(&now)
	v.expires.Store((asked + queue.LeaseTTL - leaseMargin).Nanoseconds())
	share, err := v.share(ctx, alive)
	if err != nil {
		return err
	}
	if len(held) < share {
		taken, settled, err := v.store.adopt(ctx, v.id, share-len(held))
		if err != nil {
			return err
		}
		v.orphans = v.orphans || settled
		held = append(held, taken...)
		if len(taken) > 0 {
			v.stale, v.restored = true, time.Time{}
			v.log.Info("leased", "groups", len(held), "nodes", alive)
		}
	}
	epochs := make(map[int16]int64, len(held))
	for _, l := range held {
		epochs[l.grp] = l.epoch
		if v.held[l.grp] != l.epoch {
			v.stale = true
		}
	}
	v.held = epochs
	return v.giveBack(ctx, share)
}

// giveBack lets groups above our share drain, and releases those that have.
func (v *serving) giveBack(ctx context.Context, share int) error {
	for grp := range v.held {
		if len(v.held)-len(v.giving) <= share {
			break
		}
		v.giving[grp] = true
	}
	var drained []int16
	v.mu.Lock()
	for grp := range v.giving {
		if v.inFlight[grp] == 0 {
			drained = append(drained, grp)
		}
	}
	v.mu.Unlock()
	if len(drained) == 0 || v.unsure { // an intent that nobody answered for must be taken back first, and that takes the lease
		return nil
	}
	if err := v.remember(ctx); err != nil { // for whoever takes them
		return err
	}
	if err := v.store.release(ctx, v.id, drained); err != nil {
		return err
	}
	for _, grp := range drained {
		delete(v.held, grp)
		delete(v.giving, grp)
	}
	v.log.Info("gave groups back", "groups", len(drained))
	return nil
}

const activeSQL = `SELECT id, edits FROM enotify.batch WHERE id = ANY ($1) AND state IN ('sending', 'draining', 'retrying') AND enotify.may_send($2, client_id)`

// halt asks which batches may be sent from here just now, and stops the runs of
// the others. That may be otherwise than takeTurn said: whoever requeues or
// pauses a batch does not wait for us.
func (v *serving) halt(ctx context.Context) error {
	ids := slices.Clone(v.order)
	for id := range v.runs {
		ids = append(ids, id)
	}
	if len(ids) == 0 {
		v.active = nil
		return nil
	}
	rows, err := v.store.pool.Query(ctx, activeSQL, ids, v.id)
	if err != nil {
		return err
	}
	active, edits := make(map[int64]bool, len(ids)), make(map[int64]int, len(ids))
	var id int64
	var n int
	if _, err := pgx.ForEachRow(rows, []any{&id, &n}, func() error { active[id], edits[id] = true, n; return nil }); err != nil {
		return err
	}
	for id, r := range v.runs {
		if active[id] && r.batch.Edits != edits[id] { // it was stopped, edited and begun again between two looks
			v.stale = true
			v.lanes.keep(func(l *lane) bool { return l.batch != id })
		}
		if !active[id] || r.batch.Edits != edits[id] {
			r.halted.Store(true)
			delete(v.runs, id)
		}
	}
	v.lanes.keep(func(l *lane) bool { return active[l.batch] })
	for _, batch := range v.order {
		v.stale = v.stale || active[batch] && !v.active[batch] // its lanes were dropped, though it has kept its turn
	}
	v.active = active
	return nil
}

// load reads the lanes of the turn when something changed them, and the
// retries that are due.
func (v *serving) load(ctx context.Context) error {
	grps := make([]int16, 0, len(v.held))
	for grp := range v.held {
		if !v.giving[grp] {
			grps = append(grps, grp)
		}
	}
	if v.stale {
		v.lanes.keep(func(l *lane) bool { return l.retry })
		for _, batch := range v.order {
			if !v.active[batch] {
				continue
			}
			lanes, err := v.store.lanes(ctx, batch, grps)
			if err != nil {
				return err
			}
			if err := v.put(ctx, lanes); err != nil {
				return err
			}
		}
	}
	v.stale = false
	lanes, err := v.store.retryLanes(ctx, v.id, grps)
	if err != nil {
		return err
	}
	return v.put(ctx, lanes)
}

func (v *serving) put(ctx context.Context, lanes []lane) error {
	now := time.Now()
	for _, l := range lanes {
		if v.runs[l.batch] == nil {
			batch, err := v.DB.Content(ctx, l.batch)
			if err != nil {
				return err
			}
			v.runs[l.batch] = v.newRun(batch)
			if !l.retry && l.batch == v.turn {
				v.log.Info("batch has the turn", "batch", l.batch, "client", batch.Client, "domains", len(lanes))
			}
		}
		if l.site != "" && v.assigned[l.domainID] != l.site {
			v.assigned[l.domainID] = l.site
			v.Admission.Assign(l.domain, l.site, now)
		}
		v.lanes.put(l)
	}
	return nil
}

func (v *serving) report(moves []move) {
	for _, m := range moves {
		v.log.Info("batch moved on", "batch", m.ID, "state", m.State)
	}
}
