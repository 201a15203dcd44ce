package engine

import (
	"context"
	"fmt"
	"path/filepath"

	"enotify/queue"

	"github.com/jackc/pgx/v5"
)

// An era is the run of the database server that the nodes count on (table era).
//
// A database can only forget what it had committed when another server takes
// over, or the same one starts again: a standby that lagged is promoted, a backup
// is restored, a server without fsync crashes. So the first node that sees another
// start time or timeline begins an era. Until that is settled, the fence of every
// intent, enotify.may_begin(), lets nothing begin. Each node compares its marks
// with those in the database, writes again what the database has forgotten, and
// enters the era. It is settled when all have entered that were alive at the last
// heartbeat before it, and each group is vouched for (see [unvouchedSQL]); or,
// without what is missing, after [eraPatience].
type era struct {
	Number  int64
	Entered int64 // the last one that this node has entered
	Settled bool
	Moved   bool // the timeline differs from the timeline of the era before
	Lost    bool // a node found that commits are missing
	Late    bool // it has lasted for eraPatience
}

// eraPatience is how long the nodes of the last era are waited for: they notice
// within a heartbeat, and dial again.
const eraPatience = 2 * queue.LeaseTTL

const (
	newServerSQL = `
UPDATE enotify.era e
SET number = number + 1, server = pg_postmaster_start_time(), timeline = enotify.timeline(),
  moved = timeline <> enotify.timeline(), lost = false, alive = 0,
    began_at = clock_timestamp(), settled_at = NULL,
      heard_at = (SELECT coalesce(max(n.live_until), '-infinity') FROM enotify.node n) - $1::interval
WHERE server <> pg_postmaster_start_time() OR timeline <> enotify.timeline()`
	eraSQL = `
SELECT e.number, coalesce(n.era, 0) AS entered, e.settled_at IS NOT NULL AS settled, e.moved, e.lost,
       e.began_at < clock_timestamp() - $2::interval AS late
FROM enotify.era e LEFT JOIN enotify.node n ON n.id = $1`
	lostSQL   = `UPDATE enotify.era SET lost = true`
	enterSQL  = `UPDATE enotify.node SET era = $2 WHERE id = $1`
	absentSQL = `
SELECT n.id, n.name FROM enotify.node n CROSS JOIN enotify.era e
WHERE e.settled_at IS NULL AND n.era < e.number AND n.live_until >= e.heard_at ORDER BY n.id`
	settleEraSQL = `
WITH told AS (DELETE FROM enotify.lease_told t USING enotify.era e WHERE t.era <= e.number)
UPDATE enotify.era SET settled_at = clock_timestamp() WHERE settled_at IS NULL`
)

// noticeServer begins an era when this is not the server of the current one. It
// comes before the heartbeat, which tells when the nodes were last heard of: see beatSQL.
func (db *store) noticeServer(ctx context.Context) error {
	_, err := db.pool.Exec(ctx, newServerSQL, queue.LeaseTTL)
	return err
}

func (db *store) era(ctx context.Context, node int32) (era, error) {
	rows, err := db.pool.Query(ctx, eraSQL, node, eraPatience)
	if err != nil {
		return era{}, err
	}
	return pgx.CollectExactlyOneRow(rows, pgx.RowToStructByName[era])
}

// enter brings the node into the current era, as a heartbeat has found it, and returns
// an error while that is not settled.
func (v *serving) enter(ctx context.Context, e era) error {
	if e.Entered != e.Number {
		if err := v.catchUp(ctx, e.Number); err != nil {
			return err
		}
	}
	if e.Settled {
		return nil
	}
	return v.settleEra(ctx)
}

// catchUp writes what the database has forgotten, and enters an era.
func (v *serving) catchUp(ctx context.Context, number int64) error {
	v.marks.settling.Lock()
	defer v.marks.settling.Unlock()
	known, err := v.store.marks(ctx, v.node.ID)
	if err != nil {
		return err
	}
	told := v.marks.compare(known)
	forgot := behind(known, told)
	v.leases.told = true
	moved, err := v.store.tellLeases(ctx, v.node.ID, number, v.leases)
	if err != nil {
		return err
	}
	if forgot || moved {
		if _, err := v.store.pool.Exec(ctx, lostSQL); err != nil {
			return err
		}
	}
	if forgot {
		v.phase.worsen(halted)
		if err := v.tellAgain(ctx, known); err != nil {
			return fmt.Errorf("write again what the database has forgotten: %w", err)
		}
		if err := v.store.raiseMarks(ctx, v.node.ID, told); err != nil {
			return err
		}
		v.marks.settled()
	}
	_, err = v.store.pool.Exec(ctx, enterSQL, v.node.ID, number)
	return err
}

