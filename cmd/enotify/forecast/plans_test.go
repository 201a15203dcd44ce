package forecast_test

import (
	"encoding/json"
	"fmt"
	"net/netip"
	"testing"
	"time"

	"golang.org/x/time/rate"

	"enotify/cmd/enotify/forecast"
	"enotify/queue"
	"enotify/queue/warmup"
	"enotify/queue/window"
	"enotify/sender/throttle"
)

// A case is a plan, and what the sender learned of sites before.
type plannedCase struct {
	name     string
	policies map[string]throttle.Policy
	learned  map[string]throttle.Pace
	egress   map[string]rate.Limit // of our address, by site; "": all together
	plan     forecast.Plan
}

func to(n int, sites ...string) (all []forecast.Waiting) {
	for _, s := range sites {
		all = append(all, forecast.Waiting{Domain: s, Site: s, N: n})
	}
	return all
}

func shared(site string, domains, each int) (all []forecast.Waiting) {
	for i := range domains {
		all = append(all, forecast.Waiting{Domain: fmt.Sprintf("d%d.%s", i, site), Site: site, N: each})
	}
	return all
}

func hours(t *testing.T, spec string) []*window.Window {
	t.Helper()
	w, err := window.Read(spec)
	if err != nil {
		t.Fatal(err)
	}
	return []*window.Window{w}
}

// The forecast of each plan is within a tenth of what the sender's own throttle makes
// of it, message by message, at receivers that take everything.
func TestPlansComeTrue(t *testing.T) {
	t.Parallel()
	wide := throttle.Policy{Rate: rate.Inf, Burst: 100, Connections: 50}
	minute := throttle.Policy{Rate: 1, Burst: 5}
	q := 50 * time.Millisecond
	for _, c := range []plannedCase{
		{name: "196 left at a site set to 60/min", policies: map[string]throttle.Policy{"slow.test": minute},
			plan: forecast.Plan{Message: q,
				Own: forecast.Load{Domains: append(to(196, "slow.test"), to(300, "a.test", "b.test", "c.test")...)}}},
		{name: "default limits", plan: forecast.Plan{Message: q,
			Own: forecast.Load{Domains: to(3000, "a.test", "b.test", "c.test")}}},
		{name: "the rate of a site over its domains",
			policies: map[string]throttle.Policy{"site.test": {Rate: 20, Burst: 5, Connections: 20}},
			plan:     forecast.Plan{Message: q, Own: forecast.Load{Domains: shared("site.test", 20, 40)}}},
		{name: "two connections", policies: map[string]throttle.Policy{"*": {Rate: rate.Inf, Burst: 100,
			Connections: 2}},
			plan: forecast.Plan{Message: 100 * time.Millisecond, Own: forecast.Load{Domains: to(1000, "a.test")}}},
		{name: "connections that grow", policies: map[string]throttle.Policy{"*": wide},
			plan: forecast.Plan{Message: 200 * time.Millisecond, Own: forecast.Load{Domains: to(3000, "a.test")}}},
		{name: "two batches ahead at the same site", policies: map[string]throttle.Policy{"*": {Rate: 5, Burst: 5}},
			plan: forecast.Plan{Message: q,
				Ahead: []forecast.Load{{Domains: to(100, "a.test", "b.test")}, {Domains: to(80, "a.test")}},
				Own:   forecast.Load{Domains: to(60, "a.test", "c.test")}}},
		{name: "a learned rate that is raised", policies: map[string]throttle.Policy{"*": {Rate: 100, Burst: 20}},
			learned: map[string]throttle.Pace{"a.test": {Rate: 2, RateCeiling: 2.5,
				RateProbeAt: at.Add(30 * time.Second), RateProbeWait: time.Minute}},
			plan: forecast.Plan{Message: q, Own: forecast.Load{Domains: to(600, "a.test")}}},
		{name: "closed for a while, then one connection", policies: map[string]throttle.Policy{"*": wide},
			learned: map[string]throttle.Pace{"a.test": {Allowed: 1, Ceiling: 1, ProbeAt: at.Add(24 * time.Hour),
				ProbeWait: time.Hour, ClosedUntil: at.Add(40 * time.Second), Refusals: 1}},
			plan: forecast.Plan{Message: 100 * time.Millisecond, Own: forecast.Load{Domains: to(800, "a.test")}}},
		{name: "a window that closes and opens", policies: map[string]throttle.Policy{"*": {Rate: 2, Burst: 2}},
			plan: forecast.Plan{Message: q,
				Own: forecast.Load{Windows: hours(t, "Thu 08:00-09:01, Thu 09:30-10:00 UTC"),
					Domains: to(400, "a.test")}}},
		{name: "a window lets the next batch go first", policies: map[string]throttle.Policy{"*": {Rate: 2, Burst: 2}},
			plan: forecast.Plan{Message: q,
				Ahead: []forecast.Load{{Windows: hours(t, "Thu 09:02-10:00 UTC"), Domains: to(100, "a.test")}},
				Own:   forecast.Load{Domains: to(200, "a.test")}}},
		{name: "a quota that ends with the day", policies: map[string]throttle.Policy{"*": {Rate: 5, Burst: 5}},
			plan: forecast.Plan{Message: q, Own: forecast.Load{Client: "town", Domains: to(700, "a.test")},
				Quotas: map[string]*forecast.Quota{"town": {PerDay: 500, Today: 200,
					Zone: time.FixedZone("west of the line", 14*3600+53*60)}}}},
		{name: "a batch of higher priority comes between",
			policies: map[string]throttle.Policy{"*": {Rate: 2, Burst: 2}},
			plan: forecast.Plan{Message: q,
				Ahead: []forecast.Load{{Priority: 10, NotBefore: at.Add(30 * time.Second), Domains: to(120, "a.test")}},
				Own:   forecast.Load{Domains: to(100, "a.test", "b.test")}}},
		{name: "retries at the same site", policies: map[string]throttle.Policy{"*": {Rate: 2, Burst: 2}},
			plan: forecast.Plan{Message: q,
				Retries: []forecast.Waiting{{Domain: "a.test", Site: "a.test", N: 100, At: at.Add(20 * time.Second)}},
				Own:     forecast.Load{Domains: to(120, "a.test")}}},
		{name: "the rate of an address, to all sites", policies: map[string]throttle.Policy{"*": {Rate: rate.Inf, Burst: 100,
			Connections: 50}}, egress: map[string]rate.Limit{"": 8}, plan: forecast.Plan{Message: q,
			Own: forecast.Load{Domains: to(120, "a.test", "b.test", "c.test")},
			Addresses: []forecast.Address{{Addr: netip.MustParseAddr("192.0.2.1"),
				Rate: &queue.Rate{Messages: 8, Per: time.Second}}}}},
		{name: "the rate of an address, to each site", policies: map[string]throttle.Policy{"*": {Rate: rate.Inf, Burst: 100,
			Connections: 50}}, egress: map[string]rate.Limit{"a.test": 2, "b.test": 2}, plan: forecast.Plan{Message: q,
			Own: forecast.Load{Domains: append(to(120, "a.test"), to(60, "b.test")...)},
			Addresses: []forecast.Address{{Addr: netip.MustParseAddr("192.0.2.1"),
				SiteRate: &queue.Rate{Messages: 120, Per: time.Minute}}}}},
		{name: "a day's cap while addresses warm up", policies: map[string]throttle.Policy{"*": {Rate: 5, Burst: 5}},
			plan: forecast.Plan{Message: q, Own: forecast.Load{Domains: to(250, "a.test")},
				Addresses: []forecast.Address{{Addr: netip.MustParseAddr("192.0.2.1"), Plans: []forecast.Warming{{
					Site: "*", Plan: warmup.Plan{100, 200}, Today: warmup.Day{Begun: 20},
					Zone: time.FixedZone("west of the line", 14*3600+53*60)}}}}}},
	} {
		c.plan.Start, c.plan.Limits = at, c.throttle(t)
		got, want := forecast.Simulate(c.plan).End, c.send(t)
		if off := (got - want).Abs(); off > want/10 {
			t.Errorf("%s: forecast %v, sent in %v", c.name, got.Round(time.Millisecond), want.Round(time.Millisecond))
		}
	}
}

