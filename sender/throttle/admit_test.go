package throttle_test

import (
	"fmt"
	"math"
	"testing"
	"time"

	"enotify/queue"
	"enotify/sender/throttle"

	"golang.org/x/time/rate"
)

var (
	start     = time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)
	delivered = queue.Outcome{State: queue.Delivered, Reply: queue.Reply{Code: 250}}
	notBegun  = queue.Outcome{State: queue.Deferred, Class: queue.NotBegun}
	tooFast   = queue.Outcome{State: queue.Deferred, Class: queue.Throttled,
		Reply: queue.Reply{Code: 451, Enhanced: "4.7.28", Text: "Too many messages from your address"}}
	crowded = queue.Outcome{State: queue.Deferred, Class: queue.Throttled,
		Reply: queue.Reply{Code: 421, Enhanced: "4.7.0", Text: "Too many concurrent connections"}}
)

// drain asks for as much as it can get for d, as the dispatcher would, with
// each message done at once. It returns when each began.
func drain(t *throttle.Throttle, domain string, now time.Time, d time.Duration) []time.Time {
	var begun []time.Time
	for end := now.Add(d); now.Before(end); {
		n, w := t.Admit(domain, 100, now)
		for range n {
			begun = append(begun, now)
			t.Done(domain, delivered, now)
		}
		if now = now.Add(time.Millisecond); w.Site == "" && w.Until.After(now) {
			now = w.Until
		}
	}
	return begun
}

// busiest is the highest number of times in any window of length d.
func busiest(times []time.Time, d time.Duration) int {
	most, first := 0, 0
	for i, at := range times {
		for at.Sub(times[first]) >= d {
			first++
		}
		most = max(most, i-first+1)
	}
	return most
}

func TestRate(t *testing.T) {
	t.Parallel()
	tests := []struct {
		rate  rate.Limit
		burst int
	}{{0.5, 1}, {1, 5}, {7, 3}, {20, 20}, {100, 20}, {1000, 1}, {1000, 50}}
	for _, test := range tests {
		t.Run(fmt.Sprintf("%v/s burst %d", test.rate, test.burst), func(t *testing.T) {
			t.Parallel()
			var th throttle.Throttle
			th.SetPolicies(map[string]throttle.Policy{"a.test": {Rate: test.rate, Burst: test.burst, Connections: 100}})
			th.Assign("a.test", "site", start)
			const run = 30 * time.Second
			begun := drain(&th, "a.test", start, run)
			for _, window := range []time.Duration{time.Millisecond, 100 * time.Millisecond, time.Second,
				10 * time.Second} {
				most := int(math.Ceil(float64(test.rate)*window.Seconds())) + test.burst
				if got := busiest(begun, window); got > most {
					t.Errorf("began in %v: got %d, want at most %d", window, got, most)
				}
			}
			if got, want := float64(len(begun)), 0.9*float64(test.rate)*run.Seconds(); got < want {
				t.Errorf("began in %v: got %v, want at least %v", run, got, want)
			}
		})
	}
}

// A process that starts may follow one that has just used up its bucket.
func TestBucketStartsEmpty(t *testing.T) {
	t.Parallel()
	var th throttle.Throttle
	th.SetPolicies(map[string]throttle.Policy{"a.test": {Rate: 10, Burst: 5}})
	th.Assign("a.test", "site", start)
	n, w := th.Admit("a.test", 5, start)
	if n != 0 {
		t.Errorf("admitted at start: got %d, want 0", n)
	}
	if got := w.Until.Sub(start).Round(time.Millisecond); got != 100*time.Millisecond {
		t.Errorf("ask again: got %v, want 100ms", got)
	}
	if n, _ := th.Admit("a.test", 5, w.Until); n != 1 {
		t.Errorf("admitted when told to ask again: got %d, want 1", n)
	}
}

