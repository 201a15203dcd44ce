package engine

import (
	"context"
	"net/netip"
	"slices"
	"time"

	"github.com/jackc/pgx/v5"

	"enotify/queue"
)

// An egressHolder knows which sites block which of our addresses.
type egressHolder interface {
	// Holding says until when nothing may begin from an egress address at a site, and
	// why; its Class is empty when something may.
	Holding(site, egress string, now time.Time) queue.Closure
}

// siteOf is the site of a lane, by which its messages count; its domain where it is
// not known.
func siteOf(l *lane) string {
	if l.site == "" {
		return l.domain
	}
	return l.site
}

// choose chooses where messages of a lane leave from now.
func (v *serving) choose(l *lane, now time.Time) choice {
	return v.source(v.batches.active[l.batch], l, now)
}

// source is choose for a lane of a batch that is not under way.
func (v *serving) source(b standing, l *lane, now time.Time) choice {
	site := siteOf(l)
	held := func(*address) queue.Closure { return queue.Closure{} }
	if h, ok := v.Admission.(egressHolder); ok {
		held = func(a *address) queue.Closure { return h.Holding(site, a.text, now) }
	}
	return v.egress.choose(b.pool, l.grp, site, b.nodes, held, now, v.clock.Load().at(now))
}

// waits parks a lane that no address of ours can serve now. Recipients that would wait for
// long are deferred, so that the turn goes on to others. Those of a client with a quota are
// not, since they are counted with their first intent: their batch is passed.
func (v *serving) waits(l *lane, c choice, epoch int64, now time.Time) {
	if c.putOff != "" && c.until.Sub(now) > longClosure {
		var by netip.Addr
		if c.putOff == queue.NotBegun {
			by = c.by
			v.egress.waitsFor(by, l.batch)
		}
		n := v.deferrals.room(l)
		if n > 0 && (l.retry || !v.batches.limited(l.batch)) {
			v.deferrals.add(deferral{lane: l, n: n, epoch: epoch, ours: true, by: by,
				Closure: queue.Closure{Until: c.until, Class: c.putOff, Reply: c.why}}, now)
		}
	}
	until := now.Add(poll) // the next look at the addresses may change it
	if !c.until.IsZero() && c.until.Before(until) {
		until = c.until
	}
	v.lanes.park(l, queue.Wait{Until: until})
}

func newPick(l *lane, n int, epoch int64, c choice, costs []cost) pick {
	p := pick{lane: l, n: n, epoch: epoch, from: c.from, costs: costs}
	for _, a := range c.from {
		p.leave = append(p.leave, a.Egress)
	}
	return p
}

// slice is how long a node keeps a group in which mail for its own addresses is due
// beside mail for those of another node.
const slice = 10 * time.Second

// direct gives groups to the nodes that have the addresses for what is due in them: one
// node sends to a group at a time, so that the rates of its domains stay exact. Where
// mail for several nodes is due in a group, each has it for a while; urgent mail goes
// first.
func (v *serving) direct(ctx context.Context) error {
	now := time.Now()
	type due struct {
		here, hereUrgent bool
		node             int32 // another one, with mail for it
		nodeUrgent       bool
	}
	groups := map[int16]*due{}
	excluded := false
	if v.egress.foreign || v.batches.elsewhere() {
		for _, l := range v.lanes.known {
			if l.waiting == 0 {
				continue
			}
			g := groups[l.grp]
			if g == nil {
				g = &due{}
				groups[l.grp] = g
			}
			excluded = excluded || !slices.Contains(v.batches.active[l.batch].nodes, v.node.ID)
			c := v.choose(l, now)
			switch {
			case c.node == 0:
				g.here, g.hereUrgent = true, g.hereUrgent || l.urgent()
			case g.node == 0 || l.urgent() && !g.nodeUrgent:
				g.node, g.nodeUrgent = c.node, l.urgent()
			}
		}
	}
	if excluded && !v.egress.excluded {
		v.log.Warn("mail that is due may not be sent from this node's addresses; other nodes send it",
			"egress", v.node.Egress, "next", "enotify node list")
	}
	v.egress.excluded = excluded
	var idle []int16
	for grp := range v.leases.held {
		g := groups[grp]
		switch {
		case g == nil && v.leases.ours[grp] && len(v.batches.order) == 0:
			idle = append(idle, grp)
		case g == nil || g.node == 0:
			delete(v.contested, grp)
			continue
		}
		if g == nil || v.leases.gives(grp) {
			continue
		}
		since, contested := v.contested[grp]
		if !contested {
			since = now
			v.contested[grp] = now
		}
		if !g.here || g.nodeUrgent && !g.hereUrgent || now.Sub(since) >= slice {
			v.leases.giving[grp] = g.node
			delete(v.contested, grp)
		}
	}
	if err := v.handBack(ctx); err != nil || len(idle) == 0 {
		return err
	}
	_, err := v.store.pool.Exec(ctx, shareAgainSQL, v.node.ID, idle)
	return err
}

