package spfguard

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"strings"
	"sync"
	"time"

	"golang.org/x/net/idna"

	"enotify/spfguard/dns"
)

// A Resolver is what an evaluation needs of the DNS; *dns.Resolver is one.
// An error that is neither dns.ErrNXDomain nor dns.ErrNoData is temporary.
type Resolver interface {
	TXT(ctx context.Context, name string) (dns.Answer[string], error)
	A(ctx context.Context, name string) (dns.Answer[netip.Addr], error)
	AAAA(ctx context.Context, name string) (dns.Answer[netip.Addr], error)
	MX(ctx context.Context, name string) (dns.Answer[dns.MX], error)
	PTR(ctx context.Context, ip netip.Addr) (dns.Answer[string], error)
}

// answered reports whether err is an answer of the DNS, if only a denial.
func answered(err error) bool {
	return err == nil || errors.Is(err, dns.ErrNXDomain) || errors.Is(err, dns.ErrNoData)
}

// A Checker evaluates SPF. It is safe for concurrent use.
type Checker struct {
	Resolver Resolver
	Receiver string        // %{r}: who checks; "" is "unknown"
	Timeout  time.Duration // for one evaluation; 0 is the 20 s of RFC 7208 §4.6.4

	mu     sync.RWMutex
	parsed map[string]parsed
}

// A Query is what check_host() is asked (§4.1).
type Query struct {
	IP     netip.Addr
	Sender string // MAIL FROM; "" is the null sender, whose identity is postmaster@HELO (§2.4)
	HELO   string
	Domain string // "" is the domain of the sender
	Record string // if not "", evaluated as if Domain published it and no other
}

const (
	defaultTimeout = 20 * time.Second
	maxParsed      = 10_000 // records
)

type parsed struct {
	record *Record
	err    error
}

// Check evaluates q. It does not fail: what goes wrong is in the Result.
func (c *Checker) Check(ctx context.Context, q Query) *Evaluation {
	ctx, cancel := c.limit(ctx)
	defer cancel()
	e := newEvaluation(c, q)
	root := e.checkHost(ctx, e.domain)
	return e.finish(ctx, root)
}

// limit bounds the time of one evaluation.
func (c *Checker) limit(ctx context.Context) (context.Context, context.CancelFunc) {
	timeout := c.Timeout
	if timeout <= 0 {
		timeout = defaultTimeout
	}
	return context.WithTimeoutCause(ctx, timeout, fmt.Errorf("the evaluation took longer than %v (RFC 7208 "+
		"§4.6.4)", timeout))
}

// parse is Parse with a memory: a sender checks the same few records for
// every address and every batch.
func (c *Checker) parse(text string) (*Record, error) {
	c.mu.RLock()
	p, ok := c.parsed[text]
	c.mu.RUnlock()
	if ok {
		return p.record, p.err
	}
	p.record, p.err = Parse(text)
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.parsed == nil || len(c.parsed) >= maxParsed {
		c.parsed = make(map[string]parsed)
	}
	c.parsed[text] = p
	return p.record, p.err
}

// ASCII brings a domain name into the form that the DNS has: A-labels for an
// IDN (RFC 5890 §2.3.2.1), no final dot. What cannot be converted stays as it
// is, and will be found malformed.
func ASCII(domain string) string {
	domain = strings.TrimSuffix(domain, ".")
	for i := range len(domain) {
		if domain[i] < 0x80 {
			continue
		}
		if ascii, err := idna.Lookup.ToASCII(domain); err == nil {
			return ascii
		}
		break
	}
	return domain
}

// split takes MAIL FROM apart. Without local-part it is postmaster (§4.3).
func split(sender, helo string) (local, domain string) {
	if sender == "" {
		sender = helo
	}
	at := strings.LastIndexByte(sender, '@')
	if at > 0 {
		local = sender[:at]
	} else {
		local = "postmaster"
	}
	return local, ASCII(sender[at+1:])
}

// isDomain holds for what check_host() accepts: at least two labels, each of
// 1 to 63 octets, 253 in all (§4.3).
func isDomain(name string) bool { return strings.IndexByte(name, '.') > 0 && askable(name) }

// askable holds for what can be asked of the DNS (RFC 1035 §2.3.4).
func askable(name string) bool {
	if name == "" || len(name) > maxName {
		return false
	}
	for label := range strings.SplitSeq(name, ".") {
		if label == "" || len(label) > 63 {
			return false
		}
	}
	return true
}
