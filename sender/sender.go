package sender

import (
	"cmp"
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"log/slog"
	"net/netip"
	"os"
	"sync"
	"sync/atomic"
	"time"

	"enotify/queue"
	"enotify/sender/bounce"
	"enotify/sender/compose"
	"enotify/sender/dkim"
	"enotify/sender/mtasts"
	"enotify/sender/throttle"
	"enotify/sender/tlsrpt"
	"enotify/sender/token"
	"enotify/spfguard/dns"
)

// A Sender delivers messages. Its fields must not change after the first
// message; their zero values are useful, except Resolver and Throttle, which
// must be set. It is safe for concurrent use.
type Sender struct {
	Resolver *dns.Resolver
	Throttle *throttle.Throttle

	HELO string // our name in EHLO; "" is the host's name
	Port int    // where mail hosts listen; 0 is 25

	// DKIM holds the keys that sign messages (RFC 6376). Mail of a client with selectors is
	// never sent unsigned: where a key is missing, its messages are held.
	DKIM dkim.Directory

	// Operator signs every message as well, after the client's keys. Yahoo's
	// feedback loop goes by d=, so one registration covers all clients; nil does not
	// sign.
	Operator *dkim.Key

	// Smarthost, HOST:PORT, gets all mail instead of the domains' mail hosts, as
	// SmarthostLogin where that is set. One that does not accept us gets nothing for a
	// growing while, and no recipient is given up for that.
	Smarthost      string
	SmarthostLogin Login

	// Keys sign the return paths of clients that have one per recipient; SetKeys replaces
	// them. BounceDomain is the domain of these return paths where the client has none of
	// its own; with "" the mail of such a client has no signed return path.
	Keys         token.Keys
	BounceDomain string

	// PublicURL is where recipients unsubscribe, without a slash at its end: the
	// page of one is PublicURL/u/TOKEN. "" is nowhere.
	PublicURL string

	// FeedbackSender is our name in Feedback-ID, by which Gmail counts complaints: 5
	// to 15 letters and digits, always the same; "" is enotify.
	FeedbackSender string

	// Bind are the local addresses to send from. A site gets its mail from one of each
	// family, always the same unless it blocks that one. A family without an address here is
	// not used; 0.0.0.0 alone stands for any IPv4 address. An empty list lets the system
	// choose.
	Bind []netip.Addr

	// Rules say what replies mean; the zero value is the built-in rules.
	Rules bounce.Rules

	// AllowMX lists networks that may be dialled although they are not public, or are our
	// own. Mail hosts that are named by their address are dialled there alone. The smarthost
	// is always dialled.
	AllowMX []netip.Prefix
	// Own are addresses of this host and of its nodes. Mail for them would loop.
	Own []netip.Addr

	// TLS is what holds where SetTLS says nothing; 0 is Opportunistic.
	TLS TLSPolicy
	// STS knows the MTA-STS policies of recipient domains (RFC 8461); nil is none.
	// DANE (RFC 7672) is used where Resolver is trusted to validate.
	STS *mtasts.Policies
	// TLSResults counts how TLS with mail hosts ends, for the reports of RFC 8460; nil
	// counts nothing.
	TLSResults *tlsrpt.Tally
	// RootCAs vouch for hosts where certificates are looked at; nil are the system's.
	RootCAs *x509.CertPool

	// Memory bounds, in octets, what messages under way take beside what all
	// messages of a batch share; 0 is 64 MiB.
	Memory int

	// MaxContents bounds, in octets, the contents of batches whose messages are being written,
	// as they are sent; 0 is 192 MiB. One client has half of what the others leave at most,
	// and nothing for messages that wait.
	MaxContents int
	// MakeWayAfter is how long a message may need the content of its batch while another
	// waits for room; 0 is 30 s.
	MakeWayAfter time.Duration

	// MaxConnections may be open at once, to all sites; 0 is 500. Those that have
	// waited for more than a second for a receiver do not count.
	MaxConnections int
	// MaxSlow is how many connections that have waited so long may be open in addition; 0 is
	// twice MaxConnections, and 500 at least.
	MaxSlow int

	IdleTime       time.Duration // after which an unused connection is closed; 0 is 10 s
	ConnectTimeout time.Duration // of TCP; 0 is 30 s
	CommandTimeout time.Duration // from a command to its reply; 0 is 5 min, and 2 for DATA (RFC 5321 §4.5.3.2)
	ContentTimeout time.Duration // from the final dot to its reply; 0 is 10 min (§4.5.3.2.6)
	// DeadTime is how long a host that could not be reached is left alone the first time; it
	// doubles up to an hour. 0 is 1 min.
	DeadTime time.Duration

	Log      *slog.Logger // nil is none
	Attempts *slog.Logger // gets each attempt, at [queue.LevelAttempt]; nil is none

	// Alerted gets each fact that somebody should act on, once; it may be nil. It
	// must return soon: a message waits for it.
	Alerted func(context.Context, queue.Alert)

	// Measured is told how long each phase of an attempt took; it may be nil. It is
	// called from many goroutines and must not wait.
	Measured func(Phase, time.Duration)

	letters    compose.Letters
	memory     compose.Budget
	writings   writings
	oneByOne   oneByOne
	ways       ways
	dead       deadHosts
	distrusted distrusted
	unanswered unanswered
	told       distrusted // hosts whose refusal by policy was counted lately
	unsigned   notices
	halt       halt
	tlsSet     atomic.Pointer[map[string]TLSPolicy]
	keySet     atomic.Pointer[token.Keys]
	sessions   tls.ClientSessionCache
	start      sync.Once
	conns      *pool
	took       average
}

