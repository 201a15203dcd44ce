package throttle

import (
	"container/list"
	"math/rand/v2"
	"regexp"
	"time"

	"enotify/queue"
	"enotify/sender/bounce"
)

const (
	// An unused domain is forgotten after this time, unless its rate limit is slow.
	// The time exceeds the longest wait for a retry. A forgotten domain comes back
	// with an empty bucket, so that forgetting never grants a token early.
	forgetDomain = 6 * time.Hour
	// A site about which nothing was learned is forgotten after this time.
	forgetSite = 2 * time.Hour

	sweepEvery = time.Minute
)

// A site is all domains served by the same mail servers.
type site struct {
	memory
	domain   string // the last of its domains to which messages began
	limits   Policy // that hold, by edition
	edition  int
	bucket   bucket // of all its domains together
	pace     Pace
	holds    []Hold
	allHeld  time.Time // while all our egress addresses are held
	halted   time.Time // see Halt
	good     meter     // of good replies
	open     int       // connections that are open, or being opened
	inflight int       // messages admitted, and not done
	moved    time.Time // when it last opened a connection or answered; zero when it did not, or cannot be reached
	answered bool      // it has answered a message, and could be reached since
	busy     time.Time // when the first message began after there were none under way
	coming   bool      // messages are under way to it, and it has no connection
	in       *list.List
	at       *list.Element // in it, one of the lists of turns; nil when in none
	quiet    time.Time     // when its last message was done
	short    time.Time     // when fewer messages began than there were, unless all have since; see wants
	shortOf  string        // the domain of these messages
	turned   time.Time     // when it was turned away for want of a connection
	lags     bool          // it took long for its last answer
	dead     unreached
	depth    int // messages that a connection may have at once; 0 is 1
	left     int // messages that could not begin when they were last asked for, over its domains
	settling int // messages that were under way when it was last slowed down
	domains  int
	used     time.Time
}

// stuckAfter is how long a site with messages under way may give no answer before
// it counts as stuck.
const stuckAfter = 2 * time.Second

// ahead is how long it may take until the queue has more messages for a site that
// took some: a busy engine asks for many at once.
const ahead = 20 * time.Millisecond

// An unreached site or domain is one whose hosts could not be reached.
type unreached struct {
	since, until time.Time
	reply        queue.Reply
}

func (u *unreached) note(why queue.Reply, until, now time.Time) {
	if u.since.IsZero() {
		u.since = now
	}
	u.until, u.reply = until, why
}

func (u *unreached) closure() queue.Closure {
	return queue.Closure{Until: u.until, Since: u.since, Class: queue.Offline, Reply: u.reply}
}

// waitsSince is since when messages wait for the site, which it has not answered.
func (s *site) waitsSince() time.Time {
	if s.moved.After(s.busy) {
		return s.moved
	}
	return s.busy
}

// most is how many messages may be under way to the site. One message for a site that is
// stuck or has answered none, so that sites that do not respond tie up little. One per
// connection for a slow site. Otherwise as many per connection as may be under way there
// at once, and one more that comes to it meanwhile; and what the site takes until more
// can come from the queue. A site that yields has no more connections than are open.
func (s *site) most(yields bool, now time.Time) int {
	connections := s.pace.Connections(s.limits.Connections, now)
	if yields {
		connections = min(connections, s.open)
	}
	switch {
	case !s.answered, s.pace.Refusals > 0:
		return min(1, connections)
	case s.inflight > 0 && now.Sub(s.waitsSince()) > stuckAfter:
		return min(1, connections)
	case s.lags:
		return connections
	}
	return (max(1, s.depth)+1)*connections + int(float64(s.good.rate(now))*ahead.Seconds())
}

// Depth tells how many messages one connection to a site may have at once.
func (t *Throttle) Depth(name string, n int) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.site(name, time.Now()).depth = n
}

// answers reports whether the site is open and answers without delay.
func (s *site) answers(now time.Time) bool {
	return s.answered && s.pace.Refusals == 0 && !s.lags && !now.Before(s.closed()) &&
		(s.inflight == 0 || now.Sub(s.waitsSince()) <= stuckAfter)
}

// move notes that the site did something.
func (s *site) move(now time.Time) {
	since := s.waitsSince()
	s.lags = !since.IsZero() && now.Sub(since) > stuckAfter/2
	s.moved, s.dead = now, unreached{}
}

// Moved notes that a site let us open a connection.
func (t *Throttle) Moved(name string, now time.Time) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.site(name, now).move(now)
}

// Answered notes that messages for a site are done at once, as if it had answered one.
func (t *Throttle) Answered(name string, now time.Time) {
	t.mu.Lock()
	defer t.mu.Unlock()
	s := t.site(name, now)
	s.move(now)
	s.answered = true
}

