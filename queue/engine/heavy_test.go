package engine_test

import (
	"context"
	"fmt"
	"sync"
	"testing"
	"time"

	"enotify/queue"
	"enotify/queue/queuetest"
)

// Twenty batches with large attachments that only have retries, one of whose messages
// lies at a site that does not answer, are in memory a few at a time, and all are
// delivered to.
func TestContentsOfRetriesAreBounded(t *testing.T) {
	t.Parallel()
	const (
		batches = 20
		octets  = 300_000
		most    = 3 // of them fit into MaxContents
	)
	f := queuetest.NewFixture(t)
	f.Patience = 30 * time.Second
	var mu sync.Mutex
	aloft := map[*queue.Batch]int{} // batches of second tries under way
	peak, later := 0, make(chan struct{})
	s := f.Server("n1", func(ctx context.Context, m queue.Message) queue.Outcome {
		if m.Attempt == 1 {
			return queue.Outcome{State: queue.Deferred, Class: queue.Other, After: time.Millisecond}
		}
		mu.Lock()
		aloft[m.Batch]++
		peak = max(peak, len(aloft))
		mu.Unlock()
		select {
		case <-later:
		case <-ctx.Done():
		}
		mu.Lock()
		defer mu.Unlock()
		if aloft[m.Batch]--; aloft[m.Batch] == 0 {
			delete(aloft, m.Batch)
		}
		return queuetest.Deliver(ctx, m)
	})
	s.MaxContents = most * octets * 11 / 10
	s.Schedule.First, s.Schedule.Max = time.Millisecond, time.Millisecond
	for i := range batches {
		f.Exec(`SELECT enotify.create_batch($1, 'info@town.example', 'S', 'text')`, fmt.Sprint("heavy", i))
		f.Exec(`SELECT enotify.add_attachment(id, 'a.bin', convert_to(repeat('x', $1), 'UTF8')) FROM enotify.batch
			WHERE idem_key = $2`, octets, fmt.Sprint("heavy", i))
		f.Exec(`SELECT enotify.add_recipients(id, ARRAY[format('u@d%s.example', $1::int)]), enotify.submit_batch(id)
			FROM enotify.batch WHERE idem_key = $2`, i, fmt.Sprint("heavy", i))
	}
	release := sync.OnceFunc(func() { close(later) })
	go func() { // when as many lie there as may, and all the others wait
		defer release()
		f.Until(func() {}, `SELECT count(*) = $1 FROM enotify.batch WHERE state = 'retrying'`, batches)
		f.Until(func() {}, `SELECT count(*) = $1 FROM enotify.retry WHERE intent_at IS NOT NULL`, most)
	}()
	f.ServeUntil(s, `SELECT count(*) = $1 FROM enotify.batch WHERE state = 'done'`, batches)
	mu.Lock()
	defer mu.Unlock()
	if peak != most {
		t.Errorf("batches in memory for their retries: got %d at once, want %d", peak, most)
	}
	queuetest.Copies(t, f.Sent(), batches, 2)
}
