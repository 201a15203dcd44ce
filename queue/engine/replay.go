package engine

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"enotify/queue"

	"github.com/jackc/pgx/v5"
)

// keepStray is how long a journal is kept that no database knows.
const keepStray = 30 * 24 * time.Hour

// replay reads the journals of nodes that died on this host. Results that they
// had not recorded are recorded; a recipient whose message had not left is sent
// to; one whose message had left, and has no result, stays in doubt.
func (v *serving) replay(ctx context.Context) error {
	if v.StateDir == "" {
		return nil
	}
	folders, err := os.ReadDir(v.StateDir)
	if err != nil {
		return err
	}
	for _, folder := range folders {
		dir := filepath.Join(v.StateDir, folder.Name())
		if strings.HasPrefix(folder.Name(), draftFolder) {
			info, err := folder.Info()
			if err == nil && time.Since(info.ModTime()) > keepStray { // of a process that was killed at its start
				_ = os.RemoveAll(dir)
			}
			continue
		}
		if !strings.HasSuffix(folder.Name(), journalFolder) {
			continue
		}
		if err := v.replayOne(ctx, dir); err != nil {
			return fmt.Errorf("journal %s: %w", dir, err)
		}
	}
	return nil
}

func (v *serving) replayOne(ctx context.Context, dir string) error {
	lock, err := tryLockFolder(dir)
	if lock == nil { // its node lives, or another one has just replayed it
		if errors.Is(err, os.ErrNotExist) {
			err = nil
		}
		return err
	}
	defer lock.Close()
	p, err := readJournal(dir, bootID())
	if errors.Is(err, os.ErrNotExist) {
		return nil // the same
	}
	if errors.Is(err, errNoJournal) {
		v.log.Warn("a journal cannot be read; its recipients stay in doubt", "journal", dir, "error", err, "next",
			"enotify batch list --all; look at it, then remove it")
		return nil
	}
	if err != nil {
		return err
	}
	info, err := os.Stat(filepath.Join(dir, journalFile))
	if err != nil {
		return err
	}
	if dropPast(dir); p.closed && time.Since(info.ModTime()) > keepPast {
		return os.RemoveAll(dir)
	}
	node, err := v.store.incarnation(ctx, p.incarnation)
	switch {
	case errors.Is(err, pgx.ErrNoRows) && p.closed:
		return nil // as it should be; see tellClosed
	case errors.Is(err, pgx.ErrNoRows) && p.installation == v.journal.installation && len(p.last) > 0:
		node = 0 // the database has forgotten that it joined
	case errors.Is(err, pgx.ErrNoRows): // of another database, or it never joined
		if len(p.left) == 0 || time.Since(info.ModTime()) > keepStray {
			return os.RemoveAll(dir)
		}
		return nil
	case err != nil:
		return err
	}
	sent, err := v.inherit(ctx, node, p, dir)
	if err != nil || p.closed {
		return err
	}
	v.log.Info("replayed the journal of a node that died", "died", node, "recorded", len(p.results), "not_sent", sent,
		"in_doubt", p.doubts())
	return closeJournal(dir)
}

// closeJournal notes that everything in a journal is recorded.
func closeJournal(dir string) error {
	file, err := os.OpenFile(filepath.Join(dir, journalFile), os.O_WRONLY|os.O_APPEND, 0)
	if err != nil {
		return err
	}
	_, err = file.Write(appendSum([]byte("\nx"), 1)) // the last line may be cut off
	return errors.Join(err, file.Close())
}

