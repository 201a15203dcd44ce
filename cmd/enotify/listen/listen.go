package listen

import (
	"context"
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
	// Patience is how long a request may take until its connection makes room as well, when
	// there is no other: who sends it may do so an octet at a time. 0: it never does. See
	// [Known] for those that take longer.
	Patience time.Duration
}

// A Listener closes connections that are too many. Its State must be the ConnState of the
// server that it is for, and its Context the ConnContext if [Known] is used.
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
	began    time.Time // when its request did
	known    bool      // its request is of somebody who may take longer
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
// the most. If none is idle, it is one whose request has taken too long.
func (l *Listener) admit(c *conn) bool {
	l.mu.Lock()
	var out *conn
	switch {
	case l.of[c.from] >= l.bounds.OfOne:
		out = l.longest(time.Now(), func(k *conn) bool { return k.from == c.from })
	case len(l.open) >= l.bounds.Most:
		out = l.longest(time.Now(), func(*conn) bool { return true })
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

// longest finds the connection that makes room, among some; nil: none does.
func (l *Listener) longest(now time.Time, among func(*conn) bool) (found *conn) {
	idle := func(k *conn) time.Time { return k.idle }
	late := func(k *conn) time.Time {
		if l.bounds.Patience == 0 || k.known || !k.idle.IsZero() || now.Sub(k.began) < l.bounds.Patience {
			return time.Time{}
		}
		return k.began
	}
	for _, since := range []func(*conn) time.Time{idle, late} {
		for k := range l.open {
			if since(k).IsZero() || !among(k) {
				continue
			}
			if found == nil || l.of[k.from] > l.of[found.from] ||
				l.of[k.from] == l.of[found.from] && since(k).Before(since(found)) {
				found = k
			}
		}
		if found != nil {
			return found
		}
	}
	return nil
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
	of := own(c)
	if of == nil {
		return
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	of.idle, of.known = time.Time{}, false
	switch state {
	case http.StateNew, http.StateIdle:
		of.idle = time.Now()
	case http.StateActive: // from the first octet of a request on
		of.began = time.Now()
	}
}

// Context has the requests of a connection know it: the value of [http.Server.ConnContext].
func (l *Listener) Context(ctx context.Context, c net.Conn) context.Context {
	return context.WithValue(ctx, connKey{}, own(c))
}

type connKey struct{}

// Known notes that a request is of somebody who may take longer than Patience: until it has
// ended its connection makes way for no other.
func Known(request context.Context) {
	if c, _ := request.Value(connKey{}).(*conn); c != nil {
		c.listener.mu.Lock()
		defer c.listener.mu.Unlock()
		c.known = true
	}
}

func own(c net.Conn) *conn {
	if secure, ok := c.(*tls.Conn); ok {
		c = secure.NetConn()
	}
	of, _ := c.(*conn)
	return of
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
