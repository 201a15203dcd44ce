package sender_test

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"enotify/queue"
	"enotify/queue/queuetest"
	"enotify/sender/smtptest"
	"enotify/sender/throttle"

	"github.com/google/go-cmp/cmp"
	"golang.org/x/time/rate"
)

// count says how many outcomes are of each state and class.
func count(outcomes []queue.Outcome) map[string]int {
	n := make(map[string]int)
	for _, o := range outcomes {
		n[strings.TrimSuffix(fmt.Sprintf("%s %s", o.State, o.Class), " ")]++
	}
	return n
}

// One connection carries many messages, with no command to spare, and RSET
// only after a transaction that was given up. It ends with QUIT.
func TestReuse(t *testing.T) {
	t.Parallel()
	inBothModes(t, testReuse)
}

func testReuse(t *testing.T, extensions []string) {
	var log commands
	w, host := one(t, smtptest.Config{Extensions: extensions,
		Reply: log.reply(when(func(c smtptest.Command) bool { return c.Verb == "RCPT" && c.To == "gone@a.test" },
			"550 5.1.1 User unknown")),
	})
	for _, user := range []string{"u1", "u2", "gone", "u3"} {
		w.deliver(t, to(testBatch, 1, user+"@a.test"))
	}
	w.sender.Close()
	refused := []string{"1 MAIL", "1 RCPT"}
	if slices.Contains(extensions, "PIPELINING") {
		refused = append(refused, "1 DATA") // it had left already
	}
	want := slices.Concat(
		[]string{"1 CONNECT", "1 EHLO"},
		[]string{"1 MAIL", "1 RCPT", "1 DATA", "1 ."},
		[]string{"1 MAIL", "1 RCPT", "1 DATA", "1 ."},
		refused,
		[]string{"1 RSET", "1 MAIL", "1 RCPT", "1 DATA", "1 ."},
		[]string{"1 QUIT"},
	)
	if diff := cmp.Diff(want, log.list()); diff != "" {
		t.Errorf("commands (-want +got):\n%s", diff)
	}
	if host.Delivered() != 3 {
		t.Errorf("delivered: got %d, want 3", host.Delivered())
	}
}

func TestPerConnection(t *testing.T) {
	t.Parallel()
	var log commands
	w, host := one(t, smtptest.Config{Reply: log.reply(nil)})
	w.throttle.SetPolicies(map[string]throttle.Policy{"a.test": {Rate: rate.Inf, PerConnection: 3}})
	for i := range 7 {
		w.deliver(t, to(testBatch, i, "u@a.test"))
	}
	w.sender.Close()
	if got := host.Connections(); got != 3 {
		t.Errorf("connections for 7 messages: got %d, want 3", got)
	}
	quits := 0
	for _, c := range log.list() {
		if strings.HasSuffix(c, "QUIT") {
			quits++
		}
	}
	if quits != 3 {
		t.Errorf("QUIT: got %d, want 3", quits)
	}
}

func TestIdleTime(t *testing.T) {
	t.Parallel()
	w, host := one(t, smtptest.Config{})
	w.sender.IdleTime = 20 * time.Millisecond
	for i := range 2 {
		w.deliver(t, to(testBatch, i, "u@a.test"))
		eventually(t, "the idle connection is closed", func() bool { return host.Open() == 0 })
	}
	if got := host.Connections(); got != 2 {
		t.Errorf("connections: got %d, want 2", got)
	}
}

// A node that gives groups to another leaves no idle connections to their sites.
func TestIdleConnectionsOfGroupsThatLeave(t *testing.T) {
	t.Parallel()
	w := newWorld(t, "a.test. MX 10 mx.a.test.\nb.test. MX 10 mx.b.test.", hosts{"mx.a.test": {}, "mx.b.test": {}})
	w.sender.IdleTime = time.Hour
	for group, domain := range []string{"a.test", "b.test"} {
		m := to(testBatch, 1, "u@"+domain)
		m.Group = int16(group)
		w.deliver(t, m)
	}
	w.sender.Leave([]int16{1, 2})
	eventually(t, "the connection of group 1 is closed", func() bool { return w.hosts["mx.b.test"].Open() == 0 })
	if got := w.hosts["mx.a.test"].Open(); got != 1 {
		t.Errorf("connections of group 0: got %d, want 1", got)
	}
}

