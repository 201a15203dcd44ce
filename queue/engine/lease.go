package engine

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"sync/atomic"
	"syscall"
	"time"

	"github.com/jackc/pgx/v5"

	"enotify/queue"
)

// groups is the number of lease groups. A recipient domain is in one of them.
const groups = 64

// leaseMargin is how much earlier the holder stops to use its lease: the clocks of
// the node and the database may drift apart since the heartbeat.
const leaseMargin = 500 * time.Millisecond

// leases are the groups that the node holds. They belong to the loop, except
// valid, age and count.
type leases struct {
	held   map[int16]int64   // epoch of each group
	had    map[int16][]int64 // epochs of all leases since the era was settled, those that are held included
	ever   map[int16]int64   // the highest epoch of all leases of this run, those of earlier eras included
	told   bool              // had was told to the database, see [unvouchedSQL]
	alive  int               // the most nodes that lived at once since the era was settled
	ours   map[int16]bool    // of them, those that are for this node: it has the egress address for what is due there
	giving map[int16]int32   // of them, those to be given back once nothing of them is in flight; to which node, 0: any

	orphaned bool // doubts of a dead node were settled since the last replay: a journal of this host may know better

	start   time.Time
	expires atomic.Int64 // when the leases end, in nanoseconds since start
	count   atomic.Int32 // of held
}

func newLeases() *leases {
	return &leases{held: map[int16]int64{}, had: map[int16][]int64{}, ever: map[int16]int64{}, ours: map[int16]bool{},
		giving: map[int16]int32{}, start: time.Now()}
}

// valid reports whether the leases have not run out, by our clock.
func (l *leases) valid() bool { return time.Since(l.start).Nanoseconds() < l.expires.Load() }

// renewed notes a heartbeat that succeeded, and when it was sent.
func (l *leases) renewed(sent time.Time) {
	l.expires.Store((sent.Sub(l.start) + queue.LeaseTTL - leaseMargin).Nanoseconds())
}

// age is the time since renewed was called for the last time.
func (l *leases) age() time.Duration {
	expires := time.Duration(l.expires.Load())
	if expires == 0 {
		return 0
	}
	return time.Since(l.start) - (expires - (queue.LeaseTTL - leaseMargin))
}

// hold notes what the node holds now, and reports whether a group is new.
func (l *leases) hold(held []lease) (news bool) {
	epochs, ours := make(map[int16]int64, len(held)), map[int16]bool{}
	for _, h := range held {
		epochs[h.grp] = h.epoch
		if h.ours {
			ours[h.grp] = true
		}
		news = news || l.held[h.grp] != h.epoch
		if had := l.had[h.grp]; len(had) == 0 || had[len(had)-1] != h.epoch {
			l.had[h.grp] = append(had, h.epoch)
		}
		l.ever[h.grp] = max(l.ever[h.grp], h.epoch)
	}
	l.held, l.ours = epochs, ours
	l.count.Store(int32(len(held)))
	return news
}

// usable lists the groups whose messages may begin.
func (l *leases) usable() []int16 {
	grps := make([]int16, 0, len(l.held))
	for grp := range l.held {
		if !l.gives(grp) {
			grps = append(grps, grp)
		}
	}
	return grps
}

// epoch is the epoch of a group whose messages may begin.
func (l *leases) epoch(grp int16) (epoch int64, usable bool) {
	epoch, held := l.held[grp]
	return epoch, held && !l.gives(grp)
}

func (l *leases) gives(grp int16) bool {
	_, gives := l.giving[grp]
	return gives
}

// give marks groups above the share to be given back. Groups that are for this node
// do not count.
func (l *leases) give(share int) {
	n := 0
	for grp := range l.held {
		if !l.ours[grp] && !l.gives(grp) {
			n++
		}
	}
	for grp := range l.held {
		if n <= share {
			return
		}
		if !l.ours[grp] && !l.gives(grp) {
			l.giving[grp] = 0
			n--
		}
	}
}

// gave notes that groups were given back.
func (l *leases) gave(grps []int16) {
	for _, grp := range grps {
		delete(l.held, grp)
		delete(l.ours, grp)
		delete(l.giving, grp)
	}
}

