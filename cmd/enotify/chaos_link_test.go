package main_test

import (
	"io"
	"net"
	"net/url"
	"sync"
	"testing"
)

// A link is the way of one node to the database: it can be cut, as when a
// firewall forgets its connections or somebody trips over a cable.
type link struct {
	listener net.Listener
	url      *url.URL
	target   func() string // HOST:PORT of the database just now

	mu   sync.Mutex
	down bool
	open map[net.Conn]struct{} // both ends of each connection
	busy sync.WaitGroup
}

// newLink makes a way to the database at the URL, whose server may move.
func newLink(tb testing.TB, database string, target func() string) *link {
	tb.Helper()
	u, err := url.Parse(database)
	if err != nil {
		tb.Fatal(err)
	}
	l := &link{url: u, target: target, open: map[net.Conn]struct{}{}}
	if l.listener, err = net.Listen("tcp", "127.0.0.1:0"); err != nil {
		tb.Fatal(err)
	}
	l.url.Host = l.listener.Addr().String()
	tb.Cleanup(func() { l.listener.Close(); l.cut(); l.busy.Wait() })
	l.busy.Go(l.accept)
	return l
}

func (l *link) accept() {
	for {
		near, err := l.listener.Accept()
		if err != nil {
			return
		}
		far, err := net.Dial("tcp", l.target())
		if err != nil || !l.enter(near, far) {
			near.Close()
			if far != nil {
				far.Close()
			}
			continue
		}
		l.busy.Go(func() { l.pass(near, far) })
		l.busy.Go(func() { l.pass(far, near) })
	}
}

func (l *link) enter(conns ...net.Conn) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, c := range conns {
		if !l.down {
			l.open[c] = struct{}{}
		}
	}
	return !l.down
}

// pass copies until one end is closed, and then closes both.
func (l *link) pass(to, from net.Conn) {
	_, _ = io.Copy(to, from)
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, c := range []net.Conn{to, from} {
		c.Close()
		delete(l.open, c)
	}
}

// cut breaks all connections, at whatever octet they are, and lets no new one
// through until mend.
func (l *link) cut() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.down = true
	for c := range l.open {
		c.Close()
	}
}

func (l *link) mend() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.down = false
}
