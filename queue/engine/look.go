package engine

import (
	"context"
	"net/netip"
	"slices"
	"time"

	"github.com/jackc/pgx/v5"

	"enotify/queue/warmup"
)

const (
	addressesSQL = `
SELECT e.address, array_agg(e.node_id ORDER BY e.node_id), e.pool, e.weight,
  (array_agg(e.helo ORDER BY e.node_id = $1 DESC, e.node_id))[1], e.bind,
       e.rate, e.rate_per, e.site_rate, e.site_rate_per
FROM enotify.live_egress e WHERE e.state = 'active'
GROUP BY e.address, e.pool, e.weight, e.bind, e.rate, e.rate_per, e.site_rate, e.site_rate_per ORDER BY e.address`
	paidSQL = `
SELECT r.address, r.site, r.paid_until FROM enotify.egress_rate r JOIN enotify.node n ON n.id = $1
  AND r.address = ANY (n.egress)
WHERE r.paid_until > now()`
	// The days since the one of the step: more than two only where nobody looked for as long.
	plansSQL = `
SELECT w.address, w.site, w.caps, w.zone, w.overflow, w.step, w.day,
       ARRAY(SELECT d.day FROM enotify.warmup_day d WHERE d.address = w.address AND d.site = w.site AND d.day >= w.day
         ORDER BY d.day),
       ARRAY(SELECT d.begun FROM enotify.warmup_day d WHERE d.address = w.address AND d.site = w.site AND d.day >= w.day
         ORDER BY d.day),
       ARRAY(SELECT d.taken FROM enotify.warmup_day d WHERE d.address = w.address AND d.site = w.site
         AND d.day >= w.day ORDER BY d.day),
       ARRAY(SELECT d.refused FROM enotify.warmup_day d WHERE d.address = w.address AND d.site = w.site
         AND d.day >= w.day ORDER BY d.day),
       ARRAY(SELECT d.complaints FROM enotify.warmup_day d WHERE d.address = w.address AND d.site = w.site
         AND d.day >= w.day ORDER BY d.day)
FROM enotify.warmup w WHERE w.step < cardinality(w.caps) AND w.address IN (SELECT e.address FROM enotify.live_egress e)`
	// Recipients that the warm-up of an address has put off, which has room now.
	putOnSQL = `
UPDATE enotify.retry SET due_at = now()
WHERE intent_at IS NULL AND due_at > now() AND class = 'not_begun' AND grp = ANY ($1)
  AND reply LIKE 'the warm-up of ' || $2 || ' %'`
	// A batch that an application has locked is told at the next heartbeat.
	waitsForCapSQL = `
WITH waiting AS (
	SELECT b.id, w.why FROM unnest($1::bigint[], $2::text[]) w (batch, why) JOIN enotify.batch b ON b.id = w.batch
	WHERE b.state = 'retrying' AND b.finished_at IS NULL AND b.reason <> w.why
		AND b.reason NOT LIKE 'waits for an address of pool%'
	ORDER BY b.id FOR NO KEY UPDATE OF b SKIP LOCKED
)
UPDATE enotify.batch b SET reason = w.why FROM waiting w WHERE b.id = w.id`
	waitedForCapSQL = `
WITH waited AS (
	SELECT b.id FROM enotify.batch b WHERE b.state = 'retrying' AND b.finished_at IS NULL
		AND b.reason LIKE 'the warm-up of ' || $1 || ' %'
	ORDER BY b.id FOR NO KEY UPDATE OF b SKIP LOCKED
)
UPDATE enotify.batch b SET reason = '' FROM waited w WHERE b.id = w.id`
	// Two nodes may find the new day at once: the second changes nothing.
	stepSQL = `
UPDATE enotify.warmup SET step = $4, day = $5, why = $6
WHERE address = $1 AND site = $2 AND day IS NOT DISTINCT FROM $3`
)

// A stored plan is a row of the table warmup, with the days since its step was found.
type storedPlan struct {
	addr     netip.Addr
	site     string
	caps     warmup.Plan
	zone     string
	overflow string
	step     int
	day      *time.Time
	days     []time.Time
	counts   []warmup.Day
}

// on is what was sent on a day.
func (p *storedPlan) on(day time.Time) warmup.Day {
	for i, d := range p.days {
		if d.Equal(day) {
			return p.counts[i]
		}
	}
	return warmup.Day{}
}

// An egressFound holds the addresses of live nodes, and what is left of their caps and
// rates.
type egressFound struct {
	all   []*address
	plans []storedPlan
	paid  map[paidKey]time.Time
}

// queueEgress adds statements to b that write what the node has counted, on which caps rest,
// and then read the addresses.
func queueEgress(b *pgx.Batch, node int32, counted map[tallyKey]counted) *egressFound {
	if len(counted) > 0 {
		b.Queue(tallySQL, tallyArgs(counted)...)
	}
	found := &egressFound{paid: map[paidKey]time.Time{}}
	b.Queue(addressesSQL, node).Query(func(rows pgx.Rows) (err error) {
		found.all, err = pgx.CollectRows(rows, scanAddress)
		return err
	})
	b.Queue(plansSQL).Query(func(rows pgx.Rows) (err error) {
		found.plans, err = pgx.CollectRows(rows, scanPlan)
		return err
	})
	b.Queue(paidSQL, node).Query(func(rows pgx.Rows) error {
		var key paidKey
		var addr netip.Prefix
		var until time.Time
		_, err := pgx.ForEachRow(rows, []any{&addr, &key.site, &until}, func() error {
			key.addr = addr.Addr()
			found.paid[key] = until
			return nil
		})
		return err
	})
	return found
}

