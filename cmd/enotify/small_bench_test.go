package main_test

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"enotify/sender/smtptest"
)

// BenchmarkRunSmall sends 1,000 batches to five recipients each, at 50 domains of one
// site, by a node of its own process with a journal. The database does not wait for
// its disk.
func BenchmarkRunSmall(b *testing.B) {
	const n = 1000
	for b.Loop() {
		b.StopTimer()
		s := newSite(b, smtptest.Config{Discard: true})
		s.Enqueue("warm", "Soup.", 500, 50)
		s.Run("run", "--until-idle")
		s.Exec(`SELECT enotify.enqueue('b' || b, 'info@town.example', 'Lunch menu', 'Soup.',
			ARRAY(SELECT format('user%s-%s@d%s.test', b, i, (b + i) % 50) FROM generate_series(1, 5) i)) FROM generate_series(1, $1) b`, n)
		b.StartTimer()
		start := time.Now()
		s.Run("run", "--until-idle")
		b.ReportMetric(n/time.Since(start).Seconds(), "batches/s")
		if got := s.SMTP.Delivered(); got != 500+5*n {
			b.Fatalf("delivered %d, want %d", got, 500+5*n)
		}
	}
}

// BenchmarkSubmitToData is the time from a submit to the command DATA of its message:
// with nothing else to do, and urgent beside 100,000 recipients under way; to domains
// that are known, and to one that was never seen, which is looked up first.
func BenchmarkSubmitToData(b *testing.B) {
	for _, bench := range []struct {
		name    string
		beside  int
		unknown bool
	}{
		{"idle", 0, false}, {"idle, new domains", 0, true},
		{"urgent beside 100,000", 100_000, false}, {"urgent beside 100,000, new domains", 100_000, true},
	} {
		b.Run(bench.name, func(b *testing.B) {
			began := make(chan time.Time, 1)
			s := newSite(b, smtptest.Config{Discard: true, Reply: func(c smtptest.Command) string {
				if c.Verb == "DATA" && strings.HasPrefix(c.To, "urgent") {
					began <- time.Now()
				}
				return ""
			}})
			if bench.beside > 0 {
				s.Exec(`INSERT INTO enotify.destination (name, rate_messages, rate_per, burst)
					SELECT format('d%s.test', i), 2, '1 s', 2 FROM generate_series(0, 999) i`)
				s.Enqueue("beside", "Soup.", bench.beside, 1000)
			}
			s.Exec(`SELECT enotify.enqueue('warm', 'info@town.example', 'Soup', 'Soup.',
				ARRAY(SELECT format('warm@near%s.test', i) FROM generate_series(0, 4) i))`)
			s.Start("run")
			s.Until(`SELECT count(*) >= $1 FROM enotify.outcome`, max(5, min(bench.beside, 1000)))
			var took []time.Duration
			for i := 0; b.Loop(); i++ {
				domain := fmt.Sprintf("near%d.test", i%5)
				if bench.unknown {
					domain = fmt.Sprintf("new%d.test", i)
				}
				start := time.Now()
				s.Exec(`SELECT enotify.enqueue($1, 'info@town.example', 'Flood', 'Leave.', ARRAY[$2], priority => 10)`,
					fmt.Sprint("urgent", i), fmt.Sprintf("urgent%d@%s", i, domain))
				took = append(took, (<-began).Sub(start))
			}
			slices.Sort(took)
			b.ReportMetric(float64(took[len(took)/2].Microseconds())/1000, "ms-p50")
			b.ReportMetric(float64(took[len(took)*95/100].Microseconds())/1000, "ms-p95")
		})
	}
}
