package dns_test

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"enotify/spfguard/dns"
	"enotify/spfguard/dns/dnstest"
)

const zone = `
example.com.          600 IN SOA ns.example.com. host.example.com. 1 3600 600 86400 120
example.com.          300 IN MX  20 b.example.com.
example.com.          300 IN MX  10 a.example.com.
example.com.          300 IN TXT "v=spf1 " "-all"
example.com.          300 IN TXT "caf\195\169 \"q\" \\"
null.example.com.     300 IN MX  0 .
a.example.com.        300 IN A    192.0.2.1
a.example.com.        300 IN A    192.0.2.2
a.example.com.        300 IN AAAA 2001:db8::1
www.example.com.      30  IN CNAME alias.example.com.
alias.example.com.    900 IN CNAME a.example.com.
gone.example.com.     300 IN CNAME nothing.example.com.
loop.example.com.     300 IN CNAME loop.example.com.
*.wild.example.com.   300 IN A    192.0.2.3
zero.example.com.     0   IN A    192.0.2.4
1.2.0.192.in-addr.arpa. 300 IN PTR A.example.com.
1.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.8.b.d.0.1.0.0.2.ip6.arpa. 300 IN PTR a.example.com.
sp\032ace\\.example.com. 300 IN A 192.0.2.5
`

func start(t *testing.T) (*dnstest.Server, *dns.Resolver) {
	t.Helper()
	s := dnstest.New(t, zone)
	return s, &dns.Resolver{Server: s.Addr, Timeout: 3 * time.Second}
}

func TestRecords(t *testing.T) {
	t.Parallel()
	_, r := start(t)
	ctx := t.Context()
	ip := netip.MustParseAddr
	for _, tt := range []struct {
		name string
		ask  func() (any, error)
		want any
	}{
		{"TXT joined", func() (any, error) { return r.TXT(ctx, "EXAMPLE.com.") },
			dns.Answer[string]{Records: []string{"v=spf1 -all", "café \"q\" \\"}, TTL: 300 * time.Second}},
		{"MX sorted", func() (any, error) { return r.MX(ctx, "example.com") },
			dns.Answer[dns.MX]{Records: []dns.MX{{"a.example.com", 10}, {"b.example.com", 20}},
				TTL: 300 * time.Second}},
		{"null MX", func() (any, error) { return r.MX(ctx, "null.example.com") },
			dns.Answer[dns.MX]{Records: []dns.MX{{"", 0}}, TTL: 300 * time.Second}},
		{"A", func() (any, error) { return r.A(ctx, "a.example.com") },
			dns.Answer[netip.Addr]{Records: []netip.Addr{ip("192.0.2.1"), ip("192.0.2.2")}, TTL: 300 * time.Second}},
		{"AAAA", func() (any, error) { return r.AAAA(ctx, "a.example.com") },
			dns.Answer[netip.Addr]{Records: []netip.Addr{ip("2001:db8::1")}, TTL: 300 * time.Second}},
		{"the least TTL of a CNAME chain", func() (any, error) { return r.AAAA(ctx, "www.example.com") },
			dns.Answer[netip.Addr]{Records: []netip.Addr{ip("2001:db8::1")}, TTL: 30 * time.Second}},
		{"wildcard", func() (any, error) { return r.A(ctx, "x.y.wild.example.com") },
			dns.Answer[netip.Addr]{Records: []netip.Addr{ip("192.0.2.3")}, TTL: 300 * time.Second}},
		{"odd octets in a name", func() (any, error) { return r.A(ctx, `sp ace\.example.com`) },
			dns.Answer[netip.Addr]{Records: []netip.Addr{ip("192.0.2.5")}, TTL: 300 * time.Second}},
		{"PTR", func() (any, error) { return r.PTR(ctx, ip("192.0.2.1")) },
			dns.Answer[string]{Records: []string{"A.example.com"}, TTL: 300 * time.Second}},
		{"PTR of a mapped address", func() (any, error) { return r.PTR(ctx, ip("::ffff:192.0.2.1")) },
			dns.Answer[string]{Records: []string{"A.example.com"}, TTL: 300 * time.Second}},
		{"PTR IPv6", func() (any, error) { return r.PTR(ctx, ip("2001:db8::1")) },
			dns.Answer[string]{Records: []string{"a.example.com"}, TTL: 300 * time.Second}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			got, err := tt.ask()
			if err != nil {
				t.Fatal(err)
			}
			// The TTL counts down from the moment the answer came.
			about := cmp.Comparer(func(a, b time.Duration) bool { return (a - b).Abs() < 10*time.Second })
			if diff := cmp.Diff(tt.want, got, about,
				cmp.Comparer(func(a, b netip.Addr) bool { return a == b })); diff != "" {
				t.Errorf("(-want +got)\n%s", diff)
			}
		})
	}
}

