package queue

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"
)

// Receivers may refuse a client's mail as not authorised though its SPF record
// passes: for DKIM or DMARC, or because they see another address of ours than
// we know of. One refusal has the guard look again.
//
// Refusals that name the sender (Treatment.BlocksClient) block the client's
// batches when they come within one spell from refusedSites sites or more, each
// that refused one in refusedThere of the messages they answered, and are as
// many as one in refusedOf recipients of the batches under way, but at least
// refusedLeast and at most refusedMost. So a few sites that are wrong about a
// client do not stop a campaign that the others take. A spell ends after
// refusedSpell without a refusal.
const (
	refusedSites = 2
	refusedThere = 4
	refusedOf    = 10
	refusedLeast = 3
	refusedMost  = 100
	refusedSpell = time.Hour
)

const (
	refusedClientsSQL = `SELECT DISTINCT b.client_id FROM enotify.batch b WHERE b.id = ANY ($1) ORDER BY 1`
	// Refusals no newer than the last counted one are skipped. The evidence is
	// the first that counts, or else the first.
	countRefusedSQL = `
INSERT INTO enotify.auth_refusal AS a (client_id, site, first_at, last_at, hits, batch_id, seq, code, reply)
SELECT b.client_id, f.site, min(f.at), max(f.at), count(*) FILTER (WHERE f.counts),
  (array_agg(f.batch_id ORDER BY NOT f.counts, f.at))[1],
       (array_agg(f.seq ORDER BY NOT f.counts, f.at))[1], (array_agg(f.code ORDER BY NOT f.counts, f.at))[1],
       (array_agg(CASE WHEN g.at IS NULL THEN f.reply ELSE '' END ORDER BY NOT f.counts, f.at))[1]
FROM unnest($1::bigint[], $2::int[], $3::text[], $4::timestamptz[], $5::text[], $6::text[], $7::bool[])
     f (batch_id, seq, site, at, code, reply, counts)
JOIN enotify.batch b ON b.id = f.batch_id LEFT JOIN enotify.forgotten g ON g.batch_id = f.batch_id AND g.seq = f.seq
GROUP BY 1, 2 ORDER BY 1, 2
ON CONFLICT (client_id, site) DO UPDATE SET last_at = excluded.last_at, hits = a.hits + excluded.hits,
	batch_id = CASE WHEN a.hits = 0 THEN excluded.batch_id ELSE a.batch_id END,
	seq = CASE WHEN a.hits = 0 THEN excluded.seq ELSE a.seq END,
	code = CASE WHEN a.hits = 0 THEN excluded.code ELSE a.code END,
	reply = CASE WHEN a.hits = 0 THEN excluded.reply ELSE a.reply END
WHERE a.last_at < excluded.last_at`
	// The recipients of the client's batches that are under way, or ended since.
	underWaySQL = `
SELECT coalesce(sum(b.sendable), 0) FROM enotify.batch b
WHERE b.client_id = $1 AND b.started_at IS NOT NULL AND (b.finished_at IS NULL OR b.finished_at >= $2)`
	// How many messages of the client a site took since, up to a limit.
	takenThereSQL = `
SELECT count(*) FROM (
	SELECT FROM enotify.batch b
	JOIN enotify.batch_domain p ON p.batch_id = b.id
	JOIN enotify.domain d ON d.id = p.domain_id LEFT JOIN enotify.site s ON s.id = d.site_id
	JOIN enotify.outcome o ON o.batch_id = b.id AND o.seq BETWEEN p.first_seq AND p.intent_seq AND o.state = 'delivered'
		AND o.at >= $3
	WHERE b.client_id = $1 AND (b.finished_at IS NULL OR b.finished_at >= $3) AND coalesce(s.name, d.name) = $2
	LIMIT $4
) o`
	endSpellsSQL = `
DELETE FROM enotify.auth_refusal a WHERE a.client_id = $1 AND a.last_at < $2::timestamptz - $3::interval`
	// A site that is new since before is there for the first time in this spell.
	refusalsSQL = `
SELECT a.site, a.hits, a.code, a.reply, a.batch_id, a.first_at, a.first_at >= $2 AS first
FROM enotify.auth_refusal a WHERE a.client_id = $1 ORDER BY a.first_at, a.site`
	askAgainSQL = `
WITH due AS (
	UPDATE enotify.verdict SET valid_until = now() WHERE client_id = $1 AND superseded_at IS NULL
		AND valid_until > now() RETURNING 1
)
SELECT pg_notify('enotify', 'verdict') WHERE EXISTS (SELECT FROM due)`
	refusedClientSQL = `SELECT domain, refused_at IS NOT NULL FROM enotify.client WHERE id = $1`
	stopClientSQL    = `UPDATE enotify.client SET refused_at = now(), refused_why = $2 WHERE id = $1`
)

