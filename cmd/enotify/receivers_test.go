package main_test

import (
	"fmt"
	"net"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"enotify/sender/smtptest"
	"enotify/spfguard/dns/dnstest"
)

// A receiver of the crowd: a site of its own, which serves so many domains.
type receiver struct {
	site    string
	config  smtptest.Config
	domains int
	n       int  // recipients, over its domains
	dead    bool // nobody listens
	limits  []string

	server *smtptest.Server
	mu     sync.Mutex
	at     []time.Time // of each message taken
}

// took is when each message came, in order.
func (r *receiver) took() []time.Time {
	r.mu.Lock()
	defer r.mu.Unlock()
	at := slices.Clone(r.at)
	slices.SortFunc(at, time.Time.Compare)
	return at
}

// span is the time from the first message taken to the last.
func (r *receiver) span() time.Duration {
	at := r.took()
	return at[len(at)-1].Sub(at[0])
}

// kept reports whether the messages came no faster than this, over all of the time
// that they took: a machine that stands still for a moment delivers the messages of
// that moment together. The first come with the burst, and up to two seconds late.
func (r *receiver) kept(perSecond, burst int) bool {
	return r.n-burst <= perSecond*int(r.span().Seconds()+2)
}

// newCrowd is a site of many receivers in place of the one, each at an address
// of its own, and a batch to all of them.
func newCrowd(t *testing.T, receivers ...*receiver) *site {
	t.Helper()
	s := newSite(t, smtptest.Config{})
	_, port, _ := net.SplitHostPort(s.SMTP.Addr)
	zone := "town.example. TXT \"v=spf1 ip4:192.0.2.10 -all\"\ncity.example. TXT \"v=spf1 ip4:192.0.2.10 -all\"\n"
	var addresses []string
	for i, r := range receivers {
		ip := fmt.Sprintf("127.0.1.%d", i+1)
		zone += fmt.Sprintf("*.%s. MX 10 mx.%s.\nmx.%s. A %s\n", r.site, r.site, r.site, ip)
		for k := range r.n {
			addresses = append(addresses, fmt.Sprintf("u%d@d%d.%s", k, k%r.domains, r.site))
		}
		if len(r.limits) > 0 {
			s.Run(append([]string{"destination", "set", r.site}, r.limits...)...)
		}
		if r.dead {
			continue
		}
		r.config.Addr = net.JoinHostPort(ip, port)
		r.config.Received = func(m smtptest.Message) {
			r.mu.Lock()
			defer r.mu.Unlock()
			r.at = append(r.at, m.At)
		}
		var err error
		if r.server, err = smtptest.Start(r.config); err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { r.server.Close() })
	}
	s.DNS = dnstest.New(t, zone)
	ask[int64](s, `SELECT enotify.enqueue('menu', 'info@town.example', 'Lunch menu', 'Soup.', $1)`, addresses)
	return s
}

// finished waits until a receiver has all its messages.
func (r *receiver) finished() {
	for r.server.Delivered() < r.n {
		time.Sleep(10 * time.Millisecond)
	}
}

// healthy are receivers whose speed is that of their distance, not of this
// machine: 20 ms a reply, two connections.
func healthy() []*receiver {
	var rs []*receiver
	for i := range 10 {
		rs = append(rs, &receiver{site: fmt.Sprintf("h%d.test", i), domains: 60, n: 180,
			config: smtptest.Config{Delay: 20 * time.Millisecond}, limits: []string{"--connections", "2"}})
	}
	return rs
}

