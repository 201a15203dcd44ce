package queue

import (
	"context"
	"fmt"
	"net/netip"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"
)

// A Subject is a client whose verdict is missing or has run out, and who has
// batches that wait for it.
type Subject struct {
	ClientID   int32
	Client     string // the domain of its From: addresses
	From       string // address of the From: field of its next batch
	ReturnPath string // envelope sender; "" when it is From
	Egress     []Egress
}

// MailFrom is the envelope sender of the client's mail.
func (s Subject) MailFrom() string {
	if s.ReturnPath != "" {
		return s.ReturnPath
	}
	return s.From
}

// An Egress is an address of a live node and the name that node gives at EHLO.
type Egress struct {
	Addr netip.Addr
	HELO string
}

// A Verdict is what the guard found for one identity and one egress address.
type Verdict struct {
	Identity    string // "mailfrom", or "from" where its domain differs
	Domain      string
	Egress      netip.Addr
	Result      string // RFC 7208 §2.6
	Blocks      bool   // nothing may be sent from Egress for this client
	Record      string
	Explanation string // one sentence
	Fix         string // zone line; "" when nothing needs a cure
	ValidFor    time.Duration
}

// Temporary reports whether the check could not be made: it says nothing about
// the client, whose batches wait.
func (v Verdict) Temporary() bool { return v.Result == "temperror" }

const unjudgedSQL = `
WITH live AS (
	SELECT DISTINCT ON (e.ip) e.ip, n.helo FROM enotify.node n CROSS JOIN unnest(n.egress) e (ip) WHERE n.live_until > now() ORDER BY e.ip, n.id
), waiting AS (
	SELECT DISTINCT ON (b.client_id) b.client_id, b.from_address FROM enotify.batch b
	WHERE b.finished_at IS NULL AND b.state IN ('queued', 'sending', 'retrying', 'blocked')
	ORDER BY b.client_id, b.priority DESC, b.submitted_at, b.id
)
SELECT c.id, c.domain, w.from_address, coalesce(c.return_path, ''),
       (SELECT array_agg(ip ORDER BY ip) FROM live), (SELECT array_agg(helo ORDER BY ip) FROM live)
FROM waiting w JOIN enotify.client c ON c.id = w.client_id
WHERE EXISTS (SELECT FROM live l WHERE NOT EXISTS (
	SELECT FROM enotify.verdict v
	WHERE v.client_id = c.id AND v.identity = 'mailfrom' AND v.egress = l.ip AND v.superseded_at IS NULL AND v.valid_until > now()))`

// Unjudged lists the clients that the guard must look at now, each with the
// egress addresses of all live nodes.
func (db *DB) Unjudged(ctx context.Context) ([]Subject, error) {
	rows, err := db.pool.Query(ctx, unjudgedSQL)
	if err != nil {
		return nil, err
	}
	return pgx.CollectRows(rows, func(row pgx.CollectableRow) (s Subject, err error) {
		var ips []netip.Prefix
		var helos []string
		err = row.Scan(&s.ClientID, &s.Client, &s.From, &s.ReturnPath, &ips, &helos)
		for i, ip := range ips {
			s.Egress = append(s.Egress, Egress{Addr: ip.Addr(), HELO: helos[i]})
		}
		return s, err
	})
}

// temperrorGrace is how long a verdict outlives its validity when the check
// cannot be repeated: a resolver that hiccups does not stop a batch at once.
const temperrorGrace = 10 * time.Minute

// clientLock is the class of the advisory locks under which one guard at a time judges a client.
const clientLock = 0x656e6f67 // "enog"

const (
	lockClientSQL = `SELECT pg_advisory_xact_lock($1, $2)`
	// The same again: only the time moves.
	confirmSQL = `
UPDATE enotify.verdict SET checked_at = now(), valid_until = now() + $7, explanation = $8, fix = $9
WHERE client_id = $1 AND identity = $2 AND egress = $3 AND superseded_at IS NULL AND domain = $4 AND result = $5 AND record = $6`
	outliveSQL = `
UPDATE enotify.verdict SET valid_until = now() + $4
WHERE client_id = $1 AND identity = $2 AND egress = $3 AND superseded_at IS NULL AND result <> 'temperror' AND checked_at > now() - $5::interval`
	supersedeSQL = `UPDATE enotify.verdict SET superseded_at = now() WHERE client_id = $1 AND identity = $2 AND egress = $3 AND superseded_at IS NULL`
	concludeSQL  = `
INSERT INTO enotify.verdict (client_id, identity, egress, domain, result, record, valid_until, explanation, fix, blocks)
VALUES ($1, $2, $3, $4, $5, $6, now() + $7, $8, $9, $10)`
	dropOthersSQL = `
UPDATE enotify.verdict SET superseded_at = now()
WHERE client_id = $1 AND superseded_at IS NULL AND (identity, egress) NOT IN (SELECT * FROM unnest($2::text[], $3::inet[]))`

	blockSQL   = `UPDATE enotify.batch SET state = 'blocked', reason = $2 WHERE client_id = $1 AND state IN ('queued', 'sending', 'retrying') RETURNING id`
	reblockSQL = `UPDATE enotify.batch SET reason = $2 WHERE client_id = $1 AND state = 'blocked' AND reason <> $2`
	unblockSQL = `UPDATE enotify.batch SET state = 'queued', reason = '' WHERE client_id = $1 AND state = 'blocked' RETURNING id`
	waitSQL    = `UPDATE enotify.batch SET reason = $2 WHERE client_id = $1 AND state = 'queued' AND reason <> $2`
	waitedSQL  = `UPDATE enotify.batch SET reason = '' WHERE client_id = $1 AND state = 'queued' AND reason LIKE 'waits for DNS%'`
)

