package queue

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"
)

// A Client is a domain that we send for.
type Client struct {
	Domain     string     `json:"domain"` // A-labels
	ReturnPath string     `json:"return_path"`
	Selectors  []string   `json:"dkim_selectors"` // of the keys that sign its mail
	FromSPF    FromSPF    `json:"from_spf"`
	Pool       string     `json:"pool"`          // of egress addresses that its mail leaves from
	Bounce     BounceMode `json:"bounce"`        // where bounces go to
	BounceAt   string     `json:"bounce_domain"` // when that is a domain of its own

	AutoSubmitted string `json:"auto_submitted"` // see Batch
	Precedence    string `json:"precedence"`

	MaxPriority int    `json:"max_priority"` // that applications may give its batches
	Limits      Limits `json:"limits"`
	Sent        *Sent  `json:"sent"` // nil: its messages are not limited

	Logins     []string       `json:"logins"` // those tied to it; none: every login that is tied to no client
	CreatedAt  time.Time      `json:"created_at"`
	Batches    map[string]int `json:"batches"` // by state
	Unfinished int            `json:"unfinished"`
	SPF        string         `json:"spf"`    // the worst of the current verdicts; "" when the guard has not looked yet
	Blocks     bool           `json:"blocks"` // a current verdict blocks
}

// A domain that mail can come from: the guard must be able to check it.
const domainSQL = `
SELECT d, coalesce(enotify.mailbox_problem('postmaster@' || d), '')
FROM (SELECT coalesce(enotify.a_labels(rtrim(btrim($1), '.')), '') AS d) s`

// Domain returns a domain name as the database has it: lower case, A-labels,
// no dot at the end.
func (db *DB) Domain(ctx context.Context, name string) (domain string, err error) {
	var problem string
	if err := db.pool.QueryRow(ctx, domainSQL, name).Scan(&domain, &problem); err != nil {
		return "", AsRefusal(err)
	}
	if problem != "" {
		return "", fmt.Errorf("%q is no domain name: %s", name, problem)
	}
	return domain, nil
}

const (
	addClientSQL = `INSERT INTO enotify.client (domain) VALUES ($1) ON CONFLICT (domain) DO NOTHING`
	loginSQL     = `SELECT rolcanlogin, pg_has_role(oid, 'enotify_app', 'MEMBER') FROM pg_roles WHERE rolname = $1`
	loginsSQL    = `
SELECT l.login::text FROM enotify.client_login l JOIN enotify.client c ON c.id = l.client_id WHERE c.domain = $1
  ORDER BY 1`
	tieSQL = `
INSERT INTO enotify.client_login (client_id, login) SELECT id, $2 FROM enotify.client WHERE domain = $1
ON CONFLICT DO NOTHING`
)

// AddClient registers a domain and ties it to logins, which become members of
// enotify_app. A client that is there already gets the further logins; the
// error wraps ErrExists when there is nothing to add.
func (db *DB) AddClient(ctx context.Context, name string, logins []string) (domain string, registered bool, err error) {
	if domain, err = db.Domain(ctx, name); err != nil {
		return "", false, err
	}
	err = db.inTx(ctx, func(tx pgx.Tx) error {
		tag, err := tx.Exec(ctx, addClientSQL, domain)
		if err != nil {
			return AsRefusal(err)
		}
		registered = tag.RowsAffected() > 0
		changed := registered
		for _, login := range logins {
			tied, err := tie(ctx, tx, domain, login)
			if err != nil {
				return err
			}
			changed = changed || tied
		}
		if !changed {
			rows, err := tx.Query(ctx, loginsSQL, domain)
			if err != nil {
				return AsRefusal(err)
			}
			tied, err := pgx.CollectRows(rows, pgx.RowTo[string])
			if err != nil {
				return AsRefusal(err)
			}
			return &Problem{Noun: NounClient, Name: domain, Err: ErrExists, Logins: tied}
		}
		return nil
	})
	return domain, registered, err
}

func tie(ctx context.Context, tx pgx.Tx, domain, login string) (tied bool, err error) {
	var canLogin, member bool
	switch err := tx.QueryRow(ctx, loginSQL, login).Scan(&canLogin, &member); {
	case errors.Is(err, pgx.ErrNoRows):
		return false, NotFound(NounLogin, login)
	case err != nil:
		return false, AsRefusal(err)
	case !canLogin:
		return false, fmt.Errorf("role %s cannot log in; name the login of the application, not a group", login)
	}
	if !member {
		grant := "GRANT enotify_app TO " + pgx.Identifier{login}.Sanitize()
		if _, err := tx.Exec(ctx, grant); err != nil {
			return false, fmt.Errorf("login %s is not a member of enotify_app, and this login may not make it one; as a superuser: %s", login, grant)
		}
	}
	tag, err := tx.Exec(ctx, tieSQL, domain, login)
	return tag.RowsAffected() > 0, AsRefusal(err)
}

