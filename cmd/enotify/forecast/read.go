package forecast

import (
	"context"
	"slices"
	"time"

	"golang.org/x/time/rate"

	"enotify/queue"
	"enotify/queue/insight"
	"enotify/queue/warmup"
	"enotify/queue/window"
	"enotify/sender/throttle"
)

// Before is the plan of what has the turn before a batch, 0 for one that is not in the
// queue. The caller sets Own, except for its deferred recipients.
func Before(ctx context.Context, db *queue.DB, batch int64, now time.Time) (Plan, error) {
	ahead, err := insight.Of(db).Ahead(ctx, batch)
	if err != nil {
		return Plan{}, err
	}
	return read(ctx, db, batch, ahead, now)
}

// Of is the forecast of a batch that was submitted, and the plan that it was made by.
func Of(ctx context.Context, db *queue.DB, s queue.Status, now time.Time) (Forecast, Plan, error) {
	p, err := Before(ctx, db, s.ID, now)
	if err != nil {
		return Forecast{}, p, err
	}
	if err := p.Own.set(ctx, db, s); err != nil {
		return Forecast{}, p, err
	}
	if err := p.Rest(ctx, db, s.ID, s.State); err != nil {
		return Forecast{}, p, err
	}
	if err := p.Expect(ctx, db); err != nil {
		return Forecast{}, p, err
	}
	return Simulate(p), p, nil
}

// As is the forecast of a batch with these untried recipients by domain, and with message as
// the time per message; 0 is the time that nodes measured. Where no node is alive, it
// assumes one.
func As(ctx context.Context, db *queue.DB, s queue.Status, domains []Waiting, message time.Duration, now time.Time,
) (Forecast, Plan, error) {
	p, err := Before(ctx, db, s.ID, now)
	if err == nil {
		err = p.Own.set(ctx, db, s)
	}
	if err != nil {
		return Forecast{}, p, err
	}
	p.Own.Domains, p.Nodes = domains, max(1, p.Nodes)
	if message > 0 {
		p.Message, p.Measured = message, false
	}
	if err := p.Expect(ctx, db); err != nil {
		return Forecast{}, p, err
	}
	return Simulate(p), p, nil
}

// Rest sets what is left of a batch that was submitted.
func (p *Plan) Rest(ctx context.Context, db *queue.DB, batch int64, state string) error {
	untried, err := insight.Of(db).Untried(ctx, batch)
	p.Own.Batch, p.Own.Domains = batch, append(p.Own.Domains, waiting(untried)...)
	p.Own.Beside = state == "draining" || state == "retrying"
	return err
}

// Queue is the forecasts of the batches that are next, up to most, by number, and
// the plan that they were made by.
func Queue(ctx context.Context, db *queue.DB, most int, now time.Time) (map[int64]Forecast, Plan, error) {
	ahead, err := insight.Of(db).Queue(ctx, most)
	if err != nil {
		return nil, Plan{}, err
	}
	p, err := read(ctx, db, 0, ahead, now)
	if err != nil {
		return nil, p, err
	}
	if err := p.limit(ctx, db); err != nil {
		return nil, p, err
	}
	of := make(map[int64]Forecast, len(p.Ahead))
	for i, f := range All(p) {
		of[p.Ahead[i].Batch] = f
	}
	return of, p, nil
}

// set gives a load the windows, the client and the time of a batch that exists.
func (l *Load) set(ctx context.Context, db *queue.DB, s queue.Status) error {
	l.Batch, l.Priority, l.Client = s.ID, s.Priority, s.Client
	if s.NotBefore != nil {
		l.NotBefore = *s.NotBefore
	}
	own := ""
	if s.SendWindow != nil {
		own = *s.SendWindow
	}
	pool, err := db.BatchPool(ctx, s.ID)
	if err != nil {
		return err
	}
	l.Pool = pool
	return l.Within(ctx, db, own)
}