// A refusedBy counts the refusals of a client at one site.
type refusedBy struct {
	Site    string
	Hits    int
	Code    string
	Reply   string
	BatchID int64
	FirstAt time.Time
	First   bool // since the time asked for
}

// lockRefused locks the clients whose mail was refused. It comes first in a
// transaction: see Locks in the documentation of the package.
func lockRefused(ctx context.Context, tx pgx.Tx, refused []Result) (clients []int32, err error) {
	batches := make([]int64, len(refused))
	for i := range refused {
		batches[i] = refused[i].Batch
	}
	rows, err := tx.Query(ctx, refusedClientsSQL, batches)
	if err != nil {
		return nil, err
	}
	if clients, err = pgx.CollectRows(rows, pgx.RowTo[int32]); err != nil {
		return nil, err
	}
	for _, client := range clients {
		if _, err := tx.Exec(ctx, lockClientSQL, client); err != nil {
			return nil, err
		}
	}
	return clients, nil
}

// refuse draws the consequences of refusals for want of authorisation.
func refuse(ctx context.Context, tx pgx.Tx, clients []int32, refused []Result) (alerts []Alert, err error) {
	var c columns
	var sites, codes []string
	var counts []bool
	begun := refused[0].At
	for i := range refused {
		r := &refused[i]
		c.add(r)
		counts = append(counts, r.Treated().BlocksClient)
		sites = append(sites, cmp.Or(r.Site, r.Host))
		codes = append(codes, strings.TrimSpace(fmt.Sprint(r.Reply.Code, " ", storable(r.Reply.Enhanced))))
		if r.At.Before(begun) {
			begun = r.At
		}
	}
	for _, client := range clients {
		if _, err := tx.Exec(ctx, endSpellsSQL, client, begun, refusedSpell); err != nil {
			return nil, err
		}
	}
	if _, err := tx.Exec(ctx, countRefusedSQL, c.batch, c.seq, sites, c.at, codes, c.reply, counts); err != nil {
		return nil, fmt.Errorf("count refusals: %w", err)
	}
	for _, client := range clients {
		a, err := weigh(ctx, tx, client, begun.Truncate(time.Microsecond)) // as the database keeps it
		if err != nil {
			return nil, fmt.Errorf("weigh refusals of client %d: %w", client, err)
		}
		if a != nil {
			alerts = append(alerts, *a)
		}
	}
	return alerts, nil
}

