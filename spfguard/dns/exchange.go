package dns

import (
	"context"
	"errors"
	"fmt"
	"net"
	"strings"
	"sync"
	"time"

	"github.com/miekg/dns"
)

const (
	defaultTimeout    = 5 * time.Second
	defaultParallel   = 256
	defaultMaxEntries = 100_000

	slowAfter = 250 * time.Millisecond
	slowShare = 4 // slow queries on the wire for each of Parallel

	resendAfter = time.Second // a UDP datagram may be lost
	ednsSize    = 1232        // octets that no path fragments
	maxChain    = 8           // CNAMEs to follow when the server does not
)

// errMalformed is an answer that cannot be read, as from servers that do not
// know EDNS (RFC 6891 §7).
var errMalformed = errors.New("malformed answer")

// configure finds the server to ask, once.
func (r *Resolver) configure() {
	if r.Timeout <= 0 {
		r.Timeout = defaultTimeout
	}
	parallel := r.Parallel
	if parallel <= 0 {
		parallel = defaultParallel
	}
	r.slots, r.slow = make(chan struct{}, parallel), make(chan struct{}, slowShare*parallel)
	if r.cache.limit = r.MaxEntries; r.cache.limit <= 0 {
		r.cache.limit = defaultMaxEntries
	}
	r.server, r.broken = serverAddr(r.Server)
}

func serverAddr(server string) (string, error) {
	const file = "/etc/resolv.conf"
	if server == "" {
		conf, err := dns.ClientConfigFromFile(file)
		if err != nil {
			return "", fmt.Errorf("no DNS server given and none found: %w", err)
		}
		if len(conf.Servers) == 0 {
			return "", fmt.Errorf("no DNS server given and none in %s", file)
		}
		return net.JoinHostPort(conf.Servers[0], conf.Port), nil
	}
	host, port, err := net.SplitHostPort(server)
	if err != nil {
		host, port = server, "53"
		if strings.ContainsAny(server, ":[]") && net.ParseIP(server) == nil {
			host = ""
		}
	}
	if n, err := net.LookupPort("udp", port); host == "" || err != nil || n == 0 {
		return "", fmt.Errorf("DNS server %q: want HOST:PORT", server)
	}
	return net.JoinHostPort(host, port), nil
}

// ask puts q to the server and follows CNAMEs where the server did not.
// Its error is temporary, or of the context.
func (r *Resolver) ask(ctx context.Context, q question) (answer, error) {
	defer r.enter()()
	ctx, cancel := context.WithTimeout(ctx, r.Timeout)
	defer cancel()

	var a answer
	next := q
	for range maxChain {
		msg, err := r.exchange(ctx, next)
		if err == nil {
			err = a.add(msg, next)
		}
		if errors.Is(err, context.DeadlineExceeded) {
			err = fmt.Errorf("%w within %v", ErrNoAnswer, r.Timeout)
		}
		if err != nil {
			return answer{}, &FailureError{Server: r.server, Name: plain(q.name), Type: dns.TypeToString[q.qtype],
				Err: err}
		}
		if a.follow == "" {
			if a.err != nil {
				a.err = fmt.Errorf("%s: %w", q, a.err)
			}
			return a, nil
		}
		next.name = a.follow
	}
	return answer{}, &FailureError{Server: r.server, Name: plain(q.name), Type: dns.TypeToString[q.qtype],
		Err: errChain}
}

// enter waits until there is a place for a query, and returns what gives it back.
// A query without an answer for a while moves to a share of its own, so that
// servers that are silent leave the others their places.
func (r *Resolver) enter() (leave func()) {
	r.slots <- struct{}{}
	var mu sync.Mutex
	in := r.slots
	slow := time.AfterFunc(slowAfter, func() {
		mu.Lock()
		defer mu.Unlock()
		if in == nil {
			return
		}
		select {
		case r.slow <- struct{}{}:
			<-in
			in = r.slow
		default:
		}
	})
	return func() {
		slow.Stop()
		mu.Lock()
		defer mu.Unlock()
		<-in
		in = nil
	}
}

// exchange gets one response to q: by UDP with EDNS, without EDNS from a server
// that cannot read it, by TCP when the answer did not fit (RFC 7766 §5).
func (r *Resolver) exchange(ctx context.Context, q question) (*dns.Msg, error) {
	m := new(dns.Msg)
	m.SetQuestion(q.name, q.qtype)
	m.SetEdns0(ednsSize, false)
	m.AuthenticatedData = r.DNSSEC // asks for the bit in the answer (RFC 6840 §5.7)
	resp, err := r.roundTrip(ctx, "udp", m)
	if errors.Is(err, errMalformed) || err == nil && resp.Rcode == dns.RcodeFormatError {
		m.Extra = nil
		resp, err = r.roundTrip(ctx, "udp", m)
	}
	if err == nil && resp.Truncated {
		resp, err = r.roundTrip(ctx, "tcp", m)
	}
	return resp, err
}

// roundTrip sends m from a socket of its own, whose port a forger would have
// to guess (RFC 5452 §9.2), and reads until the answer to m comes.
func (r *Resolver) roundTrip(ctx context.Context, network string, m *dns.Msg) (*dns.Msg, error) {
	var dialer net.Dialer
	nc, err := dialer.DialContext(ctx, network, r.server)
	if err != nil {
		return nil, cause(err)
	}
	defer nc.Close()
	conn := &dns.Conn{Conn: nc, UDPSize: ednsSize}
	deadline, _ := ctx.Deadline()
	for {
		try := deadline
		if network == "udp" && time.Now().Add(resendAfter).Before(deadline) {
			try = time.Now().Add(resendAfter)
		}
		if err := nc.SetDeadline(try); err != nil {
			return nil, cause(err)
		}
		if err := conn.WriteMsg(m); err != nil {
			return nil, cause(err)
		}
		resp, err := readAnswer(conn, m)
		var ne net.Error
		if errors.As(err, &ne) && ne.Timeout() && try.Before(deadline) {
			continue
		}
		return resp, err
	}
}

// readAnswer passes over what does not answer m: late answers, forgeries.
func readAnswer(conn *dns.Conn, m *dns.Msg) (*dns.Msg, error) {
	for {
		resp, err := conn.ReadMsg()
		if resp == nil {
			return nil, cause(err)
		}
		if resp.Id != m.Id || !resp.Response {
			continue
		}
		if err != nil {
			return nil, fmt.Errorf("%w: %w", errMalformed, err)
		}
		if len(resp.Question) == 1 && !sameQuestion(resp.Question[0], m.Question[0]) {
			continue
		}
		return resp, nil
	}
}

// cause leaves out the addresses that net wraps around an error; the caller
// names the server once.
func cause(err error) error {
	var op *net.OpError
	if errors.As(err, &op) {
		if op.Timeout() {
			return context.DeadlineExceeded
		}
		return op.Err
	}
	return err
}
