package engine

import (
	"context"
	"maps"
	"slices"
	"sync/atomic"
	"time"

	"github.com/jackc/pgx/v5"

	"enotify/queue"
)

// batches holds the batches that the node sends, as the last heartbeat found them. It
// belongs to the loop.
type batches struct {
	turn     int64          // has the turn; 0: none
	order    []int64        // the batches whose first tries may begin, see turns.order
	unread   map[int64]bool // the batches of order whose lanes were not read yet
	waitsFor int64          // turn, if it only waited for slow sites at a moment since the last heartbeat; else 0

	runs     map[int64]*run     // those with lanes or messages here
	active   map[int64]standing // those that may be sent by a live node, of runs and order
	assigned map[int32]string   // site that Admission was told of, per domain, since the turn changed hands

	allowances map[int64]*allowance // of batches whose clients have a limit; those of one client share it
}

func newBatches() *batches {
	return &batches{unread: map[int64]bool{}, runs: map[int64]*run{}, assigned: map[int32]string{}}
}

// A run is a batch for as long as it may be sent.
type run struct {
	batch    *queue.Batch // an outline, see contents
	halted   atomic.Bool
	mayBegin func() bool // one for all its messages
}

func newRun(batch *queue.Batch, l *leases) *run {
	r := &run{batch: batch}
	r.mayBegin = func() bool { return !r.halted.Load() && l.valid() }
	return r
}

// follow notes the turns as they are.
func (b *batches) follow(t turns) {
	if t.sending.ID != b.turn {
		b.turn = t.sending.ID
		clear(b.assigned)
	}
	order := t.order()
	for _, id := range order {
		if !slices.Contains(b.order, id) {
			b.unread[id] = true
		}
	}
	maps.DeleteFunc(b.unread, func(id int64, _ bool) bool { return !slices.Contains(order, id) })
	b.order = order
}

// ahead lists the batches that go before one.
func (b *batches) ahead(of int64) []int64 {
	if i := slices.Index(b.order, of); i > 0 {
		return b.order[:i]
	}
	return nil
}

// before reports whether one batch goes before other in a domain that both have.
func (b *batches) before(one, other int64) bool { return slices.Contains(b.ahead(other), one) }

// known lists the batches that review asks about.
func (b *batches) known() []int64 {
	ids := slices.Clone(b.order)
	for id := range b.runs {
		ids = append(ids, id)
	}
	return ids
}

// review stops the runs of batches that may not be sent from here any more, or
// were edited, and returns their numbers. It reports whether a batch under way may
// be sent with lanes that were dropped.
func (b *batches) review(sendable map[int64]standing) (stopped []int64, again bool) {
	for id, r := range b.runs {
		now, may := sendable[id]
		if now.here && now.edits == r.batch.Edits {
			continue
		}
		r.halted.Store(true)
		delete(b.runs, id)
		stopped = append(stopped, id)
		again = again || may // it was stopped, edited and begun again between two looks, or others may send it
	}
	for _, id := range b.order {
		_, may := sendable[id]
		again = again || may && !b.sendable(id) || sendable[id].here && !b.active[id].here
	}
	b.active = sendable
	return stopped, again
}

// sendable reports whether a batch may be sent by a live node.
func (b *batches) sendable(id int64) bool {
	_, may := b.active[id]
	return may
}

// elsewhere reports whether only other nodes may send a batch.
func (b *batches) elsewhere() bool {
	for _, s := range b.active {
		if !s.here {
			return true
		}
	}
	return false
}

// halt stops all runs.
func (b *batches) halt() {
	for _, r := range b.runs {
		r.halted.Store(true)
	}
}

const sendableSQL = `
SELECT b.id, b.edits, ` + contentOctetsSQL + `, p.name, b.client_id, enotify.quota_left(b.client_id),
       ARRAY(SELECT n.id FROM enotify.node n WHERE (n.live_until > now() OR n.id = $2)
         AND enotify.may_send(n.id, b.client_id, p.name) ORDER BY n.id)
FROM enotify.batch b CROSS JOIN LATERAL (SELECT enotify.batch_pool(b.pool, b.priority, b.client_id) AS name) p
WHERE b.id = ANY ($1) AND b.state IN ('sending', 'draining', 'retrying')
  AND enotify.window_allows(b.client_id, b.priority, b.send_window)`