// A thousand domains: some limited by connections, some by rate, some dead,
// some far away. Each gets its mail at the pace it bears, what an operator set is
// kept, and the healthy ones do not wait for any of them: they have their mail about
// when others have theirs that are sent to beside nobody, at the same time on the same
// machine.
func TestThousandDomains(t *testing.T) {
	t.Parallel()
	few := &receiver{site: "few.test", domains: 279, n: 3000,
		config: smtptest.Config{MaxConnections: 5, Delay: time.Millisecond}}
	slow := &receiver{site: "slow.test", domains: 80, n: 500, config: smtptest.Config{PerSecond: 50}}
	far := &receiver{site: "far.test", domains: 10, n: 40, config: smtptest.Config{Delay: 200 * time.Millisecond}}
	// 30/s over all
	shared := &receiver{site: "shared.test", domains: 20, n: 200,
		limits: []string{"--rate", "1800/min", "--burst", "5"}}
	owned := &receiver{site: "owned.test", domains: 1, n: 100}
	refused := &receiver{site: "refused.test", domains: 5, n: 50, dead: true}
	ended := make(chan struct{})
	silent := &receiver{site: "silent.test", domains: 5, n: 50,
		config: smtptest.Config{Reply: func(smtptest.Command) string {
			<-ended // takes the connection, and says nothing
			return smtptest.Drop
		}}}
	alone, beside := healthy(), healthy()
	quiet := newCrowd(t, alone...)
	crowd := newCrowd(t, append([]*receiver{few, slow, far, shared, owned, refused, silent}, beside...)...)
	t.Cleanup(func() { close(ended) })
	crowd.Run("destination", "set", "d0.owned.test", "--rate", "20/s", "--burst", "5")

	quiet.Start("run")
	crowd.Start("run", "--retry-first", "1s", "--retry-max", "2s")
	for _, r := range append(append(alone, beside...), few, slow, far, shared, owned) {
		r.finished()
	}

	// The last receiver has its messages; their outcomes may be on their way.
	crowd.Until(`SELECT NOT EXISTS (SELECT FROM enotify.delivery WHERE state <> 'delivered'
		AND split_part(domain, '.', 2) NOT IN ('refused', 'silent'))`)
	if got := ask[int](crowd, `SELECT count(*)::int FROM enotify.batch_domain`); got != 1000 {
		t.Errorf("domains: got %d, want 1000", got)
	}
	if per := 1000 * float64(few.server.Refused()) / float64(few.n); per > 2 || few.server.Refused() == 0 {
		t.Errorf("refused connections per 1,000 deliveries where 6 are too many: got %.1f (%d of %d), want 2 at most",
			per, few.server.Refused(), few.n)
	}
	if few.server.Peak() != 5 {
		t.Errorf("connections where 5 are allowed: got %d, want all of them", few.server.Peak())
	}
	if !shared.kept(30, 5) {
		t.Errorf("%d messages to a site of 1800/min came within %v", shared.n, shared.span())
	}
	if !owned.kept(20, 5) {
		t.Errorf("%d messages to a domain of 20/s came within %v", owned.n, owned.span())
	}
	if got := slow.server.TooFast(); got > slow.n/2 {
		t.Errorf("messages refused where 50/s are allowed: got %d of %d", got, slow.n)
	}
	worst := 1.0
	for i, r := range beside {
		share := alone[i].span().Seconds() / r.span().Seconds()
		worst = min(worst, share)
		if r.span() > 2*alone[i].span()+3*time.Second { // what stands in the way of all costs minutes
			t.Errorf("%s: %v beside the others, %v alone", r.site, r.span(), alone[i].span())
		}
	}
	if got := ask[string](crowd, `SELECT string_agg(DISTINCT split_part(domain, '.', 2), ', ') FROM enotify.delivery WHERE state <> 'delivered'`); !slices.Equal(strings.Split(got, ", "), []string{"refused", "silent"}) {
		t.Errorf("sites that wait: got %s, want refused and silent", got)
	}
	t.Logf("few: %d refused of %d; slow: %d too fast of %d, in %v; slowest healthy site: %.0f %% of its speed alone",
		few.server.Refused(), few.n, slow.server.TooFast(), slow.n, slow.span().Round(time.Millisecond), 100*worst)
}