// settleEra ends the wait for other nodes when all have entered, or it took too long.
func (v *serving) settleEra(ctx context.Context) error {
	var m missing
	var wait bool
	var unknown int64
	err := v.store.inTx(ctx, func(tx pgx.Tx) error {
		e, err := v.store.era(ctx, v.node.ID)
		if err != nil {
			return err
		}
		if m, err = v.store.missing(ctx, tx, e); err != nil {
			return err
		}
		if wait = m.any() && !e.Late; wait {
			return nil
		}
		if m.any() && (e.Moved || e.Lost) {
			if unknown, err = v.store.giveUpShare(ctx, tx, m); err != nil {
				return fmt.Errorf("share of %s: %w", m, err)
			}
		}
		_, err = tx.Exec(ctx, settleEraSQL)
		return err
	})
	if err != nil {
		return err
	}
	if wait {
		return fmt.Errorf("another database server answers since a moment ago: waiting up to %s for %s to say what it sent",
			eraPatience, m)
	}
	if unknown > 0 {
		return v.wentBack(ctx, fmt.Sprintf("the database went back, and %s is missing: %d recipients that it may have sent to are in doubt",
			m, unknown))
	}
	return nil
}

// wentBack raises the alert.
func (v *serving) wentBack(ctx context.Context, text string) error {
	text += "; new batches, unsubscriptions, returned mail and settings of that time are forgotten"
	a := queue.Alert{Kind: queue.AlertWentBack, Text: text, Next: "enotify batch audit"}
	v.log.Error("the database went back", "text", text, "next", a.Next)
	if err := v.DB.Raise(ctx, a); err != nil {
		return err
	}
	v.alert([]queue.Alert{a})
	return nil
}

// tellAgain writes what this node knows to a database that knows these
// transactions of it, and has forgotten later ones.
func (v *serving) tellAgain(ctx context.Context, known map[int16]int64) (err error) {
	k := v.reach.knowledge()
	k.node, k.flying = v.node.ID, v.flights.list()
	var results []knownTry
	if v.journal != nil {
		p, err := readForgotten(v.journal.dir, known)
		if err != nil {
			return err
		}
		flying := map[flight]bool{}
		for _, f := range k.flying {
			flying[f] = true
		}
		for f, r := range p.results {
			if !flying[f] { // those are written by the flusher
				results = append(results, r)
			}
		}
		k.complete = p.complete
	}
	k.costs, err = v.store.forgottenCosts(ctx, append(warmed(results), v.flights.warming()...))
	if err != nil {
		return err
	}
	lost, err := v.writeResults(ctx, results)
	if err != nil {
		return err
	}
	doubts, err := v.raise(ctx, k)
	if err != nil {
		return err
	}
	others, err := v.tellClosed(ctx, lost)
	if err != nil {
		return err
	}
	written := len(results) + others
	for _, n := range lost {
		written -= n
	}
	v.phase.worsen(unsure) // what was intended and not begun is taken back
	return v.wentBack(ctx, fmt.Sprintf("the database went back: %d results were written again, "+
		"%d recipients are in doubt%v", written, doubts, lost))
}

// tellClosed writes what nodes of this host knew that have ended since: the
// database may have forgotten that they ever joined.
func (v *serving) tellClosed(ctx context.Context, lost strays) (written int, err error) {
	if v.StateDir == "" {
		return 0, nil
	}
	dirs, err := filepath.Glob(filepath.Join(v.StateDir, "*"+journalFolder))
	if err != nil {
		return 0, err
	}
	for _, dir := range dirs {
		p, err := readJournal(dir, bootID())
		if err != nil || !p.closed || p.installation != v.journal.installation {
			continue // it is another node's, or another database's
		}
		all, err := readForgotten(dir, nil)
		if err != nil {
			return written, err
		}
		k, err := v.writeForgotten(ctx, all)
		if err != nil {
			return written, err
		}
		if _, err := v.raise(ctx, k); err != nil {
			return written, err
		}
		lost.add(k.strays)
		written += len(all.results)
	}
	return written, nil
}

