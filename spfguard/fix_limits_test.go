package spfguard_test

import (
	"errors"
	"net/netip"
	"slices"
	"strings"
	"testing"

	"enotify/spfguard"
	"enotify/spfguard/dns"
	"enotify/spfguard/dns/dnstest"
)

const limitsZone = `
client.example.       300 IN A   198.51.100.1
client.example.       300 IN MX  10 mx1.client.example.
client.example.       300 IN MX  20 mx2.client.example.
mx1.client.example.   300 IN A   198.51.100.2
mx2.client.example.   300 IN A   198.51.100.3
out.client.example.   300 IN A   198.51.100.4
out.client.example.   300 IN AAAA 2001:db8::4
_spf.client.example.  300 IN TXT "v=spf1 ip4:198.51.100.64/28 a:out.client.example -all"
five.example.         300 IN TXT "v=spf1 include:n1.example include:n2.example include:n3.example include:n4.example -all"
six.example.          300 IN TXT "v=spf1 include:n5.example include:n6.example include:n7.example include:n8.example include:n9.example -all"
n1.example.           300 IN TXT "v=spf1 ip4:198.18.1.0/24 -all"
n2.example.           300 IN TXT "v=spf1 ip4:198.18.2.0/24 -all"
n3.example.           300 IN TXT "v=spf1 ip4:198.18.3.0/24 -all"
n4.example.           300 IN TXT "v=spf1 ip4:198.18.4.0/24 -all"
n5.example.           300 IN TXT "v=spf1 ip4:198.18.5.0/24 -all"
n6.example.           300 IN TXT "v=spf1 ip4:198.18.6.0/24 -all"
n7.example.           300 IN TXT "v=spf1 ip4:198.18.7.0/24 -all"
n8.example.           300 IN TXT "v=spf1 ip4:198.18.8.0/24 -all"
n9.example.           300 IN TXT "v=spf1 ip4:198.18.9.0/24 -all"
loop1.example.        300 IN TXT "v=spf1 ip4:198.18.10.0/24 include:loop2.example -all"
loop2.example.        300 IN TXT "v=spf1 ip4:198.18.11.0/24 include:loop1.example -all"
`

// A record that passes for us early and needs too many look-ups for others is
// brought within the limit, as far as that takes nothing from anyone.
func TestFixLookups(t *testing.T) {
	t.Parallel()
	srv := dnstest.New(t, limitsZone)
	c := &spfguard.Checker{Resolver: &dns.Resolver{Server: srv.Addr}}
	for _, tt := range []struct {
		name, record, want string
		lookups            int
	}{
		{"within", "include:five.example a mx ~all", "include:five.example a mx ~all", 7},
		{"a term twice", "include:six.example a mx a mx a ~all", "include:six.example a mx ~all", 8},
		{"an include of what another includes", "include:n1.example include:five.example include:six.example " +
			"~all", "include:five.example include:six.example ~all", 11},
		{"hosts of ours that networks cover", "ip4:198.51.100.0/29 include:five.example a mx include:n5.example " +
			"include:n6.example include:n7.example include:n8.example ~all",
			"ip4:198.51.100.0/29 include:five.example mx include:n5.example include:n6.example " +
				"include:n7.example include:n8.example ~all", 10},
		{"a name without an address", "a:gone.client.example include:five.example include:n5.example " +
			"include:n6.example include:n7.example include:n8.example include:n9.example ~all",
			"include:five.example include:n5.example include:n6.example include:n7.example include:n8.example " +
				"include:n9.example ~all", 10},
		{"an own record", "include:_spf.client.example include:five.example include:n5.example " +
			"include:n6.example include:n7.example include:n8.example ~all",
			"ip4:198.51.100.64/28 a:out.client.example include:five.example include:n5.example " +
				"include:n6.example include:n7.example include:n8.example ~all", 10},
		{"own hosts", "a mx a:out.client.example include:five.example include:n5.example include:n6.example " +
			"include:n7.example ~all",
			"ip4:198.51.100.1 mx a:out.client.example include:five.example include:n5.example " +
				"include:n6.example include:n7.example ~all", 10},
	} {
		record := "v=spf1 ip4:203.0.113.10 " + tt.record
		fix, err := c.Fix(
			t.Context(),
			spfguard.FixQuery{
				Domain: "client.example",
				Record: record,
				Egress: []netip.Addr{netip.MustParseAddr("203.0.113.10")},
			},
		)
		if doubt := (*spfguard.DoubtError)(nil); errors.As(err, &doubt) && tt.name == "a name without an address" {
			fix, err = doubt.IfGone, nil
		}
		if err != nil {
			t.Errorf("%s: %v", tt.name, err)
			continue
		}
		if want := "v=spf1 ip4:203.0.113.10 " + tt.want; fix.After != want || fix.Worst.Lookups != tt.lookups {
			t.Errorf(
				"%s: got  %s with %d look-ups\nwant %s with %d",
				tt.name,
				fix.After,
				fix.Worst.Lookups,
				want,
				tt.lookups,
			)
		}
		if over := tt.lookups > 10; over != (len(fix.Flatten) > 0) ||
			over != slices.ContainsFunc(
				fix.Open,
				func(q string) bool {
					return strings.Contains(q, "Which of these services still send") &&
						strings.Contains(q, "stands for ip4:198.18.5.0/24 ")
				},
			) {
			t.Errorf("%s: got to flatten %q, open %q with %d look-ups", tt.name, fix.Flatten, fix.Open, tt.lookups)
		}
	}
}

