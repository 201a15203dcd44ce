package throttle_test

import (
	"math"
	"slices"
	"testing"
	"time"

	"enotify/queue"
	"enotify/sender/throttle"

	"golang.org/x/time/rate"
)

// The rate of a site holds for all its domains together, whatever each of
// them may have; it changes at once, and is not there until it is set.
func TestSiteRate(t *testing.T) {
	t.Parallel()
	var th throttle.Throttle
	set := func(site throttle.Policy) {
		th.SetPolicies(map[string]throttle.Policy{throttle.Everyone: {Rate: 1000, Burst: 50}, "site": site})
	}
	set(throttle.Policy{Rate: 20, Burst: 3, Connections: 100})
	domains := []string{"a.test", "b.test", "c.test"}
	for _, d := range domains {
		th.Assign(d, "site", start)
	}
	run := func(from time.Time, d time.Duration) (begun []time.Time) {
		for now := from; now.Before(from.Add(d)); now = now.Add(time.Millisecond) {
			for _, domain := range domains {
				n, _ := th.Admit(domain, 10, now)
				for range n {
					begun = append(begun, now)
					th.Done(domain, delivered, now)
				}
			}
		}
		return begun
	}
	begun := run(start, 10*time.Second)
	if got := busiest(begun, time.Second); got > 23 {
		t.Errorf("began within a second at 20/s and a burst of 3: got %d", got)
	}
	if len(begun) < 190 {
		t.Errorf("began within 10 s at 20/s: got %d", len(begun))
	}
	set(throttle.Policy{Connections: 100})
	now := start.Add(10 * time.Second)
	if got := len(run(now, time.Second)); got < 1000 {
		t.Errorf("began within a second at three domains of 1000/s each: got %d", got)
	}
	set(throttle.Policy{Rate: 5.0 / 60})
	now = now.Add(time.Second)
	if got := len(run(now, time.Minute)); got < 4 || got > 5 {
		t.Errorf("began within a minute at 5/min: got %d", got)
	}
}

// A policy whose name is a domain and also the site of it and of others holds
// for both.
func TestSiteRateOfANameThatIsBoth(t *testing.T) {
	t.Parallel()
	var th throttle.Throttle
	th.SetPolicies(map[string]throttle.Policy{throttle.Everyone: {Rate: rate.Inf, Burst: 10},
		"example.org": {Rate: 1, Burst: 1}})
	th.Assign("example.org", "example.org", start)
	th.Assign("guest.test", "example.org", start)
	now := start.Add(time.Minute)
	a, _ := th.Admit("example.org", 5, now)
	b, _ := th.Admit("guest.test", 5, now)
	if a != 1 || b != 0 {
		t.Errorf("admitted to the domain and to a guest of its site: got %d and %d, want 1 and 0", a, b)
	}
	if got := th.SitePolicy("other.test").Rate; got != rate.Inf {
		t.Errorf("rate of a site that has none set: got %v, want none", got)
	}
}

// What began before the site was known counts at the site.
func TestSiteRateCountsWhatIsUnderWay(t *testing.T) {
	t.Parallel()
	var th throttle.Throttle
	th.SetPolicies(map[string]throttle.Policy{throttle.Everyone: {Rate: rate.Inf}, "site": {Rate: 1, Burst: 1}})
	th.Assign("a.test", "site", start)
	now := start.Add(10 * time.Second)
	th.Admit("b.test", 1, now)
	th.Assign("b.test", "site", now)
	if n, _ := th.Admit("a.test", 1, now); n != 0 {
		t.Errorf("admitted at 1/s besides what was under way: got %d, want 0", n)
	}
}

