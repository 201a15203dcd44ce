package console_test

import (
	"fmt"
	"io"
	"sync"
	"syscall"
	"testing"
	"time"

	"enotify/cmd/enotify/console"
	"enotify/cmd/enotify/sitetest"
	"enotify/sender/smtptest"
)

// BenchmarkOpenPages sends 10,000 messages by one node with no page of the console open and
// with 50, in turns. It reports messages a second, and the CPU seconds of node, console and
// receiver together.
func BenchmarkOpenPages(b *testing.B) {
	const recipients = 10_000
	for round := range 2 {
		for _, pages := range []int{0, 50} {
			b.Run(fmt.Sprintf("round=%d/pages=%d", round, pages), func(b *testing.B) {
				for b.Loop() {
					s := sitetest.New(b, smtptest.Config{})
					s.Exec(`SELECT enotify.enqueue('menu', 'info@town.example', 'Menu', 'Soup.',
						(SELECT array_agg('u' || i || '@d' || i % 500 || '.test') FROM generate_series(1, $1::int) i))`, recipients)
					v := visit(b, serve(s, console.Config{Listen: "127.0.0.1:0", Person: "ada"}))
					v.Timeout = 0
					var open sync.WaitGroup
					for i := range pages {
						r, err := v.Get(v.base + "live?path=" + []string{"/", "/batch/1"}[i%2])
						if err != nil {
							b.Fatal(err)
						}
						open.Go(func() { _, _ = io.Copy(io.Discard, r.Body); r.Body.Close() })
						b.Cleanup(func() { r.Body.Close() })
					}
					before, began := cpu(b), time.Now()
					s.Serve(s.Node())
					s.Until(`SELECT state = 'done' FROM enotify.batch`)
					b.ReportMetric(recipients/time.Since(began).Seconds(), "messages/s")
					b.ReportMetric((cpu(b) - before).Seconds(), "CPU_s")
				}
			})
		}
	}
}

// cpu is what this process has used.
func cpu(b *testing.B) time.Duration {
	var u syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
		b.Fatal(err)
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}