// Within sets the windows of a load whose client and priority are set: its own, "" for
// none, and that of its client.
func (l *Load) Within(ctx context.Context, db *queue.DB, own string) error {
	c, err := db.Client(ctx, l.Client)
	if err != nil || l.Priority >= c.Limits.Urgent {
		return err
	}
	for _, spec := range []string{own, c.Limits.Window} {
		if w, err := window.Read(spec); err == nil { // the nodes cannot read it either, and say so
			l.Windows = append(l.Windows, w)
		}
	}
	return nil
}

func waiting(counts []insight.SiteCount) []Waiting {
	all := []Waiting{}
	for _, c := range counts {
		all = append(all, Waiting{Domain: c.Domain, Site: c.Site, N: c.N})
	}
	return all
}

func read(ctx context.Context, db *queue.DB, own int64, ahead []insight.Ahead, now time.Time) (Plan, error) {
	limits := &throttle.Throttle{}
	p := Plan{Start: now, Limits: limits, Set: map[string]time.Time{}}
	destinations, err := db.Destinations(ctx)
	if err != nil {
		return p, err
	}
	policies := make(map[string]throttle.Policy, len(destinations))
	for _, d := range destinations {
		policies[d.Name] = throttle.PolicyOf(d)
		p.Set[d.Name] = d.UpdatedAt
	}
	limits.SetPolicies(policies)
	memos, _, err := db.Memos(ctx, time.Time{})
	if err != nil {
		return p, err
	}
	limits.Restore(memos, now)
	for _, a := range ahead {
		l := Load{
			Batch: a.Batch, Priority: a.Priority, NotBefore: a.NotBefore, Client: a.Client, Pool: a.Pool,
			Domains: waiting(a.Domains),
			Beside:  a.State == "draining" || a.State == "retrying",
		}
		for _, spec := range a.Windows {
			if w, err := window.Read(spec); err == nil {
				l.Windows = append(l.Windows, w)
			}
		}
		p.Ahead = append(p.Ahead, l)
	}
	retries, err := insight.Of(db).Retries(ctx, own)
	if err != nil {
		return p, err
	}
	for _, r := range retries {
		w := Waiting{Domain: r.Domain, Site: r.Site, N: r.N, At: r.At, Pool: r.Pool}
		switch {
		case r.Untried && r.Batch == own:
			p.Own.Domains = append(p.Own.Domains, w)
		case r.Untried:
			l := p.load(r.Batch)
			l.Domains = append(l.Domains, w)
		case r.Batch == own:
			p.Own.Due = append(p.Own.Due, w)
		default:
			p.Retries = append(p.Retries, w)
		}
	}
	nodes, err := db.Nodes(ctx)
	if err != nil {
		return p, err
	}
	p.Nodes = len(nodes)
	p.Most = MostPerNode * rate.Limit(max(1, len(nodes)))
	p.Overlap = len(nodes) > 0 && !slices.ContainsFunc(nodes,
		func(n queue.Node) bool { return n.Turn != queue.ByDestination })
	p.Message = measured(nodes)
	p.Measured = p.Message > 0
	return p, nil
}

// load is a batch of a plan; one that holds no turn where it is in none of the others.
func (p *Plan) load(batch int64) *Load {
	i := slices.IndexFunc(p.Ahead, func(l Load) bool { return l.Batch == batch })
	if i < 0 {
		i = len(p.Ahead)
		p.Ahead = append(p.Ahead, Load{Batch: batch, Beside: true})
	}
	return &p.Ahead[i]
}

