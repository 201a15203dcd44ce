package sender_test

import (
	"context"
	"fmt"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"enotify/queue"
	"enotify/sender/smtptest"
	"enotify/sender/throttle"

	"golang.org/x/time/rate"
)

var (
	pipelining = []string{"PIPELINING", "8BITMIME", "SIZE 52428800", "ENHANCEDSTATUSCODES"}
	chunking   = []string{"PIPELINING", "CHUNKING", "8BITMIME", "SIZE 52428800", "ENHANCEDSTATUSCODES"}
)

// flow sends n messages over one connection at a time, so many at once as the
// throttle admits, each once, and returns the outcome of each recipient.
func flow(t testing.TB, w *world, b *queue.Batch, n int) map[string]queue.Outcome {
	t.Helper()
	w.throttle.SetPolicies(map[string]throttle.Policy{throttle.Everyone: {Rate: rate.Inf, Connections: 1,
		PerConnection: 1 << 30}})
	ctx, cancel := context.WithTimeout(t.Context(), 2*time.Minute)
	defer cancel()
	outcomes := map[string]queue.Outcome{}
	var mu sync.Mutex
	var wg sync.WaitGroup
	for begun := 0; begun < n; {
		if ctx.Err() != nil {
			t.Fatalf("%d of %d messages begun in time", begun, n)
		}
		k, _ := w.throttle.Admit("a.test", n-begun, time.Now())
		for range k {
			begun++
			m := to(b, begun, fmt.Sprintf("u%d@a.test", begun))
			wg.Go(func() {
				o := w.sender.Deliver(ctx, m)
				w.throttle.Done("a.test", o, time.Now())
				mu.Lock()
				outcomes[m.Address] = o
				mu.Unlock()
			})
		}
		if k == 0 {
			time.Sleep(100 * time.Microsecond) // as a dispatcher that has nothing to do
		}
	}
	wg.Wait()
	return outcomes
}

func delivered(outcomes map[string]queue.Outcome) (n int) {
	for _, o := range outcomes {
		if o.State == queue.Delivered {
			n++
		}
	}
	return n
}

// At a distance a message takes one round trip where the next envelope rides behind
// the final dot, and less where whole messages are under way together.
func TestRoundTripsOfManyMessages(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		extensions []string
		most       float64 // round trips for each message
	}{
		{pipelining, 1.4},
		{chunking, 1},
	} {
		w, host := one(t, smtptest.Config{Extensions: test.extensions})
		d := putFar(t, w, host, time.Millisecond)
		batch := *testBatch
		batch.Text = body
		batch.Attachments = []queue.Attachment{{Filename: "a.eml", ContentType: "message/rfc822",
			Content: []byte("Subject: a\r\n\r\n.\r\n..a line with dots\r\n.\r\n")}}
		const n = 150
		if got := delivered(flow(t, w, &batch, n)); got != n {
			t.Fatalf("%v: delivered %d, want %d", test.extensions[:2], got, n)
		}
		if got := float64(d.roundTrips()) / n; got > test.most {
			t.Errorf("%v: got %.2f round trips a message, want at most %.1f", test.extensions[:2], got, test.most)
		}
		for _, m := range messages(t, host, n) {
			if m.BareEnds > 0 || !strings.Contains(string(m.Data), "\r\n\r\n.\r\n..a line with dots\r\n.\r\n") {
				t.Fatalf("%v: the message differs: %.900q", test.extensions[:2], m.Data)
			}
		}
		if got := host.Connections(); got != 1 {
			t.Errorf("%v: got %d connections, want 1", test.extensions[:2], got)
		}
	}
}