const clientsSQL = `
SELECT c.domain, coalesce(c.return_path, '') AS return_path, c.bounce, coalesce(c.bounce_domain, '') AS bounce_at,
  c.dkim_selectors AS selectors, c.from_spf, c.pool, c.auto_submitted, c.precedence, c.created_at, c.max_priority,
       jsonb_build_object('per_day', coalesce(c.per_day, 0), 'per_month', coalesce(c.per_month, 0),
           'max_batches', coalesce(c.max_batches, 0), 'max_batch_size', coalesce(c.max_batch_size, 0),
           'over', c.over_quota, 'zone', c.zone,
           'send_window', coalesce(c.send_window, ''), 'urgent', c.urgent) AS limits,
       CASE WHEN c.per_day IS NOT NULL OR c.per_month IS NOT NULL THEN (
           SELECT jsonb_build_object('today', coalesce(sum(s.n) FILTER (WHERE s.day = t.today), 0),
               'month', coalesce(sum(s.n), 0),
               'left', enotify.quota_left(c.id), 'resumes', enotify.quota_resumes(c.id))
           FROM (SELECT (now() AT TIME ZONE c.zone)::date AS today) t
           LEFT JOIN enotify.client_sent s ON s.client_id = c.id
             AND s.day BETWEEN date_trunc('month', t.today)::date AND t.today) END AS sent,
       ARRAY(SELECT l.login::text FROM enotify.client_login l WHERE l.client_id = c.id ORDER BY 1) AS logins,
       coalesce(n.states, '{}') AS batches, coalesce(n.unfinished, 0) AS unfinished,
       coalesce(v.result, '') AS spf,
       EXISTS (SELECT FROM enotify.verdict v
           WHERE v.client_id = c.id AND v.superseded_at IS NULL AND v.blocks) AS blocks
FROM enotify.client c
LEFT JOIN ( -- one pass over the batches: one for each client takes four times as long
	SELECT s.client_id, jsonb_object_agg(s.state, s.n) AS states, sum(s.unfinished)::int AS unfinished FROM (
		SELECT b.client_id, b.state, count(*) AS n, count(*) FILTER (WHERE b.finished_at IS NULL) AS unfinished
		FROM enotify.batch b WHERE $1 = '' OR b.client_id = (SELECT id FROM enotify.client WHERE domain = $1)
			GROUP BY 1, 2) s
	GROUP BY 1) n ON n.client_id = c.id
LEFT JOIN LATERAL (
	SELECT * FROM enotify.verdict v WHERE v.client_id = c.id AND v.superseded_at IS NULL
		AND v.identity IN ('mailfrom', 'from')
	ORDER BY v.blocks DESC, array_position('{temperror,softfail,neutral,none,pass}', v.result) LIMIT 1) v ON true
WHERE $1 IN ('', c.domain) ORDER BY c.domain`

// Clients lists all clients by domain.
func (db *DB) Clients(ctx context.Context) ([]Client, error) {
	return db.clients(ctx, "")
}

// Client finds a client by its domain, however that is written.
func (db *DB) Client(ctx context.Context, name string) (Client, error) {
	domain, err := db.Domain(ctx, name)
	if err != nil {
		return Client{}, err
	}
	found, err := db.clients(ctx, domain)
	if err == nil && len(found) == 0 {
		err = unregistered(domain)
	}
	if err != nil {
		return Client{}, err
	}
	return found[0], nil
}

func (db *DB) clients(ctx context.Context, domain string) ([]Client, error) {
	rows, err := db.pool.Query(ctx, clientsSQL, domain)
	if err != nil {
		return nil, AsRefusal(err)
	}
	found, err := pgx.CollectRows(rows, pgx.RowToStructByName[Client])
	return found, AsRefusal(err)
}

const lockNamedSQL = `SELECT FROM enotify.client WHERE domain = $1 FOR NO KEY UPDATE`

const setClientSQL = `
UPDATE enotify.client
SET return_path = CASE WHEN $2::text IS NULL THEN return_path ELSE nullif($2, '') END,
    dkim_selectors = coalesce($3, dkim_selectors),
    bounce = coalesce($4, bounce),
    bounce_domain = CASE WHEN $4::text IS NULL THEN bounce_domain ELSE nullif($5, '') END,
    auto_submitted = coalesce($6, auto_submitted),
    precedence = coalesce($7, precedence),
    from_spf = coalesce($8, from_spf),
    max_priority = coalesce($9, max_priority),
    pool = coalesce($10, pool)
WHERE domain = $1`

// ClientChange is what SetClient changes; nil fields stay as they are.
type ClientChange struct {
	ReturnPath *string   // "" is the From: address of each batch
	Selectors  *[]string // none: its mail is not signed
	Bounces    *Bounces  // where its bounces go to
	FromSPF    *FromSPF
	Pool       *string // of egress addresses that its mail leaves from

	MaxPriority *int // that applications may give its batches
	Limits      *LimitsChange

	AutoSubmitted, Precedence *string // see Batch; "" leaves the field out
}