// knowledge is what a node knows of messages that the database may have forgotten.
type knowledge struct {
	node     int32                // 0: a dead one
	reached  []flight             // recipients that were handed out, the first and the last of their domains among them
	made     []int64              // when their batches were created
	flying   []flight             // tries whose result is not known yet, or never will be
	complete bool                 // no other message left between those
	costs    map[tallyKey]counted // that the database has forgotten, see [store.forgottenCosts]
	strays   strays
}

// raise moves the watermarks of the database up to what the node has reached. A
// recipient in between has a result, or is under way here, or was not sent to and
// waits for it again. One before the first that this node reached was another
// node's: it is in doubt until that node says what it knows.
func (v *serving) raise(ctx context.Context, k knowledge) (doubts int64, err error) {
	batches, seqs := columnsOf(k.reached)
	flyingBatches, flyingSeqs := columnsOf(k.flying)
	tries := make([]int32, len(k.flying))
	for i, f := range k.flying {
		tries[i] = f.try
	}
	err = v.store.inTx(ctx, func(tx pgx.Tx) error {
		if _, err := tx.Exec(ctx, lockNodesSQL, []int32{v.node.ID}); err != nil {
			return err
		}
		if _, err := tx.Exec(ctx, `SELECT enotify.skip_batches($1::bigint[])`, batches); err != nil {
			return err
		}
		var first, later int64
		if err := tx.QueryRow(ctx, raiseSQL, batches, seqs, k.made, flyingBatches, flyingSeqs, k.complete, inDoubt,
			k.node).Scan(&first); err != nil {
			return err
		}
		if err := tx.QueryRow(ctx, raiseRetriesSQL, flyingBatches, flyingSeqs, tries, k.node,
			inDoubt).Scan(&later); err != nil {
			return err
		}
		doubts = first + later
		if err := keepTally(ctx, tx, k.costs); err != nil {
			return err
		}
		if k.complete || k.node == 0 {
			return nil
		}
		err := tx.QueryRow(ctx, doubtRetriesSQL, k.node, flyingBatches, flyingSeqs, inDoubt).Scan(&later)
		doubts += later
		return err
	})
	return doubts, err
}

func columnsOf(of []flight) (batches []int64, seqs []int32) {
	batches, seqs = make([]int64, len(of)), make([]int32, len(of))
	for i, f := range of {
		batches[i], seqs[i] = f.batch, f.seq
	}
	return batches, seqs
}

