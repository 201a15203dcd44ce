package main_test

import (
	"fmt"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"enotify/queue/queuetest"
	"enotify/sender/smtptest"
)

// An emergency notice to 100 does not wait for the newsletter to 50,000 that
// is under way, which goes on afterwards and loses nobody.
func TestEmergencyOvertakes(t *testing.T) {
	t.Parallel()
	const n = 50_000
	var mu sync.Mutex
	copies := make(map[string]int, n)
	var urgent atomic.Int32
	first, last := make(chan time.Time, 1), make(chan time.Time, 1)
	s := newSite(t, smtptest.Config{Received: func(m smtptest.Message) {
		mu.Lock()
		copies[m.To[0]]++
		mu.Unlock()
		if strings.HasPrefix(m.To[0], "urgent") {
			switch urgent.Add(1) {
			case 1:
				first <- time.Now()
			case 100:
				last <- time.Now()
			}
		}
	}})
	newsletter := s.Enqueue("menu", "Soup.", n, 1000)
	s.Start("run")
	s.Until(`SELECT delivered > 2000 FROM enotify.batch_status WHERE id = $1`, newsletter)

	notice := ask[int64](s, `SELECT enotify.enqueue('flood', 'info@town.example', 'Flood', 'Leave.',
		ARRAY(SELECT format('urgent%s@%s%s.test', i, CASE WHEN i % 2 = 0 THEN 'd' ELSE 'other' END, i) FROM generate_series(1, 100) i), priority => 10)`)
	submitted := time.Now()
	begun, ended := (<-first).Sub(submitted), (<-last).Sub(submitted)
	t.Logf("the first of the notice came %v after submit, the hundredth %v", begun.Round(time.Millisecond),
		ended.Round(time.Millisecond))
	if begun > 20*time.Second { // it is under 2 s where nobody else has the machine
		t.Errorf("the first of the notice came %v after submit, want it within 20 s", begun)
	}
	s.Until(`SELECT state = 'done' FROM enotify.batch WHERE id = $1`, notice)
	before := ask[int](s, `SELECT delivered FROM enotify.batch_status WHERE id = $1`, newsletter)
	if before > n-20_000 {
		t.Errorf("the newsletter was nearly done before the notice: %d delivered", before)
	}

	// It goes on, and the rest is cancelled: to deliver all of it takes half a minute.
	s.Until(`SELECT delivered > $2 FROM enotify.batch_status WHERE id = $1`, newsletter, before+3_000)
	s.Run("batch", "cancel", fmt.Sprint(newsletter), "--reason", "enough", "--yes")
	s.Until(`SELECT finished_at IS NOT NULL FROM enotify.batch WHERE id = $1`, newsletter)
	s.Run("batch", "audit")
	delivered := ask[int](s, `SELECT delivered FROM enotify.batch_status WHERE id = $1`, newsletter)
	if got, want := s.States(newsletter), fmt.Sprintf("cancelled %d, delivered %d", n-delivered,
		delivered); got != want {
		t.Errorf("newsletter: got %s, want %s", got, want)
	}
	mu.Lock()
	defer mu.Unlock()
	queuetest.Copies(t, copies, delivered+100, 1)
}
