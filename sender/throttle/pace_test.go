package throttle_test

import (
	"testing"
	"time"

	"enotify/queue"
	"enotify/sender/throttle"

	"golang.org/x/time/rate"
)

// succeed has a site give n good replies at once.
func succeed(p throttle.Pace, n, limit int, now time.Time) throttle.Pace {
	return succeedEach(p, n, limit, 0, now)
}

// succeedEach has a site give n good replies, so far from each other.
func succeedEach(p throttle.Pace, n, limit int, apart time.Duration, now time.Time) throttle.Pace {
	for i := range n {
		p = p.Succeed(true, limit, now.Add(time.Duration(i)*apart))
	}
	return p
}

func TestPaceGrows(t *testing.T) {
	t.Parallel()
	var p throttle.Pace
	if got := p.Connections(10, start); got != 2 {
		t.Errorf("at first: got %d, want 2", got)
	}
	if got := p.Connections(1, start); got != 1 {
		t.Errorf("at first, with a policy of 1: got %d, want 1", got)
	}
	const apart = 10 * time.Millisecond // a site across the Internet
	if got := succeedEach(p, 8, 10, apart, start).Connections(10, start); got != 3 {
		t.Errorf("after 4 replies each: got %d, want 3", got)
	}
	if got := succeedEach(p, 1000, 10, apart, start).Connections(10, start); got != 10 {
		t.Errorf("in the end: got %d, want the policy's 10", got)
	}
	idle := p
	for range 1000 {
		idle = idle.Succeed(false, 10, start)
	}
	if got := idle.Connections(10, start); got != 2 {
		t.Errorf("never busy: got %d, want 2", got)
	}
}

// A site that answers at once is allowed more connections sooner, by steps that bound what
// it has to refuse; one that has asked for less grows like any other.
func TestPaceGrowsFasterNearby(t *testing.T) {
	t.Parallel()
	const apart, limit = 100 * time.Microsecond, 100
	var p throttle.Pace
	for _, want := range []int{4, 8, 16, 24, 32, 40} {
		p = succeedEach(p, 4*p.Connections(limit, start)-1, limit, apart, start)
		if got := p.Connections(limit, start); got == want {
			t.Errorf("before 4 replies each: got %d already", got)
		}
		if p = p.Succeed(true, limit, start); p.Connections(limit, start) != want {
			t.Errorf("after 4 replies each: got %d, want %d", p.Connections(limit, start), want)
		}
	}
	if got := succeedEach(throttle.Pace{}, 8, 3, apart, start).Connections(3, start); got != 3 {
		t.Errorf("where 3 are allowed: got %d", got)
	}
	if got := succeedEach(throttle.Pace{}, 8, limit, 3*time.Millisecond, start).Connections(limit, start); got != 3 {
		t.Errorf("8 replies within 21 ms: got %d, want 3", got)
	}
	for name, asked := range map[string]throttle.Pace{
		"it has refused a connection": p.Refuse(5, 0, start), "it has asked for fewer": p.Crowd(10, 0, start),
		"we were too fast for it": p.Slow(50, 0, start), "it has complained": {Allowed: 5, WhyAt: start},
	} {
		now := start.Add(time.Hour)
		for range 2 { // the first reply ends what was refused
			asked = asked.Succeed(true, limit, now)
		}
		before := asked.Connections(limit, now)
		asked = succeedEach(asked, 4*before, limit, apart, now)
		if got := asked.Connections(limit, now); got != before+1 {
			t.Errorf("%s: got %d, want one more than %d", name, got, before)
		}
	}
}