// Judge records the verdicts on a client, one for each identity and egress
// address, and draws the consequence in the same transaction: batches are
// blocked, or go back into the queue, or wait for DNS. It returns those that
// were blocked and those that were freed just now.
func (db *DB) Judge(ctx context.Context, client int32, verdicts []Verdict) (blocked, freed []int64, err error) {
	var identities []string
	var egress []netip.Addr
	var no, unsure *Verdict
	for i := range verdicts {
		v := &verdicts[i]
		identities, egress = append(identities, v.Identity), append(egress, v.Egress)
		if v.Blocks && no == nil {
			no = v
		}
		if v.Temporary() && unsure == nil {
			unsure = v
		}
	}
	err = db.inTx(ctx, func(tx pgx.Tx) error {
		if _, err := tx.Exec(ctx, lockClientSQL, clientLock, client); err != nil {
			return err
		}
		lasting := false // the last verdicts hold a while longer
		for _, v := range verdicts {
			outlived, err := conclude(ctx, tx, client, v)
			if err != nil {
				return err
			}
			lasting = lasting || outlived
		}
		if _, err := tx.Exec(ctx, dropOthersSQL, client, identities, egress); err != nil {
			return err
		}
		switch {
		case no != nil:
			if blocked, err = ids(ctx, tx, blockSQL, client, no.reason()); err != nil {
				return err
			}
			_, err = tx.Exec(ctx, reblockSQL, client, no.reason())
		case unsure != nil && lasting:
		case unsure != nil:
			_, err = tx.Exec(ctx, waitSQL, client, "waits for DNS: "+unsure.Explanation)
		default:
			if freed, err = ids(ctx, tx, unblockSQL, client); err != nil {
				return err
			}
			_, err = tx.Exec(ctx, waitedSQL, client)
		}
		return err
	})
	return blocked, freed, err
}

// conclude keeps one verdict. It reports whether v could not be reached but the last one still holds.
func conclude(ctx context.Context, tx pgx.Tx, client int32, v Verdict) (outlived bool, err error) {
	if v.Temporary() {
		tag, err := tx.Exec(ctx, outliveSQL, client, v.Identity, v.Egress, v.ValidFor, temperrorGrace)
		if err != nil || tag.RowsAffected() > 0 {
			return true, err
		}
	}
	tag, err := tx.Exec(ctx, confirmSQL, client, v.Identity, v.Egress, v.Domain, v.Result, v.Record, v.ValidFor, v.Explanation, v.Fix)
	if err != nil || tag.RowsAffected() > 0 {
		return false, err
	}
	if _, err := tx.Exec(ctx, supersedeSQL, client, v.Identity, v.Egress); err != nil {
		return false, err
	}
	_, err = tx.Exec(ctx, concludeSQL, client, v.Identity, v.Egress, v.Domain, v.Result, v.Record, v.ValidFor, v.Explanation, v.Fix, v.Blocks)
	return false, err
}

func (v *Verdict) reason() string {
	var b strings.Builder
	fmt.Fprintf(&b, "SPF %s for %s from %s: %s", v.Result, v.Domain, v.Egress, v.Explanation)
	if v.Fix != "" {
		fmt.Fprintf(&b, "; publish %s", v.Fix)
	}
	return b.String()
}

func ids(ctx context.Context, tx pgx.Tx, sql string, args ...any) ([]int64, error) {
	rows, err := tx.Query(ctx, sql, args...)
	if err != nil {
		return nil, err
	}
	return pgx.CollectRows(rows, pgx.RowTo[int64])
}

// A StoredVerdict is a verdict with its history.
type StoredVerdict struct {
	Verdict
	Since        time.Time  // first seen so
	CheckedAt    time.Time  // last seen so
	SupersededAt *time.Time // when it changed; nil: it is the current one
}

const verdictsSQL = `
SELECT v.identity, v.domain, v.egress, v.result, v.blocks, v.record, v.explanation, v.fix, v.since, v.checked_at, v.superseded_at
FROM enotify.verdict v JOIN enotify.client c ON c.id = v.client_id WHERE c.domain = $1
ORDER BY v.superseded_at DESC NULLS FIRST, v.identity, v.egress LIMIT $2`

// Verdicts lists the latest verdicts on a client, current ones first.
func (db *DB) Verdicts(ctx context.Context, client string, limit int) ([]StoredVerdict, error) {
	rows, err := db.pool.Query(ctx, verdictsSQL, client, limit)
	if err != nil {
		return nil, err
	}
	return pgx.CollectRows(rows, func(row pgx.CollectableRow) (v StoredVerdict, err error) {
		var egress netip.Prefix
		err = row.Scan(&v.Identity, &v.Domain, &egress, &v.Result, &v.Blocks, &v.Record, &v.Explanation, &v.Fix, &v.Since, &v.CheckedAt, &v.SupersededAt)
		v.Egress = egress.Addr()
		return v, err
	})
}