// Moves reports whether a site has let us open a connection and could be reached since,
// and whether it lags: it took long for its last answer, or takes long for the next.
func (t *Throttle) Moves(name string, now time.Time) (moved, lags bool) {
	t.mu.Lock()
	defer t.mu.Unlock()
	s := t.sites[name]
	if s == nil || s.moved.IsZero() {
		return false, false
	}
	return true, s.lags || s.inflight > 0 && now.Sub(s.waitsSince()) > stuckAfter/2
}

// Stuck reports whether a site has given no sign for a while though messages
// are under way to it.
func (t *Throttle) Stuck(name string, now time.Time) bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	s := t.sites[name]
	return s != nil && s.inflight > 0 && now.Sub(s.waitsSince()) > stuckAfter
}

// Unreached notes that no host of a domain at a site can be reached, why, and until
// when none is tried. Other domains of the site may have other hosts.
func (t *Throttle) Unreached(name, siteName string, why queue.Reply, until, now time.Time) {
	t.mu.Lock()
	defer t.mu.Unlock()
	d, s := t.domain(name, now), t.site(siteName, now)
	if !s.moved.IsZero() {
		d.dead = unreached{}
	}
	d.dead.note(why, until, now)
	s.moved, s.answered = time.Time{}, false
	s.dead.note(why, until, now)
}

// isDead reports whether the hosts of a domain were found to be out of reach, and
// nobody has reached its site since.
func (d *domain) isDead(now time.Time) bool {
	return now.Before(d.dead.until) && d.site != nil && d.site.moved.IsZero()
}

// learn draws the lesson of one attempt. All messages under way when a site
// was slowed down tell the same story, which counts once.
func (s *site) learn(o queue.Outcome, now time.Time) {
	s.used = now
	if o.Reply.Code != 0 {
		s.move(now)
		s.answered = true
	}
	settling := s.settling > 0
	s.settling = max(0, s.settling-1)
	limit, does := s.limits.Connections, o.Treated()
	switch {
	case o.Reply.Code == 0, does.HoldsEgress, now.Before(s.pace.ClosedUntil):
	case does.SlowsSite:
		if settling {
			return
		}
		if aboutConnections(o.Reply) || s.open > startConnections && !aboutMessages(o.Reply) {
			s.pace = s.pace.Crowd(s.open, jitter(), now)
		} else {
			s.pace = s.pace.Slow(s.good.rate(now), jitter(), now)
		}
		s.settling = s.inflight
		s.blame(o.Reply, now)
	default:
		s.good.count(now)
		s.pace = s.pace.Succeed(s.open >= s.pace.Connections(limit, now), limit, now)
	}
}

func (s *site) blame(r queue.Reply, now time.Time) { s.pace.Why, s.pace.WhyAt = r.String(), now }

// closed is until when nothing may begin, for whatever reason; the zero time
// or one in the past when something may.
func (s *site) closed() time.Time {
	until := s.pace.ClosedUntil
	for _, t := range []time.Time{s.allHeld, s.halted} {
		if t.After(until) {
			until = t
		}
	}
	return until
}

// freshRefusal is how old the last refusal may be of a site that is still
// taken for closed when one message goes as a probe.
const freshRefusal = 2 * maxBackoff

// Closure says whether the site of a domain is closed to us, and why: since all
// our egress addresses are held there, since it refuses each probe, or
// since no host of the domain, or of another one there, can be reached.
func (t *Throttle) Closure(name string, now time.Time) queue.Closure {
	t.mu.Lock()
	defer t.mu.Unlock()
	d := t.domains[name]
	if d == nil || d.site == nil {
		return queue.Closure{}
	}
	s, p := d.site, d.site.pace
	switch {
	case now.Before(s.halted): // all that there is waits: nobody need be put aside for others
		return queue.Closure{}
	case now.Before(s.allHeld):
		c := queue.Closure{Until: s.allHeld, Class: queue.SpamBlock}
		for _, h := range s.holds {
			if h.Until.Equal(s.allHeld) {
				c.Reply = bounce.Parse(h.Reply)
			}
		}
		return c
	case now.Before(p.ClosedUntil), p.Refusals > 0 && now.Sub(p.WhyAt) < freshRefusal:
		return queue.Closure{Until: p.ClosedUntil, Since: p.RefusedSince, Class: queue.Throttled,
			Reply: bounce.Parse(p.Why)}
	}
	switch {
	case d.isDead(now):
		c := d.dead.closure()
		c.Certain = true
		return c
	case now.Before(s.dead.until):
		return s.dead.closure()
	}
	return queue.Closure{}
}