// A host may close an idle connection at any time. That is no failure of the
// message that finds out.
func TestStaleConnection(t *testing.T) {
	t.Parallel()
	inBothModes(t, testStaleConnection)
}

func testStaleConnection(t *testing.T, extensions []string) {
	for _, reply := range []string{smtptest.Drop, "421 4.4.2 Idle for too long"} {
		w, host := one(t, smtptest.Config{Extensions: extensions,
			Reply: when(func(c smtptest.Command) bool { return c.Verb == "MAIL" && c.Nth > 2 }, reply),
		})
		for i := range 3 {
			if o := w.deliver(t, to(testBatch, i, "u@a.test")); o.State != queue.Delivered {
				t.Errorf("%q on an idle connection: got %+v, want delivered", reply, o)
			}
		}
		if got := [2]int{host.Connections(), host.Delivered()}; got != [2]int{3, 3} {
			t.Errorf("%q: connections, delivered: got %v, want [3 3]", reply, got)
		}
	}
}

// What breaks later is about this message: nothing is sent twice in one attempt.
func TestDroppedAtRecipient(t *testing.T) {
	t.Parallel()
	inBothModes(t, func(t *testing.T, extensions []string) {
		w, host := one(t, smtptest.Config{Extensions: extensions,
			Reply: when(func(c smtptest.Command) bool { return c.Verb == "RCPT" && c.To == "u2@a.test" },
				smtptest.Drop),
		})
		w.deliver(t, to(testBatch, 1, "u1@a.test"))
		if o := w.deliver(t, to(testBatch, 2, "u2@a.test")); o.State != queue.Deferred || host.Connections() != 1 {
			t.Errorf("on an idle connection: got %+v over %d connections, want deferred over 1", o, host.Connections())
		}
	})
}

// Also of a connection that was opened for a message which was withdrawn.
func TestStaleBeforeFirstUse(t *testing.T) {
	t.Parallel()
	inBothModes(t, testStaleBeforeFirstUse)
}

func testStaleBeforeFirstUse(t *testing.T, extensions []string) {
	w, host := one(t, smtptest.Config{Extensions: extensions,
		Reply: when(func(c smtptest.Command) bool { return c.Verb == "MAIL" && c.Conn == 1 }, smtptest.Drop),
	})
	withdrawn := to(testBatch, 1, "u1@a.test")
	withdrawn.MayBegin = func() bool { return false }
	w.deliver(t, withdrawn)
	if o := w.deliver(t, to(testBatch, 2, "u2@a.test")); o.State != queue.Delivered || host.Connections() != 2 {
		t.Errorf("next message: got %+v over %d connections, want delivered by the second", o, host.Connections())
	}
}

// After an answer that makes no sense, nobody knows which command the next one
// is to. Such a connection is not used again.
func TestOutOfStep(t *testing.T) {
	t.Parallel()
	inBothModes(t, testOutOfStep)
}

