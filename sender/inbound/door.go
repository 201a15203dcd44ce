package inbound

import (
	"errors"
	"io"
	"net"
	"net/netip"
	"os"
	"slices"
	"sync"
	"time"

	"golang.org/x/time/rate"
)

// A door lets connections in: so many at once, so many from one remote, and
// from each of them so many mails a second. Remotes are told apart by the
// network that one gets: an IPv4 address, a /64 of IPv6. When all places are taken,
// a connection that hands in nothing, or hardly anything, makes way for a new one: one
// that has not named an address of ours before one that has.
type door struct {
	net.Listener
	most, perRemote int
	timeout, grace  time.Duration // of Server: Timeout, IdleGrace
	rate            rate.Limit
	trusted         []netip.Prefix // have no limits of their own
	closed          sync.Once
	failed          error

	mu      sync.Mutex
	shut    bool
	guests  map[*guest]struct{}
	front   int // of the guests, those that are trusted: they have places of their own
	remotes map[netip.Prefix]*remote
}

type remote struct {
	open    int
	limiter *rate.Limiter
	last    time.Time
	idled   time.Time // when one of its connections made way for another and had handed in nothing
	talk    float64   // octets of commands that led to no mail, less talkRate a second
	talked  time.Time // when talk was counted
}

const (
	burstSeconds = 5    // of Rate
	maxRemotes   = 5000 // remembered without a connection
	tooMany      = "421 4.7.0 too many connections, try again later\r\n"

	mailFor     = 10 * time.Minute // for all of a mail
	slowMail    = 2 * time.Second  // after which a mail that is too slow makes way for others
	slowRate    = 512              // octets a second, for each second it has taken: 5 KiB/s after 10 s
	maxCommands = 256 << 10        // octets of commands between two mails
	idledFor    = 30 * time.Second // so long nobody makes way for a remote that took a place and did nothing
	maxTalk     = 32 << 10         // octets of commands without a mail, of a remote; more are read slowly
	talkRate    = 256              // octets a second
	slowRead    = 512              // octets a second of a connection whose remote has talked too much
)

var errTalksOn = errors.New("too many commands without a mail")

// Accept turns connections away that are too many.
func (d *door) Accept() (net.Conn, error) {
	for {
		c, err := d.Listener.Accept()
		if err != nil {
			return nil, err
		}
		g := &guest{Conn: c, door: d, from: remoteOf(c.RemoteAddr()), since: time.Now()}
		if d.enter(g) {
			return g, nil
		}
		_ = c.SetWriteDeadline(time.Now().Add(time.Second))
		_, _ = c.Write([]byte(tooMany))
		_ = c.Close()
	}
}

// Close stops accepting, and closes the connections that are not handing in a mail.
func (d *door) Close() error {
	d.closed.Do(func() {
		d.failed = d.Listener.Close()
		d.mu.Lock()
		defer d.mu.Unlock()
		d.shut = true
		for g := range d.guests {
			if !g.busy {
				_ = g.SetReadDeadline(time.Unix(1, 0)) // wakes who waits for a command
			}
		}
	})
	return d.failed
}

func (d *door) enter(g *guest) bool {
	d.mu.Lock()
	defer d.mu.Unlock()
	r := d.remote(g.from)
	g.trusted = d.trusts(g.from)
	switch {
	case d.shut, !g.trusted && r.open >= d.perRemote:
		return false
	}
	taken := len(d.guests) - d.front
	if g.trusted {
		taken = d.front
	}
	now := time.Now()
	if taken >= d.most && (now.Sub(r.idled) < idledFor || !d.dismiss(g.trusted, now)) {
		return false
	}
	d.guests[g] = struct{}{}
	r.open++
	if g.trusted {
		d.front++
	}
	return true
}

// dismiss ends a connection for the sake of a new one, among those that are trusted or
// those that are not: one that has named no address of ours first; then of the remote that
// has most of them; then the one that has handed in nothing for longest. It reports whether
// there was one.
func (d *door) dismiss(trusted bool, now time.Time) bool {
	var worst *guest
	for g := range d.guests {
		if g.trusted != trusted || !g.idles(now) {
			continue
		}
		if worst == nil {
			worst = g
			continue
		}
		mine, its := d.remote(g.from).open, d.remote(worst.from).open
		switch {
		case g.known != worst.known:
			if worst.known {
				worst = g
			}
		case mine > its || mine == its && g.since.Before(worst.since):
			worst = g
		}
	}
	if worst == nil {
		return false
	}
	worst.dismissed = true
	if !worst.brought {
		d.remote(worst.from).idled = now
	}
	d.remove(worst)
	_ = worst.SetReadDeadline(time.Unix(1, 0)) // wakes it
	return true
}

func (d *door) leave(g *guest) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.remove(g)
}

