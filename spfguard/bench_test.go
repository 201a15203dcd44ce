package spfguard_test

import (
	"context"
	"net"
	"net/netip"
	"testing"

	blitiri "blitiri.com.ar/go/spf"

	"enotify/spfguard"
	"enotify/spfguard/dns"
)

const benchRecord = "v=spf1 mx a include:_spf.google.com ip4:198.51.100.0/24 -all"

func benchZone() *memory {
	z := newMemory()
	z.txt["example.com"] = []string{benchRecord}
	z.mx["example.com"] = []dns.MX{{Host: "mx1.example.com", Pref: 10}, {Host: "mx2.example.com", Pref: 20}}
	z.a["example.com"] = []netip.Addr{netip.MustParseAddr("192.0.2.1")}
	z.a["mx1.example.com"] = []netip.Addr{netip.MustParseAddr("192.0.2.2")}
	z.a["mx2.example.com"] = []netip.Addr{netip.MustParseAddr("192.0.2.3")}
	z.txt["_spf.google.com"] = []string{"v=spf1 include:_netblocks.google.com include:_netblocks2.google.com include:_netblocks3.google.com ~all"}
	z.txt["_netblocks.google.com"] = []string{"v=spf1 ip4:203.0.113.0/25 ip4:192.0.2.128/26 ip4:192.0.2.192/27 ip4:192.0.2.224/28 ~all"}
	z.txt["_netblocks2.google.com"] = []string{"v=spf1 ip6:2001:db8:4000::/36 ip6:2001:db8:6800::/37 ip6:2001:db8:8000::/36 ~all"}
	z.txt["_netblocks3.google.com"] = []string{"v=spf1 ip4:203.0.113.128/26 ip4:203.0.113.192/27 ~all"}
	return z
}

func BenchmarkCheck(b *testing.B) {
	c := &spfguard.Checker{Resolver: benchZone()}
	q := spfguard.Query{IP: netip.MustParseAddr("198.51.100.7"), Sender: "a@example.com", HELO: "mail.example.com"}
	b.ReportAllocs()
	for b.Loop() {
		if got := c.Check(context.Background(), q); got.Result != spfguard.Pass {
			b.Fatalf("got %s (%v), want pass", got.Result, got.Err)
		}
	}
}

// BenchmarkBlitiri evaluates the same with the library that receivers use; it
// stops parsing at the match, and keeps no tree.
func BenchmarkBlitiri(b *testing.B) {
	r := blitiri.WithResolver(forBlitiri{benchZone()})
	ip := net.ParseIP("198.51.100.7")
	b.ReportAllocs()
	for b.Loop() {
		if got, err := blitiri.CheckHostWithSender(ip, "mail.example.com", "a@example.com", r); got != blitiri.Pass {
			b.Fatalf("got %s (%v), want pass", got, err)
		}
	}
}

// forBlitiri lends the zone to the other library.
type forBlitiri struct{ *memory }

func (z forBlitiri) LookupTXT(ctx context.Context, name string) ([]string, error) {
	ans, _ := z.TXT(ctx, name)
	return ans.Records, nil
}

func (z forBlitiri) LookupMX(ctx context.Context, name string) ([]*net.MX, error) {
	ans, _ := z.MX(ctx, name)
	var mxs []*net.MX
	for _, mx := range ans.Records {
		mxs = append(mxs, &net.MX{Host: mx.Host, Pref: mx.Pref})
	}
	return mxs, nil
}

func (z forBlitiri) LookupIPAddr(ctx context.Context, name string) ([]net.IPAddr, error) {
	ans, _ := z.A(ctx, name)
	var addrs []net.IPAddr
	for _, ip := range ans.Records {
		addrs = append(addrs, net.IPAddr{IP: ip.AsSlice()})
	}
	return addrs, nil
}

func (z forBlitiri) LookupAddr(context.Context, string) ([]string, error) { return nil, nil }
