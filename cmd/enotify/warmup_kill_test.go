package main_test

import (
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"enotify/queue"
	"enotify/queue/queuetest"
	"enotify/sender/smtptest"
)

// A node is killed while the database takes no result: what its journal knows counts
// against the warm-up of its address, and so does a complaint about one of these messages.
func TestJournalOfAKilledNodeCountsForTheWarmup(t *testing.T) {
	t.Parallel()
	const n, sites = 30, 10
	release := make(chan struct{})
	var held atomic.Int32
	s := newSite(t, smtptest.Config{Reply: func(c smtptest.Command) string {
		if c.Verb == "RCPT" {
			held.Add(1)
			<-release
		}
		return ""
	}})
	s.Run("egress", "add", "192.0.2.10")
	s.Run("egress", "warm", "192.0.2.10", "--plan", "100,200")
	batch := ask[int64](s, `SELECT enotify.enqueue('menu', 'info@town.example', 'Lunch menu', 'Soup.',
		ARRAY(SELECT format('u%s@d%s.alone', i, i % $2) FROM generate_series(1, $1) i))`, n, sites)
	node := s.Start("run")
	await := func(what string, done func() bool) {
		t.Helper()
		for giveUp := time.Now().Add(time.Minute); !done(); time.Sleep(5 * time.Millisecond) {
			if time.Now().After(giveUp) {
				t.Fatalf("not in a minute: %s", what)
			}
		}
	}
	await("a message is under way to each site", func() bool { return held.Load() >= sites })
	lock := queuetest.Connect(t, s.URL)
	for _, sql := range []string{`BEGIN`, `LOCK TABLE enotify.outcome IN SHARE MODE`} {
		if _, err := lock.Exec(t.Context(), sql); err != nil {
			t.Fatal(err)
		}
	}
	close(release)
	await("the journal has the answers", func() bool {
		files, _ := filepath.Glob(filepath.Join(s.Home, "journals", "*", "lines"))
		if len(files) != 1 {
			return false
		}
		text, _ := os.ReadFile(files[0])
		return strings.Count(string(text), "\n= ") >= sites
	})
	if err := node.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	_ = node.Wait()
	// What waits for the lock would still be recorded.
	s.Until(`SELECT count(pg_terminate_backend(pid)) >= 0 FROM pg_stat_activity
		WHERE datname = current_database() AND wait_event_type = 'Lock'`)
	s.Until(`SELECT count(*) = 0 FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock'`)
	if _, err := lock.Exec(t.Context(), `ROLLBACK`); err != nil {
		t.Fatal(err)
	}
	s.Run("run", "--until-idle")

	seq := ask[int32](s, `SELECT coalesce(min(seq), 0) FROM enotify.outcome WHERE batch_id = $1 AND state = 'delivered'`, batch)
	if seq == 0 {
		t.Fatalf("no result was in the journal: %s", s.States(batch))
	}
	if got := ask[int](s, `SELECT count(*) FROM enotify.outcome o WHERE o.batch_id = $1 AND o.state = 'delivered'
		AND NOT EXISTS (SELECT FROM enotify.warmup_mail m WHERE m.batch_id = $1 AND m.address = '192.0.2.10' AND o.seq = ANY (m.seqs))`,
		batch); got != 0 {
		t.Errorf("delivered messages whose address is not known: got %d, want 0", got)
	}
	db := queuetest.Open(t, s.URL)
	if _, err := db.RecordReport(t.Context(), queue.Report{Kind: queue.ReportComplaint, Batch: batch, Seq: seq, Signed: true,
		Via: queue.ViaListener}); err != nil {
		t.Fatal(err)
	}
	if got, want := ask[string](s, `SELECT format('%s begun, %s complaints', least(sum(begun), 30), sum(complaints)) FROM enotify.egress_day
		WHERE address = '192.0.2.10' AND site = '*'`), "30 begun, 1 complaints"; got != want {
		t.Errorf("the day of the address: got %s, want %s", got, want)
	}
}
