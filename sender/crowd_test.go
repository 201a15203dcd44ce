package sender_test

import (
	"context"
	"fmt"
	"sync"
	"testing"
	"time"

	"enotify/queue"
	"enotify/sender/smtptest"
	"enotify/sender/throttle"

	"golang.org/x/time/rate"
)

// Many sites share what connections there may be, and none waits for ever.
func TestMaxConnections(t *testing.T) {
	t.Parallel()
	// A receiver may accept a connection before it reads the QUIT of another, so those
	// count that have a message under way.
	var mu sync.Mutex
	busy, most := 0, 0
	host := smtptest.Config{Delay: time.Millisecond, Reply: func(c smtptest.Command) string {
		mu.Lock()
		defer mu.Unlock()
		switch c.Verb {
		case "MAIL":
			busy++
			most = max(most, busy)
		case ".":
			busy--
		}
		return ""
	}}
	zone, all := "", hosts{}
	for i := range 6 {
		zone += fmt.Sprintf("d%d.test. MX 10 mx.d%d.test.\n", i, i)
		all[fmt.Sprintf("mx.d%d.test", i)] = host
	}
	w := newWorld(t, zone, all)
	w.sender.MaxConnections, w.sender.MaxSlow = 2, 1
	var work sync.WaitGroup
	for i := range 6 {
		work.Go(func() {
			got := count(w.deliverAll(t, testBatch, fmt.Sprintf("d%d.test", i), 60))
			if got["delivered"] != 60 {
				t.Errorf("d%d.test: got %v, want 60 delivered", i, got)
			}
		})
	}
	work.Wait()
	if most > 2+1 {
		t.Errorf("connections at once with a message under way: got %d, want at most 2, and a slow one", most)
	}
}

// twoDomains delivers to a.test and b.test in turn, then to both at once, and
// wants each delivered by its own host.
func (w *world) twoDomains(t *testing.T, hostOfA, hostOfB string) {
	t.Helper()
	deliver := func(domain, host string) {
		if o := w.deliver(t, to(testBatch, 1, "u@"+domain)); o.State != queue.Delivered || o.Host != host {
			t.Errorf("%s: got %+v, want delivered by %s", domain, o, host)
		}
	}
	for range 3 {
		deliver("a.test", hostOfA)
		deliver("b.test", hostOfB)
	}
	for range 30 {
		var both sync.WaitGroup
		both.Go(func() { deliver("a.test", hostOfA) })
		both.Go(func() { deliver("b.test", hostOfB) })
		both.Wait()
	}
}

// A domain whose best host differs from the host that its site's connections are to
// gets one of its own in place of them.
func TestSiteWithManyHosts(t *testing.T) {
	t.Parallel()
	w := newWorld(t, "a.test. MX 10 mx1.site.test.\nb.test. MX 10 mx2.site.test.",
		hosts{"mx1.site.test": {}, "mx2.site.test": {}})
	w.throttle.SetPolicies(map[string]throttle.Policy{throttle.Everyone: {Rate: rate.Inf, Connections: 1}})
	w.sender.IdleTime = time.Hour
	w.twoDomains(t, "mx1.site.test", "mx2.site.test")
}

// A connection that is not needed makes way for a site that has none.
func TestIdleMakesWay(t *testing.T) {
	t.Parallel()
	w := newWorld(t, "a.test. MX 10 mx.a.test.\nb.test. MX 10 mx.b.test.", hosts{"mx.a.test": {}, "mx.b.test": {}})
	w.sender.MaxConnections, w.sender.IdleTime = 1, time.Hour
	w.twoDomains(t, "mx.a.test", "mx.b.test")
}

// So does one that is always needed, after some messages.
func TestBusyMakesWay(t *testing.T) {
	t.Parallel()
	w := newWorld(t, "a.test. MX 10 mx.a.test.\nb.test. MX 10 mx.b.test.", hosts{"mx.a.test": {}, "mx.b.test": {}})
	w.sender.MaxConnections = 1
	w.throttle.SetPolicies(map[string]throttle.Policy{throttle.Everyone: {Rate: rate.Inf, PerConnection: 1 << 30}})
	w.deliver(t, to(testBatch, 1, "u@b.test")) // so that the wait for the DNS is not counted below
	ctx, cancel := context.WithCancel(t.Context())
	var work sync.WaitGroup
	for range 10 {
		work.Go(func() {
			for ctx.Err() == nil {
				w.sender.Deliver(ctx, to(testBatch, 1, "u@a.test"))
			}
		})
	}
	busy := w.hosts["mx.a.test"]
	eventually(t, "a.test is busy", func() bool { return busy.Delivered() > 10 })
	before := busy.Delivered()
	if o := w.deliver(t, to(testBatch, 1, "u@b.test")); o.State != queue.Delivered {
		t.Errorf("b.test: got %+v, want delivered", o)
	}
	if passed := busy.Delivered() - before; passed > 1000 { // a machine that is busy wakes us late
		t.Errorf("messages that overtook: got %d, want about 20", passed)
	}
	cancel()
	work.Wait()
}
