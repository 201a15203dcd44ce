package forecast

import (
	"cmp"
	"slices"
	"time"
)

// Simulate works out how the batch Own of a plan will be sent, after and beside the others.
// It knows nothing of refusals to come.
func Simulate(p Plan) Forecast {
	s := newSimulation(p)
	own := s.loads[len(p.Ahead)]
	s.until(func() bool { return own.over() })
	return s.forecast(own)
}

// All works out how all batches of a plan will be sent. It returns a forecast for each batch
// of Ahead, in their order.
func All(p Plan) []Forecast {
	s := newSimulation(p)
	s.until(func() bool { return !slices.ContainsFunc(s.loads, func(l *load) bool { return !l.over() }) })
	all := make([]Forecast, len(p.Ahead))
	for i := range all {
		all[i] = s.forecast(s.loads[i])
	}
	return all
}

type simulation struct {
	Plan
	at      time.Duration // since Start
	message time.Duration
	most    float64
	loads   []*load // Ahead, in the order of their turns; Own; retries of other batches
	active  []*site // that something leaves to just now
	moved   bool    // the windows of a load opened or closed
	sites   map[string]*site
	buckets map[string]*bucket // of recipient domains
	quotas  map[string]*quota
	caps    []*capped           // of addresses that warm up
	taps    []*tap              // rates of our addresses
	routes  map[[2]string][]way // see ways
}

func newSimulation(p Plan) *simulation {
	s := &simulation{
		Plan: p, message: cmp.Or(p.Message, DefaultMessage), most: float64(cmp.Or(p.Most, MostPerNode)),
		sites: map[string]*site{}, buckets: map[string]*bucket{}, quotas: map[string]*quota{},
		routes: map[[2]string][]way{},
	}
	for client, q := range p.Quotas {
		s.quotas[client] = newQuota(*q, p.Start)
	}
	for _, l := range append(slices.Clone(p.Ahead), p.Own) {
		s.loads = append(s.loads, s.load(l))
	}
	if len(p.Retries) > 0 {
		s.loads = append(s.loads, s.load(Load{Due: p.Retries, Beside: true}))
	}
	return s
}

// until simulates until done says so, or for two months.
func (s *simulation) until(done func() bool) {
	since := s.at
	var turn *load
	for first := true; !done() && s.at < maxSpan; first = false {
		next, wait := s.turn(turn)
		if next != turn {
			since = s.at
		}
		if next != turn || first || s.moved || s.due() {
			turn = next
			s.activate(turn)
		}
		if s.putOff() {
			continue // perhaps the turn goes on
		}
		if len(s.active) == 0 {
			if wait == 0 { // for ever
				s.at = maxSpan
			}
			s.at += wait
			since = s.at
			continue
		}
		if turn != nil && !turn.begun {
			turn.begun, turn.begin = true, s.at
			turn.points = append(turn.points, Point{s.at, 0})
		}
		dt := max(firstStep, (s.at-since)/stepShare)
		if wait > 0 {
			dt = min(dt, max(firstStep, wait))
		}
		s.step(turn, dt)
	}
}

// turn is the load that has the turn now, and for how long nothing changes that, as
// far as that is known: 0 is unknown. A load keeps the turn against others of its
// priority. It notes whose windows are open.
func (s *simulation) turn(had *load) (turn *load, wait time.Duration) {
	now := s.Start.Add(s.at)
	soon := func(at time.Time) {
		if d := at.Sub(now); d > 0 && (wait == 0 || d < wait) {
			wait = d
		}
	}
	s.moved = false
	for _, l := range s.loads {
		if l.over() && len(l.retries)+len(l.later) == 0 {
			continue
		}
		open, change, why := l.within(now)
		if open != l.open {
			l.open, s.moved = open, true
		}
		may := open
		if l.holds > 0 && !l.Beside {
			may, change, why = s.may(l, now, open, change, why)
		}
		if !change.IsZero() {
			soon(change)
		}
		if l.holds == 0 || l.Beside {
			if !may && l.untried > 0 {
				l.paused = cmp.Or(why, l.paused)
			}
			continue
		}
		if !may {
			l.paused = cmp.Or(why, l.paused)
			continue
		}
		if turn == nil || l == had && l.Priority >= turn.Priority {
			turn = l
		}
	}
	for _, l := range s.loads {
		if len(l.later) > 0 {
			soon(s.Start.Add(l.later[0].due))
		}
	}
	return turn, wait
}

// may reports whether a load that is within its windows or not may have the turn, when
// that changes at the earliest, if it is known, and what it waits for.
func (s *simulation) may(l *load, now time.Time, open bool, change time.Time, why string) (bool, time.Time, string) {
	if now.Before(l.NotBefore) {
		return false, l.NotBefore, ""
	}
	if q := s.quotas[l.Client]; q != nil && open {
		if left, resumes := q.left(now); left < 1 {
			return false, resumes, "its quota"
		}
	}
	return open, change, why
}

// due reports whether deferred recipients have become due that are not active.
func (s *simulation) due() bool {
	return slices.ContainsFunc(s.loads, func(l *load) bool { return len(l.later) > 0 && l.later[0].due <= s.at })
}

// activate notes what may leave now: of the load that has the turn, of those that hold
// none, and of deferred recipients that are due. These stand first at each site.
func (s *simulation) activate(turn *load) {
	for _, of := range s.active {
		of.parts = of.parts[:0]
	}
	s.active = s.active[:0]
	add := func(p *part) {
		if p.left < least {
			return
		}
		if len(p.site.parts) == 0 {
			s.active = append(s.active, p.site)
		}
		p.site.parts = append(p.site.parts, p)
	}
	for _, l := range s.loads {
		for len(l.later) > 0 && l.later[0].due <= s.at {
			l.retries, l.later = append(l.retries, l.later[0]), l.later[1:]
		}
		if !l.open {
			continue
		}
		for _, p := range l.retries {
			add(p)
		}
	}
	for _, l := range s.loads {
		if l == turn || l.Beside && l.open {
			for _, p := range l.parts {
				if !p.aside {
					add(p)
				}
			}
		}
	}
}

// least is the smallest part of a message that counts as left.
const least = 1e-6

// step sends what may leave within dt.
func (s *simulation) step(turn *load, dt time.Duration) {
	offered := 0.0
	for _, of := range s.active {
		s.offer(of, dt)
	}
	s.capOffers(dt)
	s.quotaAside()
	for _, of := range s.active {
		for _, p := range of.parts {
			if p.here != nil {
				p.here.held[p.why] += dt / time.Duration(len(of.parts))
			}
			offered += p.offer
		}
	}
	share := 1.0
	if most := s.most * dt.Seconds(); offered > most {
		share = most / offered
	}
	own := share // of the load that has the turn
	if turn != nil {
		if q := s.quotas[turn.Client]; q != nil {
			wants := 0.0
			for _, p := range turn.parts {
				if !p.aside {
					wants += p.offer * share
				}
			}
			if left, _ := q.left(s.Start.Add(s.at)); wants > left {
				own *= left / wants
				wants = left
			}
			q.take(wants)
		}
	}
	s.at += dt
	for _, of := range s.active {
		of.send(turn, share, own, s.Start, s.at)
	}
	s.active = slices.DeleteFunc(s.active, func(of *site) bool { return len(of.parts) == 0 })
	for _, l := range s.loads {
		if n := len(l.points); l == turn || l.sent > 0 && (n == 0 || l.sent > l.points[n-1].Sent) {
			l.points = append(l.points, Point{s.at, l.sent})
		}
	}
}