// renew sends a heartbeat, and moves our share of the groups towards a fair one.
func (v *serving) renew(ctx context.Context) error {
	if v.MessageTime != nil {
		v.node.MessageTime = v.MessageTime()
	}
	sent := time.Now()
	b, err := v.store.beat(ctx, v.node, v.batches.waitsFor, v.progress.stuck(sent))
	if err != nil {
		return err
	}
	v.batches.waitsFor = 0
	clock := v.clock.Load().follow(b.asked, b.answered, b.there)
	v.clock.Store(&clock)
	v.leases.renewed(sent)
	if err := v.enter(ctx, b.era); err != nil {
		return err
	}
	if v.leases.told { // and are not asked for again: the database gives the epochs that it has forgotten to others
		clear(v.leases.had)
		v.leases.told, v.leases.alive = false, 0
		v.leases.hold(b.held) // now: what follows may fail, and a lease that is not among had counts as run out
		v.phase.worsen(stale)
	}
	v.leases.alive = max(v.leases.alive, b.alive)
	shared := 0
	for _, h := range b.held {
		if !h.ours {
			shared++
		}
	}
	share := b.share()
	if (shared < share || b.offered) && b.vacant {
		taken, settled, err := v.store.adopt(ctx, v.node.ID, share-shared)
		if err != nil {
			return err
		}
		v.leases.orphaned = v.leases.orphaned || settled
		b.held = append(b.held, taken...)
		if len(taken) > 0 {
			v.restored = time.Time{}
			v.log.Info("leased", "groups", len(b.held), "nodes", b.alive)
		}
	}
	if v.leases.hold(b.held) {
		v.phase.worsen(stale)
	}
	return v.giveBack(ctx, share)
}

// giveBack lets groups above our share drain, and releases those that have.
func (v *serving) giveBack(ctx context.Context, share int) error {
	v.leases.give(share)
	return v.handBack(ctx)
}

// handBack gives the groups back that are to be given and have nothing in flight.
func (v *serving) handBack(ctx context.Context) error {
	drained := v.flights.landed(v.leases.giving)
	if len(drained) == 0 || v.phase == unsure { // only the holder of a lease can take an intent back
		return nil
	}
	if err := v.remember(ctx); err != nil { // for the node that takes them
		return err
	}
	if v.Leave != nil {
		v.Leave(drained)
	}
	to := map[int32][]int16{}
	for _, grp := range drained {
		to[v.leases.giving[grp]] = append(to[v.leases.giving[grp]], grp)
	}
	for node, grps := range to {
		if err := v.store.release(ctx, v.node.ID, node, grps); err != nil {
			return err
		}
		v.leases.gave(grps)
		v.log.Info("gave groups back", "groups", len(grps), "for_node", node)
	}
	return nil
}

// A node is this one. The incarnation names this run of it for good.
type node struct {
	queue.Node
	incarnation string
}

const joinSQL = `
WITH swept AS (DELETE FROM enotify.node n WHERE n.live_until < now() - interval '30 days' RETURNING n.id),
     forgotten AS (DELETE FROM enotify.doubt d USING swept WHERE d.node_id = swept.id),
     added AS (INSERT INTO enotify.egress (address, by_node) SELECT DISTINCT a, true FROM unnest($2::inet[]) a
       ORDER BY a ON CONFLICT DO NOTHING),
     past AS (DELETE FROM enotify.egress_day d WHERE d.day < current_date - 400)
INSERT INTO enotify.node (name, egress, helo, version, incarnation, live_until, turn, settings)
SELECT $1, $2, $3, $4, $5::uuid, now() + $6::interval, $7, $8
WHERE NOT ($9 AND EXISTS (SELECT FROM enotify.node o WHERE o.name = $1 AND o.live_until > now()))
RETURNING id, clock_timestamp()`

const lockJoinSQL = `SELECT enotify.lock_join()`

// ErrNamesake says that a node of the same name is alive.
var ErrNamesake = errors.New("a node of this name is running")

