package sender

import (
	"cmp"
	"context"
	"errors"
	"net"
	"net/netip"
	"slices"
	"strconv"
	"syscall"
	"time"

	"enotify/sender/bounce"
	"enotify/spfguard/dns"

	"github.com/wneessen/go-mail/smtp"
)

// dial connects to the first host of a route that lets us, encrypted as the route wants it.
// Where nothing but encryption failed, and the policy allows it, it tries again in the clear
// (RFC 7435 §3), the best host first. others counts the connections that are open to a host
// already: when a host with open connections turns one more away, that is no reason to go
// elsewhere.
func (s *Sender) dial(ctx context.Context, r *route, others func(host string) int) (*conn, *failure) {
	c, f := s.dialFirst(ctx, r, others)
	if f == nil || f.ended || f.crowded || f.blocks() || s.refusesUs(f) || r.tls > Opportunistic {
		return c, f
	}
	return s.dialClear(ctx, r, f, others)
}

// dialApart is dial in a goroutine of its own: opening a connection takes a deep stack, which
// ends with it. The message goes on with a small one.
func (s *Sender) dialApart(ctx context.Context, r *route, others func(host string) int) (c *conn, f *failure) {
	done := make(chan struct{})
	go func() {
		defer close(done)
		c, f = s.dial(ctx, r, others)
	}()
	<-done
	return c, f
}

// dialClear tries again in the clear, where f says that nothing but encryption failed.
func (s *Sender) dialClear(ctx context.Context, r *route, f *failure, others func(host string) int) (*conn, *failure) {
	clear := *r
	clear.tls, clear.dane = 0, nil
	clear.mxs = slices.DeleteFunc(slices.Clone(r.mxs), func(mx dns.MX) bool {
		need := r.need(mx.Host).tls
		why := s.dead.why(mx.Host, need, time.Now())
		return why == nil || !errors.Is(why.err, errNoTLS) || need > Opportunistic
	})
	if len(clear.mxs) == 0 {
		return nil, f
	}
	return s.dialFirst(ctx, &clear, others)
}

func (s *Sender) dialFirst(ctx context.Context, r *route, others func(host string) int) (*conn, *failure) {
	var worst *failure
	var busy []*failure
	begun, tried, probes := time.Now(), 0, 0
	for _, mx := range r.mxs {
		if tried >= maxHosts || tried > 0 && time.Since(begun) > maxOpening {
			break // the others have their turn while these are dead
		}
		f, probe := s.dead.visit(mx.Host, r.need(mx.Host).tls, time.Now())
		if probe {
			if probes++; probes > maxProbes {
				s.dead.unvisit(mx.Host)
				continue
			}
		}
		if f == nil {
			tried++
			var c *conn
			c, f = s.dialHost(ctx, r, mx.Host, others)
			if f == nil || f.ended || f.crowded {
				s.dead.unvisit(mx.Host)
			}
			switch {
			case f == nil:
				s.dead.revive(mx.Host)
				s.avoid(r, busy...) // now that we know of one that is not
				return c, nil
			case f.ended, f.crowded && others(mx.Host) > 0, f.blocks(), s.refusesUs(f):
				return nil, f
			case errors.Is(f.err, errAllHeld),
				errors.Is(f.err, errNoFamily): // another host may be reached by the other family
			case f.crowded:
				busy = append(busy, f)
			default:
				s.avoid(r, f)
			}
		}
		// which is final only where it holds for all
		if worst == nil || f.crowded || errors.Is(worst.err, errNotDialled) {
			worst = f
		}
	}
	return nil, worst
}

// avoid leaves hosts alone for a while: for all mail or, where only encryption failed, for
// mail that needs as much encryption.
func (s *Sender) avoid(r *route, why ...*failure) {
	for _, f := range why {
		if errors.Is(f.err, errDANE) {
			continue // the host is as good as ever for mail to other domains, see distrust
		}
		least := TLSPolicy(0)
		if errors.Is(f.err, errNoTLS) {
			least = r.need(f.host).tls
		}
		s.dead.add(f.host, f, least, time.Now())
	}
}

// Bounds of one attempt at a domain whose hosts do not answer.
const (
	maxHosts   = 10              // that are dialled
	maxProbes  = 2               // of them, that were dead before
	maxOpening = 2 * time.Minute // after which no other one is dialled
)