// inherit completes the work of a dead node. Its results come first, so that
// nothing that is known is settled as doubtful.
func (v *serving) inherit(ctx context.Context, node int32, p *predecessor, dir string) (sent int, err error) {
	known, err := v.store.marks(ctx, node)
	if err != nil {
		return 0, err
	}
	if behind(known, p.last) {
		all, err := readForgotten(dir, known)
		if err != nil {
			return 0, err
		}
		p.results, p.left = all.results, all.left
		k, err := v.writeForgotten(ctx, p)
		if err != nil {
			return 0, err
		}
		doubts, err := v.raise(ctx, k)
		if err != nil {
			return 0, err
		}
		text := fmt.Sprintf("the database went back before a node that died: %d results were written again from its "+
			"journal, %d recipients are in doubt%v", len(p.results), doubts, k.strays)
		if err := v.wentBack(ctx, text); err != nil {
			return 0, err
		}
	} else if _, err := v.writeResults(ctx, slices.Collect(maps.Values(p.results))); err != nil {
		return 0, err
	}
	if !p.complete || node == 0 {
		return 0, nil // its leases run out, and the node that takes them settles the rest
	}
	if _, err := v.store.takeFrom(ctx, v.node.ID, node); err != nil {
		return 0, err
	}
	return v.store.restore(ctx, node, p.left)
}

// writeForgotten writes the results of a journal that a database which went back has
// forgotten, and returns what is left to tell it.
func (v *serving) writeForgotten(ctx context.Context, p *predecessor) (k knowledge, err error) {
	k = p.knowledge()
	results := slices.Collect(maps.Values(p.results))
	if k.costs, err = v.store.forgottenCosts(ctx, append(warmed(results), p.warming()...)); err != nil {
		return k, err
	}
	k.strays, err = v.writeResults(ctx, results)
	return k, err
}

// strays counts messages of batches that the database has forgotten.
type strays map[stray]int

type stray struct{ batch, made int64 } // number; when it was created, in microseconds since 1970

func (s strays) add(other strays) {
	for of, n := range other {
		s[of] += n
	}
}

// String names up to five batches, for the end of a sentence; it is empty for none.
func (s strays) String() string {
	const most = 5
	all := slices.SortedFunc(maps.Keys(s), func(a, b stray) int { return cmp.Compare(a.made, b.made) })
	var names []string
	for _, of := range all[:min(len(all), most)] {
		names = append(names, fmt.Sprintf("%d messages of batch %d, created %s", s[of], of.batch,
			time.UnixMicro(of.made).UTC().Format("2006-01-02 15:04:05 UTC")))
	}
	if more := len(all) - most; more > 0 {
		names = append(names, fmt.Sprintf("messages of %d more batches", more))
	}
	if names == nil {
		return ""
	}
	return "; of batches that are forgotten had left: " + strings.Join(names, "; ")
}

// writeResults writes results that a journal knows. Those of batches that the database
// has forgotten are returned.
func (v *serving) writeResults(ctx context.Context, known []knownTry) (lost strays, err error) {
	made, err := v.store.made(ctx, known)
	if err != nil {
		return nil, err
	}
	lost = strays{}
	results := make([]queue.Result, 0, len(known))
	for _, r := range known {
		if b := made[r.Batch]; b.at != r.made { // or it has given the number to another batch
			if r.State != queue.Deferred {
				lost[stray{r.Batch, r.made}]++
			}
			continue
		} else if b.pruned {
			continue
		}
		// when it was, and whether replies of the address were counted, is not known
		r.At, r.Counted = v.clock.Load().at(time.Now()), true
		r.Warming = r.Egress.IsValid() // see journal.end
		results = append(results, r.Result)
	}
	for chunk := range slices.Chunk(results, maxFlush) {
		alerts, err := v.DB.Finish(ctx, chunk)
		if err != nil {
			return lost, err
		}
		v.alert(alerts)
	}
	return lost, nil
}

const madeSQL = `
SELECT id, (extract(epoch FROM created_at) * 1000000)::bigint, pruned_at IS NOT NULL FROM enotify.batch
WHERE id = ANY ($1)`

// A creation is when a batch was created, in microseconds since 1970, and whether its
// recipients are gone.
type creation struct {
	at     int64
	pruned bool
}

// made says when the batches of results were created.
func (db *store) made(ctx context.Context, of []knownTry) (map[int64]creation, error) {
	var batches []int64
	for _, r := range of {
		batches = append(batches, r.Batch)
	}
	slices.Sort(batches)
	rows, err := db.pool.Query(ctx, madeSQL, slices.Compact(batches))
	if err != nil {
		return nil, err
	}
	made := map[int64]creation{}
	var id int64
	var c creation
	_, err = pgx.ForEachRow(rows, []any{&id, &c.at, &c.pruned}, func() error { made[id] = c; return nil })
	return made, err
}

