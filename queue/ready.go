package queue

import (
	"context"
	"errors"
	"strconv"
	"time"

	"github.com/jackc/pgx/v5"
)

// A ReadyDraft is a draft that is kept until it is needed.
type ReadyDraft struct {
	Batch     int64      `json:"batch"`
	Key       string     `json:"idem_key"`
	Client    string     `json:"client"`
	Subject   string     `json:"subject"`
	Since     time.Time  `json:"since"`
	CheckedAt *time.Time `json:"checked_at"`
	Verdict   string     `json:"verdict"` // ready, warnings, blocked, or unknown; "" before the first check
	Line      string     `json:"line"`    // what would stop it, or why it could not be checked
}

// Goes reports whether it would be sent if it were submitted now, as far as is known.
func (r ReadyDraft) Goes() bool { return r.Verdict == "ready" || r.Verdict == "warnings" }

const (
	keepReadySQL   = `SELECT enotify.keep_ready($1, $2)`
	readyDraftsSQL = `
SELECT batch_id, idem_key, client, subject, since, checked_at, verdict, line FROM enotify.ready ORDER BY batch_id`
)

// KeepReady keeps a draft until it is needed, or no longer.
func (db *DB) KeepReady(ctx context.Context, batch int64, keep bool) error {
	_, err := db.pool.Exec(ctx, keepReadySQL, batch, keep)
	return AsRefusal(err)
}

// ReadyDrafts lists the drafts that are kept ready.
func (db *DB) ReadyDrafts(ctx context.Context) ([]ReadyDraft, error) {
	return Collect[ReadyDraft](ctx, db, readyDraftsSQL)
}

// checkReadySQL takes a draft that is to be checked: at first, once a night after three
// o'clock, an hour after it was found not to be ready, and when something has changed that
// its last check depends on. Of the nodes, a preflight asks for addresses, their pools and
// states, names and settings: another process with the same settings is no change.
const checkReadySQL = `
WITH now AS MATERIALIZED (
	SELECT r.batch_id, c.domain, md5(concat_ws(E'\n', b.xmin, c.return_path, c.bounce, c.bounce_domain,
		c.dkim_selectors, c.from_spf,
		(SELECT string_agg(concat_ws(' ', v.identity, v.domain, v.egress, v.result, v.blocks,
				extract(epoch FROM v.since)), E'\n' ORDER BY v.identity, v.egress)
		 FROM enotify.verdict v WHERE v.client_id = c.id AND v.superseded_at IS NULL),
		(SELECT string_agg(DISTINCT concat_ws(' ', n.egress, n.helo, n.settings), E'\n') FROM enotify.node n
			WHERE n.live_until > now()),
		(SELECT string_agg(DISTINCT concat_ws(' ', e.address, e.pool, e.state, e.helo), E'\n')
		 FROM enotify.live_egress e))) AS mark
	FROM enotify.ready_draft r JOIN enotify.batch b ON b.id = r.batch_id JOIN enotify.client c ON c.id = b.client_id
	WHERE b.state = 'draft'
), next AS (
	SELECT r.batch_id, n.domain, n.mark FROM enotify.ready_draft r JOIN now n ON n.batch_id = r.batch_id
	WHERE r.held_until <= now() AND (r.checked_at IS NULL OR r.mark IS DISTINCT FROM n.mark
		OR r.verdict IN ('blocked', 'unknown') AND r.checked_at < now() - interval '1 hour'
	   OR r.checked_at < date_trunc('day', now() - interval '3 hours') + interval '3 hours')
	ORDER BY r.checked_at NULLS FIRST, r.batch_id LIMIT 1 FOR UPDATE OF r SKIP LOCKED
)
UPDATE enotify.ready_draft r SET held_until = now() + $1::interval FROM next n WHERE r.batch_id = n.batch_id
RETURNING r.batch_id, n.domain, n.mark`

// A ReadyCheck is a draft that is kept ready, to be checked by whoever took it.
type ReadyCheck struct {
	Batch  int64
	Client string
	mark   string
}

// CheckReady takes a draft to be checked, for a while. The error wraps ErrNotFound
// when there is none.
func (db *DB) CheckReady(ctx context.Context, lease time.Duration) (c ReadyCheck, err error) {
	err = db.pool.QueryRow(ctx, checkReadySQL, lease).Scan(&c.Batch, &c.Client, &c.mark)
	if errors.Is(err, pgx.ErrNoRows) {
		return c, NotFound(NounBatch, "to check")
	}
	return c, err
}

const holdReadySQL = `
UPDATE enotify.ready_draft SET held_until = now() + $2::interval WHERE batch_id = $1`

// HoldReady keeps a draft that was taken for a while longer.
func (db *DB) HoldReady(ctx context.Context, c ReadyCheck, lease time.Duration) error {
	_, err := db.pool.Exec(ctx, holdReadySQL, c.Batch, lease)
	return err
}

const leaveReadySQL = `
UPDATE enotify.ready_draft SET held_until = '-infinity' WHERE batch_id = $1`

// LeaveReady leaves a draft to another node: this one ends before the check does.
func (db *DB) LeaveReady(ctx context.Context, c ReadyCheck) error {
	_, err := db.pool.Exec(ctx, leaveReadySQL, c.Batch)
	return err
}

const noteReadySQL = `SELECT enotify.note_ready($1, $2, $3, $4, $5, $6)`

// NoteReady records what a check found: line says what would stop it, p is the report,
// nil when there is none. The alert says that the draft would not go; nil: it would, or
// that is known.
func (db *DB) NoteReady(ctx context.Context, c ReadyCheck, verdict, line string, p *KeptPreflight) (alert *Alert,
	err error) {
	var report any
	var reportLine *string
	if p != nil {
		report, reportLine = p.Report, &p.Line
	}
	err = db.inTx(ctx, func(tx pgx.Tx) error {
		var news bool
		if err := tx.QueryRow(ctx, noteReadySQL, c.Batch, c.mark, verdict, Text(line), report,
			reportLine).Scan(&news); err != nil || !news {
			return err
		}
		what := "batch " + strconv.FormatInt(c.Batch, 10) + ", which is kept ready, "
		if verdict == "unknown" {
			what += "could not be checked: "
		} else {
			what += "is not ready: "
		}
		alert = &Alert{Kind: AlertNotReady, Client: c.Client, Batch: c.Batch, Text: what + line,
			Next: "enotify preflight " + strconv.FormatInt(c.Batch, 10)}
		return RaiseIn(ctx, tx, *alert)
	})
	if err != nil {
		return nil, err
	}
	return alert, nil
}