func (c plannedCase) throttle(t *testing.T) *throttle.Throttle {
	t.Helper()
	th := limits(c.policies)
	var memos []queue.Memo
	for name, pace := range c.learned {
		state, err := json.Marshal(throttle.State{At: at, Pace: pace})
		if err != nil {
			t.Fatal(err)
		}
		memos = append(memos, queue.Memo{Kind: queue.Site, Name: name, Version: 1, State: state})
	}
	th.Restore(memos, at)
	return th
}

// A sender sends a plan message by message, as the engine and the sender do: it asks
// the throttle for messages and connections, and tells it of replies.
type planSender struct {
	th    *throttle.Throttle
	takes time.Duration // a message
	conns map[string][]*planConn
	wait  map[string][]string // domains of the messages that wait for a connection, by site
	ask   map[*forecast.Waiting]time.Time
	under int
}

type planConn struct {
	until  time.Time
	domain string // of its message; "": it is idle
}

// send is when everybody of Own was tried.
func (c plannedCase) send(t *testing.T) time.Duration {
	t.Helper()
	p := c.plan
	s := &planSender{th: c.throttle(t), takes: p.Message, conns: map[string][]*planConn{}, wait: map[string][]string{},
		ask: map[*forecast.Waiting]time.Time{}}
	loads := append(append([]forecast.Load{}, p.Ahead...), p.Own)
	left := make([][]*forecast.Waiting, len(loads))
	for i, l := range loads {
		for _, w := range l.Domains {
			s.th.Assign(w.Domain, w.Site, at)
			left[i] = append(left[i], &w)
		}
	}
	var retries []*forecast.Waiting
	for _, w := range p.Retries {
		s.th.Assign(w.Domain, w.Site, at)
		retries = append(retries, &w)
	}
	remains := func(ws []*forecast.Waiting) (n int) {
		for _, w := range ws {
			n += w.N
		}
		return n
	}
	taps := map[string]*rate.Limiter{}
	for site, r := range c.egress {
		taps[site] = rate.NewLimiter(r, max(1, int(r)))
	}
	sent := map[string]int{}
	spent := func(l forecast.Load, now time.Time) int {
		q := p.Quotas[l.Client]
		if q == nil {
			return 1 << 30
		}
		today := q.Today
		if now.In(q.Zone).Day() != at.In(q.Zone).Day() {
			today = 0
		}
		return q.PerDay - today - sent[l.Client+now.In(q.Zone).Format("02")]
	}
	own, turn := len(loads)-1, -1
	const step = 2 * time.Millisecond
	for now := at; ; now = now.Add(step) {
		if now.Sub(at) > 3*time.Hour {
			t.Fatalf("%s: not sent in 3 h", c.name)
		}
		s.reply(now)
		if remains(left[own]) == 0 && s.under == 0 {
			return now.Sub(at)
		}
		if now.Sub(at)%(20*time.Millisecond) == 0 {
			next := -1
			for i, l := range loads {
				open := remains(left[i]) > 0 && !now.Before(l.NotBefore) && spent(l, now) > 0
				for _, w := range l.Windows {
					open = open && w.Open(now)
				}
				if open && (next < 0 || i == turn && l.Priority >= loads[next].Priority) {
					next = i
				}
			}
			turn = next
		}
		for _, w := range retries {
			if !now.Before(w.At) {
				s.begin(w, 50, now)
			}
		}
		if turn >= 0 {
			for _, w := range left[turn] {
				most := spent(loads[turn], now)
				var caps []forecast.Warming
				for _, a := range p.Addresses {
					caps = append(caps, a.Plans...)
				}
				for _, k := range caps {
					most = min(most, k.Plan[min(1, now.In(k.Zone).Day()-at.In(k.Zone).Day())]-sent["cap"+
						now.In(k.Zone).Format("02")])
					if now.In(k.Zone).Day() == at.In(k.Zone).Day() {
						most -= k.Today.Begun
					}
				}
				var rates []*rate.Limiter
				for _, site := range []string{"", w.Site} {
					if l := taps[site]; l != nil {
						rates = append(rates, l)
						most = min(most, int(l.TokensAt(now)))
					}
				}
				n := s.begin(w, min(50, most), now)
				for _, l := range rates {
					l.AllowN(now, n)
				}
				for _, key := range []string{loads[turn].Client, "cap"} {
					zone := time.UTC
					if q := p.Quotas[key]; q != nil {
						zone = q.Zone
					} else if len(caps) > 0 {
						zone = caps[0].Zone
					}
					sent[key+now.In(zone).Format("02")] += n
				}
			}
		}
		s.connect(now)
	}
}