func TestDenials(t *testing.T) {
	t.Parallel()
	s, r := start(t)
	for _, tt := range []struct {
		name string
		want error
		ttl  time.Duration
	}{
		{"nothing.example.com", dns.ErrNXDomain, 120 * time.Second}, // the SOA's MINIMUM
		{"gone.example.com", dns.ErrNXDomain, 120 * time.Second},
		{"example.com", dns.ErrNoData, 120 * time.Second},
		{"wild.example.com", dns.ErrNoData, 120 * time.Second}, // exists for what is below it
		{"no.such.tld", dns.ErrNXDomain, 60 * time.Second},
		{"192.0.2.1", dns.ErrNXDomain, 0},
		{"2001:db8::1", dns.ErrNXDomain, 0},
		{"a..example.com", dns.ErrNXDomain, 0},
		{strings.Repeat("x", 64) + ".example.com", dns.ErrNXDomain, 0},
		{strings.Repeat("x.", 128) + "example.com", dns.ErrNXDomain, 0},
		{"", dns.ErrNXDomain, 0},
		{".", dns.ErrNXDomain, 0},
	} {
		got, err := r.AAAA(t.Context(), tt.name)
		if !errors.Is(err, tt.want) {
			t.Errorf("AAAA %q: got error %v, want %v", tt.name, err, tt.want)
		}
		if got.TTL.Round(10*time.Second) != tt.ttl {
			t.Errorf("AAAA %q: got TTL %v, want %v", tt.name, got.TTL, tt.ttl)
		}
	}
	if n := s.Queries("192.0.2.1", "AAAA"); n != 0 {
		t.Errorf("an IP literal was asked %d times", n)
	}
}

func TestTemporary(t *testing.T) {
	t.Parallel()
	s, _ := start(t)
	for _, tt := range []struct {
		failure dnstest.Failure
		want    string
	}{
		{dnstest.ServFail, "SERVFAIL"},
		{dnstest.Refused, "REFUSED"},
		{dnstest.Timeout, "no answer within 100ms"},
		{dnstest.Garbage, "malformed answer"},
		{dnstest.Half, "malformed answer"},
		{dnstest.TruncatedAlone, "EOF"},
	} {
		name := fmt.Sprintf("f%d.example.com", tt.failure)
		s.Fail(name, tt.failure)
		r := &dns.Resolver{Server: s.Addr, Timeout: 100 * time.Millisecond}
		_, err := r.TXT(t.Context(), name)
		if err == nil || errors.Is(err, dns.ErrNXDomain) || errors.Is(err, dns.ErrNoData) {
			t.Errorf("failure %d: got %v, want a temporary error", tt.failure, err)
			continue
		}
		for _, part := range []string{tt.want, s.Addr, name, "TXT"} {
			if !strings.Contains(err.Error(), part) {
				t.Errorf("failure %d: got %q, want it to name %q", tt.failure, err, part)
			}
		}
		s.Fail(name, dnstest.OK)
		if _, err := r.TXT(t.Context(), name); !errors.Is(err, dns.ErrNXDomain) {
			t.Errorf("after failure %d: got %v, want it forgotten", tt.failure, err)
		}
	}
	if _, err := (&dns.Resolver{Server: s.Addr}).A(t.Context(), "loop.example.com"); err == nil ||
		errors.Is(err, dns.ErrNoData) {
		t.Errorf("CNAME loop: got %v, want a temporary error", err)
	}
}

