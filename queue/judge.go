package queue

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"maps"
	"net/netip"
	"slices"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"
)

// temperrorGrace is how long a verdict outlives its validity when the check
// cannot be repeated: a resolver that fails for a moment does not stop a batch.
const temperrorGrace = 10 * time.Minute

const (
	// One guard at a time judges a client. Foreign keys of applications' batches
	// do not conflict with this lock.
	lockClientSQL = `SELECT FROM enotify.client WHERE id = $1 FOR NO KEY UPDATE`
	// The same again: only the time moves.
	confirmSQL = `
UPDATE enotify.verdict SET checked_at = now(), valid_until = now() + $7, explanation = $8, fix = $9
WHERE client_id = $1 AND identity = $2 AND egress = $3 AND superseded_at IS NULL AND domain = $4 AND result = $5
  AND record = $6 AND blocks = $10`
	outliveSQL = `
UPDATE enotify.verdict SET valid_until = now() + $4
WHERE client_id = $1 AND identity = $2 AND egress = $3 AND superseded_at IS NULL AND result <> 'temperror'
  AND checked_at > now() - $5::interval`
	supersedeSQL = `
UPDATE enotify.verdict SET superseded_at = now() WHERE client_id = $1 AND identity = $2 AND egress = $3
  AND superseded_at IS NULL
RETURNING result, record, since, blocks`
	concludeSQL = `
INSERT INTO enotify.verdict (client_id, identity, egress, domain, result, record, valid_until, explanation, fix, blocks)
VALUES ($1, $2, $3, $4, $5, $6, now() + $7, $8, $9, $10)`
	dropOthersSQL = `
UPDATE enotify.verdict SET superseded_at = now()
WHERE client_id = $1 AND superseded_at IS NULL
  AND (identity, egress) NOT IN (SELECT * FROM unnest($2::text[], $3::inet[]))`

	poolsSQL = `
SELECT a.ip, coalesce(e.pool, 'default') FROM unnest($1::inet[]) a (ip) LEFT JOIN enotify.egress e ON e.address = a.ip`
	lockBatchesSQL = `
SELECT FROM enotify.batch WHERE client_id = $1 AND finished_at IS NULL AND state <> 'draft'
  ORDER BY id FOR NO KEY UPDATE`

	blockSQL = `
UPDATE enotify.batch SET state = 'blocked', reason = $2
  WHERE client_id = $1 AND state IN ('queued', 'sending', 'draining', 'retrying') RETURNING id`
	blockPoolSQL = `
UPDATE enotify.batch SET state = 'blocked', reason = $2
WHERE client_id = $1 AND state IN ('queued', 'sending', 'draining', 'retrying')
  AND enotify.batch_pool(pool, priority, client_id) = $3 RETURNING id`
	blockNewSQL = `
UPDATE enotify.batch SET state = 'blocked', reason = $2 WHERE client_id = $1 AND state = 'queued' AND started_at IS NULL
  AND enotify.batch_pool(pool, priority, client_id) = $3 RETURNING id`
	anyMaySQL = `
SELECT EXISTS (SELECT FROM enotify.node n WHERE n.live_until > now() AND enotify.may_send(n.id, $1, $2))`
	reblockSQL = `
UPDATE enotify.batch SET reason = $2 WHERE client_id = $1 AND state = 'blocked' AND fault = '' AND reason <> $2
  AND enotify.batch_pool(pool, priority, client_id) = $3`
	unblockSQL = `
UPDATE enotify.batch SET state = 'queued', reason = ''
WHERE client_id = $1 AND state = 'blocked' AND fault = '' AND enotify.batch_pool(pool, priority, client_id) = $2
  AND NOT EXISTS (SELECT FROM enotify.client c WHERE c.id = $1 AND c.refused_at IS NOT NULL) RETURNING id`
	clientDomainSQL = `SELECT domain FROM enotify.client WHERE id = $1`
	waitSQL         = `
UPDATE enotify.batch SET reason = $2 WHERE client_id = $1 AND state = 'queued' AND reason <> $2
  AND enotify.batch_pool(pool, priority, client_id) = $3`
	waitedSQL = `
UPDATE enotify.batch SET reason = '' WHERE client_id = $1 AND state = 'queued'
  AND (reason LIKE 'waits for DNS%' OR reason LIKE 'waits for the guard%')
  AND enotify.batch_pool(pool, priority, client_id) = $2`
)