// Wherever a connection breaks, or a reply makes no sense: what arrived is delivered or
// in doubt, and nothing else is either; what is in doubt is no more than what had left.
func TestDoubtAfterABreak(t *testing.T) {
	t.Parallel()
	const n, breaks = 60, 30 // the message at which it breaks
	for _, extensions := range [][]string{pipelining, chunking} {
		for _, verb := range []string{"MAIL", "RCPT", "DATA", "BDAT", "."} {
			for _, reply := range []string{smtptest.Drop, "421 4.3.2 Going down", "550 5.7.1 No",
				"250 fine\n250 and more", "what?", "450 4.2.0 Later"} {
				t.Run(fmt.Sprintf("%s %s %.5s", extensions[1], verb, strings.TrimPrefix(reply, "\x00")),
					func(t *testing.T) {
						t.Parallel()
						var mu sync.Mutex
						seen := 0
						w, host := one(t,
							smtptest.Config{Extensions: extensions, Reply: func(c smtptest.Command) string {
								if c.Verb != verb || strings.HasPrefix(c.Arg, "0") {
									return ""
								}
								mu.Lock()
								defer mu.Unlock()
								if seen++; seen == breaks {
									return reply
								}
								return ""
							}})
						w.sender.CommandTimeout, w.sender.ContentTimeout = 4*time.Second, 4*time.Second
						outcomes := flow(t, w, testBatch, n)
						copies, unknown := host.Copies(), 0
						for address, o := range outcomes {
							switch arrived := copies[address]; {
							case o.State == queue.Unknown:
								unknown++
							case arrived != 0 && o.State != queue.Delivered, arrived != 1 && o.State == queue.Delivered:
								t.Errorf("%s: got %s %q and %d copies", address, o.State, o.Reply.Text, arrived)
							}
							if copies[address] > 1 {
								t.Errorf("%s: got %d copies, want 1 at most", address, copies[address])
							}
						}
						if most := 4; unknown > most {
							t.Errorf("got %d in doubt, want at most the %d that were under way", unknown, most)
						}
						if got := delivered(outcomes); got < n-6 {
							t.Errorf("got %d of %d delivered, want all but those under way", got, n)
						}
					})
			}
		}
	}
}

// A host that offers CHUNKING and does not know BDAT gets its mail by DATA, and none
// of it as commands; it is asked once.
func TestChunkingThatFails(t *testing.T) {
	t.Parallel()
	var log commands
	w, host := one(t, smtptest.Config{Extensions: chunking,
		Reply: log.reply(when(func(c smtptest.Command) bool { return c.Verb == "BDAT" }, "502 5.5.1 What is that?"))})
	if got := delivered(flow(t, w, testBatch, 20)); got != 20 || host.Delivered() != 20 {
		t.Errorf("got %d delivered, and %d at the host, want 20", got, host.Delivered())
	}
	asked := 0
	for _, c := range log.list() {
		if strings.HasSuffix(c, "BDAT") {
			asked++
		}
	}
	if asked != 1 {
		t.Errorf("BDAT: got %d, want 1", asked)
	}
}

// A host that forgets what comes behind a final dot delays one message, which costs
// no try, and gets its envelopes later from then on.
func TestRidingThatFails(t *testing.T) {
	t.Parallel()
	w, host := one(t, smtptest.Config{Extensions: pipelining, ForgetsAfterDot: true})
	w.sender.CommandTimeout = 3 * time.Second
	begun := time.Now()
	if got := delivered(flow(t, w, testBatch, 30)); got != 30 || host.Delivered() != 30 {
		t.Errorf("got %d delivered, and %d at the host, want 30", got, host.Delivered())
	}
	if took := time.Since(begun); took > 40*time.Second { // 90 s, if it waited for each
		t.Errorf("took %s, want it to wait once or twice", took)
	}
}