// Leave ends the idle connections to the sites of groups that another node sends to from
// now on.
func (s *Sender) Leave(groups []int16) { s.pool().leave(groups) }

// MessageTime is the recent mean time per accepted message on one connection, over all
// sites, including its share of opening the connection; 0 when none was accepted.
func (s *Sender) MessageTime() time.Duration { return s.took.mean() }

// Deliver makes one attempt to deliver m. It is a [queue.Handler]. When ctx
// ends, transactions under way are cut off: let them finish first.
func (s *Sender) Deliver(ctx context.Context, m queue.Message) (o queue.Outcome) {
	s.begin()
	s.deliver(ctx, &m, &o)
	if s.Attempts != nil && s.Attempts.Enabled(ctx, queue.LevelAttempt) {
		s.logAttempt(ctx, &m, &o)
	}
	return o
}

func (s *Sender) logAttempt(ctx context.Context, m *queue.Message, o *queue.Outcome) {
	s.Attempts.LogAttrs(ctx, queue.LevelAttempt, "attempt",
		slog.Int64("batch", m.Batch.ID), slog.String("message", queue.MessageName(m.Batch.ID, m.Seq)),
		slog.Int("attempt", m.Attempt),
		slog.String("domain", m.Domain), slog.String("site", o.Site), slog.String("host", o.Host),
		slog.String("state", string(o.State)),
		slog.String("class", string(o.Class)), slog.Int("code", o.Reply.Code), slog.String("reply", o.Reply.Text))
}

// deliver is Deliver without its log. It, and what it calls while a message waits or is
// on its way, keep their frames small: each of a thousand messages has a stack of its
// own, which doubles when it is too small. So the outcome is set where Deliver has it, and
// what has ended before the wait, and what seldom happens, is in functions of its own.
func (s *Sender) deliver(ctx context.Context, m *queue.Message, o *queue.Outcome) {
	if err := s.letters.Fault(m.Batch); err != nil {
		unsent(o, nil, err)
		return
	}
	r, f := s.way(ctx, m)
	if f != nil {
		unsent(o, f, nil)
		return
	}
	s.hand(ctx, r, m, o)
}

// unsent sets the outcome of a message that was not begun: for a failure, or, where that is
// nil, for an error of composing it.
func unsent(o *queue.Outcome, f *failure, err error) {
	if f != nil {
		*o = f.outcome()
	} else {
		*o = unwritten(err)
	}
}