// A Judgement is the consequences of verdicts.
type Judgement struct {
	Blocked []int64   // batches that were blocked just now
	Freed   []int64   // batches that went back into the queue
	Drifts  []Drift   // verdicts that changed
	Barred  []Verdict // of new addresses that may not send; batches under way go on without them
	Alerts  []Alert
}

// A Drift is a verdict that has changed.
type Drift struct {
	Verdict
	WasResult string
	WasBlocks bool
	WasRecord string
	WasSince  time.Time
}

// Judge records the verdicts on a client, one for each identity and egress address,
// and acts on them in the same transaction: the batches that leave from the pool of an
// address are blocked, or go back into the queue, or wait for DNS. Verdicts on a client
// whose envelope sender or selectors were changed since s was listed are dropped, and the
// client is listed again.
func (db *DB) Judge(ctx context.Context, s Subject, verdicts []Verdict) (j Judgement, err error) {
	client := s.ClientID
	verdicts = slices.Clone(verdicts)
	var identities []string
	var egress []netip.Addr
	bad := false
	for i := range verdicts {
		v := &verdicts[i]
		v.Domain, v.Record, v.Explanation, v.Fix = Text(v.Domain), Text(v.Record), Text(v.Explanation), Text(v.Fix)
		identities, egress = append(identities, v.Identity), append(egress, v.Egress)
		bad = bad || v.Blocks
	}
	err = db.inTx(ctx, func(tx pgx.Tx) error {
		j = Judgement{}
		if _, err := tx.Exec(ctx, shortWaitSQL); err != nil {
			return err
		}
		if _, err := tx.Exec(ctx, lockClientSQL, client); err != nil {
			return err
		}
		if same, err := s.current(ctx, tx); err != nil || !same {
			return err
		}
		if left, err := s.leave(ctx, tx, verdicts); err != nil || left {
			return err
		}
		pools, err := poolsOf(ctx, tx, egress)
		if err != nil {
			return err
		}
		byPool := map[string]*poolVerdicts{}
		for _, v := range verdicts {
			p := byPool[pools[v.Egress]]
			if p == nil {
				p = &poolVerdicts{pool: pools[v.Egress]}
				byPool[p.pool] = p
			}
			outlived, first, drift, err := conclude(ctx, tx, client, v)
			if err != nil {
				return err
			}
			p.add(v, outlived, first, drift)
			if drift != nil {
				j.Drifts = append(j.Drifts, *drift)
			}
		}
		if _, err := tx.Exec(ctx, dropOthersSQL, client, identities, egress); err != nil {
			return err
		}
		if bad || j.changed() { // the guard sees what is wrong, or that something was done about it
			if err := forgive(ctx, tx, client); err != nil {
				return err
			}
		}
		if _, err := tx.Exec(ctx, lockBatchesSQL, client); err != nil {
			return err
		}
		for _, pool := range slices.Sorted(maps.Keys(byPool)) {
			switch p := byPool[pool]; {
			case p.no != nil:
				err = j.block(ctx, tx, client, p)
			case p.unsure != nil && p.lasting:
			case p.unsure != nil:
				_, err = tx.Exec(ctx, waitSQL, client, "waits for DNS: "+p.unsure.Explanation, pool)
			default:
				err = free(ctx, tx, client, pool, &j)
			}
			if err != nil {
				return err
			}
		}
		return nil
	})
	return j, AsRefusal(err)
}

// leave reports whether the client is left to other nodes: the one that checks lacks
// a key that signs, which says nothing about the client where another node has it.
func (s *Subject) leave(ctx context.Context, tx pgx.Tx, verdicts []Verdict) (left bool, err error) {
	i := slices.IndexFunc(verdicts, func(v Verdict) bool { return v.Blocks && v.Identity == "dkim" })
	if i < 0 || s.Node == 0 {
		return false, nil
	}
	if _, err := tx.Exec(ctx, barOneSQL, s.Node, s.ClientID, verdicts[i].Explanation); err != nil {
		return false, err
	}
	err = tx.QueryRow(ctx, othersCanSQL, s.Node, s.ClientID).Scan(&left)
	return left, err
}

