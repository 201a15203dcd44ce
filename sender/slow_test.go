package sender_test

import (
	"context"
	"fmt"
	"net"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"enotify/queue"
	"enotify/sender/smtptest"
	"enotify/spfguard/dns/dnstest"
)

// slowSites are receivers that do not move, each with more sites than there are
// connections for sites that nobody knows yet.
var slowSites = []struct {
	name  string
	sites int
	hangs string        // what they do not answer
	drip  time.Duration // between octets of a reply
	hole  bool          // nobody answers there
	mxs   int           // hosts of one domain, all of them dead
	quiet bool          // their DNS does not answer
}{
	{name: "no answer to SYN", sites: 60, hole: true},
	{name: "no banner", sites: 60, hangs: "CONNECT"},
	{name: "no answer to EHLO", sites: 60, hangs: "EHLO"},
	{name: "no answer to MAIL", sites: 60, hangs: "MAIL"},
	{name: "no answer to the dot", sites: 60, hangs: "."},
	{name: "no answer to the dot at more sites than there are places", sites: 300, hangs: "."},
	{name: "a banner of one octet a second", sites: 60, drip: time.Second},
	{name: "hundreds of dead hosts of one domain", sites: 1, hole: true, mxs: 200},
	{name: "no answer from the DNS", sites: 300, quiet: true},
}

// Sites that do not move cost the others next to nothing, and urgent messages
// nothing at all, though they came first, and there are more of them than
// connections for new sites.
func TestSitesThatDoNotMove(t *testing.T) {
	const healthy, each = 100, 10
	for _, slow := range slowSites {
		t.Run(slow.name, func(t *testing.T) {
			zone, all := "", hosts{"sink": {Discard: true}}
			site := func(name, host string, mxs int) (domain string) {
				for i := range mxs {
					zone += fmt.Sprintf("%s.test. MX 10 mx%d.%s.test.\nmx%d.%s.test. CNAME %s.\n", name, i, name, i,
						name, host)
				}
				return name + ".test"
			}
			over := make(chan struct{})
			if slow.hole {
				zone += "slow. A 127.0.0.99\n"
			} else if !slow.quiet {
				all["slow"] = smtptest.Config{Discard: true, Drip: slow.drip, Reply: func(c smtptest.Command) string {
					if c.Verb == slow.hangs {
						<-over
					}
					return ""
				}}
			}
			var first, second, third, slows []string // all of them new to us
			for i := range healthy {
				first = append(first, site(fmt.Sprintf("first%d", i), "sink", 1))
				second = append(second, site(fmt.Sprintf("second%d", i), "sink", 1))
				third = append(third, site(fmt.Sprintf("third%d", i), "sink", 1))
			}
			for i := range slow.sites {
				slows = append(slows, site(fmt.Sprintf("slow%d", i), "slow", max(1, slow.mxs)))
			}
			w := newWorld(t, zone, all)
			defer close(over)
			w.sender.MaxConnections = 50
			if slow.hole {
				blackHole(t, "127.0.0.99", w.sender.Port)
			}
			if slow.quiet {
				for _, domain := range slows {
					w.dns.Fail(domain, dnstest.Timeout)
				}
			}
			ctx, cancel := context.WithTimeout(t.Context(), 2*time.Minute)
			defer cancel()
			alone := w.sendTo(ctx, testBatch, first, each)
			before := w.begun.Load()
			var under sync.WaitGroup
			under.Go(func() { w.sendTo(ctx, testBatch, slows, each) })
			eventually(t, "all slow sites have a message",
				func() bool { return w.begun.Load() >= before+int64(slow.sites) })
			emergency := *testBatch
			emergency.ID, emergency.Priority = 8, 100
			urgent := w.sendTo(ctx, &emergency, second, 1)
			beside := w.sendTo(ctx, testBatch, third, each)
			cancel()
			under.Wait()
			t.Logf("%d messages alone %v, beside %d sites %v; %d urgent ones %v", healthy*each, alone, slow.sites,
				beside, healthy, urgent)
			if most := 3*alone + 20*time.Second; beside > most {
				t.Errorf("beside sites that do not move: got %v, want less than %v", beside, most)
			}
			if most := 3*alone + 20*time.Second; urgent > most {
				t.Errorf("urgent messages: got %v, want less than %v", urgent, most)
			}
		})
	}
}

// sendTo sends n messages to each domain, as fast as they are admitted, and returns
// how long that took.
func (w *world) sendTo(ctx context.Context, b *queue.Batch, domains []string, n int) time.Duration {
	begun := time.Now()
	var all sync.WaitGroup
	for _, domain := range domains {
		all.Go(func() {
			done := make(chan struct{}, n)
			for seq := 1; seq <= n && ctx.Err() == nil; {
				k, _ := w.throttle.Admit(domain, n-seq+1, time.Now())
				for range k {
					m := to(b, seq, fmt.Sprintf("u%d@%s", seq, domain))
					seq++
					w.begun.Add(1)
					all.Go(func() {
						w.throttle.Done(domain, w.sender.Deliver(ctx, m), time.Now())
						done <- struct{}{}
					})
				}
				if k > 0 {
					continue
				}
				again := time.NewTimer(20 * time.Millisecond)
				select {
				case <-done:
				case <-again.C:
				case <-ctx.Done():
				}
				again.Stop()
			}
		})
	}
	all.Wait()
	return time.Since(begun)
}

// blackHole has an address answer no connection: its queue is full, so that the
// system drops what comes.
func blackHole(t *testing.T, ip string, port int) {
	t.Helper()
	fd, err := syscall.Socket(syscall.AF_INET, syscall.SOCK_STREAM, 0)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { syscall.Close(fd) })
	at := &syscall.SockaddrInet4{Port: port, Addr: [4]byte(net.ParseIP(ip).To4())}
	if err := syscall.Bind(fd, at); err != nil {
		t.Fatal(err)
	}
	if err := syscall.Listen(fd, 0); err != nil {
		t.Fatal(err)
	}
	for {
		c, err := net.DialTimeout("tcp", net.JoinHostPort(ip, strconv.Itoa(port)), 300*time.Millisecond)
		if err != nil {
			if !strings.Contains(err.Error(), "timeout") {
				t.Fatal(err)
			}
			return
		}
		t.Cleanup(func() { c.Close() })
	}
}
