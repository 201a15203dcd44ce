package throttle_test

import (
	"testing"
	"time"

	"enotify/queue"
	"enotify/sender/throttle"

	"golang.org/x/time/rate"
)

// opened begins one message to a domain whose site answers, and opens a connection for it.
func opened(t *testing.T, th *throttle.Throttle, domain, site string, now time.Time) {
	t.Helper()
	if n, _ := th.Admit(domain, 1, now); n != 1 {
		t.Fatalf("%s: got %d admitted, want 1", domain, n)
	}
	if ok, _ := th.Connect(site, now); !ok {
		t.Fatalf("%s: got no connection, want one", site)
	}
}

func twoSites() *throttle.Throttle {
	var th throttle.Throttle
	th.SetPolicies(map[string]throttle.Policy{throttle.Everyone: {Rate: rate.Inf}})
	for domain, site := range map[string]string{"a.test": "a", "b.test": "b"} {
		th.Assign(domain, site, start)
		th.Answered(site, start)
	}
	return &th
}

// A site that has a connection gets no second one while another site has none.
func TestSiteYields(t *testing.T) {
	t.Parallel()
	th := twoSites()
	th.Room(1)
	opened(t, th, "a.test", "a", start)
	th.Room(0)
	if n, _ := th.Admit("b.test", 1, start); n != 0 {
		t.Fatalf("b without a connection to be had: got %d admitted, want 0", n)
	}
	th.Room(1)
	if !th.Yields("a", start) {
		t.Error("one connection left, for which b waits: got a take it, want it to yield")
	}
	if n, _ := th.Admit("a.test", 100, start); n != 1 {
		t.Errorf("a on its one connection: got %d more admitted, want 1: two are enough to keep it busy", n)
	}
	if n, _ := th.AdmitUrgent("a.test", 100, start); n != 2 {
		t.Errorf("urgent: got %d more admitted, want 2, as for two connections", n)
	}
	if th.Yields("a", start.Add(3*time.Second)) {
		t.Error("b has not come again for 3 s: got a yield, want it to take the connection")
	}
	opened(t, th, "b.test", "b", start)
	th.Room(1)
	if th.Yields("a", start) {
		t.Error("b has its connection: got a yield, want it to take the one that is left")
	}
}

// A site that does not answer may need a second connection to move at all.
func TestStuckSiteDoesNotYield(t *testing.T) {
	t.Parallel()
	th := twoSites()
	th.Room(1)
	opened(t, th, "a.test", "a", start)
	th.Room(0)
	later := start.Add(3 * time.Second)
	th.Admit("b.test", 1, later)
	th.Room(1)
	if th.Yields("a", later) {
		t.Error("no answer for 3 s: got a yield, want it not to")
	}
}

// A site keeps its connections between two messages as long as there is mail for it.
func TestSiteWithMailIsBusy(t *testing.T) {
	t.Parallel()
	th := twoSites()
	n, _ := th.Admit("a.test", 10, start)
	if n == 0 || n == 10 {
		t.Fatalf("got %d of 10 admitted, want some", n)
	}
	for range n {
		th.Done("a.test", delivered, start)
	}
	for _, test := range []struct {
		after time.Duration
		want  bool
	}{{200 * time.Millisecond, true}, {2 * time.Second, false}} {
		if got := th.Busy("a", start.Add(test.after)); got != test.want {
			t.Errorf("%v after a part of its mail was done: got busy %v, want %v", test.after, got, test.want)
		}
	}
	now := start.Add(200 * time.Millisecond)
	if n, _ := th.Admit("a.test", 1, now); n != 1 {
		t.Fatalf("got %d admitted, want the last one", n)
	}
	th.Done("a.test", delivered, now)
	if now = now.Add(200 * time.Millisecond); th.Busy("a", now) {
		t.Error("after the last message: got busy, want not")
	}
}

// The next process, or node, opens as many connections to a site as this one learned
// that it bears, without having met a refusal.
func TestConnectionsStartAtWhatASiteBears(t *testing.T) {
	t.Parallel()
	first := twoSites()
	for now := start.Add(-time.Minute); first.Pace("a").Connections(5, now) < 5; {
		first.Connect("a", now)
		n, _ := first.Admit("a.test", 10, now)
		for range n {
			now = now.Add(10 * time.Millisecond)
			first.Done("a.test", delivered, now)
		}
	}
	memos := keep(first, start)
	if len(memos) != 1 || memos[0].Name != "a" {
		t.Fatalf("kept: got %+v, want what was learned of a", memos)
	}
	for _, test := range []struct {
		age   time.Duration
		limit int
		want  int
	}{{time.Hour, 10, 5}, {time.Hour, 3, 3}, {31 * 24 * time.Hour, 10, 2}} {
		next := twoSites()
		memos[0].Age = test.age
		next.Restore(memos, start.Add(test.age))
		if got := next.Pace("a").Connections(test.limit, start.Add(test.age)); got != test.want {
			t.Errorf("%v later, where %d are allowed: got %d connections, want %d", test.age, test.limit, got, test.want)
		}
	}
	reset := twoSites()
	reset.Restore(memos, start)
	reset.Restore([]queue.Memo{{Kind: queue.Site, Name: "a", Domain: "a.test", State: []byte("{}"), Version: 2}}, start)
	if got := reset.Pace("a").Connections(10, start); got != 2 {
		t.Errorf("forgotten by an operator: got %d connections, want 2", got)
	}
}

// A site needs no further connection when those it has carry what there is for it.
func TestConnectionsSuffice(t *testing.T) {
	t.Parallel()
	th := twoSites()
	opened(t, th, "a.test", "a", start) // one message, of one
	for _, test := range []struct {
		what          string
		want          int // messages that there are, beside those under way
		waiting, each int
		suffices      bool
	}{
		{"nothing left", 0, 3, 3, true},
		{"more wait than one connection carries", 0, 4, 3, false},
		{"more are left than it carries", 20, 3, 10, false},
		{"it carries all that is left", 20, 3, 30, true},
		{"nobody knows how many are left", 50, 3, 1000, false},
	} {
		if test.want > 0 {
			n, _ := th.Admit("a.test", test.want, start)
			for range n {
				defer th.Done("a.test", delivered, start)
			}
		}
		if got := th.Suffices("a", test.waiting, test.each, start); got != test.suffices {
			t.Errorf("%s: got suffices %v, want %v", test.what, got, test.suffices)
		}
	}
	if th.Suffices("a", 0, 1000, start.Add(3*time.Second)) {
		t.Error("no answer for 3 s: got suffices, want not: another connection may be what it needs to move")
	}
}

// A site that took long for its last answer, or takes long for the next, lags.
func TestSiteLags(t *testing.T) {
	t.Parallel()
	th := twoSites()
	opened(t, th, "a.test", "a", start)
	for _, test := range []struct {
		what string
		at   time.Duration
		does func(now time.Time)
		want bool
	}{
		{"a message just begun", 0, nil, false},
		{"no answer for two seconds", 2 * time.Second, nil, true},
		{"a late answer", 2 * time.Second, func(now time.Time) { th.Done("a.test", delivered, now) }, true},
		{"nothing under way since", time.Minute, nil, true},
		{"a quick answer", time.Minute, func(now time.Time) {
			th.Admit("a.test", 1, now)
			th.Done("a.test", delivered, now)
		}, false},
	} {
		now := start.Add(test.at)
		if test.does != nil {
			test.does(now)
		}
		if moved, lags := th.Moves("a", now); !moved || lags != test.want {
			t.Errorf("%s: got moved %v, lags %v, want true, %v", test.what, moved, lags, test.want)
		}
	}
}