func TestPaceSlows(t *testing.T) {
	t.Parallel()
	var p throttle.Pace
	if got := p.Limit(100); got != 100 {
		t.Errorf("open: got %v/s, want the policy's 100", got)
	}
	p = p.Slow(10, 0, start)
	if got := p.Limit(100); got != 8 {
		t.Errorf("slow: got %v/s, want four fifths of what it bore, 8", got)
	}
	if got := p.Limit(5); got != 5 {
		t.Errorf("slow, policy of 5/s: got %v/s, want 5", got)
	}
	if p.Connections(10, start) != 1 {
		t.Errorf("slow: got %d connections, want one to see", p.Connections(10, start))
	}
	worse := p
	for i, w := range []time.Duration{1, 2, 4, 8, 16, 32, 60, 60} {
		worse = worse.Slow(8, 0, start)
		if got := worse.ClosedUntil.Sub(start); got != w*time.Second {
			t.Errorf("asked again, %d: closed for %v, want %v", i+1, got, w*time.Second)
		}
	}
	if got := worse.Limit(100); got < 1.0/60 || got > 0.1 {
		t.Errorf("asked again and again: got %v/s", got)
	}
	open := worse.Succeed(true, 10, worse.ClosedUntil)
	if open.Connections(10, worse.ClosedUntil) != 2 || open.Limit(100) > 1.25*worse.Rate {
		t.Errorf("a good probe: got %+v, want it open at the lower rate", open)
	}
	if low, high := p.Slow(1, -1, start).ClosedUntil, p.Slow(1, 0.999,
		start).ClosedUntil; low.Sub(start) != 800*time.Millisecond ||
		high.Sub(start).Round(time.Millisecond) != 1200*time.Millisecond {
		t.Errorf("jitter: got %v to %v, want 0.8s to 1.2s", low.Sub(start), high.Sub(start))
	}
}

func TestPaceRaisesRate(t *testing.T) {
	t.Parallel()
	p := throttle.Pace{}.Slow(10, 0, start)
	now := start.Add(59 * time.Second)
	if got := p.Succeed(false, 10, now).Rate; got != 8 {
		t.Errorf("within a minute: got %v/s, want 8", got)
	}
	now = start.Add(time.Minute)
	p = p.Succeed(false, 10, now)
	if p.Rate != 10 {
		t.Errorf("after a minute: got %v/s, want 10", p.Rate)
	}
	again := p.Slow(10, 0, now)
	if got := again.RateProbeAt.Sub(now); got != 2*time.Minute {
		t.Errorf("asked again, next step in %v, want 2m", got)
	}
	for range 200 {
		now = now.Add(time.Hour)
		p = p.Succeed(false, 10, now)
	}
	if got := p.Limit(rate.Inf); got != rate.Inf {
		t.Errorf("never asked again: got %v/s, want no limit", got)
	}
}

// A site that takes ten a second, and answers the others with "too fast", gets
// nearly that and refuses few.
func TestLearnsRate(t *testing.T) {
	t.Parallel()
	var th throttle.Throttle
	th.SetPolicies(map[string]throttle.Policy{throttle.Everyone: {Rate: 100, Connections: 20}})
	th.Assign("a.test", "site", start)
	sent, refused := 0, 0
	var second time.Time
	inSecond := 0
	for now := start; now.Before(start.Add(30 * time.Minute)); now = now.Add(20 * time.Millisecond) {
		if now.Sub(second) >= time.Second {
			second, inSecond = now, 0
		}
		n, _ := th.Admit("a.test", 10, now)
		for range n {
			if inSecond++; inSecond > 10 {
				refused++
				th.Done("a.test", tooFast, now)
			} else {
				sent++
				th.Done("a.test", delivered, now)
			}
		}
	}
	t.Logf("sent %d, refused %d", sent, refused)
	if sent < 18_000*7/10 {
		t.Errorf("sent in half an hour: got %d of 18,000", sent)
	}
	if per := 1000 * float64(refused) / float64(sent); per > 1 {
		t.Errorf("refusals per 1,000: got %.2f (%d)", per, refused)
	}
}

// A reply that names neither rate nor connections is about connections where
// there are many, else about the rate.
func TestSlowedByWhatIsSaid(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		reply       string
		connections int // open
		rate        bool
	}{
		{"Too many concurrent SMTP connections", 2, false},
		{"Too many concurrent SMTP connections", 8, false},
		{"Our system has detected an unusual rate of mail", 8, true},
		{"Try again later, closing connection", 8, false},
		{"Try again later, closing connection", 2, true},
	} {
		var th throttle.Throttle
		th.SetPolicies(map[string]throttle.Policy{throttle.Everyone: {Rate: rate.Inf, Connections: 8}})
		th.Assign("a.test", "site", start)
		grow(&th, test.connections)
		th.Admit("a.test", 1, start)
		th.Done("a.test", delivered, start)
		th.Admit("a.test", 1, start)
		th.Done("a.test", queue.Outcome{State: queue.Deferred, Class: queue.Throttled,
			Reply: queue.Reply{Code: 421, Enhanced: "4.7.0", Text: test.reply}}, start)
		p := th.Pace("site")
		if got := p.Rate > 0; got != test.rate || (p.Ceiling > 0) == test.rate {
			t.Errorf("%q with %d connections: got %+v", test.reply, test.connections, p)
		}
		if p.Why != "421 4.7.0 "+test.reply || !p.WhyAt.Equal(start) {
			t.Errorf("why: got %q at %v", p.Why, p.WhyAt)
		}
	}
}