// SetClient changes how mail for a client is sent, for batches that take the turn from
// now on. The guard checks the client again at once.
func (db *DB) SetClient(ctx context.Context, name string, change ClientChange) (domain string, err error) {
	if domain, err = db.Domain(ctx, name); err != nil {
		return "", err
	}
	var mode, bounceDomain *string
	if b := change.Bounces; b != nil {
		mode, bounceDomain = (*string)(&b.Mode), new(string)
		if b.Mode == BounceOwn {
			if *bounceDomain, err = db.Domain(ctx, b.Domain); err != nil {
				return "", err
			}
		}
	}
	if change.Pool != nil {
		p, err := db.EgressPool(ctx, *change.Pool)
		switch {
		case err != nil:
			return "", err
		case p.Kind == PoolUrgent:
			return "", fmt.Errorf("pool %s is for urgent batches, those of a priority above 0: name another for the other mail of %s; enotify egress pool lists them", p.Name, domain)
		case p.Addresses == 0 && p.Name != DefaultPool:
			return "", fmt.Errorf("pool %s has no address, so mail of %s would wait: enotify egress add ADDRESS --pool %[1]s", p.Name, domain)
		}
	}
	err = db.inTx(ctx, func(tx pgx.Tx) error {
		if _, err := tx.Exec(ctx, lockNamedSQL, domain); err != nil {
			return AsRefusal(err)
		}
		tag, err := tx.Exec(ctx, setClientSQL, domain, change.ReturnPath, change.Selectors, mode, bounceDomain,
			change.AutoSubmitted, change.Precedence, change.FromSPF, change.MaxPriority, change.Pool)
		if err == nil && tag.RowsAffected() == 0 {
			return unregistered(domain)
		}
		if err == nil && change.Limits != nil {
			return setLimits(ctx, tx, domain, *change.Limits)
		}
		return AsRefusal(err)
	})
	return domain, err
}

func unregistered(domain string) error {
	return NotFound(NounClient, domain)
}

const (
	clientLockSQL = `
SELECT c.id, (SELECT count(*) FROM enotify.batch b WHERE b.client_id = c.id),
       (SELECT count(*) FROM enotify.batch b WHERE b.client_id = c.id AND b.finished_at IS NULL)
FROM enotify.client c WHERE c.domain = $1 FOR UPDATE`
	ofClientSQL     = ` x WHERE x.batch_id IN (SELECT b.id FROM enotify.batch b WHERE b.client_id = $1)`
	dropBatchesSQL  = `DELETE FROM enotify.batch WHERE client_id = $1`
	removeClientSQL = `DELETE FROM enotify.client WHERE id = $1`
)

// perBatch are the tables without a foreign key to batch, which would cost
// time for every recipient. The counts follow from the outcomes, by trigger.
var perBatch = []string{"outcome", "retry", "attempt", "batch_domain", "recipient", "recipient_in", "staged_size",
	"batch_count", "report"}

// RemoveClient unregisters a client, with its logins, verdicts and
// suppressions. Its batches are removed only withBatches, and only when all have
// finished: the record of what was sent is lost with them.
func (db *DB) RemoveClient(ctx context.Context, name string, withBatches bool) error {
	domain, err := db.Domain(ctx, name)
	if err != nil {
		return err
	}
	return db.inTx(ctx, func(tx pgx.Tx) error {
		if _, err := tx.Exec(ctx, lockNamedSQL, domain); err != nil {
			return AsRefusal(err)
		}
		var id int32
		var batches, unfinished int
		switch err := tx.QueryRow(ctx, clientLockSQL, domain).Scan(&id, &batches, &unfinished); {
		case errors.Is(err, pgx.ErrNoRows):
			return unregistered(domain)
		case err != nil:
			return AsRefusal(err)
		case unfinished > 0:
			return &Problem{Noun: NounClient, Name: domain, Err: ErrUnfinished, Batches: unfinished}
		case batches > 0 && !withBatches:
			return &Problem{Noun: NounClient, Name: domain, Err: ErrRecorded, Batches: batches}
		case batches > 0:
			for _, table := range perBatch {
				if _, err := tx.Exec(ctx, "DELETE FROM enotify."+table+ofClientSQL, id); err != nil {
					return AsRefusal(err) // for an admin: only the owner of the schema may delete what was sent
				}
			}
			if _, err := tx.Exec(ctx, dropBatchesSQL, id); err != nil {
				return AsRefusal(err) // for an admin: only the owner of the schema may delete what was sent
			}
		}
		_, err := tx.Exec(ctx, removeClientSQL, id)
		return AsRefusal(err)
	})
}
