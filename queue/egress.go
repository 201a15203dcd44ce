package queue

import (
	"context"
	"fmt"
	"net/netip"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"
)

// DefaultPool has the addresses that no operator has put into another pool.
const DefaultPool = "default"

// EgressState says whether mail leaves from an address.
type EgressState string

const (
	EgressActive   EgressState = "active"   // it does
	EgressDraining EgressState = "draining" // no more, for good
	EgressHeld     EgressState = "held"     // not before it is set active again
)

// An EgressAddress is an address that receivers see mail come from, with what an
// operator has set for it and what left from it.
type EgressAddress struct {
	Addr     netip.Addr
	Pool     string
	State    EgressState
	Reason   string // why it is draining or held
	HELO     string // "" is that of the node
	Bind     netip.Addr
	Weight   int
	Rate     *Rate // over all sites and nodes; nil is no limit
	SiteRate *Rate // to each site
	Note     string
	ByNode   bool     // a node announced it, and no operator has named it
	Nodes    []string // names of the live nodes that announce it

	Today   EgressDay // by UTC
	Warmups []Warmup
}

// Active reports whether mail can leave from it now.
func (e *EgressAddress) Active() bool { return e.State == EgressActive && len(e.Nodes) > 0 }

// An EgressDay is what left from an address on a day.
type EgressDay struct {
	Day        time.Time `json:"day"` // midnight UTC
	Begun      int       `json:"begun"`
	Accepted   int       `json:"accepted"`
	Refused    int       `json:"refused"` // replies that distrust the address
	Complaints int       `json:"complaints"`

	// Taken is the most of them on one day, of this day and the six before it. Complaints are compared
	// with it: they come days after their mail.
	Taken int `json:"taken"`
}

// A Warmup is a plan of messages per day, to a site or to all of them ("*").
type Warmup struct {
	Site     string      `json:"site"`
	Caps     []int       `json:"caps"`
	Zone     string      `json:"zone"`     // of its days
	Overflow string      `json:"overflow"` // wait or pool
	Step     int         `json:"step"`     // which of the caps holds; len(Caps) when the address is warm
	Day      *time.Time  `json:"day"`      // for which the step was found; nil: none yet
	Why      string      `json:"why"`      // it stayed or went back
	Days     []EgressDay `json:"days"`     // the last ones, the oldest first
}

// Today is what left on the day of the step.
func (w *Warmup) Today() EgressDay {
	for _, d := range w.Days {
		if w.Day != nil && d.Day.Equal(*w.Day) {
			return d
		}
	}
	return EgressDay{}
}

