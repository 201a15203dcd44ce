package spfguard_test

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"net/netip"
	"strings"
	"testing"

	"enotify/spfguard"
	"enotify/spfguard/dns"
)

// madeUp fills a zone of eight names with random records that point at each
// other, at hosts, at nothing and at failing names.
func madeUp(r *rand.Rand) *memory {
	z := newMemory()
	pick := func(s ...string) string { return s[r.IntN(len(s))] }
	name := func() string { return fmt.Sprintf("d%d.example", r.IntN(8)) }
	host := func() string {
		return pick("h0.example", "h1.example", "h2.example", "void.example", "fails.example", "%{l}.%{d}",
			"%{ir}.%{v}.x.example", "%{p}.example", name())
	}
	ip := func() string { return fmt.Sprintf("192.0.2.%d", r.IntN(16)) }
	for i := range 3 {
		h := fmt.Sprintf("h%d.example", i)
		z.exists[h] = true
		z.a[h] = []netip.Addr{netip.MustParseAddr(ip()), netip.MustParseAddr(ip())}
		if i > 0 {
			z.aaaa[h] = []netip.Addr{netip.MustParseAddr("2001:db8::" + fmt.Sprint(r.IntN(16)))}
		}
	}
	z.fails["fails.example"] = true
	z.ptr[fmt.Sprintf("%d.2.0.192.in-addr.arpa", r.IntN(16))] = []string{"h0.example", "h1.example"}
	for i := range 8 {
		domain := fmt.Sprintf("d%d.example", i)
		z.exists[domain] = true
		for range r.IntN(12) {
			z.mx[domain] = append(z.mx[domain], dns.MX{Host: host(), Pref: uint16(r.IntN(9))})
		}
		if r.IntN(8) == 0 {
			continue
		}
		terms := []string{"v=spf1"}
		for range r.IntN(8) {
			q := pick("", "", "", "+", "-", "~", "?")
			terms = append(terms, pick(
				q+"a", q+"mx", q+"a:"+host(), q+"mx:"+name(), q+"ptr", q+"exists:"+host(),
				q+"include:"+name(), q+"include:"+name(), q+"ip4:"+ip(), q+"ip4:"+ip()+"/30", q+"ip6:2001:db8::/64",
				q+"a:"+host()+"/24//64", "redirect="+name(), "exp="+host(), "moo="+host(),
				pick("ipv4:"+ip(), "a,b", "bogus", "-", q+"all")))
		}
		z.txt[domain] = []string{strings.Join(append(terms, pick("", "-all", "~all", "?all", "redirect="+name())), " ")}
		if r.IntN(10) == 0 {
			z.txt[domain] = append(z.txt[domain], "v=spf1 mx -all")
		}
	}
	return z
}

// FuzzEvaluate evaluates made-up zones: the limits hold, the result is the
// same each time, and after Fix every address passes that was asked for while
// no address that passed is lost.
func FuzzEvaluate(f *testing.F) {
	for seed := range uint64(200) {
		f.Add(seed, seed*7)
	}
	f.Fuzz(func(t *testing.T, a, b uint64) {
		r := rand.New(rand.NewPCG(a, b))
		z := madeUp(r)
		c := &spfguard.Checker{Resolver: z}
		q := spfguard.Query{IP: netip.AddrFrom4([4]byte{192, 0, 2, byte(r.IntN(16))}), Sender: "user@d0.example",
			HELO: "h0.example"}
		if r.IntN(4) == 0 {
			q.IP = netip.MustParseAddr("2001:db8::" + fmt.Sprint(r.IntN(16)))
		}
		got := c.Check(t.Context(), q)
		if got.Lookups > 11 || got.Voids > 3 ||
			(got.Result != spfguard.PermError && (got.Lookups > 10 || got.Voids > 2)) {
			t.Fatalf("%q: got %s with %d lookups, %d voids", z.txt, got.Result, got.Lookups, got.Voids)
		}
		if (got.Err != nil) != (got.Result == spfguard.TempError || got.Result == spfguard.PermError) {
			t.Fatalf("%q: got %s with error %v", z.txt, got.Result, got.Err)
		}
		if again := c.Check(t.Context(), q); again.Result != got.Result || again.Explain() != got.Explain() {
			t.Fatalf("%q: got %s, then %s", z.txt, got.Result, again.Result)
		}
		if worst := c.Worst(t.Context(), q); worst.Lookups > 101 {
			t.Fatalf("%q: worst case of %d lookups", z.txt, worst.Lookups)
		}
		if _, _, err := c.Lint(t.Context(), "d0.example", "", q.IP); err != nil &&
			!strings.Contains(err.Error(), "made up") {
			t.Fatal(err)
		}
		egress := []netip.Addr{q.IP, netip.MustParseAddr("198.51.100.7")}
		fix, err := c.Fix(t.Context(), spfguard.FixQuery{Domain: "d0.example", Egress: egress, Sender: q.Sender,
			HELO: q.HELO})
		var doubt *spfguard.DoubtError
		if errors.As(err, &doubt) && len(doubt.Questions) > 0 || err != nil &&
			strings.Contains(err.Error(), "made up") {
			return
		}
		if err != nil {
			t.Fatalf("%q: %v", z.txt, err)
		}
		z.txt["d0.example"] = []string{fix.After}
		for _, ip := range egress {
			if ev := c.Check(t.Context(),
				spfguard.Query{IP: ip, Sender: q.Sender, HELO: q.HELO}); ev.Result != spfguard.Pass {
				t.Fatalf("%q: after the fix %s gets %s (%v)", z.txt, ip, ev.Result, ev.Err)
			}
		}
	})
}