// What a receiver has too much of. Replies that name neither ("421 try again
// later, closing connection") are about connections where there are many.
var (
	connectionWords = regexp.MustCompile(`(?i)(too many|concurrent|simultan|parallel|maximum|number of|trop de) (\w+ )*(connections?|connexions|sessions|threads)|(connections?|sessions?) (limit|count|rate|exceed)|同時接続`)
	messageWords    = regexp.MustCompile(`(?i)\brate\b|rate.?limit|messages|e?mails\b|too (fast|quick|much)|slow down|volume|flood|per (second|minute|hour|day)|frequency`)
)

func aboutConnections(r queue.Reply) bool { return connectionWords.MatchString(r.Text) }
func aboutMessages(r queue.Reply) bool    { return messageWords.MatchString(r.Text) }

// Connect reserves a place for one more connection to a site, and reports
// whether there was one. The place is given back by Refused or Closed. There is
// none when the site has all the connections it may have, or when it is closed
// to us until a time, which is zero otherwise.
func (t *Throttle) Connect(name string, now time.Time) (ok bool, closedUntil time.Time) {
	t.mu.Lock()
	defer t.mu.Unlock()
	s := t.site(name, now)
	if until := s.closed(); now.Before(until) {
		return false, until
	}
	if s.open >= s.pace.Connections(s.limits.Connections, now) {
		return false, time.Time{}
	}
	t.turns.opens(s, 1)
	return true, time.Time{}
}

// Refused gives back the place of a connection that the site turned away
// because there are too many, and learns from it. It returns until when the
// site is closed to us; the zero time when other connections are open.
func (t *Throttle) Refused(name string, r queue.Reply, now time.Time) (closedUntil time.Time) {
	t.mu.Lock()
	defer t.mu.Unlock()
	s := t.site(name, now)
	t.turns.opens(s, -1)
	s.pace = s.pace.Refuse(s.open, jitter(), now)
	s.blame(r, now)
	t.change(s)
	return s.pace.ClosedUntil
}

// Closed gives back the place of a connection that has ended.
func (t *Throttle) Closed(name string, now time.Time) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.turns.opens(t.site(name, now), -1)
}

// Reuse reports whether a connection to a site that has carried so many
// messages, the latest to domain, may carry another one.
func (t *Throttle) Reuse(name, domain string, carried int, now time.Time) bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	s := t.site(name, now)
	most := s.limits.PerConnection
	if own := t.policies[domain].PerConnection; own > 0 {
		most = min(most, own)
	}
	return carried < most && s.open <= max(1, s.pace.Connections(s.limits.Connections, now))
}

// Pace is what was learned of a site.
func (t *Throttle) Pace(name string) Pace {
	t.mu.Lock()
	defer t.mu.Unlock()
	if s := t.sites[name]; s != nil {
		return s.pace
	}
	return Pace{}
}

// site finds or makes a site, with the limits that hold now.
func (t *Throttle) site(name string, now time.Time) *site {
	s := t.sites[name]
	if s == nil {
		if t.sites == nil {
			t.sites = make(map[string]*site)
		}
		s = &site{memory: memory{kind: queue.Site, name: name}, edition: t.edition - 1}
		t.sites[name] = s
	}
	s.used = now
	if s.edition != t.edition {
		s.limits, s.edition = t.sitePolicy(name), t.edition
	}
	t.level(s, now)
	return s
}

// level brings the bucket of a site to the limit that holds now. A rate that
// was learned is exact, and lets no burst through that the policy does not.
func (t *Throttle) level(s *site, now time.Time) {
	limit, burst := s.pace.Limit(s.limits.Rate), s.limits.Burst
	if limit != s.limits.Rate {
		burst = min(burst, max(1, int(float64(limit)*step.Seconds())))
	}
	unlimited := s.bucket.limiter == nil
	s.bucket.set(limit, burst, now)
	if unlimited && s.bucket.slow() {
		t.change(s) // it starts empty, once
	}
}

// sweep forgets, now and then, domains and sites that are out of use.
func (t *Throttle) sweep(now time.Time) {
	if now.Sub(t.swept) < sweepEvery {
		return
	}
	t.swept = now
	for name, d := range t.domains {
		if d.inflight == 0 && !d.bucket.slow() && now.Sub(d.used) > forgetDomain {
			if d.site != nil {
				d.site.lose(d)
			}
			delete(t.domains, name)
		}
	}
	for name, s := range t.sites {
		if s.domains == 0 && s.open == 0 && !s.worthKeeping() && now.Sub(s.used) > forgetSite {
			delete(t.sites, name)
		}
	}
}

// jitter is drawn from [-1, 1).
func jitter() float64 { return 2*rand.Float64() - 1 }