// way finds the hosts that may be given a message, and the policies that hold for them.
func (s *Sender) way(ctx context.Context, m *queue.Message) (*route, *failure) {
	begun := time.Now()
	r, err := s.route(ctx, m.Domain)
	s.measure(PhaseRoute, begun)
	if r.site != "" {
		s.Throttle.Assign(m.Domain, r.site, time.Now())
	}
	if err != nil {
		if r.site != "" { // the next one will be done as quickly
			s.Throttle.Answered(r.site, time.Now())
		}
		return nil, &failure{stage: routing, err: err, ended: ctx.Err() != nil}
	}
	if _, err := s.keysOf(m.Batch); err != nil {
		return nil, s.withheld(ctx, r.site, m.Batch, err)
	}
	r.egress = m.Egress
	r.tls = s.loginTLS(s.tlsPolicy(m.Domain, r.site), r.site)
	if s.counts(m.Domain, m.Batch.TLSReport) {
		r.domain = m.Domain
	}
	if !m.Batch.TLSReport { // which goes out whatever TLS does (RFC 8460 §5.3.1), and is not counted
		err = s.protect(ctx, m.Domain, r)
	}
	if err != nil {
		return nil, &failure{stage: connecting, site: r.site, err: err, ended: ctx.Err() != nil}
	}
	return r, nil
}

// hand gives the message to the first host of r that takes it, and sets its outcome. It is
// composed when there is a connection: messages that wait for one hold no text, nor the
// content of their batch.
func (s *Sender) hand(ctx context.Context, r *route, m *queue.Message, o *queue.Outcome) {
	for {
		c, turn, f := s.connection(ctx, r, m.Domain, m.Batch.Priority > 0)
		if f != nil {
			s.outcome(ctx, f, o)
			return
		}
		again := s.handBy(ctx, c, turn, r, m, o)
		s.pool().release(c, turn, m.Domain)
		if !again {
			return
		}
		*o = queue.Outcome{} // the host had closed an idle connection, which says nothing
	}
}

// handBy gives the message to the host at the other end of c, which it got in that turn.
// again says that another connection may do.
func (s *Sender) handBy(ctx context.Context, c *conn, turn int, r *route, m *queue.Message,
	o *queue.Outcome) (again bool) {
	letter := s.prepare(ctx, r, m, o)
	if letter == nil {
		return false
	}
	defer letter.Release()
	c.group.Store(int32(m.Group))
	domain := m.Domain // not m, which would go to the heap
	mayEnd := m.MayEnd
	if letter.Size() > compose.Free {
		w := &writing{c: c, batch: m.Batch.ID, client: m.Batch.Client, since: time.Now()}
		s.writings.add(w)
		defer s.writings.remove(w)
		mayEnd = func() bool { return w.end() && (m.MayEnd == nil || m.MayEnd()) }
	}
	reply, f := c.send(ctx, m.Batch.Client, s.returnPath(m), m.Address, letter, m.MayBegin, mayEnd,
		func() { s.conns.pass(c, turn, domain) })
	if f != nil {
		s.outcome(ctx, f, o)
		return f.stale
	}
	s.took.note(time.Duration(c.took.Load()))
	s.Throttle.Unblock(c.site, c.egress, time.Now())
	s.accepted(ctx)
	o.State, o.Reply, o.Host, o.Site, o.Egress = queue.Delivered, reply, c.host, r.site, c.from
	return false
}

// outcome turns a failed attempt into the outcome for the recipient, and holds
// the address that it came from where the site blocks that, and not only the
// message.
func (s *Sender) outcome(ctx context.Context, f *failure, o *queue.Outcome) {
	if s.refusesUs(f) {
		*o = s.halted(ctx, f)
		return
	}
	*o = f.outcome()
	if f.blocks() && f.egress != "" {
		s.blocked(ctx, f.site, f.egress, o.Reply)
	}
}

