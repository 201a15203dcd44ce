package engine_test

import (
	"context"
	"fmt"
	"net/netip"
	"sync"
	"testing"
	"time"

	"enotify/queue"
	"enotify/queue/queuetest"
)

// from notes which address each domain's message was to leave from.
type from struct {
	mu sync.Mutex
	of map[string]netip.Addr
	at []time.Time
}

func (n *from) note(ctx context.Context, m queue.Message) queue.Outcome {
	n.mu.Lock()
	if n.of == nil {
		n.of = map[string]netip.Addr{}
	}
	n.of[m.Domain] = m.Egress[0].Addr
	n.at = append(n.at, time.Now())
	n.mu.Unlock()
	o := queuetest.Deliver(ctx, m)
	o.Egress = m.Egress[0].Addr
	return o
}

func (n *from) take() map[string]netip.Addr {
	n.mu.Lock()
	defer n.mu.Unlock()
	of := n.of
	n.of = nil
	return of
}

func manyDomains(n int) (all []string) {
	for i := range n {
		all = append(all, fmt.Sprintf("d%d.example", i))
	}
	return all
}

// A domain keeps its address when another one goes, and gets it back when it comes again;
// the domains of the one that went are spread. Weights decide how many each has.
func TestDomainsKeepTheirAddress(t *testing.T) {
	t.Parallel()
	const n = 400
	f := queuetest.NewFixture(t)
	var sent from
	three := []netip.Addr{queuetest.Egress, netip.MustParseAddr("192.0.2.2"), netip.MustParseAddr("192.0.2.3")}
	send := func(key string) map[string]netip.Addr {
		s := f.Server("n1", sent.note)
		s.Node.Egress = three
		f.Enqueue(key, n, manyDomains(n)...)
		f.Serve(s)
		return sent.take()
	}
	all := send("all")
	f.Exec(`UPDATE enotify.egress SET state = 'held' WHERE address = '192.0.2.2'`)
	spread := map[netip.Addr]int{}
	for domain, addr := range send("held") {
		switch was := all[domain]; {
		case addr == three[1]:
			t.Fatalf("%s: got a message from an address that is held", domain)
		case was == three[1]:
			spread[addr]++
		case was != addr:
			t.Errorf("%s: got its message from %s, want %s as before", domain, addr, was)
		}
	}
	if len(spread) != 2 {
		t.Errorf("domains of the held address: got %v, want both others to have some", spread)
	}
	f.Exec(`UPDATE enotify.egress SET state = 'active'`)
	for domain, addr := range send("again") {
		if all[domain] != addr {
			t.Errorf("%s: got its message from %s, want %s again", domain, addr, all[domain])
		}
	}
	f.Exec(`UPDATE enotify.egress SET weight = 8 WHERE address = '192.0.2.3'`)
	heavy := 0
	for domain, addr := range send("weighted") {
		if addr == three[2] {
			heavy++
		} else if addr != all[domain] {
			t.Errorf("%s: moved from %s to %s, and only to the one that weighs more may it", domain, all[domain], addr)
		}
	}
	if heavy < n*6/10 { // 8 in 10 are its share; a group holds many domains
		t.Errorf("domains of the address with 8 of the weight of 10: got %d of %d, want about %d", heavy, n, n*8/10)
	}
}

// The rate of an address holds for two nodes that both have it, and over a restart.
func TestRateOfAnAddressHoldsOverNodes(t *testing.T) {
	t.Parallel()
	const perSecond, n = 50, 120
	f := queuetest.NewFixture(t)
	f.Exec(`INSERT INTO enotify.egress (address, rate, rate_per) VALUES ($1, $2, '1 s')`, queuetest.Egress, perSecond)
	f.Enqueue("menu", n, manyDomains(n)...)
	var sent from
	began := time.Now()
	var both sync.WaitGroup
	for _, name := range []string{"n1", "n2"} {
		both.Go(func() {
			if err := f.Run(f.Context(), f.Server(name, sent.note), "pass"); err != nil {
				t.Error(err)
			}
		})
	}
	both.Wait()
	f.SentOnce(n)
	// A burst of a second, and then the rate: whatever moment the count ends at.
	for i, at := range sent.at {
		if most := perSecond + int(at.Sub(began).Seconds()*perSecond) + 1; i+1 > most {
			t.Fatalf("%d messages after %v, want at most %d", i+1, at.Sub(began), most)
		}
	}
}

// An operator lets one message more leave from an address each time that one has left. The
// node is then about to put the others off to the next day, which it has not written yet:
// they are not forgotten.
func TestRoomComesWhileOthersArePutOff(t *testing.T) {
	t.Parallel()
	const n = 4
	f := queuetest.NewFixture(t)
	f.Patience = time.Minute
	f.Exec(`INSERT INTO enotify.egress (address) VALUES ($1)`, queuetest.Egress)
	f.Exec(`INSERT INTO enotify.warmup (address, site, caps) VALUES ($1, '*', '{1}')`, queuetest.Egress)
	operator := queuetest.Connect(t, f.URL)
	var one sync.Mutex
	raise := func(ctx context.Context, m queue.Message) queue.Outcome {
		one.Lock()
		defer one.Unlock()
		if _, err := operator.Exec(ctx, `UPDATE enotify.warmup SET caps[1] = caps[1] + 1`); err != nil {
			t.Error(err)
		}
		o := queuetest.Deliver(ctx, m)
		o.Egress = m.Egress[0].Addr
		return o
	}
	batch := f.Enqueue("menu", n, manyDomains(n)...)
	f.ServeUntil(f.Server("n1", raise), `SELECT state = 'done' FROM enotify.batch WHERE id = $1`, batch)
	f.SentOnce(n)
}
