package dns

import (
	"context"
	"errors"
	"net/netip"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/miekg/dns"
	"golang.org/x/sync/singleflight"
)

// What a server says with authority. The errors returned wrap them and name
// the question.
var (
	ErrNXDomain = errors.New("no such domain")
	ErrNoData   = errors.New("no record of this type")
)

// A Resolver asks Server and caches what it says. Its zero value is ready for
// use; the fields must not change after the first question. It is safe for
// concurrent use. No search list is applied: every name is absolute.
type Resolver struct {
	Server  string        // HOST or HOST:PORT; "" is the first nameserver of /etc/resolv.conf
	Timeout time.Duration // per query, all tries together; 0 is 5 s
	// queries on the wire at once, more wait; 0 is 256. Those without an answer for 250 ms do not count
	Parallel   int
	MaxEntries int // answers remembered; 0 is 100,000

	// DNSSEC says that Server validates, and that nobody can change what it says
	// on the way here, as on the same host. Else no answer is Secure.
	DNSSEC bool

	start  sync.Once
	server string        // Server with its port
	broken error         // why Server cannot be used
	slots  chan struct{} // of queries
	slow   chan struct{} // of those without an answer for a while
	flight singleflight.Group
	cache  cache
}

// An Answer holds the records of a name and for how long they may be used: the
// least TTL on the way there, CNAMEs included, less the time they were cached.
// With ErrNXDomain and ErrNoData the TTL is the denial's.
type Answer[T any] struct {
	Records []T
	TTL     time.Duration
	Secure  bool // validated by a trusted server (RFC 4035 §3.2.3); of a denial too
}

// An MX names a host that takes the mail of a domain (RFC 5321 §5.1).
type MX struct {
	Host string // no trailing dot; "" is the null MX of RFC 7505
	Pref uint16
}

// TXT returns one string per record, its character-strings joined without a
// space (RFC 7208 §3.3).
func (r *Resolver) TXT(ctx context.Context, name string) (Answer[string], error) {
	return lookup(ctx, r, name, dns.TypeTXT, func(rr dns.RR) (string, bool) {
		t, ok := rr.(*dns.TXT)
		if !ok {
			return "", false
		}
		return unescape(strings.Join(t.Txt, "")), true
	})
}

// SPF returns the records of type SPF (99), which no one should have any more
// (RFC 7208 §3.1), joined as the strings of TXT are.
func (r *Resolver) SPF(ctx context.Context, name string) (Answer[string], error) {
	return lookup(ctx, r, name, dns.TypeSPF, func(rr dns.RR) (string, bool) {
		s, ok := rr.(*dns.SPF)
		if !ok {
			return "", false
		}
		return unescape(strings.Join(s.Txt, "")), true
	})
}

// A returns the IPv4 addresses of name.
func (r *Resolver) A(ctx context.Context, name string) (Answer[netip.Addr], error) {
	return lookup(ctx, r, name, dns.TypeA, func(rr dns.RR) (netip.Addr, bool) {
		a, ok := rr.(*dns.A)
		if !ok {
			return netip.Addr{}, false
		}
		ip, ok := netip.AddrFromSlice(a.A.To4())
		return ip, ok
	})
}

// AAAA returns the IPv6 addresses of name.
func (r *Resolver) AAAA(ctx context.Context, name string) (Answer[netip.Addr], error) {
	return lookup(ctx, r, name, dns.TypeAAAA, func(rr dns.RR) (netip.Addr, bool) {
		a, ok := rr.(*dns.AAAA)
		if !ok {
			return netip.Addr{}, false
		}
		return netip.AddrFromSlice(a.AAAA.To16())
	})
}

// MX returns the mail exchangers of name by preference, the most preferred first.
func (r *Resolver) MX(ctx context.Context, name string) (Answer[MX], error) {
	ans, err := lookup(ctx, r, name, dns.TypeMX, func(rr dns.RR) (MX, bool) {
		mx, ok := rr.(*dns.MX)
		if !ok {
			return MX{}, false
		}
		return MX{Host: plain(mx.Mx), Pref: mx.Preference}, true
	})
	slices.SortStableFunc(ans.Records, func(a, b MX) int { return int(a.Pref) - int(b.Pref) })
	return ans, err
}

// PTR returns the names that the holder of ip gives it. Anyone can claim any
// name: believe one only after looking it up forwards.
func (r *Resolver) PTR(ctx context.Context, ip netip.Addr) (Answer[string], error) {
	arpa, err := dns.ReverseAddr(ip.Unmap().WithZone("").String())
	if err != nil {
		return Answer[string]{}, err
	}
	return lookup(ctx, r, plain(arpa), dns.TypePTR, func(rr dns.RR) (string, bool) {
		ptr, ok := rr.(*dns.PTR)
		if !ok {
			return "", false
		}
		return plain(ptr.Ptr), true
	})
}

// lookup answers from the cache, else joins or starts the query. One caller's
// end of patience does not end the query for the others.
func lookup[T any](ctx context.Context, r *Resolver, name string, qtype uint16,
	decode func(dns.RR) (T, bool)) (Answer[T], error) {
	if err := ctx.Err(); err != nil {
		return Answer[T]{}, err
	}
	r.start.Do(r.configure)
	if r.broken != nil {
		return Answer[T]{}, r.broken
	}
	q := question{qtype: qtype}
	key := question{strings.TrimSuffix(name, "."), qtype} // of the cache: q without the dot
	var err error
	if !isUsual(key.name) { // else there is nothing to copy where the cache has it
		if q.name, err = wireName(name); err != nil {
			return Answer[T]{}, err
		}
		key.name = strings.TrimSuffix(q.name, ".")
	}
	now := time.Now()
	if e, ok := r.cache.get(key, now); ok {
		return unpack[T](e, now)
	}
	if q.name == "" {
		q.name = key.name + "."
	}
	done := r.flight.DoChan(q.String(), func() (any, error) {
		a, err := r.ask(context.WithoutCancel(ctx), q)
		r.cache.count(err != nil)
		if err != nil {
			return nil, err
		}
		var records []T
		for _, rr := range a.rrs {
			if v, ok := decode(rr); ok {
				records = append(records, v)
			}
		}
		e := entry{records: records, err: a.err, expires: time.Now().Add(a.ttl), secure: r.DNSSEC && !a.unsigned}
		r.cache.put(key, e, time.Now())
		return e, nil
	})
	select {
	case <-ctx.Done():
		return Answer[T]{}, ctx.Err()
	case res := <-done:
		if res.Err != nil {
			return Answer[T]{}, res.Err
		}
		return unpack[T](res.Val.(entry), time.Now())
	}
}

// unpack copies the records, so that callers may sort theirs.
func unpack[T any](e entry, now time.Time) (Answer[T], error) {
	return Answer[T]{Records: slices.Clone(e.records.([]T)), TTL: max(0, e.expires.Sub(now)), Secure: e.secure}, e.err
}
