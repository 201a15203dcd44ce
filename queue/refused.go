package queue

import (
	"cmp"
	"context"
	"fmt"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"
)

// Receivers may refuse a client's mail as not authorised though its SPF record
// passes: for DKIM or DMARC, or because they see another address of ours than
// we know of. One refusal has the guard look again. Refusals of refusedHits
// messages at refusedSites sites within a spell block the client's batches; a
// spell ends after refusedSpell without one.
const (
	refusedHits  = 3
	refusedSites = 2
	refusedSpell = time.Hour
)

const (
	refusedClientsSQL = `SELECT DISTINCT b.client_id FROM enotify.batch b WHERE b.id = ANY ($1) ORDER BY 1`
	// What is not newer than the last one has been counted.
	countRefusedSQL = `
INSERT INTO enotify.auth_refusal AS a (client_id, site, first_at, last_at, hits, batch_id, seq, code, reply)
SELECT b.client_id, f.site, min(f.at), max(f.at), count(*), (array_agg(f.batch_id ORDER BY f.at))[1], (array_agg(f.seq ORDER BY f.at))[1],
       (array_agg(f.code ORDER BY f.at))[1], (array_agg(f.reply ORDER BY f.at))[1]
FROM unnest($1::bigint[], $2::int[], $3::text[], $4::timestamptz[], $5::text[], $6::text[]) f (batch_id, seq, site, at, code, reply)
JOIN enotify.batch b ON b.id = f.batch_id
GROUP BY 1, 2 ORDER BY 1, 2
ON CONFLICT (client_id, site) DO UPDATE SET last_at = excluded.last_at, hits = a.hits + excluded.hits
WHERE a.last_at < excluded.last_at`
	endSpellsSQL = `DELETE FROM enotify.auth_refusal a WHERE a.client_id = $1 AND a.last_at < $2::timestamptz - $3::interval`
	// A site that is new since before is there for the first time in this spell.
	refusalsSQL = `
SELECT a.site, a.hits, a.code, a.reply, a.batch_id, a.first_at >= $2 AS first
FROM enotify.auth_refusal a WHERE a.client_id = $1 ORDER BY a.first_at, a.site`
	askAgainSQL = `
WITH due AS (
	UPDATE enotify.verdict SET valid_until = now() WHERE client_id = $1 AND superseded_at IS NULL AND valid_until > now() RETURNING 1
)
SELECT pg_notify('enotify', 'verdict') WHERE EXISTS (SELECT FROM due)`
	refusedClientSQL = `SELECT domain, refused_at IS NOT NULL FROM enotify.client WHERE id = $1`
	stopClientSQL    = `UPDATE enotify.client SET refused_at = now(), refused_why = $2 WHERE id = $1`
)

// A refusedBy is what a site says of a client.
type refusedBy struct {
	Site    string
	Hits    int
	Code    string
	Reply   string
	BatchID int64
	First   bool
}

// lockRefused locks the clients whose mail was refused, before anything else
// is: that is the order in which others lock a client, a batch and its results.
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
	begun := refused[0].At
	for i := range refused {
		r := &refused[i]
		c.add(r)
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
	if _, err := tx.Exec(ctx, countRefusedSQL, c.batch, c.seq, sites, c.at, codes, c.reply); err != nil {
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

// weigh decides what the refusals of a client amount to, those since a time
// being new.
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
	hits := 0
	var latest *refusedBy // of the sites that are new
	for i := range said {
		hits += said[i].Hits
		if said[i].First {
			latest = &said[i]
		}
	}
	a := Alert{Client: domain, Batch: said[len(said)-1].BatchID, Next: "enotify spf check " + domain}
	switch {
	case hits >= refusedHits && len(said) >= refusedSites:
		why := refusedWhy(domain, said)
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
		a.Text = fmt.Sprintf("%d sites refuse mail of %s as not authorised, %d messages so far; its batches are blocked", len(said), domain, hits)
		a.Next = fmt.Sprintf("enotify batch show %d", a.Batch)
	case latest == nil:
		return nil, nil
	default:
		if _, err := tx.Exec(ctx, askAgainSQL, client); err != nil {
			return nil, err
		}
		a.Kind, a.Site = AlertAuthRejected, latest.Site
		a.Text = fmt.Sprintf("%s refuses mail of %s as not authorised (%s); the guard looks at its record again", latest.Site, domain, latest.Code)
	}
	return &a, raise(ctx, tx, a)
}

// refusedWhy is the reason that blocked batches show: the evidence, and what to do.
func refusedWhy(domain string, said []refusedBy) string {
	const shown = 3
	var b strings.Builder
	fmt.Fprintf(&b, "%d sites refuse mail of %s as not authorised, though the guard had found nothing wrong: ", len(said), domain)
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

const pardonSQL = `
WITH forgotten AS (DELETE FROM enotify.auth_refusal a WHERE a.client_id = $1)
UPDATE enotify.client SET refused_at = NULL, refused_why = '' WHERE id = $1 AND refused_at IS NOT NULL`

// pardon forgets what receivers refused of a client.
func pardon(ctx context.Context, tx pgx.Tx, client int32) error {
	_, err := tx.Exec(ctx, pardonSQL, client)
	return err
}
