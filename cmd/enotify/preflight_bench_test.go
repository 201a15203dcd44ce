package main_test

import (
	"errors"
	"fmt"
	"os/exec"
	"syscall"
	"testing"
	"time"

	"enotify/sender/smtptest"
)

// BenchmarkPreflight makes the report of a draft to a million recipients at
// 20,000 domains, with merge fields; and makes it again, when the domains are
// known.
func BenchmarkPreflight(b *testing.B) {
	s := newSite(b, smtptest.Config{})
	id := ask[int64](s, `SELECT enotify.create_batch(idem_key => 'million', from_address => 'info@town.example', subject => 'Menu for {{.name}}', body_text => 'Dear {{.name}}{{with .ward}} of {{.}}{{end}}, soup.')`)
	s.Exec(`INSERT INTO enotify.recipient_in (batch_id, address, data)
		SELECT $1, format('user%s@d%s.test', i, (i * 7919::bigint) % 20000),
		       CASE WHEN i % 3 = 0 THEN jsonb_build_object('name', 'n' || i) ELSE jsonb_build_object('name', 'n' || i, 'ward', CASE WHEN i % 5 = 0 THEN '' ELSE 'North' END) END
		FROM generate_series(1, 1000000) i`, id)
	for b.Loop() {
		for _, run := range []string{"first", "again"} {
			begun := time.Now()
			cmd := s.Enotify("preflight", fmt.Sprint(id), "-o", "html")
			if _, err := cmd.Output(); err != nil {
				exit := (*exec.ExitError)(nil)
				if !errors.As(err, &exit) || exit.ExitCode() != 2 { // our addresses have no names here
					b.Fatal(err)
				}
			}
			b.ReportMetric(time.Since(begun).Seconds(), run+"-s")
			if usage, ok := cmd.ProcessState.SysUsage().(*syscall.Rusage); ok {
				b.ReportMetric(float64(usage.Maxrss)/1024, run+"-MB")
			}
			s.Exec(`UPDATE enotify.domain SET surveyed_until = now() WHERE $1 = 'again'`, run)
		}
	}
	b.ReportMetric(float64(ask[int](s, `SELECT count(*)::int FROM enotify.domain WHERE surveyed_at IS NOT NULL`)),
		"domains")
}
