package engine

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"hash/crc32"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"

	"enotify/queue"

	"github.com/jackc/pgx/v5"
)

// A predecessor is what the journal of a node that died says.
type predecessor struct {
	incarnation string
	left        map[flight]bool // tries whose message may have left
	results     map[flight]queue.Result
	complete    bool // of a try without a line, no message left
}

// doubts counts the tries whose message may have left and that have no result.
func (p predecessor) doubts() (n int) {
	for f := range p.left {
		if _, known := p.results[f]; !known {
			n++
		}
	}
	return n
}

var errNoJournal = errors.New("no journal of a node")

// parseJournal reads a journal. A line that was cut off or spoilt is not
// believed, and in a journal that has one, a missing line proves nothing. The
// last line may be cut off: the message that it was to announce did not leave.
func parseJournal(text []byte, boot string) (predecessor, error) {
	p := predecessor{left: map[flight]bool{}, results: map[flight]queue.Result{}}
	head, rest, _ := bytes.Cut(text, []byte("\n"))
	fields := strings.Fields(string(unsum(head)))
	if len(fields) != 3 || fields[0] != journalVersion {
		return p, errNoJournal
	}
	p.incarnation, p.complete = fields[1], fields[2] == boot && boot != noBoot
	for len(rest) > 0 {
		var line []byte
		var whole bool
		line, rest, whole = bytes.Cut(rest, []byte("\n"))
		if !whole {
			break
		}
		if !p.read(unsum(line)) {
			p.complete = false
		}
	}
	return p, nil
}

// unsum returns a line without its checksum, nil when that is wrong.
func unsum(line []byte) []byte {
	const sum = len(" 01234567")
	n := len(line) - sum
	if n < 0 {
		return nil
	}
	want, err := strconv.ParseUint(string(line[n+1:]), 16, 32)
	if err != nil || uint32(want) != crc32.ChecksumIEEE(line[:n]) {
		return nil
	}
	return line[:n]
}

// read reads one line, and reports whether it made sense.
func (p *predecessor) read(line []byte) bool {
	if len(line) == 0 {
		return false
	}
	said, outcome, _ := bytes.Cut(line, []byte(" {"))
	var n []int64
	for _, field := range strings.Fields(string(said[1:])) {
		v, err := strconv.ParseInt(field, 10, 64)
		if err != nil {
			return false
		}
		n = append(n, v)
	}
	switch kind := line[0]; {
	case kind == '+' && len(n) == 3:
		p.left[flight{n[0], int32(n[1]), int32(n[2])}] = true
	case kind == '=' && len(n) == 7:
		r := queue.Result{ // n[4] is the lease group
			Batch: n[0], Seq: int32(n[1]), Try: int(n[2]), DomainID: int32(n[3]), Attempts: int(n[5]), Wait: time.Duration(n[6]),
		}
		if json.Unmarshal(append([]byte("{"), outcome...), &r.Outcome) != nil {
			return false
		}
		p.results[flight{n[0], r.Seq, int32(n[2])}] = r
	case kind == '-' && len(n)%3 == 0:
		for of := range slices.Chunk(n, 3) {
			key := flight{of[0], int32(of[1]), int32(of[2])}
			delete(p.left, key)
			delete(p.results, key)
		}
	default:
		return false
	}
	return true
}

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
	text, err := os.ReadFile(filepath.Join(dir, journalFile))
	if errors.Is(err, os.ErrNotExist) {
		return nil // the same
	}
	if err != nil {
		return err
	}
	p, err := parseJournal(text, bootID())
	if err != nil {
		v.log.Warn("a journal cannot be read; its messages stay in doubt", "journal", dir, "error", err,
			"next", "enotify batch list --all shows the batches; remove the journal then")
		return nil
	}
	node, err := v.store.incarnation(ctx, p.incarnation)
	switch {
	case errors.Is(err, pgx.ErrNoRows): // of another database, or it never joined
		if info, err := lock.Stat(); err == nil && (len(p.left) == 0 || time.Since(info.ModTime()) > keepStray) {
			return os.RemoveAll(dir)
		}
		return nil
	case err != nil:
		return err
	}
	sent, err := v.inherit(ctx, node, p)
	if err != nil {
		return err
	}
	v.log.Info("replayed the journal of a node that died", "died", node, "recorded", len(p.results), "not_sent", sent, "in_doubt", p.doubts())
	return os.RemoveAll(dir)
}