// weigh decides what follows from the refusals of a client; those since a time are
// new.
func weigh(ctx context.Context, tx pgx.Tx, client int32, since time.Time) (*Alert, error) {
	rows, err := tx.Query(ctx, refusalsSQL, client, since)
	if err != nil {
		return nil, err
	}
	said, err := pgx.CollectRows(rows, pgx.RowToStructByPos[refusedBy])
	if err != nil || len(said) == 0 {
		return nil, err
	}
	var domain string
	var stopped bool
	if err := tx.QueryRow(ctx, refusedClientSQL, client).Scan(&domain, &stopped); err != nil || stopped {
		return nil, err
	}
	var latest *refusedBy // of the sites that are new
	for i := range said {
		if said[i].First {
			latest = &said[i]
		}
	}
	against, hits, err := evidence(ctx, tx, client, said)
	if err != nil {
		return nil, err
	}
	a := Alert{Client: domain, Batch: said[len(said)-1].BatchID, Next: "enotify spf check " + domain}
	switch {
	case len(against) > 0:
		why := refusedWhy(domain, against)
		if _, err := tx.Exec(ctx, stopClientSQL, client, why); err != nil {
			return nil, err
		}
		if _, err := tx.Exec(ctx, lockBatchesSQL, client); err != nil {
			return nil, err
		}
		if _, err := tx.Exec(ctx, blockSQL, client, why); err != nil {
			return nil, err
		}
		a.Kind = AlertClientBlocked
		a.Text = fmt.Sprintf("%d sites refuse mail of %s as not authorised, %d messages so far; its batches are blocked", len(against), domain, hits)
		a.Next = fmt.Sprintf("enotify batch show %d", a.Batch)
	case latest == nil:
		return nil, nil
	default:
		if _, err := tx.Exec(ctx, askAgainSQL, client); err != nil {
			return nil, err
		}
		a.Kind, a.Site = AlertAuthRejected, latest.Site
		a.Text = fmt.Sprintf("%s refuses mail of %s as not authorised (%s); the guard looks at its record again",
			latest.Site, domain, latest.Code)
	}
	return &a, RaiseIn(ctx, tx, a)
}

// evidence is the sites that refuse enough of a client's mail to block its
// batches, and how many messages they refused; none when that is not enough.
func evidence(ctx context.Context, tx pgx.Tx, client int32, said []refusedBy) (against []refusedBy, hits int,
	err error) {
	needed := refusedLeast
	enough := func(sites []refusedBy) bool {
		hits = 0
		for _, s := range sites {
			hits += s.Hits
		}
		return hits >= needed && len(sites) >= refusedSites
	}
	against = slices.DeleteFunc(slices.Clone(said), func(s refusedBy) bool { return s.Hits == 0 })
	if !enough(against) {
		return nil, 0, nil
	}
	var recipients int
	if err := tx.QueryRow(ctx, underWaySQL, client, against[0].FirstAt).Scan(&recipients); err != nil {
		return nil, 0, err
	}
	if needed = max(needed, min(recipients/refusedOf, refusedMost)); !enough(against) {
		return nil, 0, nil
	}
	var most []refusedBy
	for _, s := range against {
		var taken int
		if err := tx.QueryRow(ctx, takenThereSQL, client, s.Site, s.FirstAt,
			(refusedThere-1)*s.Hits+1).Scan(&taken); err != nil {
			return nil, 0, err
		}
		if taken <= (refusedThere-1)*s.Hits {
			most = append(most, s)
		}
	}
	if !enough(most) {
		return nil, 0, nil
	}
	return most, hits, nil
}

// refusedWhy is the reason that blocked batches show: the evidence, and what to do.
func refusedWhy(domain string, said []refusedBy) string {
	const shown = 3
	var b strings.Builder
	fmt.Fprintf(&b, "%d sites refuse mail of %s as not authorised, though the guard had found nothing wrong: ",
		len(said), domain)
	for i, s := range said {
		if i == shown {
			break
		}
		reply := []rune(strings.Join(strings.Fields(s.Reply), " "))
		if len(reply) > 200 {
			reply = append(reply[:199], '…')
		}
		fmt.Fprintf(&b, "%s (%d) %s %s; ", s.Site, s.Hits, s.Code, string(reply))
	}
	fmt.Fprintf(&b, "compare the DNS with enotify client zone %s; the batches go on when its SPF record changes, or by enotify batch resume", domain)
	return b.String()
}

const forgiveSQL = `
WITH forgotten AS (DELETE FROM enotify.auth_refusal a WHERE a.client_id = $1)
UPDATE enotify.client SET refused_at = NULL, refused_why = '' WHERE id = $1 AND refused_at IS NOT NULL`

// forgive forgets what receivers refused of a client.
func forgive(ctx context.Context, tx pgx.Tx, client int32) error {
	_, err := tx.Exec(ctx, forgiveSQL, client)
	return err
}