func TestPaceRemembersCeiling(t *testing.T) {
	t.Parallel()
	p := succeed(throttle.Pace{}, 1000, 10, start)
	p = p.Refuse(5, 0, start)
	if got := p.Connections(10, start); got != 5 {
		t.Errorf("after a refusal with 5 open: got %d, want 5", got)
	}
	now := start.Add(59 * time.Second)
	if got := succeed(p, 1000, 10, now).Connections(10, now); got != 5 {
		t.Errorf("within a minute: got %d, want 5", got)
	}
	now = start.Add(time.Minute)
	probe := succeed(p, 4*5, 10, now)
	if got := probe.Connections(10, now); got != 6 {
		t.Errorf("after a minute: got %d, want to try 6", got)
	}
	again := probe.Refuse(5, 0, now)
	if got := again.ProbeAt.Sub(now); got != 2*time.Minute {
		t.Errorf("refused again, next try in %v, want 2m", got)
	}
	for range 20 {
		again = again.Refuse(5, 0, now)
	}
	if got := again.ProbeAt.Sub(now); got != time.Hour {
		t.Errorf("refused many times, next try in %v, want 1h", got)
	}
	free := succeed(probe, 1000, 10, now)
	if got := free.Connections(10, now); got != 10 {
		t.Errorf("the ceiling is gone: got %d, want 10", got)
	}
	if got := free.Refuse(9, 0, now).ProbeAt.Sub(now); got != time.Minute {
		t.Errorf("a new ceiling, next try in %v, want 1m", got)
	}
}

func TestPaceCrowded(t *testing.T) {
	t.Parallel()
	p := succeed(throttle.Pace{}, 1000, 10, start)
	p = p.Crowd(10, 0, start)
	if got := p.Connections(10, start); got != 5 {
		t.Errorf("after a reply: got %d, want 5", got)
	}
	if got := succeed(p, 1000, 10, start).Connections(10, start); got != 9 {
		t.Errorf("grown again: got %d, want one less than were open, 9", got)
	}
	p = p.Crowd(5, 0, start).Crowd(2, 0, start)
	if got := p.Connections(10, start); got != 1 {
		t.Errorf("after three: got %d, want 1", got)
	}
	if p = p.Crowd(1, 0, start); p.Connections(10, start) != 0 || p.Connections(10, start.Add(time.Second)) != 1 {
		t.Errorf("slowed down on the only connection: got %+v, want closed for 1s, then 1", p)
	}
}

func TestPaceClosed(t *testing.T) {
	t.Parallel()
	var p throttle.Pace
	want := []time.Duration{1, 2, 4, 8, 16, 32, 60, 60}
	for i, w := range want {
		p = p.Refuse(0, 0, start)
		if got := p.ClosedUntil.Sub(start); got != w*time.Second {
			t.Errorf("refusal %d: closed for %v, want %v", i+1, got, w*time.Second)
		}
	}
	after := p.ClosedUntil
	if got := p.Connections(10, after); got != 1 {
		t.Errorf("when the wait is over: got %d, want 1 to see", got)
	}
	if got := p.Succeed(true, 10, after).Connections(10, after); got != 1 {
		t.Errorf("after the first good reply: got %d, want 1, to grow from", got)
	}
	if got := p.Succeed(true, 10, after).Refuse(0, 0, after).ClosedUntil.Sub(after); got != time.Second {
		t.Errorf("refused after a good reply: closed for %v, want 1s", got)
	}
	low, high := p.Refuse(0, -1, start).ClosedUntil, p.Refuse(0, 0.999, start).ClosedUntil
	if low.Sub(start) != 48*time.Second || high.Sub(start).Round(time.Second) != 72*time.Second {
		t.Errorf("jitter: got %v to %v, want 48s to 72s", low.Sub(start), high.Sub(start))
	}
}

