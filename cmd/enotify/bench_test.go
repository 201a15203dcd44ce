package main_test

import (
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"enotify/cmd/enotify/sitetest"
	"enotify/queue/queuetest"
	"enotify/sender/dkim"
	"enotify/sender/smtptest"
	"enotify/spfguard"
)

// BenchmarkRun is the whole way: a node of its own process, which keeps a
// journal, sends 20,000 messages of 10 KB to 1,000 domains, from a PostgreSQL that
// waits for its disk to a receiver on loopback and back, with limits lifted. The
// domains are at one site or at a site each. Where Postfix's smtp-source is installed
// (Debian: postfix), it sends as much to the same receiver over 50 connections that it
// keeps (-d), and the figure says how much of its speed is ours. The time of "in service" is
// that of a node which runs already, the seal of the batch included.
func BenchmarkRun(b *testing.B) {
	const n = 20_000
	body := strings.Repeat(strings.Repeat("soup ", 15)+"\n", 135)
	for _, bench := range []struct {
		name        string
		text        string
		receiver    smtptest.Config
		connections int
		key         string
		top         string // domain of the recipient domains: .test is one site, .alone are many
	}{
		{"one site", body, smtptest.Config{}, 50, "", "test"},
		{"1000 sites", body, smtptest.Config{}, 50, "", "alone"},
		{"20 ms away", body, smtptest.Config{RoundTrip: 20 * time.Millisecond}, 400, "", "test"},
		{"merge fields", "Dear {{.name}}, ward {{.ward}}\n" + body, smtptest.Config{}, 50, "", "test"},
		{"Ed25519", body, smtptest.Config{}, 50, dkim.Ed25519, "test"},
		{"RSA-2048", body, smtptest.Config{}, 50, dkim.RSA, "test"},
	} {
		b.Run(bench.name, func(b *testing.B) {
			var peak int64
			for b.Loop() {
				b.StopTimer()
				bench.receiver.Discard = true
				s := &site{sitetest.On(b, queuetest.Durable(b), bench.receiver)}
				s.Exec(`UPDATE enotify.destination SET connections = $1 WHERE name = '*'`, bench.connections)
				keys := dkim.Directory{Path: filepath.Join(s.Home, "keys")}
				if bench.key != "" {
					s.signs(&keys, bench.key)
				}
				s.Exec(`SELECT enotify.enqueue('bench', 'info@town.example', 'Lunch menu', $2,
					ARRAY(SELECT format('user%s@d%s.%s', i, i % 1000, $4::text) FROM generate_series(1, $1) i),
					CASE WHEN $3 THEN ARRAY(SELECT jsonb_build_object('name', 'Reader ' || i, 'ward', i % 30) FROM generate_series(1, $1) i) END)`,
					n, bench.text, strings.Contains(bench.text, "{{"), bench.top)
				args := []string{"run", "--until-idle"}
				if bench.key != "" {
					args = append(args, "--dkim-dir", keys.Path)
				}
				node := s.Enotify(args...)
				b.StartTimer()
				start := time.Now()
				if out, err := node.CombinedOutput(); err != nil {
					b.Fatalf("run: %v\n%s", err, out)
				}
				speed := n / time.Since(start).Seconds()
				b.StopTimer()
				if got := s.SMTP.Delivered(); got != n {
					b.Fatalf("delivered %d, want %d", got, n)
				}
				usage := node.ProcessState.SysUsage().(*syscall.Rusage)
				peak = max(peak, usage.Maxrss/1024)
				cpu := node.ProcessState.UserTime() + node.ProcessState.SystemTime()
				b.ReportMetric(speed, "msg/s")
				b.ReportMetric(cpu.Seconds()*1000/n, "cpu-s/1000msg")
				b.ReportMetric(float64(s.SMTP.Connections()), "connections")
				if beside := s.smtpSource(n, len(bench.text)); beside > 0 {
					b.ReportMetric(speed/beside, "of-smtp-source")
				}
				b.StartTimer()
			}
			b.ReportMetric(float64(peak), "MB-resident")
		})
	}
	b.Run("one site, in service", func(b *testing.B) {
		for b.Loop() {
			b.StopTimer()
			inService(b, n, body)
			b.StartTimer()
		}
	})
}

// inService has a node that has sent to each of the domains before send n messages, from the
// submit of their batch, whose recipients were staged, to the last one at the receiver.
func inService(b *testing.B, n int, body string) {
	s := &site{sitetest.On(b, queuetest.Durable(b), smtptest.Config{Discard: true})}
	s.Exec(`UPDATE enotify.destination SET connections = 50 WHERE name = '*'`)
	s.Start("run")
	const warm = 5000
	done := `SELECT state = 'done' FROM enotify.batch WHERE id = $1`
	s.Until(done, s.Enqueue("warm", "Soup.", warm, 1000))
	s.Exec(`SELECT enotify.create_batch('bench', 'info@town.example', 'Lunch menu', $1)`, body)
	batch := sitetest.Ask[int64](s.Site, `SELECT id FROM enotify.batch WHERE idem_key = 'bench'`)
	s.Exec(`SELECT enotify.add_recipients($1,
		ARRAY(SELECT format('user%s@d%s.test', i, i % 1000) FROM generate_series(1, $2) i))`, batch, n)
	start := time.Now()
	s.Exec(`SELECT enotify.submit_batch($1, $2)`, batch, n)
	sealed := time.Since(start)
	for s.SMTP.Delivered() < warm+n {
		time.Sleep(time.Millisecond)
	}
	took := time.Since(start)
	s.Until(done, batch)
	speed := float64(n) / took.Seconds()
	b.ReportMetric(speed, "msg/s")
	b.ReportMetric(sealed.Seconds()*1000, "ms-seal")
	if beside := s.smtpSource(n, len(body)); beside > 0 {
		b.ReportMetric(speed/beside, "of-smtp-source")
	}
}

// smtpSource sends n messages of so many octets to the receiver by Postfix's
// smtp-source, over connections that it keeps, and returns how many a second; 0 where
// it is not installed.
func (s *site) smtpSource(n, octets int) float64 {
	s.Helper()
	tool, err := exec.LookPath("smtp-source")
	if err != nil {
		if tool, err = exec.LookPath("/usr/sbin/smtp-source"); err != nil { // which is in no PATH of a user
			return 0
		}
	}
	before, start := s.SMTP.Delivered(), time.Now()
	out, err := exec.CommandContext(s.Context(), tool, "-d", "-s", "50", "-m", strconv.Itoa(n), "-l",
		strconv.Itoa(octets),
		"-f", "info@town.example", "-t", "user@d1.test", "inet:"+s.SMTP.Addr).CombinedOutput()
	if err != nil {
		s.Fatalf("smtp-source: %v\n%s", err, out)
	}
	if got := s.SMTP.Delivered() - before; got != n {
		s.Fatalf("smtp-source: delivered %d, want %d", got, n)
	}
	return float64(n) / time.Since(start).Seconds()
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