func testOutOfStep(t *testing.T, extensions []string) {
	tests := []struct {
		verb, reply string
		connections int
	}{
		{"MAIL", "354 what", 2},
		{"RCPT", "354 what", 2},
		{"RCPT", "hello", 2},
		{"RCPT", "421 4.3.2 Shutting down", 2},
		{"RCPT", "550 5.1.1 User unknown", 1},
		{"DATA", "250 fine", 2},
		{"DATA", "451 4.3.0 Not now", 1},
		{".", "354 what", 2},
		{".", "554 5.6.0 No", 1},
		{".", "251 2.1.5 forwarded", 1},
	}
	for _, test := range tests {
		t.Run(test.verb+" "+test.reply, func(t *testing.T) {
			t.Parallel()
			said := false
			w, host := one(t, smtptest.Config{Extensions: extensions, Reply: func(c smtptest.Command) string {
				if c.Verb == test.verb && !said {
					said = true
					return test.reply
				}
				return ""
			}})
			w.deliver(t, to(testBatch, 1, "u1@a.test"))
			if o := w.deliver(t, to(testBatch, 2, "u2@a.test")); o.State != queue.Delivered {
				t.Errorf("next message: got %+v, want delivered", o)
			}
			if got := host.Connections(); got != test.connections {
				t.Errorf("connections: got %d, want %d", got, test.connections)
			}
		})
	}
}

// A site that bears three connections gets three. Messages wait for one of
// them, and none is deferred because a fourth was refused.
func TestConnectionLimit(t *testing.T) {
	t.Parallel()
	w, host := one(t, smtptest.Config{MaxConnections: 3, Delay: time.Millisecond})
	got := count(w.deliverAll(t, testBatch, "a.test", 300))
	if diff := cmp.Diff(map[string]int{"delivered": 300}, got); diff != "" {
		t.Errorf("outcomes (-want +got):\n%s", diff)
	}
	if host.Peak() != 3 || host.Refused() == 0 || host.Refused() > 2 {
		t.Errorf("peak %d, refused %d: want 3 at once, and one or two tries of a fourth", host.Peak(), host.Refused())
	}
	queuetest.Copies(t, host.Copies(), 300, 1)
}

// The throttle lets the number of connections grow up to the policy.
func TestConnectionsGrow(t *testing.T) {
	t.Parallel()
	w, host := one(t, smtptest.Config{Delay: time.Millisecond})
	w.throttle.SetPolicies(map[string]throttle.Policy{throttle.Everyone: {Rate: rate.Inf, Connections: 5,
		PerConnection: 1000}})
	w.deliverAll(t, testBatch, "a.test", 300)
	if host.Peak() != 5 {
		t.Errorf("connections at once: got %d, want the policy's 5", host.Peak())
	}
}

// A site that turns us away when we have no connection is closed to us for a
// while. Waiting messages go back as not begun; no recipient is refused for good.
func TestClosedSite(t *testing.T) {
	t.Parallel()
	var mu sync.Mutex
	open := false
	w, host := one(t, smtptest.Config{Reply: func(c smtptest.Command) string {
		mu.Lock()
		defer mu.Unlock()
		if c.Verb == "CONNECT" && !open {
			return "421 4.7.0 Too many connections from you"
		}
		return ""
	}})
	first := w.deliver(t, to(testBatch, 1, "u@a.test"))
	if first.Class != queue.Throttled || first.After < 500*time.Millisecond || first.After > 1200*time.Millisecond {
		t.Errorf("first: got %+v, want throttled, and about 1s to wait", first)
	}
	second := w.deliver(t, to(testBatch, 2, "u@a.test"))
	if second.State != queue.Deferred || second.Class != queue.NotBegun || second.After == 0 ||
		host.Connections() != 1 {
		t.Errorf("second: got %+v over %d connections, want not_begun and a time to wait, over 1", second,
			host.Connections())
	}
	mu.Lock()
	open = true
	mu.Unlock()
	eventually(t, "the site opens", func() bool {
		return w.deliver(t, to(testBatch, 3, "u@a.test")).State == queue.Delivered
	})
}

