package listen

import (
	"crypto/tls"
	"net"
	"net/http"
	"net/netip"
	"sync"
	"time"
)

// Bounds are those of a listener.
type Bounds struct {
	Most  int // connections at once
	OfOne int // of one address, or of one IPv6 network of 64 bits
}

// A Listener closes connections that are too many. Its State must be the ConnState of the
// server that it is for.
type Listener struct {
	net.Listener
	bounds Bounds

	mu   sync.Mutex
	open map[*conn]bool
	of   map[netip.Prefix]int
}

// Bound bounds the connections of a listener.
func Bound(l net.Listener, b Bounds) *Listener {
	return &Listener{Listener: l, bounds: b, open: map[*conn]bool{}, of: map[netip.Prefix]int{}}
}

type conn struct {
	net.Conn
	listener *Listener
	from     netip.Prefix
	idle     time.Time // since when it has no request; zero: it has one
}

// Accept returns the next connection that there is a place for.
func (l *Listener) Accept() (net.Conn, error) {
	for {
		raw, err := l.Listener.Accept()
		if err != nil {
			return nil, err
		}
		c := &conn{Conn: raw, listener: l, from: Network(raw.RemoteAddr().String()), idle: time.Now()}
		if l.admit(c) {
			return c, nil
		}
		_ = raw.Close()
	}
}

// admit takes a place. If there is none, the connection that has been idle for the longest
// time is closed: of the same address when that has too many, else of the address that has
// the most.
func (l *Listener) admit(c *conn) bool {
	l.mu.Lock()
	var out *conn
	switch {
	case l.of[c.from] >= l.bounds.OfOne:
		out = l.longestIdle(func(k *conn) bool { return k.from == c.from })
	case len(l.open) >= l.bounds.Most:
		most := 0
		for k := range l.open {
			if !k.idle.IsZero() {
				most = max(most, l.of[k.from])
			}
		}
		out = l.longestIdle(func(k *conn) bool { return l.of[k.from] == most })
	default:
		l.take(c)
		l.mu.Unlock()
		return true
	}
	if out != nil {
		l.giveBack(out)
		l.take(c)
	}
	l.mu.Unlock()
	if out != nil {
		_ = out.Conn.Close()
	}
	return out != nil
}

func (l *Listener) longestIdle(among func(*conn) bool) (found *conn) {
	for k := range l.open {
		if !k.idle.IsZero() && among(k) && (found == nil || k.idle.Before(found.idle)) {
			found = k
		}
	}
	return found
}

func (l *Listener) take(c *conn) {
	l.open[c] = true
	l.of[c.from]++
}

func (l *Listener) giveBack(c *conn) {
	if !l.open[c] {
		return
	}
	delete(l.open, c)
	if l.of[c.from]--; l.of[c.from] == 0 {
		delete(l.of, c.from)
	}
}

// State learns from a server which connections have a request: the value of
// [http.Server.ConnState].
func (l *Listener) State(c net.Conn, state http.ConnState) {
	if secure, ok := c.(*tls.Conn); ok {
		c = secure.NetConn()
	}
	of, ok := c.(*conn)
	if !ok {
		return
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	of.idle = time.Time{}
	if state == http.StateNew || state == http.StateIdle {
		of.idle = time.Now()
	}
}

func (c *conn) Close() error {
	c.listener.mu.Lock()
	c.listener.giveBack(c)
	c.listener.mu.Unlock()
	return c.Conn.Close()
}

// Network is what one stranger has for sure, of the address of a peer: an IPv4 address, or
// an IPv6 network of 64 bits.
func Network(peer string) netip.Prefix {
	at, err := netip.ParseAddrPort(peer)
	if err != nil {
		return netip.Prefix{}
	}
	ip := at.Addr().Unmap().WithZone("")
	bits := ip.BitLen()
	if ip.Is6() {
		bits = 64
	}
	network, _ := ip.Prefix(bits)
	return network
}