const (
	raiseSQL = `
WITH high AS (
	SELECT r.batch_id, r.domain_id, min(r.seq) AS low, max(r.seq) AS upto
	FROM unnest($1::bigint[], $2::int[], $3::bigint[]) h (batch_id, seq, made)
	JOIN enotify.batch b ON b.id = h.batch_id AND (extract(epoch FROM b.created_at) * 1000000)::bigint = h.made
	JOIN enotify.recipient r ON r.batch_id = h.batch_id AND r.seq = h.seq
	GROUP BY 1, 2
), before AS MATERIALIZED (
	SELECT d.batch_id, d.domain_id, d.grp, CASE WHEN $6 THEN d.intent_seq ELSE d.first_seq - 1 END AS known, h.low,
	       greatest(d.intent_seq, h.upto) AS upto, d.intent_seq AS was,
	       coalesce(l.node_id = $8 AND l.until > now(), false) AS ours
	FROM high h JOIN enotify.batch_domain d ON d.batch_id = h.batch_id AND d.domain_id = h.domain_id
		AND (d.intent_seq < h.upto OR NOT $6)
	LEFT JOIN enotify.lease l ON l.grp = d.grp
), raised AS (
	UPDATE enotify.batch_domain d SET intent_seq = b.upto FROM before b WHERE d.batch_id = b.batch_id
		AND d.domain_id = b.domain_id
), moved AS (
	SELECT k.client_id, b.was AS before, b.upto FROM before b JOIN enotify.batch k ON k.id = b.batch_id` +
		countMovedSQL + `
), flying AS (
	SELECT DISTINCT batch_id, seq FROM unnest($4::bigint[], $5::int[]) f (batch_id, seq)
), open AS MATERIALIZED (
	SELECT r.batch_id, r.seq, r.domain_id, b.grp, k.on_unknown = 'hold'
		AND (f.seq IS NOT NULL OR NOT $6 OR r.seq < b.low) AS doubted
	FROM before b JOIN enotify.batch k ON k.id = b.batch_id
	JOIN enotify.recipient r ON r.batch_id = b.batch_id AND r.seq > b.known AND r.seq <= b.upto
	LEFT JOIN flying f ON f.batch_id = r.batch_id AND f.seq = r.seq
	WHERE NOT (f.seq IS NOT NULL AND b.ours)
	  AND NOT EXISTS (SELECT FROM enotify.outcome o WHERE o.batch_id = r.batch_id AND o.seq = r.seq)
	  AND NOT EXISTS (SELECT FROM enotify.retry t WHERE t.batch_id = r.batch_id AND t.seq = r.seq)
), again AS (
	INSERT INTO enotify.retry (batch_id, seq, domain_id, grp, due_at, first_at, attempts, tries, class)
	SELECT batch_id, seq, domain_id, grp, now(), now(), 0, 0, 'not_begun' FROM open WHERE NOT doubted
), whose AS (
	INSERT INTO enotify.doubt (batch_id, seq, node_id, attempts, tries)
	SELECT batch_id, seq, $8, 0, 1 FROM open WHERE doubted AND $8 > 0
	ON CONFLICT (batch_id, seq) DO UPDATE SET at = excluded.at, node_id = excluded.node_id,
		attempts = excluded.attempts, tries = excluded.tries
), unknown AS (
	INSERT INTO enotify.outcome (batch_id, seq, state, reply) SELECT batch_id, seq, 'unknown', $7 FROM open
		WHERE doubted RETURNING 1
)
SELECT count(*) FROM unknown`
	// Without a complete journal nobody knows which of the retries that the
	// database believes to be due, or under way, were sent.
	doubtRetriesSQL = `
WITH gone AS (
	DELETE FROM enotify.retry t USING enotify.lease l, enotify.batch b
	WHERE l.node_id = $1 AND l.until > now() AND t.grp = l.grp AND (t.intent_at IS NOT NULL OR t.due_at <= now())
		AND b.id = t.batch_id AND b.on_unknown = 'hold'
	  AND (t.batch_id, t.seq) NOT IN (SELECT * FROM unnest($2::bigint[], $3::int[]))
	RETURNING t.batch_id, t.seq
), unknown AS (
	INSERT INTO enotify.outcome (batch_id, seq, state, reply) SELECT batch_id, seq, 'unknown', $4 FROM gone
	ON CONFLICT (batch_id, seq) DO NOTHING RETURNING 1
)
SELECT count(*) FROM unknown`
	// Retries that are under way, and that the database believes to be due. In a
	// group that another node holds, that one would send them.
	raiseRetriesSQL = `
WITH flying AS (
	SELECT t.batch_id, t.seq, f.try, t.attempts, coalesce(l.node_id = $4 AND l.until > now(), false) AS ours,
		b.on_unknown
	FROM unnest($1::bigint[], $2::int[], $3::int[]) f (batch_id, seq, try)
	JOIN enotify.retry t ON t.batch_id = f.batch_id AND t.seq = f.seq AND t.tries < f.try AND t.intent_at IS NULL
	JOIN enotify.batch b ON b.id = t.batch_id LEFT JOIN enotify.lease l ON l.grp = t.grp
), held AS (
	UPDATE enotify.retry t SET intent_at = now() FROM flying f WHERE t.batch_id = f.batch_id AND t.seq = f.seq
		AND f.ours
), gone AS (
	DELETE FROM enotify.retry t USING flying f WHERE t.batch_id = f.batch_id AND t.seq = f.seq AND NOT f.ours
		AND f.on_unknown = 'hold'
), unknown AS (
	INSERT INTO enotify.outcome (batch_id, seq, state, reply)
	SELECT batch_id, seq, 'unknown', $5 FROM flying WHERE NOT ours AND on_unknown = 'hold' ON CONFLICT (batch_id, seq)
		DO NOTHING RETURNING 1
)
SELECT count(*) FROM unknown`
)