// poolVerdicts are the verdicts on the addresses of one pool. They decide about the batches
// that leave from it, and about no others.
type poolVerdicts struct {
	pool       string
	all        []Verdict
	no, unsure *Verdict  // the first that blocks, and that is none
	lasting    bool      // the last verdicts hold a while longer
	fresh      []Verdict // those that block, of addresses never looked at
	drifts     []Drift
}

func (p *poolVerdicts) add(v Verdict, outlived, first bool, drift *Drift) {
	p.all = append(p.all, v)
	if v.Blocks && p.no == nil {
		p.no = &v
	}
	if v.Temporary() && p.unsure == nil {
		p.unsure = &v
	}
	p.lasting = p.lasting || outlived
	if first && v.Blocks {
		p.fresh = append(p.fresh, v)
	}
	if drift != nil {
		p.drifts = append(p.drifts, *drift)
	}
}

// poolsOf says in which pool each address is.
func poolsOf(ctx context.Context, tx pgx.Tx, addrs []netip.Addr) (map[netip.Addr]string, error) {
	rows, err := tx.Query(ctx, poolsSQL, addrs)
	if err != nil {
		return nil, err
	}
	pools := map[netip.Addr]string{}
	var addr netip.Prefix // inet
	var pool string
	_, err = pgx.ForEachRow(rows, []any{&addr, &pool}, func() error { pools[addr.Addr()] = pool; return nil })
	return pools, err
}

// Verdicts on other clients do not wait for a lock on this one.
const shortWaitSQL = `SET LOCAL lock_timeout = '500ms'`

// The statement waits for no lock: a locked batch keeps its reason.
const unjudgedSQL = `
WITH waiting AS (
	SELECT id FROM enotify.batch WHERE client_id = $1 AND state = 'queued' AND reason <> $2
		ORDER BY id FOR NO KEY UPDATE SKIP LOCKED
)
UPDATE enotify.batch b SET reason = $2 FROM waiting w WHERE b.id = w.id`

// NoteUnjudged has the batches of a client say that no verdict on it could be recorded.
func (db *DB) NoteUnjudged(ctx context.Context, s Subject) error {
	_, err := db.pool.Exec(ctx, unjudgedSQL, s.ClientID,
		"waits for the guard: its verdict could not be recorded; the log of the nodes says why")
	return AsRefusal(err)
}

// The client's row is locked before its verdicts, as SetClient does.
const subjectSQL = `
SELECT coalesce(return_path, ''), bounce, coalesce(bounce_domain, ''), dkim_selectors, from_spf FROM enotify.client
  WHERE id = $1 FOR NO KEY UPDATE`

// current reports whether the client still sends as it did when s was listed,
// and keeps it so until the end of the transaction.
func (s *Subject) current(ctx context.Context, tx pgx.Tx) (bool, error) {
	var now Subject
	err := tx.QueryRow(ctx, subjectSQL, s.ClientID).Scan(&now.ReturnPath, &now.Bounces.Mode, &now.Bounces.Domain,
		&now.Selectors, &now.FromSPF)
	if errors.Is(err, pgx.ErrNoRows) { // removed
		return false, nil
	}
	was := Bounces{cmp.Or(s.Bounces.Mode, BounceOff), s.Bounces.Domain}
	return now.ReturnPath == s.ReturnPath && now.Bounces == was && now.FromSPF == cmp.Or(s.FromSPF, FromSPFBlocks) &&
		slices.Equal(now.Selectors, s.Selectors), err
}