// connection waits for an idle connection of the site, or for the right to
// open one. A site that turns a new one away while others are open has told
// its limit: the message waits for one of those.
func (s *Sender) connection(ctx context.Context, r *route, domain string, urgent bool) (c *conn, turn int,
	f *failure) {
	p := s.pool()
	for {
		begun := time.Now()
		g := p.take(ctx, r, urgent)
		s.measure(PhaseWait, begun)
		switch {
		case g.conn != nil:
			s.countReused(r, g.conn)
			return g.conn, g.turn, nil
		case g.place == nil && ctx.Err() != nil:
			return nil, 0, &failure{stage: connecting, site: r.site, err: ctx.Err(), ended: true}
		case g.place == nil && g.closedUntil.IsZero():
			return nil, 0, &failure{stage: connecting, site: r.site, err: errStuck, after: stuckWait}
		case g.place == nil:
			return nil, 0, &failure{stage: connecting, site: r.site, err: errHeld, after: wait(g.closedUntil)}
		}
		c, f := s.dialApart(g.opening, r, func(host string) int { return p.openTo(r.site, host) })
		switch {
		case f == nil:
			c.place = g.place
			c.ways, c.deepened = &s.ways, func(n int) { s.Throttle.Depth(r.site, n) }
			c.deepened(c.depth())
			p.opened(c)
			return c, c.turn, nil
		case !f.crowded:
			if errors.Is(f.err, errAllHeld) && len(r.egress) == 0 { // else the queue chooses others
				s.Throttle.Shut(r.site, time.Now())
			}
			if errors.Is(context.Cause(g.opening), errMakesWay) {
				f.ended, f.err = false, errMakesWay
				s.avoid(r, f)
			}
			s.unreached(r, domain, f)
			p.failed(r.site, g.place)
			return nil, 0, f
		}
		if closedUntil := p.refused(r.site, g.place, f.reply); !closedUntil.IsZero() {
			f.after = wait(closedUntil)
			return nil, 0, f
		}
	}
}

// unreached tells the throttle that the hosts of a domain cannot be reached, and until when
// none is tried.
func (s *Sender) unreached(r *route, domain string, f *failure) {
	now := time.Now()
	if f.ended || errors.Is(f.err, errNotDialled) {
		return
	}
	if until := s.dead.reachable(r.mxs, now); !until.IsZero() {
		s.Throttle.Unreached(domain, r.site, f.outcome().Reply, until, now)
	}
}

// maxAfter is how long a message that was not begun is put aside at most. Then
// it waits at the site, which may have opened sooner than was thought.
const maxAfter = 5 * time.Minute

func wait(until time.Time) time.Duration { return min(max(0, time.Until(until)), maxAfter) }

// Close ends the idle connections. No message may be under way.
func (s *Sender) Close() { s.pool().close() }

func (s *Sender) pool() *pool {
	s.begin()
	return s.conns
}

// begin makes, from the settings, what messages on their way share. Render, which needs no throttle, does without.
func (s *Sender) begin() {
	s.start.Do(func() {
		s.sessions = tls.NewLRUClientSessionCache(maxSessions)
		s.memory.Octets, s.letters.Octets = s.Memory, s.MaxContents
		s.dead.deadTime, s.dead.probe = s.DeadTime, 2*cmp.Or(s.ConnectTimeout, 30*time.Second)
		most := cmp.Or(s.MaxConnections, 500)
		s.conns = newPool(s.Throttle, most, cmp.Or(s.MaxSlow, max(slowShare*most, leastSlow)),
			cmp.Or(s.IdleTime, 10*time.Second), &s.dead)
	})
}

// returnPath is the envelope sender of a message: one that names the recipient
// and is signed (VERP), or the one of the batch; "<>" is the null one.
func (s *Sender) returnPath(m *queue.Message) string {
	b := m.Batch
	if domain, keys := b.Bounces.At(s.BounceDomain), s.signing(); domain != "" && len(keys) > 0 {
		return keys.Address(token.Bounce, token.Subject{Batch: b.ID, Seq: m.Seq}, domain)
	}
	switch b.ReturnPath {
	case "":
		return b.From
	case "<>":
		return ""
	}
	return b.ReturnPath
}

// SetKeys takes other keys for return paths and unsubscribe addresses. They
// hold from the next message on.
func (s *Sender) SetKeys(keys token.Keys) { s.keySet.Store(&keys) }

func (s *Sender) signing() token.Keys {
	if set := s.keySet.Load(); set != nil {
		return *set
	}
	return s.Keys
}

// helo is our name in EHLO (RFC 5321 §4.1.1.1).
func (s *Sender) helo() string {
	if s.HELO != "" {
		return s.HELO
	}
	name, err := os.Hostname()
	if err != nil {
		return "localhost"
	}
	return name
}