const (
	// An address that a live node announces has a row, unless an operator removed it
	// behind the node's back.
	egressesSQL = `
WITH live AS (
	SELECT a.address, array_agg(n.name ORDER BY n.name) AS nodes FROM enotify.node n
		CROSS JOIN unnest(n.egress) a (address) WHERE n.live_until > now() GROUP BY 1
)
SELECT coalesce(e.address, l.address), coalesce(e.pool, 'default'), coalesce(e.state, 'active'), coalesce(e.reason, ''),
  coalesce(e.helo, ''), e.bind, coalesce(e.weight, 1),
       e.rate, e.rate_per, e.site_rate, e.site_rate_per, coalesce(e.note, ''), coalesce(e.by_node, true),
         coalesce(l.nodes, '{}'),
       coalesce(d.begun, 0), coalesce(d.accepted, 0), coalesce(d.refused, 0), coalesce(d.complaints, 0),
       coalesce((SELECT jsonb_agg(jsonb_build_object('site', w.site, 'caps', w.caps, 'zone', w.zone,
           'overflow', w.overflow, 'step', w.step, 'day', w.day::timestamp AT TIME ZONE 'UTC', 'why', w.why,
           'days', coalesce((SELECT jsonb_agg(jsonb_build_object('day', x.day::timestamp AT TIME ZONE 'UTC',
                   'begun', x.begun, 'accepted', x.accepted, 'taken', x.taken,
                   'refused', x.refused, 'complaints', x.complaints) ORDER BY x.day)
               FROM (SELECT * FROM enotify.warmup_day x WHERE x.address = w.address AND x.site = w.site
                 ORDER BY x.day DESC LIMIT 60) x), '[]')) ORDER BY w.site)
           FROM enotify.warmup w WHERE w.address = e.address), '[]')
FROM enotify.egress e FULL JOIN live l ON l.address = e.address
LEFT JOIN enotify.egress_day d ON d.address = coalesce(e.address, l.address) AND d.site = '*'
  AND d.day = (now() AT TIME ZONE 'UTC')::date
WHERE $1::inet IS NULL OR coalesce(e.address, l.address) = $1
ORDER BY coalesce(e.pool, 'default'), coalesce(e.address, l.address)`
	claimEgressSQL = `
INSERT INTO enotify.egress (address, by_node) SELECT $1, true
  WHERE EXISTS (SELECT FROM enotify.node n WHERE n.live_until > now() AND $1 = ANY (n.egress))
ON CONFLICT (address) DO NOTHING`
	addEgressSQL = `
INSERT INTO enotify.egress AS e (address) VALUES ($1) ON CONFLICT (address) DO UPDATE SET by_node = false
  WHERE e.by_node`
	setEgressSQL = `
UPDATE enotify.egress SET pool = coalesce($2, pool), state = coalesce($3, state), reason = coalesce($4, reason),
  helo = CASE WHEN $5::text IS NULL THEN helo ELSE nullif($5, '') END,
       bind = CASE WHEN $6 THEN $7::inet ELSE bind END, weight = coalesce($8, weight),
       rate = CASE WHEN $9::int IS NULL THEN rate ELSE nullif($9, 0) END, rate_per = CASE
         WHEN $9::int IS NULL THEN rate_per WHEN $9 > 0 THEN $10::interval END,
       site_rate = CASE WHEN $11::int IS NULL THEN site_rate ELSE nullif($11, 0) END, site_rate_per = CASE
         WHEN $11::int IS NULL THEN site_rate_per WHEN $11 > 0 THEN $12::interval END,
       note = coalesce($13, note), by_node = false, updated_at = now(), updated_by = session_user
WHERE address = $1`
	makePoolSQL   = `INSERT INTO enotify.pool (name) VALUES ($1) ON CONFLICT DO NOTHING`
	announcersSQL = `
SELECT n.name FROM enotify.node n WHERE n.live_until > now() AND $1 = ANY (n.egress) ORDER BY n.name`
	rmEgressSQL = `DELETE FROM enotify.egress WHERE address = $1`
	rmRatesSQL  = `DELETE FROM enotify.egress_rate WHERE address = $1`
	warmSQL     = `
INSERT INTO enotify.warmup AS w (address, site, caps, zone, overflow) VALUES ($1, $2, $3, $4, $5)
ON CONFLICT (address, site) DO UPDATE SET caps = excluded.caps, zone = excluded.zone, overflow = excluded.overflow,
  step = 0, day = NULL, why = '', set_at = now(), set_by = session_user`
	coolSQL = `DELETE FROM enotify.warmup WHERE address = $1 AND ($2 = '' OR site = $2)`
)

// Egresses lists the addresses that are registered or announced by a live node, by pool.
func (db *DB) Egresses(ctx context.Context) ([]EgressAddress, error) {
	return collectEgress(ctx, db, nil)
}

// Egress finds an address.
func (db *DB) Egress(ctx context.Context, addr netip.Addr) (EgressAddress, error) {
	found, err := collectEgress(ctx, db, &addr)
	if err == nil && len(found) == 0 {
		err = NotFound(NounEgress, addr)
	}
	if err != nil {
		return EgressAddress{}, err
	}
	return found[0], nil
}

func collectEgress(ctx context.Context, db *DB, addr *netip.Addr) ([]EgressAddress, error) {
	rows, err := db.pool.Query(ctx, egressesSQL, addr)
	if err != nil {
		return nil, AsRefusal(err)
	}
	found, err := pgx.CollectRows(rows, func(row pgx.CollectableRow) (e EgressAddress, err error) {
		var addr netip.Prefix // inet
		var bind *netip.Prefix
		var rate, siteRate *int
		var per, sitePer *time.Duration
		err = row.Scan(&addr, &e.Pool, &e.State, &e.Reason, &e.HELO, &bind, &e.Weight, &rate, &per, &siteRate, &sitePer,
			&e.Note, &e.ByNode, &e.Nodes,
			&e.Today.Begun, &e.Today.Accepted, &e.Today.Refused, &e.Today.Complaints, &e.Warmups)
		e.Addr = addr.Addr()
		if bind != nil {
			e.Bind = bind.Addr()
		}
		e.Rate, e.SiteRate = rateOf(rate, per), rateOf(siteRate, sitePer)
		return e, err
	})
	return found, AsRefusal(err)
}

func rateOf(n *int, per *time.Duration) *Rate {
	if n == nil || per == nil {
		return nil
	}
	return &Rate{Messages: *n, Per: *per}
}

