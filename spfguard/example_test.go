package spfguard_test

import (
	"context"
	"fmt"
	"log"
	"net/netip"

	"enotify/spfguard"
	"enotify/spfguard/dns"
	"enotify/spfguard/dns/dnstest"
)

// A client's record forbids our server: what receivers will say, and the line
// that cures it.
func Example() {
	srv, err := dnstest.Start(`
town.example.      IN TXT "v=spf1 mx -all"
town.example.      IN MX  10 mail.town.example.
mail.town.example. IN A   203.0.113.8
`)
	if err != nil {
		log.Fatal(err)
	}
	defer srv.Close()

	ctx := context.Background()
	ours := netip.MustParseAddr("38.106.5.33")
	guard := &spfguard.Checker{Resolver: &dns.Resolver{Server: srv.Addr}}

	v := guard.Verdict(ctx, spfguard.Query{IP: ours, Sender: "news@town.example"})
	fmt.Println(v.Result, v.Decision)
	fmt.Println(v.Explanation)

	fix, err := guard.Fix(ctx, spfguard.FixQuery{Domain: "town.example", Egress: []netip.Addr{ours}})
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println(spfguard.ZoneLine(fix.Domain, fix.After))
	// Output:
	// fail block
	// town.example forbids 38.106.5.33 to send for it, and receivers will refuse the mail: no term before "-all" in its record covers the address.
	// town.example. IN TXT "v=spf1 ip4:38.106.5.33 mx -all"
}