// block stops the client's batches that leave from a pool. Batches that have begun go on as long as another
// node may send them, and no verdict that let them pass has turned.
func (j *Judgement) block(ctx context.Context, tx pgx.Tx, client int32, p *poolVerdicts) error {
	no := p.no
	var others bool
	err := tx.QueryRow(ctx, anyMaySQL, client, p.pool).Scan(&others)
	if err != nil {
		return err
	}
	sql := blockPoolSQL
	turned := slices.ContainsFunc(p.drifts, func(d Drift) bool { return d.Blocks && !d.WasBlocks })
	everywhere := slices.ContainsFunc(p.all, func(v Verdict) bool { return v.Blocks && v.Identity == "dkim" })
	if others && !turned && !everywhere {
		sql, j.Barred = blockNewSQL, append(j.Barred, p.fresh...)
	}
	blocked, err := ids(ctx, tx, sql, client, no.reason(), p.pool)
	if err != nil {
		return err
	}
	j.Blocked = append(j.Blocked, blocked...)
	if len(blocked) > 0 {
		a := Alert{Kind: AlertClientBlocked, Batch: blocked[0], Text: no.reason(), Next: "enotify spf check " +
			no.Domain}
		if err := tx.QueryRow(ctx, clientDomainSQL, client).Scan(&a.Client); err != nil {
			return err
		}
		if no.Identity == "dkim" || no.Identity == "dmarc" {
			a.Next = "enotify client show " + a.Client
		}
		if err := RaiseIn(ctx, tx, a); err != nil {
			return err
		}
		j.Alerts = append(j.Alerts, a)
	}
	_, err = tx.Exec(ctx, reblockSQL, client, no.reason(), p.pool)
	return err
}

// free lets the client's batches that leave from a pool go on, unless receivers refuse them for a reason that
// the guard cannot see.
func free(ctx context.Context, tx pgx.Tx, client int32, pool string, j *Judgement) error {
	freed, err := ids(ctx, tx, unblockSQL, client, pool)
	if err != nil {
		return err
	}
	j.Freed = append(j.Freed, freed...)
	_, err = tx.Exec(ctx, waitedSQL, client, pool)
	return err
}

// changed reports whether something was done about the client's DNS.
func (j *Judgement) changed() bool {
	return slices.ContainsFunc(j.Drifts, func(d Drift) bool { return !d.Temporary() && d.WasResult != "temperror" })
}

// conclude keeps one verdict. It reports whether the check failed but the last verdict
// still holds, whether v is the first, and what v has changed.
func conclude(ctx context.Context, tx pgx.Tx, client int32, v Verdict) (outlived, first bool, drift *Drift, err error) {
	if v.Temporary() {
		tag, err := tx.Exec(ctx, outliveSQL, client, v.Identity, v.Egress, v.ValidFor, temperrorGrace)
		if err != nil || tag.RowsAffected() > 0 {
			return true, false, nil, err
		}
	}
	tag, err := tx.Exec(ctx, confirmSQL, client, v.Identity, v.Egress, v.Domain, v.Result, v.Record, v.ValidFor,
		v.Explanation, v.Fix, v.Blocks)
	if err != nil || tag.RowsAffected() > 0 {
		return false, false, nil, err
	}
	was := Drift{Verdict: v}
	switch err := tx.QueryRow(ctx, supersedeSQL, client, v.Identity, v.Egress).Scan(&was.WasResult, &was.WasRecord,
		&was.WasSince, &was.WasBlocks); {
	case err == nil:
		drift = &was
	case !errors.Is(err, pgx.ErrNoRows):
		return false, false, nil, err
	}
	_, err = tx.Exec(ctx, concludeSQL, client, v.Identity, v.Egress, v.Domain, v.Result, v.Record, v.ValidFor,
		v.Explanation, v.Fix, v.Blocks)
	return false, drift == nil, drift, err
}

func (v *Verdict) reason() string {
	var b strings.Builder
	switch v.Identity {
	case "dkim":
		return "DKIM: " + v.Explanation
	case "dmarc": // the explanation names the domain
		b.WriteString(v.Explanation)
	default:
		fmt.Fprintf(&b, "SPF %s for %s from %s: %s", v.Result, v.Domain, v.Egress, v.Explanation)
	}
	if v.Fix != "" {
		return strings.TrimSuffix(b.String(), ".") + "; publish " + v.Fix
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