// EgressChange is what AddEgress and SetEgress set; nil fields stay as they are.
type EgressChange struct {
	Pool     *string // is made when there is no such pool
	State    *EgressState
	Reason   *string
	HELO     *string     // "" is that of the node
	Bind     *netip.Addr // the zero Addr is the address itself
	Weight   *int
	Rate     *Rate // 0 messages is no limit
	SiteRate *Rate
	Note     *string
}

// AddEgress registers an address. One that only a node has announced becomes the
// operator's; the error wraps ErrExists where an operator has added it before.
func (db *DB) AddEgress(ctx context.Context, addr netip.Addr, change EgressChange) error {
	return db.inTx(ctx, func(tx pgx.Tx) error {
		tag, err := tx.Exec(ctx, addEgressSQL, addr)
		if err != nil {
			return AsRefusal(err)
		}
		if tag.RowsAffected() == 0 {
			return &Problem{Noun: NounEgress, Name: addr.String(), Err: ErrExists}
		}
		return setEgress(ctx, tx, addr, change)
	})
}

// SetEgress changes an address. Running nodes follow within a second.
func (db *DB) SetEgress(ctx context.Context, addr netip.Addr, change EgressChange) error {
	return db.inTx(ctx, func(tx pgx.Tx) error {
		if _, err := tx.Exec(ctx, claimEgressSQL, addr); err != nil {
			return AsRefusal(err)
		}
		return setEgress(ctx, tx, addr, change)
	})
}

func setEgress(ctx context.Context, tx pgx.Tx, addr netip.Addr, c EgressChange) error {
	if c.Pool != nil {
		if _, err := tx.Exec(ctx, makePoolSQL, *c.Pool); err != nil {
			return AsRefusal(err)
		}
	}
	var bind *netip.Addr
	if c.Bind != nil && c.Bind.IsValid() {
		bind = c.Bind
	}
	messages := func(r *Rate) (n *int, per *time.Duration) {
		if r == nil {
			return nil, nil
		}
		return &r.Messages, &r.Per
	}
	rate, per := messages(c.Rate)
	siteRate, sitePer := messages(c.SiteRate)
	tag, err := tx.Exec(ctx, setEgressSQL, addr, c.Pool, c.State, c.Reason, c.HELO, c.Bind != nil, bind, c.Weight, rate,
		per, siteRate, sitePer, c.Note)
	if err == nil && tag.RowsAffected() == 0 {
		return NotFound(NounEgress, addr)
	}
	return AsRefusal(err)
}

// RemoveEgress forgets an address and its plans. One that a live node announces stays.
func (db *DB) RemoveEgress(ctx context.Context, addr netip.Addr) error {
	return db.inTx(ctx, func(tx pgx.Tx) error {
		rows, err := tx.Query(ctx, announcersSQL, addr)
		if err != nil {
			return AsRefusal(err)
		}
		nodes, err := pgx.CollectRows(rows, pgx.RowTo[string])
		if err != nil {
			return AsRefusal(err)
		}
		if len(nodes) > 0 {
			return fmt.Errorf("egress %s is in use: node %s announces it; start the node without it first, or stop its mail: enotify egress drain %s",
				addr, strings.Join(nodes, ", "), addr)
		}
		if _, err := tx.Exec(ctx, rmRatesSQL, addr); err != nil {
			return AsRefusal(err)
		}
		tag, err := tx.Exec(ctx, rmEgressSQL, addr)
		if err == nil && tag.RowsAffected() == 0 {
			return NotFound(NounEgress, addr)
		}
		return AsRefusal(err)
	})
}

// Warm begins a plan of warm-up for an address, or another in place of the one for the
// same site.
func (db *DB) Warm(ctx context.Context, addr netip.Addr, w Warmup) error {
	return db.inTx(ctx, func(tx pgx.Tx) error {
		if err := setEgress(ctx, tx, addr, EgressChange{}); err != nil {
			return err
		}
		_, err := tx.Exec(ctx, warmSQL, addr, w.Site, w.Caps, w.Zone, w.Overflow)
		return AsRefusal(err)
	})
}

// EndWarmup ends the plan of an address for a site, or all with "".
func (db *DB) EndWarmup(ctx context.Context, addr netip.Addr, site string) error {
	tag, err := db.pool.Exec(ctx, coolSQL, addr, site)
	if err == nil && tag.RowsAffected() == 0 {
		return NotFound(NounWarmup, addr)
	}
	return AsRefusal(err)
}