// A loop is a permerror at receivers that get there, however few records it has.
func TestLoops(t *testing.T) {
	t.Parallel()
	srv := dnstest.New(t, limitsZone)
	c := &spfguard.Checker{Resolver: &dns.Resolver{Server: srv.Addr}}
	ours := netip.MustParseAddr("203.0.113.10")
	const record = "v=spf1 ip4:203.0.113.10 include:loop1.example ip4:198.51.100.77 -all"
	worst := c.Worst(t.Context(), spfguard.Query{IP: ours, Domain: "client.example", Record: record})
	if worst.Lookups != 11 || !worst.Over() || worst.Loop != "loop1.example → loop2.example → loop1.example" {
		t.Errorf("got %d look-ups, over %v, loop %q", worst.Lookups, worst.Over(), worst.Loop)
	}
	_, found, err := c.Lint(t.Context(), "client.example", record)
	if err != nil || len(found) != 1 || found[0].Rule != "include.broken" ||
		!strings.Contains(found[0].Message, "is a loop") {
		t.Errorf("got %+v, %v, want one finding that calls it a loop", found, err)
	}
	fix, err := c.Fix(
		t.Context(),
		spfguard.FixQuery{Domain: "client.example", Record: record, Egress: []netip.Addr{ours}},
	)
	if err != nil {
		t.Fatal(err)
	}
	if want := "v=spf1 ip4:203.0.113.10 ip4:198.18.10.0/24 ip4:198.18.11.0/24 ip4:198.51.100.77 " +
		"-all"; fix.After != want {
		t.Errorf("got  %s\nwant %s", fix.After, want)
	}
}

// An address that no receiver sees is never written into a record.
func TestFixPrivateEgress(t *testing.T) {
	t.Parallel()
	srv := dnstest.New(t, limitsZone)
	c := &spfguard.Checker{Resolver: &dns.Resolver{Server: srv.Addr}}
	for _, ip := range []string{"10.0.0.5", "172.16.1.1", "192.168.1.1", "127.0.0.1", "::1", "fd00::5", "fe80::1",
		"100.64.0.1", "0.0.0.0", "240.0.0.1", "224.0.0.1", "169.254.1.1", "::ffff:10.0.0.5"} {
		addrs := []netip.Addr{netip.MustParseAddr("203.0.113.10"), netip.MustParseAddr(ip)}
		fix, err := c.Fix(
			t.Context(),
			spfguard.FixQuery{Domain: "client.example", Record: "v=spf1 -all", Egress: addrs},
		)
		if !errors.Is(err, spfguard.ErrNoFix) || !strings.Contains(err.Error(), "no receiver sees") {
			t.Errorf("%s: got %+v, %v, want that no receiver sees it", ip, fix, err)
		}
	}
}