// inherit completes the work of a dead node. Its results come first, so that
// nothing that is known is settled as doubtful.
func (v *serving) inherit(ctx context.Context, node int32, p predecessor) (sent int, err error) {
	batches := make([]int64, 0, len(p.results))
	for f := range p.results {
		batches = append(batches, f.batch)
	}
	kept, err := v.store.unpruned(ctx, batches)
	if err != nil {
		return 0, err
	}
	results := make([]queue.Result, 0, len(p.results))
	for _, r := range p.results {
		if !slices.Contains(kept, r.Batch) {
			continue // its recipients are gone
		}
		// Neither the time nor whether replies of the address are counted is in the journal.
		r.At, r.Counted = v.clock.Load().at(time.Now()), true
		results = append(results, r)
	}
	for chunk := range slices.Chunk(results, maxFlush) {
		alerts, err := v.DB.Finish(ctx, chunk)
		if err != nil {
			return 0, err
		}
		v.alert(alerts)
	}
	if !p.complete {
		return 0, nil // when its leases run out, the node that takes them settles the rest
	}
	if _, err := v.store.takeFrom(ctx, v.node.ID, node); err != nil {
		return 0, err
	}
	return v.store.restore(ctx, node, p.left)
}

const unprunedSQL = `SELECT id FROM enotify.batch WHERE id = ANY ($1) AND pruned_at IS NULL`

// unpruned picks the batches that have their recipients.
func (db *store) unpruned(ctx context.Context, batches []int64) ([]int64, error) {
	rows, err := db.pool.Query(ctx, unprunedSQL, batches)
	if err != nil {
		return nil, err
	}
	return pgx.CollectRows(rows, pgx.RowTo[int64])
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
	SELECT d.*, r.domain_id, k.grp, b.state = 'cancelled' AS cancelled, b.state <> 'cancelled' AND b.expires_at <= now() AS expired
	FROM unnest($2::bigint[], $3::int[]) n (batch_id, seq)
	JOIN enotify.doubt d ON d.batch_id = n.batch_id AND d.seq = n.seq AND d.node_id = $1
	JOIN enotify.outcome o ON o.batch_id = n.batch_id AND o.seq = n.seq AND o.state = 'unknown' AND o.at = d.at
	JOIN enotify.recipient r ON r.batch_id = n.batch_id AND r.seq = n.seq
	JOIN enotify.domain k ON k.id = r.domain_id
	JOIN enotify.batch b ON b.id = n.batch_id
), ended AS (
	UPDATE enotify.outcome o SET state = CASE WHEN n.cancelled THEN 'cancelled' ELSE 'expired' END::enotify.recipient_state, reply = $4
	FROM never n WHERE o.batch_id = n.batch_id AND o.seq = n.seq AND (n.cancelled OR n.expired)
), known AS (
	DELETE FROM enotify.outcome o USING never n WHERE o.batch_id = n.batch_id AND o.seq = n.seq AND NOT (n.cancelled OR n.expired)
)
INSERT INTO enotify.retry (batch_id, seq, domain_id, grp, due_at, first_at, attempts, tries, class)
SELECT batch_id, seq, domain_id, grp, now(), at, attempts, tries, 'not_begun' FROM never WHERE NOT (cancelled OR expired)`
	reopenSQL = `
UPDATE enotify.batch SET state = 'queued', finished_at = NULL, surveyed_at = NULL, reason = 'some were found not to have been tried'
WHERE id = ANY ($1) AND state = 'done' AND EXISTS (SELECT FROM enotify.retry t WHERE t.batch_id = id)`
	forgetDoubtsSQL = `DELETE FROM enotify.doubt WHERE node_id = $1`
	notSent         = "the node that was to send this died before the message had left"
)

// restore takes back what was settled as in doubt though no message of the dead
// node had left, and removes the node.
func (db *store) restore(ctx context.Context, node int32, left map[flight]bool) (n int, err error) {
	err = db.inTx(ctx, func(tx pgx.Tx) error {
		rows, err := tx.Query(ctx, doubtsOfSQL, node)
		if err != nil {
			return err
		}
		var batches []int64
		var seqs []int32
		var f flight
		if _, err := pgx.ForEachRow(rows, []any{&f.batch, &f.seq, &f.try}, func() error {
			if !left[f] {
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