// Policies that change reach buckets that exist, and never fill one.
func TestSetPolicies(t *testing.T) {
	t.Parallel()
	var th throttle.Throttle
	set := func(p throttle.Policy) { th.SetPolicies(map[string]throttle.Policy{throttle.Everyone: p}) }
	set(throttle.Policy{Rate: rate.Inf, Connections: 100})
	th.Assign("a.test", "site", start)
	th.Answered("site", start)
	if n, _ := th.Admit("a.test", 4, start); n != 4 {
		t.Errorf("without limit: got %d, want 4", n)
	}
	for range 4 {
		th.Done("a.test", delivered, start)
	}
	now := start.Add(time.Hour)
	set(throttle.Policy{Rate: 1, Burst: 3, Connections: 100})
	if n, _ := th.Admit("a.test", 4, now); n != 0 {
		t.Errorf("just limited: got %d, want 0", n)
	}
	now = now.Add(time.Hour)
	if n, _ := th.Admit("a.test", 4, now); n != 3 {
		t.Errorf("after an hour: got %d, want the burst, 3", n)
	}
	set(throttle.Policy{Rate: 1.0 / 3600})
	if _, w := th.Admit("a.test", 1, now); w.Until.Sub(now) > time.Second {
		t.Errorf("at one an hour, ask again in %v: a change of policy would be felt late", w.Until.Sub(now))
	}
}

func TestPolicyInherits(t *testing.T) {
	t.Parallel()
	var th throttle.Throttle
	th.SetPolicies(map[string]throttle.Policy{
		throttle.Everyone: {Connections: 30, PerConnection: 7},
		"google":          {PerConnection: 9},
		"few.test":        {PerConnection: 3},
	})
	tests := []struct {
		site  string
		most  int // messages a connection carries
		place int // connections at first
	}{
		{"google", 9, 2},     // its own
		{"yahoo", 20, 2},     // known
		{"mx.test", 7, 2},    // everyone's
		{"other.test", 7, 2}, // everyone's
	}
	if !th.Reuse("mx.test", "few.test", 2, start) || th.Reuse("mx.test", "few.test", 3, start) {
		t.Error("few.test: want connections to carry 3 messages when it had the last of them")
	}
	for _, test := range tests {
		if !th.Reuse(test.site, "a.test", test.most-1, start) || th.Reuse(test.site, "a.test", test.most, start) {
			t.Errorf("%s: want connections to carry %d messages", test.site, test.most)
		}
		for i := range test.place + 1 {
			if ok, _ := th.Connect(test.site, start); ok != (i < test.place) {
				t.Errorf("%s: connection %d: got %v", test.site, i+1, ok)
			}
		}
	}
}

// Before the MX of a domain are known, one message goes ahead, and before its
// site has answered; then there are two for each connection that the site may
// have, over all its domains.
func TestWindow(t *testing.T) {
	t.Parallel()
	var th throttle.Throttle
	th.SetPolicies(map[string]throttle.Policy{throttle.Everyone: {Rate: rate.Inf}, "c.test": {Connections: 1}})
	if n, w := th.Admit("a.test", 10, start); n != 1 || w.Site != "" || !w.Until.After(start) {
		t.Errorf("site unknown: got %d, %+v, want 1 and a time", n, w)
	}
	if n, _ := th.Admit("a.test", 10, start); n != 0 {
		t.Errorf("site unknown, one under way: got %d, want 0", n)
	}
	th.Assign("a.test", "site", start)
	if n, w := th.Admit("a.test", 10, start); n != 0 || w.Site != "site" {
		t.Errorf("no answer yet, one message under way: got %d, %+v, want 0 and the site", n, w)
	}
	th.Answered("site", start)
	if n, w := th.Admit("a.test", 10, start); n != 3 || w.Site != "site" || !w.Until.After(start) {
		t.Errorf("two connections, one message under way: got %d, %+v, want 3, the site and a time", n, w)
	}
	th.Assign("b.test", "site", start)
	if n, w := th.Admit("b.test", 10, start); n != 0 || w.Site != "site" {
		t.Errorf("other domain of the site: got %d, %+v, want 0 and the site", n, w)
	}
	if site := th.Done("a.test", notBegun, start); site != "site" {
		t.Errorf("free place: got %q, want %q", site, "site")
	}
	if n, _ := th.Admit("b.test", 10, start); n != 1 {
		t.Errorf("after one is done: got %d, want 1", n)
	}
	th.Assign("c.test", "other", start)
	th.Answered("other", start)
	if n, _ := th.Admit("c.test", 10, start); n != 1 {
		t.Errorf("domain with a limit of its own: got %d, want 1", n)
	}
}

