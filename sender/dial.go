package sender

import (
	"cmp"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"net/textproto"
	"strconv"
	"syscall"
	"time"

	"enotify/queue"
	"enotify/sender/bounce"

	"github.com/wneessen/go-mail/smtp"
)

// dial connects to the first host of a route that lets us. others tells of the
// connections that are open to a host already: when it then turns one more
// away, that is no reason to go elsewhere.
func (s *Sender) dial(ctx context.Context, r route, others func(host string) int) (*conn, *failure) {
	var worst *failure
	var busy []*failure
	for _, mx := range r.mxs {
		f := s.dead.why(mx.Host, time.Now())
		if f == nil {
			var c *conn
			c, f = s.dialHost(ctx, r.site, mx.Host, others)
			switch {
			case f == nil:
				s.bury(busy...) // now that we know of one that is not
				return c, nil
			case f.ended, f.crowded && others(mx.Host) > 0, f.blocked:
				return nil, f
			case errors.Is(f.err, errAllHeld): // another host may be reached by the other family
			case f.crowded:
				busy = append(busy, f)
			default:
				s.bury(f)
			}
		}
		if worst == nil || f.crowded {
			worst = f
		}
	}
	return nil, worst
}

// bury leaves hosts alone for a while.
func (s *Sender) bury(why ...*failure) {
	for _, f := range why {
		s.dead.bury(f, cmp.Or(s.DeadTime, time.Minute), time.Now())
	}
}

// dialHost tries the addresses of one host. A reply ends the search: it is the
// host's, whichever address gave it.
func (s *Sender) dialHost(ctx context.Context, site, host string, others func(string) int) (*conn, *failure) {
	addrs, err := s.addresses(ctx, host)
	if err != nil {
		return nil, &failure{stage: connecting, host: host, site: site, err: err, ended: ctx.Err() != nil}
	}
	var f *failure
	for _, addr := range addrs {
		from, heldUntil := s.egress(site, addr.Is4(), time.Now())
		if !heldUntil.IsZero() {
			if f == nil {
				f = &failure{stage: connecting, host: host, site: site, err: errAllHeld, after: wait(heldUntil)}
			}
			continue
		}
		c, err := s.connect(ctx, host, netip.AddrPortFrom(addr, s.port()), from.addr, true)
		if err == nil {
			c.site, c.egress = site, from.name
			return c, nil
		}
		f = &failure{stage: connecting, host: host, site: site, egress: from.name, err: err, ended: ctx.Err() != nil}
		reply, answered := f.reply()
		class := bounce.Classify(reply, site).Class
		f.blocked = answered && class == queue.SpamBlock
		f.crowded = answered && class == queue.Throttled || errors.Is(err, syscall.ECONNREFUSED) && others(host) > 0
		if answered || f.ended {
			break
		}
	}
	return nil, f
}

// connect dials one address, from one of ours, and goes through banner, EHLO and STARTTLS. Where
// TLS is not required and its handshake fails, it comes again without
// (RFC 7435 §3); secure is false then.
func (s *Sender) connect(ctx context.Context, host string, addr netip.AddrPort, from netip.Addr, secure bool) (*conn, error) {
	raw, err := s.dialTCP(ctx, addr, from)
	if err != nil {
		return nil, err
	}
	stop := context.AfterFunc(ctx, func() { raw.Close() }) // the client looks at ctx only while it dials
	defer stop()
	client, err := s.greet(ctx, host, raw)
	if err != nil {
		raw.Close() // the client leaves it open when EHLO fails
		return nil, err
	}
	if secure {
		if err := s.startTLS(client, host); err != nil {
			raw.Close()
			if s.TLSRequired || ctx.Err() != nil {
				return nil, err
			}
			return s.connect(ctx, host, addr, from, false)
		}
	}
	return &conn{
		host: host, raw: raw, client: client,
		commandTimeout: s.commandTimeout(), contentTimeout: cmp.Or(s.ContentTimeout, 10*time.Minute),
	}, nil
}

// dialTCP connects from one of our addresses; the zero one lets the system choose.
func (s *Sender) dialTCP(ctx context.Context, addr netip.AddrPort, from netip.Addr) (net.Conn, error) {
	dialer := net.Dialer{Timeout: cmp.Or(s.ConnectTimeout, 30*time.Second)}
	if from.IsValid() {
		dialer.LocalAddr = &net.TCPAddr{IP: from.AsSlice()}
	}
	raw, err := dialer.DialContext(ctx, "tcp", addr.String())
	if err != nil {
		return nil, err
	}
	return &meteredConn{Conn: raw}, nil
}

func (s *Sender) greet(ctx context.Context, host string, raw net.Conn) (*smtp.Client, error) {
	client, err := newClient(host, s.helo(), raw, s.commandTimeout())
	if err != nil {
		return nil, err
	}
	return client.DialToSMTPClientWithContext(ctx)
}

// startTLS encrypts when the host offers it (RFC 3207). A host that then
// answers STARTTLS with a refusal can still be talked to, in the clear.
func (s *Sender) startTLS(client *smtp.Client, host string) error {
	if offered, _ := client.Extension("STARTTLS"); !offered {
		if s.TLSRequired {
			return fmt.Errorf("%s does not offer STARTTLS, which is required", host)
		}
		return nil
	}
	config := &tls.Config{}
	if s.TLSConfig != nil {
		config = s.TLSConfig.Clone()
	} else {
		// Between strangers, an unchecked certificate still beats no encryption.
		config.InsecureSkipVerify = true
	}
	if config.ServerName == "" {
		config.ServerName = host
	}
	if err := client.UpdateDeadline(s.commandTimeout()); err != nil {
		return err
	}
	err := client.StartTLS(config)
	if err == nil {
		return nil
	}
	var refused *textproto.Error
	if _, begun := client.TLSConnectionState(); !begun && !s.TLSRequired && errors.As(err, &refused) && refused.Code != 421 {
		return nil
	}
	return fmt.Errorf("STARTTLS with %s: %w", host, err)
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

// maxUnasked is how much a host may say without being asked in between. Replies
// have no limit of their own, and a line of a gigabyte would be read to its end.
const maxUnasked = 64 << 10 // octets

// A meteredConn fails when the other side talks without end.
type meteredConn struct {
	net.Conn
	unasked int
}

func (c *meteredConn) Read(p []byte) (int, error) {
	if c.unasked > maxUnasked {
		return 0, errors.New("the host talks without end")
	}
	n, err := c.Conn.Read(p)
	c.unasked += n
	return n, err
}

func (c *meteredConn) Write(p []byte) (int, error) {
	c.unasked = 0
	return c.Conn.Write(p)
}