// A slow site does not hold up another, and a message that waits for it can be
// called off.
func TestSlowSite(t *testing.T) {
	t.Parallel()
	release := make(chan struct{})
	w := newWorld(t, "slow.test. MX 10 mx.slow.test.\nfast.test. MX 10 mx.fast.test.", hosts{
		"mx.slow.test": {Reply: func(smtptest.Command) string { <-release; return "" }},
		"mx.fast.test": {},
	})
	ctx, cancel := context.WithCancel(t.Context())
	outcomes := make(chan queue.Outcome)
	for i := range 4 { // two connect, two wait
		go func() { outcomes <- w.sender.Deliver(ctx, to(testBatch, i, "u@slow.test")) }()
	}
	eventually(t, "two are connecting", func() bool { return w.hosts["mx.slow.test"].Open() == 2 })
	for i := range 10 {
		if o := w.deliver(t, to(testBatch, i, "u@fast.test")); o.State != queue.Delivered {
			t.Errorf("fast: got %+v, want delivered", o)
		}
	}
	cancel()
	for range 4 {
		if o := <-outcomes; o.Class != queue.NotBegun {
			t.Errorf("slow: got %+v, want not_begun", o)
		}
	}
	close(release)
}

// Messages that wait for a connection get a further one as soon as it may be.
func TestWaitersSeeGrowth(t *testing.T) {
	t.Parallel()
	w, host := one(t, smtptest.Config{Delay: 2 * time.Millisecond})
	w.throttle.SetPolicies(map[string]throttle.Policy{throttle.Everyone: {Rate: rate.Inf, Connections: 1}})
	var work sync.WaitGroup
	for i := range 40 {
		work.Go(func() { w.deliver(t, to(testBatch, i, "u@a.test")) })
	}
	eventually(t, "the first is sent", func() bool { return host.Delivered() > 0 })
	w.throttle.SetPolicies(map[string]throttle.Policy{throttle.Everyone: {Rate: rate.Inf, Connections: 2}})
	work.Wait()
	if host.Peak() != 2 {
		t.Errorf("connections at once: got %d, want 2", host.Peak())
	}
}

// A host that bears no further connection is busy, not broken: the messages
// wait for those it has, and none goes to the backup.
func TestBusyHostNeedsNoBackup(t *testing.T) {
	t.Parallel()
	w := newWorld(t, "a.test. MX 10 mx1.a.test.\na.test. MX 20 mx2.a.test.",
		hosts{"mx1.a.test": {MaxConnections: 3, Delay: time.Millisecond}, "mx2.a.test": {}})
	got := count(w.deliverAll(t, testBatch, "a.test", 200))
	if diff := cmp.Diff(map[string]int{"delivered": 200}, got); diff != "" {
		t.Errorf("outcomes (-want +got):\n%s", diff)
	}
	if n := w.hosts["mx2.a.test"].Connections(); n != 0 || w.hosts["mx1.a.test"].Refused() == 0 {
		t.Errorf("connections to the backup: got %d, want 0 though the first refused some", n)
	}
}

// What is granted to a message in the moment in which it is called off goes to
// the next one.
func TestCalledOff(t *testing.T) {
	t.Parallel()
	for _, up := range []bool{true, false} {
		t.Run(fmt.Sprintf("host up %v", up), func(t *testing.T) {
			t.Parallel()
			var reachable atomic.Bool
			reachable.Store(up)
			w, _ := one(t, smtptest.Config{
				Reply: when(func(c smtptest.Command) bool { return c.Verb == "CONNECT" && !reachable.Load() },
					smtptest.Drop),
			})
			w.throttle.SetPolicies(map[string]throttle.Policy{throttle.Everyone: {Rate: rate.Inf, Connections: 1}})
			w.sender.DeadTime = time.Nanosecond
			callOff := func() {
				ctx, cancel := context.WithCancel(t.Context())
				defer cancel()
				var work sync.WaitGroup
				defer work.Wait()
				for i := range 4 {
					work.Go(func() {
						w.sender.Deliver(ctx, to(testBatch, i, "u@a.test"))
						cancel() // when the next one has just got what this one had
					})
				}
			}
			for range 50 {
				callOff()
			}
			reachable.Store(true)
			if o := w.deliver(t, to(testBatch, 1, "u@a.test")); o.State != queue.Delivered {
				t.Errorf("after all: got %+v, want delivered", o)
			}
		})
	}
}
