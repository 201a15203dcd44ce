package sender_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"enotify/queue"
	"enotify/sender"
	"enotify/sender/smtptest"
	"enotify/sender/throttle"
	"enotify/spfguard/dns"
	"enotify/spfguard/dns/dnstest"

	"golang.org/x/time/rate"
)

// A world is a made-up internet on loopback, and a sender in it.
type world struct {
	dns      *dnstest.Server
	hosts    map[string]*smtptest.Server
	throttle *throttle.Throttle
	sender   *sender.Sender
	begun    atomic.Int64 // messages of sendTo
}

var loopback = []netip.Prefix{netip.MustParsePrefix("127.0.0.0/8"), netip.MustParsePrefix("::1/128")}

// hosts are the mail hosts of a world, by name.
type hosts map[string]smtptest.Config

// newWorld starts the hosts, each at an address of its own and all at one
// port, and a DNS with the zone and their addresses.
func newWorld(t testing.TB, zone string, hosts hosts) *world {
	t.Helper()
	w := &world{hosts: make(map[string]*smtptest.Server), throttle: &throttle.Throttle{}}
	port := w.start(t, hosts)
	for name, s := range w.hosts {
		ip, _, _ := net.SplitHostPort(s.Addr)
		zone += fmt.Sprintf("\n%s. A %s", name, ip)
	}
	w.dns = dnstest.New(t, zone+"\n")
	w.throttle.SetPolicies(map[string]throttle.Policy{throttle.Everyone: {Rate: rate.Inf}})
	w.sender = &sender.Sender{
		Resolver: &dns.Resolver{Server: w.dns.Addr},
		Throttle: w.throttle,
		HELO:     "client.test",
		Port:     port,
		AllowMX:  loopback,
	}
	t.Cleanup(w.sender.Close)
	return w
}

// start starts the hosts at one port. A port that is free at the first address may be
// taken at another one, by a connection of another test: then it takes the next.
func (w *world) start(t testing.TB, hosts hosts) (port int) {
	t.Helper()
	for tries := 0; ; tries++ {
		port, err := w.listen(t, hosts)
		if err == nil {
			return port
		}
		if tries == 20 || !errors.Is(err, syscall.EADDRINUSE) {
			t.Fatal(err)
		}
		for _, s := range w.hosts {
			s.Close()
		}
	}
}

func (w *world) listen(t testing.TB, hosts hosts) (port int, err error) {
	n := 0
	for name, config := range hosts {
		n++
		config.Addr = net.JoinHostPort(fmt.Sprintf("127.0.0.%d", n), strconv.Itoa(port))
		s, err := smtptest.Start(config)
		if err != nil {
			return 0, err
		}
		t.Cleanup(func() { s.Close() })
		w.hosts[name] = s
		_, p, _ := net.SplitHostPort(s.Addr)
		port, _ = strconv.Atoi(p)
	}
	if port == 0 { // nobody listens
		l, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			return 0, err
		}
		port = l.Addr().(*net.TCPAddr).Port
		l.Close()
	}
	return port, nil
}

// one is a world with a single host, a.test's.
func one(t testing.TB, config smtptest.Config) (*world, *smtptest.Server) {
	t.Helper()
	w := newWorld(t, "a.test. MX 10 mx.a.test.", hosts{"mx.a.test": config})
	return w, w.hosts["mx.a.test"]
}

// modes are the two ways to say an envelope.
var modes = []struct {
	name       string
	extensions []string // that the host offers
}{
	{"one by one", []string{"8BITMIME", "SIZE 52428800", "ENHANCEDSTATUSCODES"}},
	{"pipelined", []string{"PIPELINING", "8BITMIME", "SIZE 52428800", "ENHANCEDSTATUSCODES"}},
}

// inBothModes runs a test against hosts without and with PIPELINING.
func inBothModes(t *testing.T, test func(t *testing.T, extensions []string)) {
	t.Helper()
	for _, mode := range modes {
		t.Run(mode.name, func(t *testing.T) {
			t.Parallel()
			test(t, mode.extensions)
		})
	}
}