// join registers a node, which holds no groups yet. The row of a dead node is kept
// for a month, in case its journal comes back. After that its recipients in doubt
// stay unknown. Addresses that nobody has named are in the pool default. With sole the
// error wraps ErrNamesake while another node of the name is alive.
func (db *store) join(ctx context.Context, n node, sole bool) (id int32, c clock, err error) {
	err = db.inTx(ctx, func(tx pgx.Tx) error {
		if _, err := tx.Exec(ctx, lockJoinSQL); err != nil {
			return err
		}
		c.here = time.Now()
		row := tx.QueryRow(ctx, joinSQL, n.Name, n.Egress, n.HELO, n.Version, n.incarnation, queue.LeaseTTL,
			cmp.Or(n.Turn, queue.Strict), n.Settings, sole)
		err := row.Scan(&id, &c.there)
		if errors.Is(err, pgx.ErrNoRows) {
			return ErrNamesake
		}
		return err
	})
	return id, c, err
}

// A lease is one group of domains, held until the node's next heartbeat fails.
type lease struct {
	grp   int16
	epoch int64
	ours  bool // it is for this node, see leases.ours
}

// A beat is what a heartbeat tells the node.
type beat struct {
	asked, answered time.Time // by our clock
	there           time.Time // by that of the database, in between

	era     era
	held    []lease
	alive   int  // nodes
	given   int  // groups that are for a live node
	offered bool // groups that are for this node, and that it does not have
	vacant  bool // groups that no live node holds
}

// share is how many groups this node should have of those that are reserved for no node.
// Groups that are for a live node do not count for the fair shares of the others; where this
// one is alone, there is none to leave them to.
func (b *beat) share() int {
	given := b.given
	if b.alive == 1 {
		given = 0
	}
	return (groups - given + b.alive - 1) / b.alive
}

// A server that the era does not know renews nothing: the heartbeats before it tell which
// nodes an era waits for. The row of the node is written again when it was removed: the
// machine may have slept for long. It is locked before the leases.
const beatSQL = `
WITH era AS MATERIALIZED (
	SELECT e.number, e.settled_at IS NOT NULL AS settled, e.moved, e.lost,
	       e.began_at < clock_timestamp() - $13::interval AS late,
	       e.server = pg_postmaster_start_time() AND e.timeline = enotify.timeline() AS known
	FROM enotify.era e
), live AS (
	INSERT INTO enotify.node AS n (id, name, egress, helo, version, incarnation, live_until, turn, waits_for,
		message_time, stuck, settings) OVERRIDING SYSTEM VALUE
	SELECT $1::int, $2::text, $3::inet[], $4::text, $5::text, $6::uuid, now() + $7::interval, $8::text,
	       nullif($9::bigint, 0), nullif($10::interval, '0'), $11::bigint[], $12::jsonb
	FROM era WHERE known
	ON CONFLICT (id) DO UPDATE SET live_until = excluded.live_until, waits_for = excluded.waits_for,
		stuck = excluded.stuck, message_time = excluded.message_time, trouble = ''
	WHERE n.incarnation = excluded.incarnation RETURNING n.era
), renewed AS (
	UPDATE enotify.lease SET until = now() + $7::interval WHERE node_id = $1 AND EXISTS (SELECT FROM live)
	RETURNING grp, epoch, coalesce(for_node = $1, false) AS ours
)
SELECT e.known, EXISTS (SELECT FROM live), e.number, coalesce((SELECT era FROM live), 0), e.settled, e.moved, e.lost,
       e.late, (SELECT count(*) FROM enotify.node o WHERE o.live_until > now() AND o.id <> $1) + 1, g.given, g.offered,
       g.vacant, r.grps, r.epochs, r.ours, clock_timestamp()
FROM era e CROSS JOIN (
	SELECT count(*) FILTER (WHERE n.id IS NOT NULL) AS given,
	       coalesce(bool_or(l.for_node = $1 AND l.node_id IS DISTINCT FROM $1), false) AS offered,
	       coalesce(bool_or(l.until < clock_timestamp() AND l.node_id IS DISTINCT FROM $1), false) AS vacant
	FROM enotify.lease l LEFT JOIN enotify.node n ON n.id = l.for_node AND n.live_until > now()
) g CROSS JOIN (
	SELECT array_agg(grp) AS grps, array_agg(epoch) AS epochs, array_agg(ours) AS ours FROM renewed
) r`

