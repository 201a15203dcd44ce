package submit

import (
	"crypto/tls"
	"net"
	"net/netip"
	"os"
	"sync"
	"time"

	"enotify/cmd/enotify/exit"
	"enotify/cmd/enotify/listen"
)

// bounds of connections: a proxy in front of us has those of all its clients. Who has sent a
// token may take longer.
var bounds = listen.Bounds{Most: 1000, OfOne: 400, Patience: 2 * time.Second}

// A Listener is an address at which batches are taken.
type Listener struct {
	net.Listener
	bounded *listen.Listener
}

// Listen takes an address. Without a certificate it must be a loopback address: a
// bearer token that others can read is theirs.
func Listen(addr, cert, key string) (*Listener, error) {
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
	l, err := listen.At("--submit", addr)
	if err != nil {
		return nil, err
	}
	bounded := listen.Bound(l, bounds)
	made := &Listener{Listener: bounded, bounded: bounded}
	if config != nil {
		made.Listener = tls.NewListener(bounded, config)
	}
	return made, nil
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
