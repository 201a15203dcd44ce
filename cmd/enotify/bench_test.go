package main_test

import (
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"enotify/sender/dkim"
	"enotify/sender/smtptest"
	"enotify/spfguard"
)

// BenchmarkRun is the whole way: a node of its own process, which keeps a
// journal, sends 20,000 messages of 10 KB to 1,000 domains, from PostgreSQL to
// a receiver on loopback and back, with limits lifted.
func BenchmarkRun(b *testing.B) {
	const n = 20_000
	body := strings.Repeat(strings.Repeat("soup ", 15)+"\n", 135)
	for _, bench := range []struct {
		name        string
		text        string
		receiver    smtptest.Config
		connections int
		key         string
	}{
		{"plain", body, smtptest.Config{}, 50, ""},
		{"20 ms away", body, smtptest.Config{RoundTrip: 20 * time.Millisecond}, 400, ""},
		{"merge fields", "Dear {{.name}}, ward {{.ward}}\n" + body, smtptest.Config{}, 50, ""},
		{"Ed25519", body, smtptest.Config{}, 50, dkim.Ed25519},
		{"RSA-2048", body, smtptest.Config{}, 50, dkim.RSA},
	} {
		b.Run(bench.name, func(b *testing.B) {
			var peak int64
			for b.Loop() {
				b.StopTimer()
				bench.receiver.Discard = true
				s := newSite(b, bench.receiver)
				s.Exec(`UPDATE enotify.destination SET connections = $1 WHERE name = '*'`, bench.connections)
				keys := dkim.Directory{Path: filepath.Join(s.Home, "keys")}
				if bench.key != "" {
					s.signs(&keys, bench.key)
				}
				s.Exec(`SELECT enotify.enqueue('bench', 'info@town.example', 'Lunch menu', $2,
					ARRAY(SELECT format('user%s@d%s.test', i, i % 1000) FROM generate_series(1, $1) i),
					CASE WHEN $3 THEN ARRAY(SELECT jsonb_build_object('name', 'Reader ' || i, 'ward', i % 30) FROM generate_series(1, $1) i) END)`,
					n, bench.text, strings.Contains(bench.text, "{{"))
				node := s.Enotify("run", "--until-idle", "--dkim-dir", keys.Path)
				b.StartTimer()
				start := time.Now()
				if out, err := node.CombinedOutput(); err != nil {
					b.Fatalf("run: %v\n%s", err, out)
				}
				if got := s.SMTP.Delivered(); got != n {
					b.Fatalf("delivered %d, want %d", got, n)
				}
				usage := node.ProcessState.SysUsage().(*syscall.Rusage)
				peak = max(peak, usage.Maxrss/1024)
				cpu := node.ProcessState.UserTime() + node.ProcessState.SystemTime()
				b.ReportMetric(n/time.Since(start).Seconds(), "msg/s")
				b.ReportMetric(cpu.Seconds()*1000/n, "cpu-s/1000msg")
			}
			b.ReportMetric(float64(peak), "MB-resident")
		})
	}
}

// signs has town.example sign with a key of the given type, which is published.
func (s *site) signs(keys *dkim.Directory, kind string) {
	s.Helper()
	key, err := keys.Generate("town.example", "s1", kind)
	if err != nil {
		s.Fatal(err)
	}
	s.DNS.Put(spfguard.ZoneLine(key.Name(), key.Record()) + "\n")
	s.Run("client", "set", "town.example", "--dkim-selector", key.Selector)
}