// A domain whose MX change takes its messages under way with it.
// A site that takes many has as many more admitted as it takes in 20 ms, so that it
// need not wait for the queue, and a slow site has none.
func TestAdmitsWhatASiteTakes(t *testing.T) {
	t.Parallel()
	for _, test := range []struct{ perSecond, want int }{{10, 2}, {1000, 2 + 20}, {2000, 2 + 40}} {
		var th throttle.Throttle
		th.SetPolicies(map[string]throttle.Policy{"*": {Rate: rate.Inf, Connections: 1}})
		th.Assign("a.test", "site", start)
		now := start
		for range 2 * test.perSecond {
			if n, w := th.Admit("a.test", 1, now); n != 1 {
				t.Fatalf("%d a second: got %d admitted (%+v), want 1", test.perSecond, n, w)
			}
			now = now.Add(time.Second / time.Duration(test.perSecond))
			th.Done("a.test", delivered, now)
		}
		if got, _ := th.Admit("a.test", 50, now); got != test.want {
			t.Errorf("a site that took %d a second: got %d admitted, want %d", test.perSecond, got, test.want)
		}
	}
}

func TestAssignMoves(t *testing.T) {
	t.Parallel()
	var th throttle.Throttle
	th.SetPolicies(map[string]throttle.Policy{throttle.Everyone: {Rate: rate.Inf}})
	th.Assign("a.test", "old", start)
	th.Answered("old", start)
	th.Answered("new", start)
	th.Admit("a.test", 4, start)
	th.Assign("a.test", "new", start)
	th.Assign("b.test", "old", start)
	if n, _ := th.Admit("b.test", 4, start); n != 4 {
		t.Errorf("at the old site: got %d, want 4", n)
	}
	if n, _ := th.Admit("a.test", 4, start); n != 0 {
		t.Errorf("at the new site: got %d, want 0", n)
	}
	for range 4 {
		if site := th.Done("a.test", delivered, start); site != "new" {
			t.Errorf("free place: got %q, want %q", site, "new")
		}
	}
	if n, _ := th.Admit("a.test", 4, start); n != 4 {
		t.Errorf("at the new site, all done: got %d, want 4", n)
	}
}

func TestOneGrantIsBounded(t *testing.T) {
	t.Parallel()
	var th throttle.Throttle
	th.SetPolicies(map[string]throttle.Policy{throttle.Everyone: {Rate: rate.Inf}, "site": {Connections: 1000}})
	th.Assign("a.test", "site", start)
	for range 200 { // until the site has a hundred connections
		n, w := th.Admit("a.test", 1000, start)
		if n > 50 {
			t.Fatalf("admitted at once: got %d, want at most 50", n)
		}
		if n == 50 {
			if w != (queue.Wait{}) {
				t.Errorf("more could begin: got %+v, want now", w)
			}
			return
		}
		for range 1000 {
			if ok, _ := th.Connect("site", start); !ok {
				break
			}
		}
		for range n {
			th.Done("a.test", delivered, start)
		}
	}
	t.Error("the window never reached 50")
}

// Domains out of use are forgotten, and come back with an empty bucket.
func TestForget(t *testing.T) {
	t.Parallel()
	var th throttle.Throttle
	th.SetPolicies(map[string]throttle.Policy{throttle.Everyone: {Rate: 10, Burst: 10}})
	th.Assign("a.test", "a", start)
	later := start.Add(24 * time.Hour)
	th.Admit("b.test", 1, later)
	if n, w := th.Admit("a.test", 10, later); n != 0 ||
		w.Until.Sub(later).Round(time.Millisecond) != 100*time.Millisecond {
		t.Errorf("admitted again: got %d, %v, want an empty bucket", n, w.Until.Sub(later))
	}
}

func BenchmarkAdmit(b *testing.B) {
	var th throttle.Throttle
	th.SetPolicies(map[string]throttle.Policy{throttle.Everyone: {Rate: 1e6, Burst: 1000}})
	domains := make([]string, 20_000)
	for i := range domains {
		domains[i] = fmt.Sprintf("d%d.test", i)
		th.Assign(domains[i], domains[i], start)
	}
	now := start
	b.ReportAllocs()
	for i := 0; b.Loop(); i++ {
		now = now.Add(time.Microsecond)
		domain := domains[i%len(domains)]
		n, _ := th.Admit(domain, 1, now)
		for range n {
			th.Done(domain, delivered, now)
		}
	}
}