// begin asks for messages to a domain.
func (s *planSender) begin(w *forecast.Waiting, most int, now time.Time) int {
	want := min(w.N, most)
	if want <= 0 || now.Before(s.ask[w]) {
		return 0
	}
	n, again := s.th.Admit(w.Domain, want, now)
	if n < want {
		s.ask[w] = again.Until
		if again.Site != "" {
			s.ask[w] = now
		}
	}
	for range n {
		s.wait[w.Site] = append(s.wait[w.Site], w.Domain)
	}
	w.N -= n
	s.under += n
	return n
}

// connect gives messages that wait to connections.
func (s *planSender) connect(now time.Time) {
	for site, waiting := range s.wait {
		for len(waiting) > 0 {
			var free *planConn
			for _, c := range s.conns[site] {
				if c.domain == "" {
					free = c
				}
			}
			if free == nil {
				if ok, _ := s.th.Connect(site, now); !ok {
					break
				}
				s.th.Moved(site, now)
				free = &planConn{}
				s.conns[site] = append(s.conns[site], free)
			}
			free.domain, free.until = waiting[0], now.Add(s.takes)
			waiting = waiting[1:]
		}
		s.wait[site] = waiting
	}
}

// reply ends the messages whose time has come.
func (s *planSender) reply(now time.Time) {
	for _, conns := range s.conns {
		for _, c := range conns {
			if c.domain != "" && !c.until.After(now) {
				s.th.Done(c.domain, queue.Outcome{State: queue.Delivered, Reply: queue.Reply{Code: 250}}, now)
				c.domain = ""
				s.under--
			}
		}
	}
}
