package preflight

import (
	"cmp"
	"math"
	"slices"
	"strings"
	"time"

	"golang.org/x/time/rate"

	"enotify/sender/throttle"
)

// Limits are what the sender keeps to: the operator's policies, and what was
// learned of sites. *throttle.Throttle is one.
type Limits interface {
	Policy(domain string) throttle.Policy
	SitePolicy(site string) throttle.Policy
	Pace(site string) throttle.Pace
}

// A Load is a batch that waits for its turn.
type Load struct {
	NotBefore time.Time // zero: at once
	Domains   []Waiting
}

// Waiting are the messages to one recipient domain.
type Waiting struct {
	Domain, Site string
	N            int
}

// A Plan is what is simulated.
type Plan struct {
	Start    time.Time
	Limits   Limits
	Ahead    []Load // have the turn before, one after the other
	Own      Load
	Message  time.Duration // that one message takes in one connection; 0 is defaultMessage
	Measured bool          // Message is what nodes measured
	Retries  []Waiting     // of other batches; they are not simulated
	Overlap  bool          // a batch may begin while the one ahead only waits for slow sites; that is not simulated
	Most     rate.Limit    // messages a second that all nodes together get through; 0 is MostPerNode
}

const (
	// defaultMessage is what a message takes where nobody measured it: two round
	// trips of 50 ms, and what the receiver takes to look at it.
	defaultMessage = 300 * time.Millisecond
	// MostPerNode is what a node of two cores gets through (README, "Speed").
	MostPerNode rate.Limit = 8000

	firstStep = 10 * time.Millisecond
	stepShare = 200 // a step is at most this part of the time gone by
	maxSpan   = 60 * 24 * time.Hour
)

// A Forecast is the result of a simulation, in time since its start.
type Forecast struct {
	Begin  time.Duration // when the batch gets its turn
	End    time.Duration // when everybody was tried once
	Late   bool          // it does not end within maxSpan
	Sites  []SiteForecast
	Points []Point // all together
}

// A SiteForecast is the same of one site, the last to be done first.
type SiteForecast struct {
	Name   string
	N      int
	End    time.Duration
	Held   string // by what, most of the time
	Points []Point
}

// A Point is how many messages have been sent by a time.
type Point struct {
	At   time.Duration
	Sent float64
}

// Simulate sends a plan in thought. Messages are a fluid that the buckets of
// domains and sites and the connections let through; what a site bears grows
// with the same functions as in the sender ([throttle.Pace]). It knows nothing
// of refusals to come.
func Simulate(p Plan) Forecast {
	s := simulation{Plan: p, known: map[string]*simSite{}, message: cmp.Or(p.Message, defaultMessage), most: float64(cmp.Or(p.Most, MostPerNode))}
	for _, l := range p.Ahead {
		s.load(l)
		s.run(nil)
	}
	s.load(p.Own)
	f := Forecast{Begin: s.at}
	s.run(&f)
	f.End, f.Late = s.at, s.at >= maxSpan
	for _, site := range s.sites {
		f.Sites = append(f.Sites, SiteForecast{Name: site.name, N: site.total, End: site.end, Held: site.mostly(), Points: thin(site.points)})
	}
	slices.SortStableFunc(f.Sites, func(a, b SiteForecast) int {
		return cmp.Or(cmp.Compare(b.End, a.End), cmp.Compare(b.N, a.N), strings.Compare(a.Name, b.Name))
	})
	f.Points = thin(f.Points)
	return f
}

type simulation struct {
	Plan
	at      time.Duration // since Start
	message time.Duration
	most    float64
	known   map[string]*simSite // over all loads
	sites   []*simSite          // of the load under way
}

type simSite struct {
	name    string
	policy  throttle.Policy
	pace    throttle.Pace
	tokens  float64 // in the bucket of the site
	domains []*simDomain
	total   int
	sent    float64
	good    float64 // part of a reply that was not told to the pace yet
	end     time.Duration
	points  []Point
	held    map[string]time.Duration
	offer   float64 // of this step
}

type simDomain struct {
	left        float64
	tokens      float64
	rate        float64
	burst       float64
	connections int // its own limit; 0 is none
	offer       float64
}

// load makes the messages of a batch ready.
func (s *simulation) load(l Load) {
	s.at = max(s.at, l.NotBefore.Sub(s.Start))
	s.sites = nil
	for _, w := range l.Domains {
		if w.N == 0 {
			continue
		}
		site := s.known[w.Site]
		if site == nil {
			site = &simSite{name: w.Site, policy: s.Limits.SitePolicy(w.Site), pace: s.Limits.Pace(w.Site)}
			s.known[w.Site] = site
		}
		if len(site.domains) == 0 {
			site.total, site.sent, site.points, site.held = 0, 0, nil, map[string]time.Duration{}
			s.sites = append(s.sites, site)
		}
		p := s.Limits.Policy(w.Domain)
		d := &simDomain{left: float64(w.N), rate: float64(p.Rate), burst: float64(p.Burst)}
		if w.Domain != w.Site && p.Connections < site.policy.Connections {
			d.connections = p.Connections
		}
		site.domains = append(site.domains, d)
		site.total += w.N
	}
}