// A closed site admits nothing, and says until when; then one message goes to
// see, and no second one before it has come back.
func TestClosedSite(t *testing.T) {
	t.Parallel()
	var th throttle.Throttle
	th.SetPolicies(map[string]throttle.Policy{throttle.Everyone: {Rate: rate.Inf}})
	th.Assign("a.test", "site", start)
	th.Admit("a.test", 1, start)
	th.Connect("site", start)
	until := th.Refused("site", queue.Reply{Code: 421, Text: "Too many connections"}, start)
	th.Done("a.test", queue.Outcome{State: queue.Deferred, Class: queue.Throttled, Reply: queue.Reply{Code: 421}},
		start)

	n, w := th.Admit("a.test", 10, start)
	if n != 0 || w.Until.After(until) || !w.Until.After(start) || w.Site != "" {
		t.Errorf("closed: got %d, %+v, want 0 and a time up to %v", n, w, until)
	}
	if ok, at := th.Connect("site", start); ok || !at.Equal(until) {
		t.Errorf("connect: got %v, %v, want false, %v", ok, at, until)
	}
	if wait := until.Sub(start); wait < 800*time.Millisecond || wait > 1200*time.Millisecond {
		t.Errorf("closed for %v, want 1s ± 20 %%", wait)
	}
	if n, w = th.Admit("a.test", 10, until); n != 1 || w.Site != "site" {
		t.Errorf("open again: got %d, %+v, want one to see", n, w)
	}
	if n, _ = th.Admit("a.test", 10, until); n != 0 {
		t.Errorf("while it is under way: got %d, want 0", n)
	}
	th.Connect("site", until)
	th.Done("a.test", delivered, until)
	if n, _ = th.Admit("a.test", 10, until); n != 2 {
		t.Errorf("after a good reply: got %d, want 2", n)
	}
}

// Messages under way when a site is slowed down count once.
func TestSlowedOnce(t *testing.T) {
	t.Parallel()
	var th throttle.Throttle
	th.SetPolicies(map[string]throttle.Policy{throttle.Everyone: {Rate: rate.Inf, Connections: 8}})
	th.Assign("a.test", "site", start)
	grow(&th, 8)
	n, _ := th.Admit("a.test", 16, start)
	for range n {
		th.Done("a.test", crowded, start)
	}
	if got := th.Pace("site").Connections(8, start); n != 16 || got != 4 {
		t.Errorf("%d throttled replies at once: got %d connections, want 4", n, got)
	}
}

// Greylisting is about one message, not about the pace.
func TestGreylistingDoesNotSlow(t *testing.T) {
	t.Parallel()
	var th throttle.Throttle
	th.SetPolicies(map[string]throttle.Policy{throttle.Everyone: {Rate: rate.Inf, Connections: 8}})
	th.Assign("a.test", "site", start)
	grow(&th, 8)
	n, _ := th.Admit("a.test", 16, start)
	for range n {
		th.Done("a.test", queue.Outcome{State: queue.Deferred, Class: queue.Throttled,
			Treatment: queue.Treatment{Requeues: true},
			Reply:     queue.Reply{Code: 451, Enhanced: "4.7.1", Text: "Greylisted, please try again later"}}, start)
	}
	if got := th.Pace("site").Connections(8, start); got != 8 {
		t.Errorf("after %d greylisted: got %d connections, want 8", n, got)
	}
}

// grow opens connections to "site" and sends to a.test until there are n.
func grow(th *throttle.Throttle, n int) {
	for open := 0; open < n; {
		if ok, _ := th.Connect("site", start); ok {
			open++
			continue
		}
		k, _ := th.Admit("a.test", 1, start)
		for range k {
			th.Done("a.test", delivered, start)
		}
	}
}

// At a site that refuses connection 6 and up, a day of sending meets few
// refusals and has five connections all the time.
func TestLearnsLimit(t *testing.T) {
	t.Parallel()
	var th throttle.Throttle
	th.SetPolicies(map[string]throttle.Policy{throttle.Everyone: {Rate: rate.Inf, Connections: 20}})
	th.Assign("a.test", "site", start)
	open, sent, refused, atFive := 0, 0, 0, 0
	for now := start; now.Before(start.Add(time.Hour)); now = now.Add(100 * time.Millisecond) {
		for {
			ok, _ := th.Connect("site", now)
			if !ok {
				break
			}
			if open == 5 {
				th.Refused("site", queue.Reply{Code: 421}, now)
				refused++
				break
			}
			open++
		}
		n, _ := th.Admit("a.test", open, now)
		for range n {
			th.Done("a.test", delivered, now)
			sent++
		}
		if open == 5 {
			atFive++
		}
	}
	if per := 1000 * float64(refused) / float64(sent); per > 0.5 {
		t.Errorf("refusals per 1,000 delivered: got %.2f (%d of %d), want at most 0.5", per, refused, sent)
	}
	if atFive < 35_000 {
		t.Errorf("tenths of a second with five connections: got %d of 36000", atFive)
	}
}

