package main_test

import (
	"strings"
	"syscall"
	"testing"
	"time"

	"enotify/sender/smtptest"
)

// BenchmarkRun is the whole way: a node of its own process sends 20,000
// messages of 10 KB to 1,000 domains, from PostgreSQL to a receiver on loopback
// and back, with limits lifted.
func BenchmarkRun(b *testing.B) {
	const n = 20_000
	var peak int64
	for b.Loop() {
		b.StopTimer()
		s := newSite(b, smtptest.Config{Discard: true})
		s.enqueue("bench", strings.Repeat(strings.Repeat("soup ", 15)+"\n", 135), n, 1000)
		node := s.enotify("run", "--until-idle")
		b.StartTimer()
		start := time.Now()
		if out, err := node.CombinedOutput(); err != nil {
			b.Fatalf("run: %v\n%s", err, out)
		}
		if got := s.smtp.Delivered(); got != n {
			b.Fatalf("delivered %d, want %d", got, n)
		}
		usage := node.ProcessState.SysUsage().(*syscall.Rusage)
		peak = max(peak, usage.Maxrss/1024)
		cpu := node.ProcessState.UserTime() + node.ProcessState.SystemTime()
		b.ReportMetric(n/time.Since(start).Seconds(), "msg/s")
		b.ReportMetric(cpu.Seconds()*1000/n, "cpu-s/1000msg")
	}
	b.ReportMetric(float64(peak), "MB-resident")
}