// keep plays package queue: what changed is written and has a new version.
func keep(th *throttle.Throttle, now time.Time) []queue.Memo {
	memos := th.Changed(now)
	for i := range memos {
		memos[i].Version++
	}
	th.Kept(memos)
	return memos
}

// What was learned goes on in the next process, whose clock may be another.
func TestRestore(t *testing.T) {
	t.Parallel()
	var first, second throttle.Throttle
	for _, th := range []*throttle.Throttle{&first, &second} {
		th.SetPolicies(map[string]throttle.Policy{throttle.Everyone: {Rate: rate.Inf}})
	}
	first.Assign("a.test", "site", start)
	first.Assign("b.test", "plain", start)
	grow(&first, 4)
	first.Refused("site", queue.Reply{Code: 421, Text: "Too many connections"}, start)
	for range 3 {
		first.Closed("site", start)
	}
	for range 3 { // closed for 4 s in the end
		first.Refused("site", queue.Reply{Code: 421, Text: "Go away"}, start)
		first.Connect("site", start.Add(time.Minute))
	}
	first.Block("site", "192.0.2.1", "550 Blocked", start)

	memos := keep(&first, start)
	if len(memos) != 1 || memos[0].Kind != queue.Site || memos[0].Name != "site" || memos[0].Domain != "a.test" ||
		memos[0].Version != 1 {
		t.Fatalf("kept: got %+v, want the one site about which something was learned", memos)
	}
	if again := first.Changed(start); len(again) != 0 {
		t.Errorf("to be kept when it has just been: got %+v", again)
	}

	now := start.Add(24*time.Hour + time.Second) // by the other clock, a second later
	memos[0].Age = time.Second
	second.Restore(memos, now)
	was, is := first.Pace("site"), second.Pace("site")
	if is.Ceiling != 3 || is.Refusals != 3 || is.Why != "421 Go away" {
		t.Errorf("learned: got %+v, want %+v", is, was)
	}
	if got, want := is.ClosedUntil.Sub(now), was.ClosedUntil.Sub(start)-time.Second; got <= 0 ||
		got.Round(time.Millisecond) != want.Round(time.Millisecond) {
		t.Errorf("closed for %v more, want %v", got, want)
	}
	if got := second.Held("site", "192.0.2.1", now).Sub(now); got < 11*time.Minute || got > 18*time.Minute {
		t.Errorf("held for %v more, want about 15m", got)
	}
	if second.Changed(now) != nil {
		t.Error("what was read is to be written again")
	}

	// An operator had it forgotten: that is newer than what we know.
	second.Restore([]queue.Memo{{Kind: queue.Site, Name: "site", Domain: "a.test", State: []byte("{}"), Version: 2}},
		now)
	if got := second.Pace("site"); got != (throttle.Pace{}) || !second.Held("site", "192.0.2.1", now).IsZero() {
		t.Errorf("forgotten: got %+v", got)
	}
	second.Restore(memos, now)
	if got := second.Pace("site"); got != (throttle.Pace{}) {
		t.Errorf("an old memo: got %+v, want it passed over", got)
	}
}

// What changes while it is being written is written again.
func TestChangedWhileKept(t *testing.T) {
	t.Parallel()
	var th throttle.Throttle
	th.Assign("a.test", "site", start)
	th.Block("site", "192.0.2.1", "550 Blocked", start)
	memos := th.Changed(start)
	th.Block("site", "192.0.2.2", "550 Blocked", start)
	memos[0].Version = 1
	th.Kept(memos)
	if again := th.Changed(start); len(again) != 1 || again[0].Version != 1 {
		t.Errorf("got %+v, want it again, in place of version 1", again)
	}
}