// On a quick connection the envelope of the next message lies ready before the host has
// asked for the message before it, and leaves with the end of that one; but not if its batch
// was stopped meanwhile.
func TestEnvelopeLiesReady(t *testing.T) {
	t.Parallel()
	for _, stopped := range []bool{false, true} {
		ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
		defer cancel()
		under, begun, ready := make(chan struct{}), make(chan struct{}), make(chan struct{})
		w, host := one(t, smtptest.Config{Extensions: pipelining, Reply: func(c smtptest.Command) string {
			switch {
			case c.Verb == "RCPT" && c.Arg == "TO:<u2@a.test>":
				close(under)
			case c.Verb == "DATA" && c.To == "u2@a.test":
				select {
				case <-ready:
				case <-ctx.Done():
				}
			}
			return ""
		}})
		w.throttle.SetPolicies(map[string]throttle.Policy{throttle.Everyone: {Rate: rate.Inf, Connections: 1}})
		for quick := false; !quick; { // so that the connection is
			before := time.Now()
			if o := w.deliver(t, to(testBatch, 1, "u1@a.test")); o.State != queue.Delivered {
				t.Fatalf("first: got %v %v, want it delivered", o.State, o.Reply)
			}
			quick = time.Since(before) < 200*time.Millisecond
		}
		third, fourth := to(testBatch, 3, "u3@a.test"), to(testBatch, 4, "u4@a.test")
		var asked atomic.Int32
		third.MayBegin = func() bool {
			if asked.Add(1) == 1 {
				close(begun)
				return true
			}
			return !stopped
		}
		var once sync.Once
		fourth.MayBegin = func() bool { // it has the connection as soon as the third lies ready
			once.Do(func() { close(ready) })
			return true
		}
		send := func(m queue.Message) <-chan queue.Outcome {
			done := make(chan queue.Outcome, 1)
			go func() { done <- w.sender.Deliver(ctx, m) }()
			return done
		}
		await := func(event <-chan struct{}, what string) {
			select {
			case <-event:
			case <-ctx.Done():
				t.Fatalf("stopped %v: %s in 30 s, want it", stopped, what)
			}
		}
		outcomes := []<-chan queue.Outcome{send(to(testBatch, 2, "u2@a.test"))}
		await(under, "no RCPT of the second")
		outcomes = append(outcomes, send(third))
		await(begun, "the third does not get the connection while the second is under way")
		outcomes = append(outcomes, send(fourth))
		for i, done := range outcomes {
			address := fmt.Sprintf("u%d@a.test", i+2)
			wants, copies := queue.Delivered, 1
			if i == 1 && stopped {
				wants, copies = queue.Deferred, 0
			}
			o := <-done
			if got := host.Copies()[address]; o.State != wants || got != copies {
				t.Errorf("stopped %v, %s: got %v %v and %d copies, want %v and %d", stopped, address, o.State, o.Reply, got,
					wants, copies)
			}
		}
		if got := asked.Load(); got < 2 {
			t.Errorf("stopped %v: got %d questions whether it may begin, want another when its envelope leaves", stopped, got)
		}
		if got := host.Connections(); got != 1 {
			t.Errorf("stopped %v: got %d connections, want 1", stopped, got)
		}
	}
}

// In TLS the next envelope leaves behind the end of a message too, and each message arrives
// once and whole.
func TestManyMessagesInTLS(t *testing.T) {
	t.Parallel()
	config, err := smtptest.SelfSigned("mx.a.test")
	if err != nil {
		t.Fatal(err)
	}
	for _, extensions := range [][]string{pipelining, chunking} {
		w, host := one(t, smtptest.Config{Extensions: extensions, TLS: config})
		const n = 60
		if got := delivered(flow(t, w, testBatch, n)); got != n {
			t.Fatalf("%s: delivered %d, want %d", extensions[1], got, n)
		}
		for address, copies := range host.Copies() {
			if copies != 1 {
				t.Errorf("%s, %s: got %d copies, want 1", extensions[1], address, copies)
			}
		}
		if got := host.Connections(); got != 1 {
			t.Errorf("%s: got %d connections, want 1", extensions[1], got)
		}
		for _, m := range messages(t, host, n) {
			if !m.TLS {
				t.Errorf("%s: got a message in the clear, want TLS", extensions[1])
			}
		}
	}
}