// limit reads the quotas of the clients in a plan, and the warm-up of our addresses.
func (p *Plan) limit(ctx context.Context, db *queue.DB) error {
	clients := []string{}
	for _, l := range append(slices.Clone(p.Ahead), p.Own) {
		if l.Client != "" && !slices.Contains(clients, l.Client) {
			clients = append(clients, l.Client)
		}
	}
	limited, err := insight.Of(db).Allowances(ctx, clients)
	p.Quotas = map[string]*Quota{}
	for _, a := range limited {
		zone, err := time.LoadLocation(a.Zone)
		if err != nil {
			zone = time.UTC
		}
		p.Quotas[a.Client] = &Quota{PerDay: a.PerDay, PerMonth: a.PerMonth, Today: a.Today, Month: a.Month, Zone: zone}
	}
	if err != nil {
		return err
	}
	return p.warm(ctx, db)
}

// warm reads which of our addresses have a rate or warm up, and which of them the sites have.
func (p *Plan) warm(ctx context.Context, db *queue.DB) error {
	all, err := db.Egresses(ctx)
	if err != nil {
		return err
	}
	p.Addresses = addresses(all, p.Nodes > 0, p.Start)
	if !slices.ContainsFunc(p.Addresses, Address.limits) {
		p.Addresses = nil // they limit nothing
		return nil
	}
	var sites []string
	for _, l := range append(slices.Clone(p.Ahead), p.Own, Load{Due: p.Retries}) {
		for _, w := range slices.Concat(l.Domains, l.Due) {
			sites = append(sites, w.Site)
		}
	}
	slices.Sort(sites)
	p.Groups, err = insight.Of(db).Groups(ctx, slices.Compact(sites))
	return err
}

// addresses are those that mail can leave from; without a node that lives, those that
// are registered.
func addresses(all []queue.EgressAddress, live bool, now time.Time) (found []Address) {
	for _, e := range all {
		if e.State != queue.EgressActive || live && len(e.Nodes) == 0 {
			continue
		}
		a := Address{Addr: e.Addr, Pool: e.Pool, Weight: e.Weight, Rate: e.Rate, SiteRate: e.SiteRate}
		for _, w := range e.Warmups {
			zone, err := time.LoadLocation(w.Zone)
			if err != nil { // the nodes take it for UTC too
				zone = time.UTC
			}
			day, _ := warmup.Today(zone, now)
			plan, step, today := warmup.Plan(w.Caps), w.Step, dayOf(w, day)
			if w.Day != nil && day.After(*w.Day) {
				step, _ = plan.Next(step, dayOf(w, *w.Day))
			}
			if !plan.Warm(step) {
				a.Plans = append(a.Plans, Warming{Site: w.Site, Plan: plan, Step: step, Today: today, Zone: zone,
					Spills: w.Overflow == "pool"})
			}
		}
		found = append(found, a)
	}
	return found
}

// dayOf is what left on a day.
func dayOf(w queue.Warmup, day time.Time) warmup.Day {
	for _, d := range w.Days {
		if d.Day.Equal(day) {
			return warmup.Day{Begun: d.Begun, Accepted: d.Taken, Refused: d.Refused, Complaints: d.Complaints}
		}
	}
	return warmup.Day{}
}

// Expect adds to a plan whose Own is complete what its client may send and how many
// recipients are likely to be deferred, by the batches of the last days.
func (p *Plan) Expect(ctx context.Context, db *queue.DB) error {
	if err := p.limit(ctx, db); err != nil {
		return err
	}
	sites := []string{}
	for _, w := range p.Own.Domains {
		if !slices.Contains(sites, w.Site) {
			sites = append(sites, w.Site)
		}
	}
	found, err := insight.Of(db).Deferrals(ctx, sites)
	p.Deferred = map[string]float64{}
	for _, d := range found {
		p.Deferred[d.Site] = min(1, float64(d.Deferred)/float64(d.Tried))
	}
	return err
}

// measured is what a message takes in one connection, by the nodes that have
// sent any; 0 when none has.
func measured(nodes []queue.Node) (mean time.Duration) {
	n := time.Duration(0)
	for _, node := range nodes {
		if node.MessageTime > 0 {
			n++
			mean += node.MessageTime
		}
	}
	return mean / max(1, n)
}