// dialHost tries the addresses of one host. A reply ends the search: it is the
// host's, whichever address gave it.
func (s *Sender) dialHost(ctx context.Context, r *route, host string, others func(string) int) (*conn, *failure) {
	site := r.site
	addrs, err := s.addresses(ctx, host)
	if err != nil {
		return nil, &failure{stage: connecting, host: host, site: site, err: err, ended: ctx.Err() != nil}
	}
	var f *failure
	for _, addr := range addrs {
		from, heldUntil, err := s.egress(r.egress, site, addr.Is4(), time.Now())
		if err != nil {
			if f == nil {
				f = &failure{stage: connecting, host: host, site: site, err: err, after: wait(heldUntil)}
			}
			continue
		}
		at := addr.String()
		if at != host {
			why, _ := s.dead.visit(at, 0, time.Now())
			if why != nil {
				f = &failure{stage: connecting, host: host, site: site, egress: from.name, err: why.err}
				continue
			}
		}
		c, err := s.connect(ctx, host, netip.AddrPortFrom(addr, s.port()), from, r.need(host))
		s.distrust(r, host, err)
		s.countTLS(r, host, c, err, from.addr, addr)
		if err == nil {
			s.dead.revive(at)
			c.site, c.egress, c.from, c.rules, c.oneByOne = site, from.name, address(from.name), s.Rules, &s.oneByOne
			return c, nil
		}
		f = s.notConnected(ctx, host, site, from.name, err)
		f.crowded = f.verdict.Treatment.SlowsSite || errors.Is(err, syscall.ECONNREFUSED) && others(host) > 0
		switch {
		case f.reply.Code != 0, f.ended:
			s.dead.unvisit(at)
			return nil, f
		case at != host && !f.crowded && !errors.Is(err, errNoTLS):
			s.dead.add(at, f, 0, time.Now())
		}
	}
	return nil, f
}

// notConnected is the failure of a connection to a host by one of its addresses.
func (s *Sender) notConnected(ctx context.Context, host, site, egress string, err error) *failure {
	return newFailure(failure{stage: connecting, host: host, site: site, egress: egress, err: err,
		ended: ctx.Err() != nil}, s.Rules, bounce.About{})
}

// connect dials one address, from one of ours, and goes through banner, EHLO
// and STARTTLS; the zero policy is in the clear.
func (s *Sender) connect(ctx context.Context, host string, addr netip.AddrPort, from egress, need *protection) (*conn,
	error) {
	begun := time.Now()
	raw, err := s.dialTCP(ctx, addr, from.addr)
	s.measure(PhaseConnect, begun)
	if err != nil {
		return nil, err
	}
	stop := context.AfterFunc(ctx, func() { raw.Close() }) // the client looks at ctx only while it dials
	defer stop()
	greeting := time.Now()
	client, err := s.greet(ctx, host, from.helo, raw)
	s.measure(PhaseGreet, greeting)
	if err != nil {
		raw.Close() // the client leaves it open when EHLO fails
		return nil, err
	}
	secured := Opportunistic
	if need.tls > 0 {
		handshake := time.Now()
		secured, err = s.startTLS(client, host, need)
		s.measure(PhaseTLS, handshake)
		if err != nil {
			raw.Close()
			return nil, err
		}
	}
	if err := s.login(client, host); err != nil {
		raw.Close()
		return nil, err
	}
	if secured == Opportunistic {
		slim(client, raw)
	}
	return &conn{
		host: host, raw: raw, client: client, offer: offered(client), secured: secured, begunAt: begun,
		measured:       s.Measured,
		commandTimeout: s.commandTimeout(), contentTimeout: cmp.Or(s.ContentTimeout, 10*time.Minute),
	}, nil
}

// dialTCP connects from one of our addresses; the zero one lets the system choose.
func (s *Sender) dialTCP(ctx context.Context, addr netip.AddrPort, from netip.Addr) (*rawConn, error) {
	dialer := net.Dialer{Timeout: cmp.Or(s.ConnectTimeout, 30*time.Second)}
	if from.IsValid() {
		dialer.LocalAddr = &net.TCPAddr{IP: from.AsSlice()}
	}
	raw, err := dialer.DialContext(ctx, "tcp", addr.String())
	if err != nil {
		return nil, err
	}
	return &rawConn{Conn: raw}, nil
}

func (s *Sender) greet(ctx context.Context, host, helo string, raw net.Conn) (*smtp.Client, error) {
	client, err := newClient(host, helo, raw, s.commandTimeout())
	if err != nil {
		return nil, err
	}
	return client.DialToSMTPClientWithContext(ctx)
}

func (s *Sender) commandTimeout() time.Duration { return cmp.Or(s.CommandTimeout, 5*time.Minute) }

// port is where mail hosts listen.
func (s *Sender) port() uint16 {
	if s.Smarthost != "" {
		if _, port, err := net.SplitHostPort(s.Smarthost); err == nil {
			if n, err := strconv.ParseUint(port, 10, 16); err == nil {
				return uint16(n)
			}
		}
	}
	if s.Port != 0 {
		return uint16(s.Port)
	}
	return 25
}