func scanAddress(row pgx.CollectableRow) (*address, error) {
	a := &address{}
	var addr netip.Prefix // inet
	var bind *netip.Prefix
	var rate, siteRate *int
	var per, sitePer *time.Duration
	err := row.Scan(&addr, &a.nodes, &a.Pool, &a.weight, &a.HELO, &bind, &rate, &per, &siteRate, &sitePer)
	a.Addr = addr.Addr()
	a.text = a.Addr.String()
	if bind != nil {
		a.Bind = bind.Addr()
	}
	a.pace, a.site = paceOf(rate, per), paceOf(siteRate, sitePer)
	return a, err
}

func scanPlan(row pgx.CollectableRow) (p storedPlan, err error) {
	var addr netip.Prefix
	var caps []int
	var begun, accepted, refused, complaints []int
	err = row.Scan(&addr, &p.site, &caps, &p.zone, &p.overflow, &p.step, &p.day, &p.days, &begun, &accepted, &refused,
		&complaints)
	p.addr, p.caps = addr.Addr(), caps
	for i := range begun {
		p.counts = append(p.counts, warmup.Day{Begun: begun[i], Accepted: accepted[i], Refused: refused[i],
			Complaints: complaints[i]})
	}
	return p, err
}

// step keeps the step of a plan for a day.
func (db *store) step(ctx context.Context, p storedPlan, step int, day time.Time, why string) error {
	_, err := db.pool.Exec(ctx, stepSQL, p.addr, p.site, p.day, step, day, why)
	return err
}

// lookAtEgress takes note of the addresses as they are.
func (v *serving) lookAtEgress(ctx context.Context) error {
	var b pgx.Batch
	found := queueEgress(&b, v.node.ID, v.egress.counts.take())
	if err := v.store.pool.SendBatch(ctx, &b).Close(); err != nil {
		return err
	}
	return v.noteEgress(ctx, found)
}

// noteEgress takes note of the addresses as they were found, and moves the plans of our own
// ones on when a new day has begun.
func (v *serving) noteEgress(ctx context.Context, found *egressFound) error {
	e, all := v.egress, found.all
	e.all, e.paid, e.ranks, e.ends = all, found.paid, map[rankKey][]*address{}, time.Time{}
	e.foreign = slices.ContainsFunc(all, func(a *address) bool { return !a.of(v.node.ID) })
	dbNow := v.clock.Load().at(time.Now())
	for _, p := range found.plans {
		i := slices.IndexFunc(all, func(a *address) bool { return a.Addr == p.addr })
		if i < 0 {
			continue
		}
		zone, err := time.LoadLocation(p.zone)
		if err != nil { // the command line accepts none that is not known
			v.log.Warn("the time zone of a warm-up is not known here; its days are those of UTC", "egress", p.addr,
				"zone", p.zone)
			zone = time.UTC
		}
		day, ends := warmup.Today(zone, dbNow)
		if e.ends.IsZero() || ends.Before(e.ends) {
			e.ends = ends
		}
		step, why := p.step, ""
		if p.day == nil || day.After(*p.day) {
			if p.day != nil {
				step, why = p.caps.Next(p.step, p.on(*p.day))
			}
			if err := v.store.step(ctx, p, step, day, why); err != nil {
				return err
			}
			v.log.Info("the warm-up of an address has a new day", "egress", p.addr, "site", p.site, "step", step+1,
				"of", len(p.caps), "why", why)
		}
		today := p.on(day)
		if limit, capped := p.caps.Cap(step, today); capped {
			all[i].plans = append(all[i].plans, plan{p.site, limit, today.Begun, day, ends, p.overflow == "pool"})
		}
	}
	return v.putOn(ctx)
}

// putOn has recipients tried at once that the warm-up of an address had put off to the next
// day, when it has room again: a new day has begun, or an operator has changed it. For
// groups that it has just got, a node does not know which addresses have put off recipients.
func (v *serving) putOn(ctx context.Context) error {
	e, grps := v.egress, v.leases.usable()
	seen := make(map[int16]int64, len(grps))
	var fresh []int16 // a group may have been away between two looks
	for _, grp := range grps {
		seen[grp], _ = v.leases.epoch(grp)
		if was, known := e.seen[grp]; !known || was != seen[grp] {
			fresh = append(fresh, grp)
		}
	}
	if len(fresh) > 0 {
		if err := v.store.putOn(ctx, fresh, "%"); err != nil {
			return err
		}
	}
	e.seen = seen
	var batches []int64
	var whys []string
	for addr, of := range e.putOff {
		if i := slices.IndexFunc(e.all, func(a *address) bool { return a.Addr == addr }); i >= 0 {
			plans := e.all[i].plans
			if f := slices.IndexFunc(plans, func(p plan) bool { return p.begun >= p.limit && !p.spills }); f >= 0 {
				for batch := range of {
					batches, whys = append(batches, batch), append(whys, plans[f].why(addr))
				}
				continue
			}
		}
		if err := v.store.putOn(ctx, grps, addr.String()); err != nil {
			return err
		}
		delete(e.putOff, addr)
	}
	if len(batches) == 0 {
		return nil
	}
	_, err := v.store.pool.Exec(ctx, waitsForCapSQL, batches, whys)
	return err
}

// putOn makes the recipients due that the warm-up of an address has put off, and takes that
// reason from their batches; addr "%" is all addresses.
func (db *store) putOn(ctx context.Context, grps []int16, addr string) error {
	if _, err := db.pool.Exec(ctx, putOnSQL, grps, addr); err != nil {
		return err
	}
	_, err := db.pool.Exec(ctx, waitedForCapSQL, addr)
	return err
}