var testBatch = &queue.Batch{
	ID: 7, Client: "from.test", From: "news@from.test", Subject: "Hello", Text: "Text.\n",
	CreatedAt: time.Date(2026, 2, 3, 4, 5, 6, 0, time.UTC),
}

// to is a message of batch b.
func to(b *queue.Batch, seq int, address string, data ...string) queue.Message {
	m := queue.Message{Batch: b, Seq: int32(seq), Address: address,
		Domain: address[strings.LastIndexByte(address, '@')+1:], Attempt: 1}
	if len(data) > 0 {
		m.Data = json.RawMessage(data[0])
	}
	return m
}

// deliver makes one attempt, which must end in time.
func (w *world) deliver(t testing.TB, m queue.Message) queue.Outcome {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	o := w.sender.Deliver(ctx, m)
	if ctx.Err() != nil {
		t.Fatal("Deliver did not return in time")
	}
	return o
}

// deliverAll admits and delivers n messages to domain as a dispatcher would,
// and returns their outcomes.
func (w *world) deliverAll(t testing.TB, b *queue.Batch, domain string, n int) []queue.Outcome {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	var mu sync.Mutex
	var outcomes []queue.Outcome
	var wg sync.WaitGroup
	done := make(chan struct{}, n)
	for begun := 0; begun < n && ctx.Err() == nil; {
		k, wait := w.throttle.Admit(domain, n-begun, time.Now())
		for range k {
			begun++
			m := to(b, begun, fmt.Sprintf("u%d@%s", begun, domain))
			wg.Go(func() {
				o := w.sender.Deliver(ctx, m)
				w.throttle.Done(domain, o, time.Now())
				mu.Lock()
				outcomes = append(outcomes, o)
				mu.Unlock()
				done <- struct{}{}
			})
		}
		if k > 0 {
			continue
		}
		again := time.NewTimer(time.Until(wait.Until))
		if wait.Site != "" {
			again.Stop()
		}
		select {
		case <-done:
		case <-again.C:
		case <-ctx.Done():
		}
	}
	wg.Wait()
	if ctx.Err() != nil {
		t.Fatalf("delivered %d of %d in time", len(outcomes), n)
	}
	return outcomes
}

// on replies to one command with a fixed text.
func on(verb, reply string) func(smtptest.Command) string {
	return when(func(c smtptest.Command) bool { return c.Verb == verb }, reply)
}

// when answers by reply the commands for which it holds, and others as usual.
func when(holds func(smtptest.Command) bool, reply string) func(smtptest.Command) string {
	return func(c smtptest.Command) string {
		if holds(c) {
			return reply
		}
		return ""
	}
}

// messages are those that a host has got, which have to be n: a loop over what
// was got passes for a message that never came.
func messages(t testing.TB, host *smtptest.Server, n int) []smtptest.Message {
	t.Helper()
	got := host.Messages()
	if len(got) != n {
		t.Fatalf("messages at the host: got %d, want %d", len(got), n)
	}
	return got
}

// eventually waits for what happens in the background.
func eventually(t testing.TB, what string, holds func() bool) {
	t.Helper()
	deadline := time.Now().Add(time.Minute)
	for !holds() {
		if time.Now().After(deadline) {
			t.Fatalf("never happened: %s", what)
		}
		time.Sleep(time.Millisecond)
	}
}

// a log of commands that hosts got.
type commands struct {
	mu  sync.Mutex
	got []string
}

func (l *commands) reply(next func(smtptest.Command) string) func(smtptest.Command) string {
	return func(c smtptest.Command) string {
		l.mu.Lock()
		l.got = append(l.got, fmt.Sprintf("%d %s", c.Conn, c.Verb))
		l.mu.Unlock()
		if next == nil {
			return ""
		}
		return next(c)
	}
}

func (l *commands) list() []string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return append([]string(nil), l.got...)
}
