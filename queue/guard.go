package queue

import (
	"context"
	"net/netip"
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
	Bounces    Bounces
	Selectors  []string // of the DKIM keys that sign its mail
	Egress     []Egress
}

// MailFrom is the envelope sender of the client's mail, or an address of the
// same domain: operator is that of signed return paths where the client has
// none of its own, "" when there is none.
func (s Subject) MailFrom(operator string) string {
	if domain := s.Bounces.At(operator); domain != "" {
		return "b@" + domain
	}
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
	Identity    string // "mailfrom", or "from" where its domain differs; "dkim" for a key that cannot be used
	Domain      string
	Egress      netip.Addr
	Result      string // RFC 7208 §2.6; of dkim: fail
	Blocks      bool   // nothing may be sent from Egress for this client
	Record      string
	Explanation string // one sentence
	Fix         string // zone line; "" when nothing needs a cure
	ValidFor    time.Duration
}

// Temporary reports whether the check could not be made: it says nothing about
// the client, whose batches wait.
func (v Verdict) Temporary() bool { return v.Result == "temperror" }

const unjudgedSQL = egressSQL + `, waiting AS (
	SELECT DISTINCT ON (b.client_id) b.client_id, b.from_address FROM enotify.batch b
	WHERE b.finished_at IS NULL AND b.state IN ('queued', 'sending', 'draining', 'retrying', 'blocked')
	ORDER BY b.client_id, b.priority DESC, b.submitted_at, b.id
)
SELECT c.id, c.domain, w.from_address, coalesce(c.return_path, ''), c.bounce, coalesce(c.bounce_domain, ''), c.dkim_selectors,
       (SELECT array_agg(ip ORDER BY ip) FROM live), (SELECT array_agg(helo ORDER BY ip) FROM live)
FROM waiting w JOIN enotify.client c ON c.id = w.client_id
WHERE EXISTS (SELECT FROM live l WHERE NOT EXISTS (
	SELECT FROM enotify.verdict v
	WHERE v.client_id = c.id AND v.identity = 'mailfrom' AND v.egress = l.ip AND v.superseded_at IS NULL AND v.valid_until > now()))`

// Clients with nothing to send are looked at as well, so that a record that
// drifts is seen before the next campaign.
const unseenSQL = egressSQL + `
SELECT c.id, c.domain, 'postmaster@' || c.domain, coalesce(c.return_path, ''), c.bounce, coalesce(c.bounce_domain, ''), c.dkim_selectors,
       (SELECT array_agg(ip ORDER BY ip) FROM live), (SELECT array_agg(helo ORDER BY ip) FROM live)
FROM enotify.client c
WHERE EXISTS (SELECT FROM live l WHERE NOT EXISTS (
	SELECT FROM enotify.verdict v
	WHERE v.client_id = c.id AND v.identity = 'mailfrom' AND v.egress = l.ip AND v.superseded_at IS NULL AND (v.checked_at > now() - $1::interval OR v.valid_until > now())))
ORDER BY c.id LIMIT 100`

const egressSQL = `
WITH live AS (
	SELECT DISTINCT ON (e.ip) e.ip, n.helo FROM enotify.node n CROSS JOIN unnest(n.egress) e (ip) WHERE n.live_until > now() ORDER BY e.ip, n.id
)`

// Unseen lists up to 100 clients that nobody has looked at for so long.
func (db *DB) Unseen(ctx context.Context, since time.Duration) ([]Subject, error) {
	return db.subjects(ctx, unseenSQL, since)
}

// Unjudged lists the clients that the guard must look at now, each with the
// egress addresses of all live nodes.
func (db *DB) Unjudged(ctx context.Context) ([]Subject, error) {
	return db.subjects(ctx, unjudgedSQL)
}

func (db *DB) subjects(ctx context.Context, sql string, args ...any) ([]Subject, error) {
	rows, err := db.pool.Query(ctx, sql, args...)
	if err != nil {
		return nil, err
	}
	return pgx.CollectRows(rows, func(row pgx.CollectableRow) (s Subject, err error) {
		var ips []netip.Prefix
		var helos []string
		err = row.Scan(&s.ClientID, &s.Client, &s.From, &s.ReturnPath, &s.Bounces.Mode, &s.Bounces.Domain, &s.Selectors, &ips, &helos)
		for i, ip := range ips {
			s.Egress = append(s.Egress, Egress{Addr: ip.Addr(), HELO: helos[i]})
		}
		return s, err
	})
}