// A near site that bears 16 connections refuses few before we know.
func TestNearSiteRefusesFew(t *testing.T) {
	t.Parallel()
	const bears, most = 16, 8
	var th throttle.Throttle
	th.SetPolicies(map[string]throttle.Policy{throttle.Everyone: {Rate: rate.Inf, Connections: 100}})
	th.Assign("a.test", "site", start)
	open, refused := 0, 0
	for now := start; now.Before(start.Add(time.Second)); now = now.Add(100 * time.Microsecond) {
		opening := 0 // all of them before the site has refused one
		for ok, _ := th.Connect("site", now); ok; ok, _ = th.Connect("site", now) {
			opening++
		}
		for range opening {
			if open == bears {
				th.Refused("site", queue.Reply{Code: 421}, now)
				refused++
			} else {
				open++
			}
		}
		n, _ := th.Admit("a.test", open, now)
		for range n {
			th.Done("a.test", delivered, now)
		}
	}
	if open != bears || refused == 0 || refused > most {
		t.Errorf("got %d connections and %d refusals, want %d, and at most %d", open, refused, bears, most)
	}
}

// A site is closed while all our addresses are held there, or while it turns
// away each probe; one that was so yesterday is asked first.
func TestClosure(t *testing.T) {
	t.Parallel()
	var th throttle.Throttle
	th.SetPolicies(map[string]throttle.Policy{throttle.Everyone: {Rate: rate.Inf}})
	th.Assign("a.test", "site", start)
	want := func(now time.Time, want queue.Closure) {
		t.Helper()
		if got := th.Closure("a.test", now); got != want {
			t.Errorf("closure: got %+v, want %+v", got, want)
		}
	}
	want(start, queue.Closure{})
	now := start
	for now.Before(start.Add(6 * time.Minute)) {
		th.Connect("site", now)
		until := th.Refused("site", crowded.Reply, now)
		want(now, queue.Closure{Until: until, Since: start, Class: queue.Throttled, Reply: crowded.Reply})
		now = until
	}
	last := th.Pace("site")
	// while the next one goes as a probe
	want(now, queue.Closure{Until: last.ClosedUntil, Since: start, Class: queue.Throttled, Reply: crowded.Reply})
	want(now.Add(time.Hour), queue.Closure{})
	th.Admit("a.test", 1, now)
	th.Done("a.test", delivered, now)
	want(now, queue.Closure{})

	hold, _ := th.Block("site", "192.0.2.1", "554 5.7.1 Listed", now)
	want(now, queue.Closure{}) // another address may be free
	th.Shut("site", now)
	want(now, queue.Closure{Until: hold.Until, Class: queue.SpamBlock,
		Reply: queue.Reply{Code: 554, Enhanced: "5.7.1", Text: "Listed"}})
	want(hold.Until, queue.Closure{})
}

// However often a site complains, it gets a message a minute, and is asked again within
// an hour whether it bears more.
func TestPaceHasAFloor(t *testing.T) {
	t.Parallel()
	now := time.Unix(0, 0)
	p := throttle.Pace{}.Slow(1, 0, now)
	for range 50 {
		p = p.Slow(0, 0, now)
	}
	if want := rate.Limit(1.0 / 60); p.Rate != want {
		t.Errorf("rate after 51 complaints: got %v a second, want %v", p.Rate, want)
	}
	for range 20 {
		p = p.Succeed(false, 1, now).Slow(0, 0, now)
	}
	if wait := p.RateProbeAt.Sub(now); wait != time.Hour {
		t.Errorf("until a higher rate is tried: got %v, want an hour", wait)
	}
}