const incarnationSQL = `SELECT id FROM enotify.node WHERE incarnation = $1::uuid`

// incarnation finds a node by the name that is in its journal.
func (db *store) incarnation(ctx context.Context, incarnation string) (id int32, err error) {
	err = db.pool.QueryRow(ctx, incarnationSQL, incarnation).Scan(&id)
	return id, err
}

const (
	lockAloneSQL = `SELECT enotify.lock_results(VARIADIC $1::bigint[])` // as a requeue does
	doubtsOfSQL  = `SELECT batch_id, seq, tries FROM enotify.doubt WHERE node_id = $1 ORDER BY batch_id, seq`
	// Only while the outcome is the one that the doubt was about.
	restoreSQL = `
WITH never AS (
	SELECT d.*, r.domain_id, k.grp, b.state = 'cancelled' AS cancelled, b.state <> 'cancelled'
		AND b.expires_at <= now() AS expired
	FROM unnest($2::bigint[], $3::int[]) n (batch_id, seq)
	JOIN enotify.doubt d ON d.batch_id = n.batch_id AND d.seq = n.seq AND d.node_id = $1
	JOIN enotify.outcome o ON o.batch_id = n.batch_id AND o.seq = n.seq AND o.state = 'unknown' AND o.at = d.at
	JOIN enotify.recipient r ON r.batch_id = n.batch_id AND r.seq = n.seq
	JOIN enotify.domain k ON k.id = r.domain_id
	JOIN enotify.batch b ON b.id = n.batch_id
), ended AS (
	UPDATE enotify.outcome o SET state = CASE WHEN n.cancelled THEN 'cancelled'
		ELSE 'expired' END::enotify.recipient_state, reply = $4
	FROM never n WHERE o.batch_id = n.batch_id AND o.seq = n.seq AND (n.cancelled OR n.expired)
), known AS (
	DELETE FROM enotify.outcome o USING never n WHERE o.batch_id = n.batch_id AND o.seq = n.seq
		AND NOT (n.cancelled OR n.expired)
)
INSERT INTO enotify.retry (batch_id, seq, domain_id, grp, due_at, first_at, attempts, tries, class)
SELECT batch_id, seq, domain_id, grp, now(), at, attempts, tries, 'not_begun' FROM never
  WHERE NOT (cancelled OR expired)`
	reopenSQL = `
UPDATE enotify.batch SET state = 'queued', finished_at = NULL, surveyed_at = NULL,
  reason = 'some were found not to have been tried'
WHERE id = ANY ($1) AND state = 'done' AND EXISTS (SELECT FROM enotify.retry t WHERE t.batch_id = id)`
	forgetDoubtsSQL = `DELETE FROM enotify.doubt WHERE node_id = $1`
	notSent         = "the node that was to send this died before the message had left"
)

// restore takes back what was settled as in doubt though no message of the dead
// node had left, and removes the node.
func (db *store) restore(ctx context.Context, node int32, left map[flight]departure) (n int, err error) {
	err = db.inTx(ctx, func(tx pgx.Tx) error {
		rows, err := tx.Query(ctx, doubtsOfSQL, node)
		if err != nil {
			return err
		}
		var batches []int64
		var seqs []int32
		var f flight
		if _, err := pgx.ForEachRow(rows, []any{&f.batch, &f.seq, &f.try}, func() error {
			if _, ok := left[f]; !ok {
				batches, seqs = append(batches, f.batch), append(seqs, f.seq)
			}
			return nil
		}); err != nil {
			return err
		}
		if _, err := tx.Exec(ctx, lockAloneSQL, batches); err != nil {
			return err
		}
		tag, err := tx.Exec(ctx, restoreSQL, node, batches, seqs, notSent)
		if err != nil {
			return err
		}
		n = int(tag.RowsAffected())
		for _, step := range []struct {
			sql string
			arg any
		}{{reopenSQL, batches}, {forgetDoubtsSQL, node}, {leaveSQL, node}} {
			if _, err := tx.Exec(ctx, step.sql, step.arg); err != nil {
				return err
			}
		}
		return nil
	})
	return n, err
}