// errNewServer says that the era does not know this server.
var errNewServer = errors.New("another database server answers than the one that the nodes count on")

// beat renews the node's leases, and reads what the node has to know once a second, all
// in one statement. waitsFor is the batch whose remaining recipients wait for slow sites
// only; 0 is none. stuck are the batches that do not move here.
func (db *store) beat(ctx context.Context, n node, waitsFor int64, stuck []int64) (b beat, err error) {
	if b, err = db.tryBeat(ctx, n, waitsFor, stuck); errors.Is(err, errNewServer) {
		if err = db.noticeServer(ctx); err == nil {
			b, err = db.tryBeat(ctx, n, waitsFor, stuck)
		}
	}
	if err != nil {
		return b, fmt.Errorf("heartbeat of node %d: %w", n.ID, err)
	}
	return b, nil
}

func (db *store) tryBeat(ctx context.Context, n node, waitsFor int64, stuck []int64) (b beat, err error) {
	var known, ours bool
	var grps []int16
	var epochs []int64
	var forUs []bool
	// A heartbeat that is cut off may still be carried out, after the node has left.
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), roundTrip)
	defer cancel()
	b.asked = time.Now()
	err = db.pool.QueryRow(ctx, beatSQL, n.ID, n.Name, n.Egress, n.HELO, n.Version, n.incarnation, queue.LeaseTTL,
		cmp.Or(n.Turn, queue.Strict), waitsFor, n.MessageTime, stuck, n.Settings, eraPatience).Scan(&known, &ours,
		&b.era.Number, &b.era.Entered, &b.era.Settled, &b.era.Moved, &b.era.Lost, &b.era.Late, &b.alive, &b.given,
		&b.offered, &b.vacant, &grps, &epochs, &forUs, &b.there)
	b.answered = time.Now()
	switch {
	case err != nil:
		return b, err
	case !known:
		return b, errNewServer
	case !ours: // the database went back to a state before this node joined
		return b, fmt.Errorf("another node has our number %d: start this one again", n.ID)
	}
	for i, grp := range grps {
		b.held = append(b.held, lease{grp, epochs[i], forUs[i]})
	}
	return b, nil
}

func scanLease(row pgx.CollectableRow) (l lease, err error) {
	return l, row.Scan(&l.grp, &l.epoch, &l.ours)
}

const troubleSQL = `UPDATE enotify.node SET trouble = $2, trouble_at = now() WHERE id = $1`

// tellTrouble has batch list say why the node sends nothing. Its log says more.
func (db *store) tellTrouble(ctx context.Context, node int32, why error) {
	text := "its journal cannot be written"
	if errors.Is(why, syscall.ENOSPC) {
		text = "disk full"
	}
	_, _ = db.pool.Exec(ctx, troubleSQL, node, text) // the error is in the log already
}

const (
	releaseSQL = `
UPDATE enotify.lease SET node_id = NULL, until = '-infinity', for_node = nullif($3, 0)
  WHERE node_id = $1 AND grp = ANY ($2)`
	// The other nodes look at once. What they hear begins when the transaction has ended.
	tellReleasedSQL = `SELECT pg_notify('enotify', '` + released + `')`
)

// released is the notification that groups were given back, see [Server.Heard].
const released = "lease"

// release gives groups back, for another node or with 0 for any. Nothing of them may be
// in flight or unrecorded.
func (db *store) release(ctx context.Context, node, to int32, grps []int16) error {
	var b pgx.Batch
	b.Queue(releaseSQL, node, grps, to)
	b.Queue(tellReleasedSQL)
	return db.pool.SendBatch(ctx, &b).Close()
}

const leaveSQL = `DELETE FROM enotify.node WHERE id = $1`

// leave gives groups back and removes the node, in one transaction: its share is free when
// the others hear of it. The node that takes a group which was not released settles it.
func (db *store) leave(ctx context.Context, node int32, grps []int16) error {
	var b pgx.Batch
	b.Queue(releaseSQL, node, grps, 0)
	b.Queue(leaveSQL, node)
	b.Queue(tellReleasedSQL)
	return db.pool.SendBatch(ctx, &b).Close()
}
