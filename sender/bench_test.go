package sender_test

import (
	"context"
	"fmt"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"enotify/queue"
	"enotify/sender/smtptest"
	"enotify/sender/throttle"

	"golang.org/x/time/rate"
)

// body is 10 KB of text.
var body = strings.Repeat("A line of text in a newsletter, of ordinary length and content.\n", 160)

// BenchmarkDeliver hands over messages of 10 KB to one host. The CPU time is
// the time of sender and receiver together.
func BenchmarkDeliver(b *testing.B) {
	for _, bench := range []struct {
		name        string
		connections int
		subject     string
		text        string
	}{
		{"1 connection", 1, "News", body},
		{"10 connections", 10, "News", body},
		{"10 connections, subject merged", 10, "News for {{.name}}", body},
		{"10 connections, body merged", 10, "News", "Dear {{.name}}\n" + body},
	} {
		b.Run(bench.name, func(b *testing.B) {
			w, host := one(b, smtptest.Config{Discard: true})
			w.throttle.SetPolicies(map[string]throttle.Policy{
				throttle.Everyone: {Rate: rate.Inf, Connections: bench.connections, PerConnection: 1 << 30},
			})
			batch := *testBatch
			batch.Subject, batch.Text = bench.subject, bench.text
			m := to(&batch, 1, "u@a.test", `{"name":"Somebody"}`)
			growTo(b, w, m, bench.connections)
			before, cpu := host.Delivered(), cpuTime()
			b.ReportAllocs()
			b.ResetTimer()
			var left atomic.Int64
			left.Store(int64(b.N))
			var wg sync.WaitGroup
			for range bench.connections {
				wg.Go(func() {
					for left.Add(-1) >= 0 {
						if o := w.sender.Deliver(context.Background(), m); o.State != queue.Delivered {
							b.Errorf("outcome: %+v", o)
							return
						}
					}
				})
			}
			wg.Wait()
			b.StopTimer()
			b.ReportMetric(float64(host.Delivered()-before)/b.Elapsed().Seconds(), "msg/s")
			b.ReportMetric(float64((cpuTime()-cpu).Microseconds())/float64(b.N), "cpu-µs/msg")
		})
	}
}

// growTo sends until the site may have n connections.
func growTo(b *testing.B, w *world, m queue.Message, n int) {
	b.Helper()
	for w.throttle.Pace("a.test").Connections(n, time.Now()) < n || w.hosts["mx.a.test"].Open() < n {
		var wg sync.WaitGroup
		for range 2 * n {
			wg.Go(func() {
				w.throttle.Done(m.Domain, w.sender.Deliver(context.Background(), m), time.Now())
			})
		}
		k, _ := w.throttle.Admit(m.Domain, 2*n, time.Now())
		if k == 0 {
			b.Fatal("nothing admitted")
		}
		wg.Wait()
	}
}

// BenchmarkDeliverManySites has a thousand domains, each with a host of its
// own, and twenty messages for each.
func BenchmarkDeliverManySites(b *testing.B) {
	const sites = 1000
	zone := ""
	for i := range sites {
		zone += fmt.Sprintf("d%d.test. MX 10 mx.d%d.test.\nmx.d%d.test. CNAME sink.\n", i, i, i)
	}
	w := newWorld(b, zone, hosts{"sink": {Discard: true}})
	batch := *testBatch
	batch.Text = body
	b.ReportAllocs()
	for n := 0; b.Loop(); n++ {
		domain := fmt.Sprintf("d%d.test", n/20%sites)
		if o := w.sender.Deliver(context.Background(), to(&batch, n, "u@"+domain)); o.State != queue.Delivered {
			b.Fatalf("outcome: %+v", o)
		}
	}
}

// cpuTime is what this process has used.
func cpuTime() time.Duration {
	var u syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
		return 0
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}