func TestUnusableServer(t *testing.T) {
	t.Parallel()
	l, err := net.ListenPacket("udp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	closed := l.LocalAddr().String()
	l.Close()
	for server, want := range map[string]string{
		closed:              "DNS server " + closed + ": A a.example.com: read: connection refused",
		"127.0.0.1:notport": `DNS server "127.0.0.1:notport": want HOST:PORT`,
		"a:b:c":             `DNS server "a:b:c": want HOST:PORT`,
		":53":               `DNS server ":53": want HOST:PORT`,
	} {
		r := &dns.Resolver{Server: server, Timeout: time.Second}
		if _, err := r.A(t.Context(), "a.example.com"); err == nil || err.Error() != want {
			t.Errorf("got %v, want %s", err, want)
		}
	}
}

func TestTruncatedGoesToTCP(t *testing.T) {
	t.Parallel()
	s, r := start(t)
	long := strings.Repeat("0123456789", 400)
	s.PutTXT("long.example.com", long)
	s.Fail("example.com", dnstest.Truncated)
	if got, err := r.TXT(t.Context(), "long.example.com"); err != nil || len(got.Records) != 1 ||
		got.Records[0] != long {
		t.Errorf("4,000 octets: got %d records, %v", len(got.Records), err)
	}
	if got, err := r.TXT(t.Context(), "example.com"); err != nil || len(got.Records) != 2 {
		t.Errorf("truncated: got %q, %v", got.Records, err)
	}
}

func TestAwkwardServers(t *testing.T) {
	t.Parallel()
	s, r := start(t)
	s.Fail("www.example.com", dnstest.BareCNAME)
	s.Fail("zero.example.com", dnstest.NoEDNS)
	s.Fail("x.wild.example.com", dnstest.Forged)
	s.Fail("y.wild.example.com", dnstest.WrongID)
	for name, want := range map[string]string{
		"www.example.com": "192.0.2.1", "zero.example.com": "192.0.2.4", "x.wild.example.com": "192.0.2.3",
		"y.wild.example.com": "192.0.2.3",
	} {
		got, err := r.A(t.Context(), name)
		if err != nil || len(got.Records) == 0 || got.Records[0].String() != want {
			t.Errorf("%s: got %v, %v, want %s", name, got.Records, err, want)
		}
		if name == "www.example.com" && got.TTL > 30*time.Second {
			t.Errorf("%s: got TTL %v, want the first CNAME's", name, got.TTL)
		}
	}
}

func TestRecordsBelongToTheCaller(t *testing.T) {
	t.Parallel()
	_, r := start(t)
	for range 2 {
		got, err := r.A(t.Context(), "a.example.com")
		if err != nil || got.Records[0].String() != "192.0.2.1" {
			t.Fatalf("got %v, %v, want 192.0.2.1 first", got.Records, err)
		}
		got.Records[0] = netip.Addr{}
	}
}

// The clock of the bubble stands still while the network is waited for, and
// jumps when all sleep: hours pass in no time.
func TestCacheFollowsTTL(t *testing.T) {
	t.Parallel()
	s := dnstest.New(t, zone)
	synctest.Test(t, func(t *testing.T) {
		r := &dns.Resolver{Server: s.Addr}
		ask := func(name string, wantQueries int, wantTTL time.Duration) {
			t.Helper()
			got, _ := r.A(t.Context(), name)
			if n := s.Queries(name, "A"); n != wantQueries {
				t.Errorf("%s: got %d queries, want %d", name, n, wantQueries)
			}
			if got.TTL != wantTTL {
				t.Errorf("%s: got TTL %v, want %v", name, got.TTL, wantTTL)
			}
		}
		ask("www.example.com", 1, 30*time.Second)
		ask("nothing.example.com", 1, 120*time.Second)
		time.Sleep(29 * time.Second)
		ask("www.example.com", 1, time.Second)
		time.Sleep(time.Second)
		ask("www.example.com", 2, 30*time.Second)
		ask("nothing.example.com", 1, 90*time.Second)
		time.Sleep(90 * time.Second)
		ask("nothing.example.com", 2, 120*time.Second)
		ask("zero.example.com", 1, 0)
		ask("zero.example.com", 2, 0)
	})
}

func TestCacheIsBounded(t *testing.T) {
	t.Parallel()
	s := dnstest.New(t, zone)
	r := &dns.Resolver{Server: s.Addr, MaxEntries: 10}
	for range 2 {
		for i := range 50 {
			if _, err := r.A(t.Context(), fmt.Sprintf("h%d.wild.example.com", i)); err != nil {
				t.Fatal(err)
			}
		}
	}
	// At most 10 of the second round can have come from the cache.
	if n := s.Total(); n < 90 || n > 100 {
		t.Errorf("got %d queries, want 90 to 100", n)
	}
}

func TestOneQueryForManyCallers(t *testing.T) {
	t.Parallel()
	s := dnstest.New(t, zone)
	s.Fail("a.example.com", dnstest.Timeout)
	r := &dns.Resolver{Server: s.Addr, Timeout: 30 * time.Second}

	impatient, leave := context.WithCancel(t.Context())
	var wg sync.WaitGroup
	var left error
	wg.Go(func() { _, left = r.A(impatient, "a.example.com") })
	if err := s.Await(t.Context(), "a.example.com", "A", 1); err != nil { // the query is on its way
		t.Fatal(err)
	}
	errs := make([]error, 50)
	for i := range errs {
		wg.Go(func() { _, errs[i] = r.A(t.Context(), "a.example.com") })
	}
	leave()
	s.Fail("a.example.com", dnstest.OK) // the datagram sent again is answered
	wg.Wait()
	if !errors.Is(left, context.Canceled) {
		t.Errorf("the one who left: got %v, want %v", left, context.Canceled)
	}
	for _, err := range errs {
		if err != nil {
			t.Fatalf("one who stayed: %v", err)
		}
	}
	if n := s.Queries("a.example.com", "A"); n > 2 {
		t.Errorf("got %d queries, want one and its repetition", n)
	}
}

// BenchmarkDomains asks for names never asked before, all at once.
func BenchmarkDomains(b *testing.B) {
	s := dnstest.New(b, "*.example.com. 300 IN A 192.0.2.1\n")
	r := &dns.Resolver{Server: s.Addr}
	var wg sync.WaitGroup
	for b.Loop() {
		wg.Go(func() {
			if _, err := r.A(b.Context(), fmt.Sprintf("h%p.example.com", new(int))); err != nil {
				b.Error(err)
			}
		})
	}
	wg.Wait()
}