// run sends the load that is ready. It takes notes of the load in f.
func (s *simulation) run(f *Forecast) {
	begun, sent := s.at, 0.0
	note := func() {
		if f != nil {
			f.Points = append(f.Points, Point{s.at, sent})
		}
	}
	note()
	for open := slices.Clone(s.sites); len(open) > 0 && s.at < maxSpan; {
		dt := max(firstStep, (s.at-begun)/stepShare)
		offered := 0.0
		for _, site := range open {
			site.offer = s.offer(site, dt)
			offered += site.offer
		}
		share := 1.0
		if most := s.most * dt.Seconds(); offered > most {
			share = most / offered
		}
		s.at += dt
		for _, site := range open {
			sent += site.send(share, s.at, f != nil)
		}
		open = slices.DeleteFunc(open, func(site *simSite) bool { return len(site.domains) == 0 })
		note()
	}
}

// The reasons for which a site goes no faster.
const (
	byDomains     = "the rate of its domains"
	byRate        = "the rate of the site"
	byLearnedRate = "a rate that was learned"
	byConnections = "its connections"
	byLearned     = "connections that were learned"
	byClosed      = "it is closed to us for now"
)

// offer is how many messages a site can take in the next step.
func (s *simulation) offer(site *simSite, dt time.Duration) float64 {
	seconds, now := dt.Seconds(), s.Start.Add(s.at)
	connections := site.pace.Connections(site.policy.Connections, now)
	per := s.message.Seconds()
	capacity := float64(connections) * seconds / per
	demand := 0.0
	for _, d := range site.domains {
		d.tokens += d.rate * seconds
		d.offer = min(d.left, d.tokens)
		if d.connections > 0 {
			d.offer = min(d.offer, float64(d.connections)*seconds/per)
		}
		demand += d.offer
	}
	offer, why := demand, byDomains
	if limit := float64(site.pace.Limit(site.policy.Rate)); !math.IsInf(limit, 0) && limit < float64(rate.Inf) {
		site.tokens += limit * seconds
		if site.tokens < offer {
			offer, why = site.tokens, byRate
			if site.pace.Rate > 0 && site.pace.Rate < site.policy.Rate {
				why = byLearnedRate
			}
		}
	} else {
		site.tokens = math.Inf(1)
	}
	if capacity < offer {
		offer, why = capacity, byConnections
		switch {
		case connections == 0:
			why = byClosed
		case site.pace.Ceiling > 0:
			why = byLearned
		}
	}
	site.held[why] += dt
	if busy := offer >= capacity; busy {
		site.good += offer
	} else {
		site.good = 0
		if offer > 0 {
			site.pace = site.pace.Succeed(false, site.policy.Connections, now)
		}
	}
	for ; site.good >= 1; site.good-- {
		site.pace = site.pace.Succeed(true, site.policy.Connections, now)
	}
	if demand > 0 {
		for _, d := range site.domains {
			d.offer *= offer / demand
		}
	}
	return offer
}

// send sends what was offered, or a share of it.
func (site *simSite) send(share float64, at time.Duration, noted bool) float64 {
	sent := 0.0
	for _, d := range site.domains {
		n := d.offer * share
		d.left -= n
		d.tokens = min(d.tokens-n, d.burst)
		sent += n
	}
	site.tokens = min(site.tokens-sent, float64(site.policy.Burst))
	site.sent += sent
	site.domains = slices.DeleteFunc(site.domains, func(d *simDomain) bool { return d.left < 1e-6 })
	if len(site.domains) == 0 {
		site.end = at
	}
	if noted && (len(site.points) == 0 || len(site.domains) == 0 || at >= site.points[len(site.points)-1].At*41/40) {
		site.points = append(site.points, Point{at, site.sent})
	}
	return sent
}

// mostly is what held the site back for the longest time.
func (site *simSite) mostly() string {
	why, longest := "", time.Duration(0)
	for w, d := range site.held {
		if d > longest || d == longest && w < why {
			why, longest = w, d
		}
	}
	return why
}

// pointsKept are enough for a smooth curve.
const pointsKept = 60

// thin leaves out points that a drawing does not miss.
func thin(points []Point) []Point {
	if len(points) <= pointsKept {
		return points
	}
	first, last := points[0], points[len(points)-1]
	kept := []Point{first}
	for _, p := range points {
		if p.At >= kept[len(kept)-1].At+(last.At-first.At)/pointsKept {
			kept = append(kept, p)
		}
	}
	if kept[len(kept)-1] != last {
		kept = append(kept, last)
	}
	return kept
}
