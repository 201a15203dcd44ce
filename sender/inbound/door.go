package inbound

import (
	"io"
	"net"
	"net/netip"
	"slices"
	"sync"
	"time"

	"golang.org/x/time/rate"
)

// A door lets connections in: so many at once, so many from one remote, and
// from each of them so many mails a second. Remotes are told apart by the
// network that one gets: an IPv4 address, a /64 of IPv6.
type door struct {
	net.Listener
	most, perRemote int
	rate            rate.Limit
	trusted         []netip.Prefix // have no limits of their own
	closed          sync.Once
	failed          error

	mu      sync.Mutex
	shut    bool
	guests  map[*guest]struct{}
	remotes map[netip.Prefix]*remote
}

type remote struct {
	open    int
	limiter *rate.Limiter
	last    time.Time
}

const (
	burstSeconds = 5    // of Rate
	maxRemotes   = 5000 // remembered without a connection
	tooMany      = "421 4.7.0 too many connections, try again later\r\n"
)

func newDoor(l net.Listener, most, perRemote int, limit rate.Limit) *door {
	return &door{Listener: l, most: most, perRemote: perRemote, rate: limit, guests: map[*guest]struct{}{},
		remotes: map[netip.Prefix]*remote{}}
}

// Accept turns connections away that are too many.
func (d *door) Accept() (net.Conn, error) {
	for {
		c, err := d.Listener.Accept()
		if err != nil {
			return nil, err
		}
		g := &guest{Conn: c, door: d, from: remoteOf(c.RemoteAddr())}
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
	if d.shut || len(d.guests) >= d.most || r.open >= d.perRemote && !d.trusts(g.from) {
		return false
	}
	d.guests[g] = struct{}{}
	r.open++
	return true
}

func (d *door) leave(g *guest) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if _, here := d.guests[g]; here {
		delete(d.guests, g)
		d.remote(g.from).open--
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

// A guest is a connection that was let in.
type guest struct {
	net.Conn
	door *door
	from netip.Addr
	busy bool // hands in a mail; guarded by door.mu
}

// Read ends a connection between two mails once the door is shut.
func (g *guest) Read(b []byte) (int, error) {
	g.door.mu.Lock()
	over := g.door.shut && !g.busy
	g.door.mu.Unlock()
	if over {
		return 0, io.EOF
	}
	return g.Conn.Read(b)
}

// hands notes whether the guest is handing in a mail.
func (g *guest) hands(busy bool) {
	g.door.mu.Lock()
	defer g.door.mu.Unlock()
	g.busy = busy
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