// A site that does not answer gets no second message beside the one that it has;
// and one that stops, none beside those that it has. So a thousand of them take
// a thousand messages, and not all there may be.
func TestAdmitsLittleToSitesThatDoNotMove(t *testing.T) {
	t.Parallel()
	var th throttle.Throttle
	th.SetPolicies(map[string]throttle.Policy{throttle.Everyone: {Rate: rate.Inf}})
	th.Assign("a.test", "site", start)
	steps := []struct {
		what string
		at   time.Duration
		does func(now time.Time)
		want int // messages admitted then
	}{
		{"nothing known", 0, nil, 1},
		{"no answer", time.Hour, nil, 0},
		{"it opened a connection", time.Hour, func(now time.Time) { th.Moved("site", now) }, 0},
		{"it answered at once", time.Hour, func(now time.Time) { th.Done("a.test", delivered, now) }, 4},
		{"stuck", 2 * time.Hour, func(now time.Time) { th.Done("a.test", notBegun, now) }, 0},
		// two are under way
		{"it answered", 2 * time.Hour, func(now time.Time) { th.Done("a.test", delivered, now) }, 0},
		{"and soon again", 2 * time.Hour, func(now time.Time) { th.Done("a.test", delivered, now) }, 3},
		{"it cannot be reached", 2 * time.Hour, func(now time.Time) {
			for range 3 {
				th.Done("a.test", notBegun, now)
			}
			th.Unreached("a.test", "site", queue.Reply{Text: "no route"}, now.Add(time.Minute), now)
		}, 0},
	}
	for _, step := range steps {
		now := start.Add(step.at)
		if step.does != nil {
			step.does(now)
		}
		if n, w := th.Admit("a.test", 10, now); n != step.want || n > 0 && w.Site != "site" {
			t.Errorf("%s: got %d, %+v, want %d and the site", step.what, n, w, step.want)
		}
	}
	now := start.Add(2 * time.Hour)
	if c := th.Closure("a.test", now); c.Class != queue.Offline || !c.Until.Equal(now.Add(time.Minute)) ||
		c.Reply.Text != "no route" || !c.Certain {
		t.Errorf("closure: got %+v, want a certain one for a minute, and why", c)
	}
	th.Assign("b.test", "site", now)
	if c := th.Closure("b.test", now); c.Class != queue.Offline || c.Certain {
		t.Errorf("another domain of the site: got %+v, want a closure that is not certain: it may have other hosts", c)
	}
	th.Done("a.test", notBegun, now)
	for name, want := range map[string]int{"a.test": 0, "b.test": 1} {
		if n, _ := th.Admit(name, 10, now); n != want {
			t.Errorf("%s when no host of a.test can be reached: got %d admitted, want %d", name, n, want)
		}
	}
	th.Answered("site", now)
	if c := th.Closure("a.test", now); c != (queue.Closure{}) {
		t.Errorf("closure once it moved: got %+v, want none", c)
	}
}

// While all connections belong to sites with messages, none is admitted to a site
// without one, unless it is urgent; a site that has nothing more makes way.
func TestSitesWithConnectionsGoFirst(t *testing.T) {
	t.Parallel()
	var th throttle.Throttle
	th.SetPolicies(map[string]throttle.Policy{throttle.Everyone: {Rate: rate.Inf}})
	for _, domain := range []string{"a.test", "b.test", "c.test"} {
		th.Assign(domain, "site of "+domain, start)
	}
	admits := func(what, domain string, now time.Time, want int) {
		t.Helper()
		if n, w := th.Admit(domain, 1, now); n != want || n == 0 &&
			(!w.Until.After(now) || w.Until.After(now.Add(time.Second))) {
			t.Errorf("%s: got %d, %+v, want %d, and else a time soon", what, n, w, want)
		}
	}
	th.Room(1)
	admits("room for one", "a.test", start, 1)
	admits("one is coming", "b.test", start, 0)
	th.Connect("site of a.test", start)
	th.Room(0)
	th.Answered("site of a.test", start)
	admits("no room", "b.test", start, 0)
	admits("a site with a connection", "a.test", start, 1)
	if n, _ := th.AdmitUrgent("b.test", 1, start); n != 1 {
		t.Errorf("urgent: got %d, want 1", n)
	}
	th.Done("b.test", notBegun, start)
	th.Done("a.test", delivered, start)
	th.Done("a.test", delivered, start)
	admits("its messages are done just now", "b.test", start, 0)
	later := start.Add(time.Second)
	admits("they are done for long", "b.test", later, 1)
	admits("one is coming in its place", "c.test", later, 0)
	admits("it is held up", "c.test", later.Add(time.Second), 1)
}
