package submit

import (
	"crypto/tls"
	"fmt"
	"net"
	"net/netip"
	"os"
	"sync"
	"time"

	"enotify/cmd/enotify/exit"
)

// Bounds of connections.
const (
	maxConnections = 1000
	maxPerAddress  = 100
)

// Listen takes an address. Without a certificate it must be a loopback address: a
// bearer token that others can read is theirs.
func Listen(addr, cert, key string) (net.Listener, error) {
	host, _, err := net.SplitHostPort(addr)
	if err != nil {
		return nil, exit.Usagef("--submit %s: want HOST:PORT, such as 127.0.0.1:9026", addr)
	}
	if (cert == "") != (key == "") {
		return nil, exit.Usagef("--submit-cert and --submit-key go together")
	}
	ip, err := netip.ParseAddr(host)
	if cert == "" && host != "localhost" && (err != nil || !ip.IsLoopback()) {
		return nil, exit.Usagef("--submit %s: tokens would go unencrypted; give --submit-cert and --submit-key, or listen at 127.0.0.1 behind a proxy with TLS", addr)
	}
	var config *tls.Config
	if cert != "" {
		pair := &pair{cert: cert, key: key}
		if _, err := pair.current(nil); err != nil {
			return nil, exit.Usagef("--submit-cert %s: %w", cert, err)
		}
		config = &tls.Config{GetCertificate: pair.current, MinVersion: tls.VersionTLS12,
			NextProtos: []string{"h2", "http/1.1"}}
	}
	l, err := net.Listen("tcp", addr)
	if err != nil {
		return nil, fmt.Errorf("--submit %s: %w", addr, err)
	}
	l = &bounded{Listener: l, open: map[netip.Addr]int{}}
	if config != nil {
		l = tls.NewListener(l, config)
	}
	return l, nil
}

// A pair is a certificate that is read again when its file has changed.
type pair struct {
	cert, key string

	mu     sync.Mutex
	loaded *tls.Certificate
	at     time.Time // of the file
	looked time.Time
}

const lookAgain = 10 * time.Second

func (p *pair) current(*tls.ClientHelloInfo) (*tls.Certificate, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.loaded != nil && time.Since(p.looked) < lookAgain {
		return p.loaded, nil
	}
	p.looked = time.Now()
	info, err := os.Stat(p.cert)
	if err == nil && (p.loaded == nil || !info.ModTime().Equal(p.at)) {
		var read tls.Certificate
		if read, err = tls.LoadX509KeyPair(p.cert, p.key); err == nil {
			p.loaded, p.at = &read, info.ModTime()
		}
	}
	if p.loaded != nil { // a new one that cannot be read does not end the old one
		return p.loaded, nil
	}
	return nil, err
}

// bounded closes connections that are too many at once.
type bounded struct {
	net.Listener
	mu    sync.Mutex
	open  map[netip.Addr]int
	total int
}

func (b *bounded) Accept() (net.Conn, error) {
	for {
		c, err := b.Listener.Accept()
		if err != nil {
			return nil, err
		}
		from := netip.Addr{}
		if at, err := netip.ParseAddrPort(c.RemoteAddr().String()); err == nil {
			from = at.Addr()
		}
		if b.take(from) {
			return &counted{Conn: c, gone: sync.OnceFunc(func() { b.giveBack(from) })}, nil
		}
		_ = c.Close()
	}
}

func (b *bounded) take(from netip.Addr) bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.total >= maxConnections || b.open[from] >= maxPerAddress {
		return false
	}
	b.total++
	b.open[from]++
	return true
}

func (b *bounded) giveBack(from netip.Addr) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.total--
	if b.open[from]--; b.open[from] == 0 {
		delete(b.open, from)
	}
}

type counted struct {
	net.Conn
	gone func()
}

func (c *counted) Close() error {
	c.gone()
	return c.Conn.Close()
}