func TestHold(t *testing.T) {
	t.Parallel()
	var th throttle.Throttle
	th.SetPolicies(map[string]throttle.Policy{throttle.Everyone: {Rate: rate.Inf}})
	th.Assign("a.test", "site", start)
	now := start
	for i, want := range []time.Duration{15, 30, 60, 120, 240, 240} {
		h, fresh := th.Block("site", "192.0.2.1", "550 Blocked", now)
		got := h.Until.Sub(now)
		if low, high := want*time.Minute*8/10, want*time.Minute*12/10; !fresh || got < low || got > high {
			t.Errorf("block %d: %v, %v, want fresh, and %v ± 20 %%", i+1, got, fresh, want*time.Minute)
		}
		if _, fresh = th.Block("site", "192.0.2.1", "550 Blocked", now); fresh {
			t.Error("a second reply while it is held: want it to tell nothing new")
		}
		th.Unblock("site", "192.0.2.1", now) // of a message that was under way
		if th.Held("site", "192.0.2.1", now) != h.Until || !th.Held("site", "192.0.2.2", now).IsZero() {
			t.Error("want this address held, and no other")
		}
		now = h.Until
	}
	th.Unblock("site", "192.0.2.1", now)
	if h, _ := th.Block("site", "192.0.2.1", "550 Blocked", now); h.Times != 1 {
		t.Errorf("blocked after a good reply: got the %dth in a row, want the first", h.Times)
	}

	th.Shut("site", now)
	until := th.Held("site", "192.0.2.1", now)
	if n, w := th.Admit("a.test", 5, now); n != 0 || w.Site != "" || !w.Until.After(now) {
		t.Errorf("all addresses held: admitted %d, %+v", n, w)
	}
	if ok, at := th.Connect("site", now); ok || !at.Equal(until) {
		t.Errorf("connect: got %v, %v, want false, %v", ok, at, until)
	}
	if n, _ := th.Admit("a.test", 5, until); n != 1 {
		t.Errorf("the hold has ended: admitted %d, want one to see", n)
	}
}

// The bucket of a slow rate goes on as it was: a restart neither grants more
// nor starts its wait again.
func TestSlowBucketGoesOn(t *testing.T) {
	t.Parallel()
	day := map[string]throttle.Policy{"a.test": {Rate: 10.0 / 86400, Burst: 2}, "site": {Rate: 20.0 / 86400, Burst: 5}}
	th := &throttle.Throttle{}
	th.SetPolicies(day)
	var kept []queue.Memo
	sent := 0
	var begun []time.Time
	for hour := range 24 * 30 { // restarted every hour
		now := start.Add(time.Duration(hour) * time.Hour)
		next := &throttle.Throttle{}
		next.SetPolicies(day)
		if hour > 0 {
			next.Restore(kept, now)
		}
		th = next
		th.Assign("a.test", "site", now)
		for minute := range 50 {
			now := now.Add(time.Duration(minute) * time.Minute)
			n, _ := th.Admit("a.test", 10, now)
			if spent := th.Spent(now); (n > 0) != (len(spent) == 2) {
				t.Fatalf("admitted %d, to be kept before they begin: %d memos", n, len(spent))
			}
			memos := th.Changed(now)
			for i := range memos {
				memos[i].Version++
			}
			th.Kept(memos)
			for _, m := range memos {
				m.At = now
				kept = append(slices.DeleteFunc(kept,
					func(k queue.Memo) bool { return k.Kind == m.Kind && k.Name == m.Name }), m)
			}
			for range n {
				sent++
				begun = append(begun, now)
				th.Done("a.test", delivered, now)
			}
		}
		for i := range kept {
			kept[i].Age = start.Add(time.Duration(hour+1) * time.Hour).Sub(kept[i].At)
		}
	}
	if got := busiest(begun, 24*time.Hour); got > 12 {
		t.Errorf("began within a day at 10/day and a burst of 2: got %d", got)
	}
	if want := int(math.Floor(0.95 * 300)); sent < want {
		t.Errorf("began within 30 days at 10/day: got %d, want at least %d", sent, want)
	}
}