func (d *door) remove(g *guest) {
	if _, here := d.guests[g]; !here {
		return
	}
	delete(d.guests, g)
	d.remote(g.from).open--
	if g.trusted {
		d.front--
	}
}

// allow reports whether a remote may hand in another mail now.
func (d *door) allow(from netip.Addr) bool {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.trusts(from) || d.remote(from).limiter.Allow()
}

func (d *door) trusts(from netip.Addr) bool {
	return slices.ContainsFunc(d.trusted, func(p netip.Prefix) bool { return p.Contains(from) })
}

// remote is what is known of an address. Those long gone are forgotten.
func (d *door) remote(from netip.Addr) *remote {
	bits := 32
	if from.Is6() {
		bits = 64
	}
	key, _ := from.Prefix(bits) // none when it is no address: all those count as one
	r := d.remotes[key]
	if r == nil {
		if len(d.remotes) >= maxRemotes {
			for k, old := range d.remotes {
				if old.open == 0 && time.Since(old.last) > burstSeconds*time.Second {
					delete(d.remotes, k)
				}
			}
		}
		r = &remote{limiter: rate.NewLimiter(d.rate, max(1, int(float64(d.rate)*burstSeconds)))}
		d.remotes[key] = r
	}
	r.last = time.Now()
	return r
}

// A guest is a connection that was let in. Its fields below from are guarded by door.mu.
type guest struct {
	net.Conn
	door      *door
	from      netip.Addr
	trusted   bool
	known     bool      // has named an address that we signed, or a fixed one
	brought   bool      // has handed in a mail
	busy      bool      // hands in a mail
	since     time.Time // when busy changed, it named such an address, or it came
	octets    int       // read since then
	talk      float64   // its part of the remote's
	dismissed bool
}

// idles reports whether a guest has handed in nothing for a while, or a mail too slowly.
func (g *guest) idles(now time.Time) bool {
	took := now.Sub(g.since)
	if g.busy {
		return took >= slowMail && float64(g.octets) < slowRate*took.Seconds()*took.Seconds()
	}
	return took >= g.door.grace
}

// Read ends a connection between two mails once the door is shut, and one that was
// dismissed as if its time were over. A mail gets its time for each piece, and a bound
// for all of it.
func (g *guest) Read(b []byte) (int, error) {
	g.door.mu.Lock()
	over, dismissed, until := g.door.shut && !g.busy, g.dismissed, time.Time{}
	if g.busy {
		until = g.since.Add(mailFor)
	}
	g.door.mu.Unlock()
	switch {
	case over:
		return 0, io.EOF
	case dismissed:
		return 0, os.ErrDeadlineExceeded
	case !until.IsZero():
		if piece := time.Now().Add(g.door.timeout); piece.Before(until) {
			until = piece
		}
		if err := g.SetReadDeadline(until); err != nil {
			return 0, err
		}
	}
	if g.talksTooMuch() {
		b = b[:min(len(b), slowRead)]
		time.Sleep(time.Second)
	}
	n, err := g.Conn.Read(b)
	g.door.mu.Lock()
	defer g.door.mu.Unlock()
	g.octets += n
	if !g.busy && g.octets > maxCommands {
		return 0, errTalksOn
	}
	if !g.busy && !g.trusted {
		g.talk += float64(n)
		g.door.remote(g.from).talk += float64(n)
	}
	return n, err
}

// talksTooMuch reports whether the guest is to be read slowly: commands cost more to answer
// than to send.
func (g *guest) talksTooMuch() bool {
	g.door.mu.Lock()
	defer g.door.mu.Unlock()
	r, now := g.door.remote(g.from), time.Now()
	r.talk = max(0, r.talk-talkRate*now.Sub(r.talked).Seconds())
	r.talked = now
	return !g.busy && !g.trusted && r.talk > maxTalk
}

// brings notes that the guest has handed in a mail: what it said before was to the point.
func (g *guest) brings() {
	g.door.mu.Lock()
	defer g.door.mu.Unlock()
	r := g.door.remote(g.from)
	r.talk = max(0, r.talk-g.talk)
	g.brought, g.talk, r.idled = true, 0, time.Time{}
}

// names notes that the guest has named an address of ours.
func (g *guest) names() {
	g.door.mu.Lock()
	defer g.door.mu.Unlock()
	g.known, g.since = true, time.Now()
}

// hands notes whether the guest is handing in a mail.
func (g *guest) hands(busy bool) {
	g.door.mu.Lock()
	defer g.door.mu.Unlock()
	g.busy, g.since, g.octets = busy, time.Now(), 0
}

func (g *guest) Close() error {
	g.door.leave(g)
	return g.Conn.Close()
}

func remoteOf(a net.Addr) netip.Addr {
	at, err := netip.ParseAddrPort(a.String())
	if err != nil {
		return netip.Addr{}
	}
	return at.Addr().Unmap().WithZone("")
}