// Groups without due recipients are shared fairly again.
const shareAgainSQL = `UPDATE enotify.lease SET for_node = NULL WHERE node_id = $1 AND for_node = $1 AND grp = ANY ($2)`

const (
	// A node whose own lease ran out meanwhile, as a database stood still, learns nothing of its pools: it renews first.
	emptyPoolsSQL = `
SELECT p.name FROM enotify.pool p
WHERE EXISTS (SELECT FROM enotify.node n WHERE n.id = $1 AND n.live_until > now())
  AND NOT EXISTS (SELECT FROM enotify.live_egress e WHERE e.pool = p.name AND e.state = 'active') ORDER BY p.name`
	// A batch that an application's transaction has locked is left for the next heartbeat.
	waitForPoolSQL = `
WITH waiting AS (
	SELECT b.id, b.state IN ('sending', 'draining') AS holds,
		'waits for an address of pool ' || p.name || ': no live node has an active one; enotify egress list' AS why
	FROM enotify.batch b CROSS JOIN LATERAL (SELECT enotify.batch_pool(b.pool, b.priority, b.client_id) AS name) p
	WHERE b.finished_at IS NULL AND b.state IN ('queued', 'sending', 'draining', 'retrying') AND p.name = ANY ($1)
	ORDER BY b.id FOR NO KEY UPDATE OF b SKIP LOCKED
)
UPDATE enotify.batch b SET state = CASE WHEN w.holds THEN 'queued' ELSE b.state END, reason = w.why
FROM waiting w WHERE b.id = w.id AND (w.holds OR b.reason <> w.why)`
	waitedForPoolSQL = `
WITH waited AS (
	SELECT b.id FROM enotify.batch b
	WHERE b.finished_at IS NULL AND b.state IN ('queued', 'retrying') AND b.reason LIKE 'waits for an address of pool%'
	  AND enotify.batch_pool(b.pool, b.priority, b.client_id) <> ALL ($1)
	ORDER BY b.id FOR NO KEY UPDATE OF b SKIP LOCKED
)
UPDATE enotify.batch b SET reason = '' FROM waited w WHERE b.id = w.id`
)

// waitForPools has the batches say that they wait for an address whose pool has none;
// they do not keep the turn.
func (v *serving) waitForPools(ctx context.Context) error {
	rows, err := v.store.pool.Query(ctx, emptyPoolsSQL, v.node.ID)
	if err != nil {
		return err
	}
	empty, err := pgx.CollectRows(rows, pgx.RowTo[string])
	if err != nil {
		return err
	}
	if empty == nil {
		empty = []string{}
	}
	if len(empty) > 0 {
		if _, err := v.store.pool.Exec(ctx, waitForPoolSQL, empty); err != nil {
			return err
		}
	}
	if v.emptied == nil || len(v.emptied) > 0 {
		if _, err := v.store.pool.Exec(ctx, waitedForPoolSQL, empty); err != nil {
			return err
		}
	}
	if !slices.Equal(v.emptied, empty) && len(empty) > 0 {
		v.log.Warn("pools without an active address at a live node: their batches wait", "pools", empty, "next",
			"enotify egress list")
	}
	v.emptied = empty
	return nil
}