// A standing is what the database says of a batch that may be sent.
type standing struct {
	edits  int     // how often its content was replaced
	octets int     // of its content
	pool   string  // of egress addresses that it leaves from
	nodes  []int32 // that may send it
	here   bool    // this one is among them
}

// sendable picks the batches that a live node may send, and says how many messages
// their clients may still send, where that is limited.
func (db *store) sendable(
	ctx context.Context, node int32, batches []int64,
) (sendable map[int64]standing, allowances map[int64]*allowance, err error) {
	rows, err := db.pool.Query(ctx, sendableSQL, batches, node)
	if err != nil {
		return nil, nil, err
	}
	sendable = make(map[int64]standing, len(batches))
	allowances = map[int64]*allowance{}
	ofClient := map[int32]*allowance{}
	var id int64
	var s standing
	var client int32
	var left *int
	_, err = pgx.ForEachRow(rows, []any{&id, &s.edits, &s.octets, &s.pool, &client, &left, &s.nodes}, func() error {
		s.here = slices.Contains(s.nodes, node)
		if len(s.nodes) > 0 {
			sendable[id] = s
		}
		s.nodes = nil
		if left == nil {
			return nil
		}
		if ofClient[client] == nil {
			ofClient[client] = &allowance{*left}
		}
		allowances[id] = ofClient[client]
		return nil
	})
	return sendable, allowances, err
}

// review asks which batches may be sent from here just now, and stops the
// others. That may differ from what takeTurn said: a requeue or a pause does not
// wait for us.
func (v *serving) review(ctx context.Context) error {
	sendable := map[int64]standing{}
	if ids := v.batches.known(); len(ids) > 0 {
		var err error
		if sendable, v.batches.allowances, err = v.store.sendable(ctx, v.node.ID, ids); err != nil {
			return err
		}
	}
	stopped, again := v.batches.review(sendable)
	v.contents.drop(stopped)
	if again {
		v.phase.worsen(stale)
	}
	v.lanes.retain(func(l *lane) bool { return v.batches.sendable(l.batch) && !slices.Contains(stopped, l.batch) })
	return nil
}

// load reads the lanes of the batches whose first tries are under way, if they
// may have changed, and the retries that are due.
func (v *serving) load(ctx context.Context) error {
	grps := v.leases.usable()
	if v.phase > steady {
		v.lanes.retain(func(l *lane) bool { return l.retry })
	}
	for _, batch := range v.batches.order {
		if v.batches.sendable(batch) && (v.phase > steady || v.batches.unread[batch]) {
			lanes, err := v.store.lanes(ctx, batch, grps)
			if err != nil {
				return err
			}
			if err := v.put(ctx, lanes); err != nil {
				return err
			}
			delete(v.batches.unread, batch)
		}
	}
	lanes, err := v.store.retryLanes(ctx, grps)
	if err != nil {
		return err
	}
	var unknown []int64
	for _, l := range lanes {
		if !v.batches.sendable(l.batch) && !slices.Contains(unknown, l.batch) {
			unknown = append(unknown, l.batch)
		}
	}
	if len(unknown) > 0 {
		found, _, err := v.store.sendable(ctx, v.node.ID, unknown)
		if err != nil {
			return err
		}
		maps.Copy(v.batches.active, found)
	}
	lanes = slices.DeleteFunc(lanes, func(l lane) bool { return !v.batches.sendable(l.batch) })
	return v.put(ctx, lanes)
}

func (v *serving) put(ctx context.Context, lanes []lane) error {
	now := time.Now()
	b := v.batches
	for _, l := range lanes {
		if !b.active[l.batch].here { // it waits until its group is given to a node that may
			v.lanes.put(l)
			continue
		}
		if b.runs[l.batch] == nil {
			batch, err := v.outline(ctx, l.batch)
			if err != nil {
				return err
			}
			if batch == nil {
				continue
			}
			b.runs[l.batch] = newRun(batch, v.leases)
			if !l.retry && l.batch == b.turn {
				v.log.Info("batch has the turn", "batch", l.batch, "client", batch.Client, "domains", len(lanes))
			}
		}
		v.assign(&l, now)
		l.priority = b.runs[l.batch].batch.Priority
		v.lanes.put(l)
	}
	return nil
}

// assign tells Admission the site of a lane's domain.
func (v *serving) assign(l *lane, now time.Time) {
	if l.site != "" && v.batches.assigned[l.domainID] != l.site {
		v.batches.assigned[l.domainID] = l.site
		v.Admission.Assign(l.domain, l.site, now)
	}
}
