package sender_test

import (
	"context"
	"fmt"
	"runtime"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"enotify/queue"
	"enotify/sender/smtptest"
)

// aliases are the records of domains d0.test, d1.test and so on, whose mail host is the same.
func aliases(domains int, host string) (zone string) {
	for i := range domains {
		zone += fmt.Sprintf("d%d.test. MX 10 mx.d%d.test.\nmx.d%d.test. CNAME %s.\n", i, i, i, host)
	}
	return zone
}

// However many messages are under way, an attachment is in memory once: with
// 300 of them at hosts that take their time, all that the process has is less
// than a tenth of what they are together.
func TestMemoryOfMessagesUnderWay(t *testing.T) {
	t.Parallel()
	const messages, attached = 300, 4 << 20
	var begun atomic.Int32
	all, release := make(chan struct{}), make(chan struct{})
	host := smtptest.Config{Discard: true, Reply: func(c smtptest.Command) string {
		if c.Verb != "MAIL" {
			return ""
		}
		if begun.Add(1) == messages {
			close(all)
		}
		<-release
		return "450 4.3.2 Not now"
	}}
	zone := aliases(messages, "sink")
	w := newWorld(t, zone, hosts{"sink": host})
	b := *testBatch
	b.Text, b.HTML = "Dear {{.name}}", "<p>Dear {{.name}}{{if .vip}}, VIP{{end}}</p>"
	b.Attachments = []queue.Attachment{{Filename: "film.mp4", Content: make([]byte, attached)}}
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	var work sync.WaitGroup
	for i := range messages {
		work.Go(func() {
			w.sender.Deliver(ctx, to(&b, i+1, fmt.Sprintf("u@d%d.test", i), `{"name":"Ada"}`))
		})
	}
	<-all
	var now runtime.MemStats
	runtime.GC()
	runtime.ReadMemStats(&now)
	if limit := uint64(messages * attached / 10); now.HeapAlloc > limit {
		t.Errorf("heap with %d messages of %d MB under way: got %d MB, want at most %d", messages, attached>>20,
			now.HeapAlloc>>20, limit>>20)
	}
	if used := w.sender.MemoryUsed(); used > 64<<20 {
		t.Errorf("memory of the messages' own: got %d octets, want at most the budget", used)
	}
	close(release)
	work.Wait()
	if used := w.sender.MemoryUsed(); used != 0 {
		t.Errorf("memory after they are done: got %d octets, want 0", used)
	}
}

// The contents of batches whose messages lie at hosts that do not answer the end take no
// memory: the messages of 24 batches lie there together, and at no time is more than the budget
// being written.
func TestContentsOfMessagesThatHaveLeft(t *testing.T) {
	t.Parallel()
	const batches, octets, budget = 24, 1 << 20, 6 << 20
	var ended atomic.Int32
	all, release := make(chan struct{}), make(chan struct{})
	host := smtptest.Config{Discard: true, Reply: func(c smtptest.Command) string {
		if c.Verb != "." {
			return ""
		}
		if ended.Add(1) == batches {
			close(all)
		}
		<-release
		return ""
	}}
	zone := aliases(batches, "sink")
	w := newWorld(t, zone, hosts{"sink": host})
	w.sender.MaxContents = budget
	var peak atomic.Int64
	var work sync.WaitGroup
	var delivered atomic.Int32
	for i := range batches {
		b := *testBatch
		b.ID, b.Client, b.Text, b.Octets = int64(i+1), fmt.Sprintf("c%d.test", i%4), "", octets
		b.Read = func(context.Context) (*queue.Batch, error) {
			peak.Store(max(peak.Load(), int64(w.sender.ContentsInUse()))) // this one included
			whole := b
			whole.Read, whole.Text = nil, "Text.\n"
			whole.Attachments = []queue.Attachment{{Filename: "film.mp4", Content: make([]byte, octets)}}
			return &whole, nil
		}
		work.Go(func() {
			o := queue.Outcome{Class: queue.NotBegun}
			for o.Class == queue.NotBegun { // on a slow machine it may have waited for room for too long
				o = w.sender.Deliver(t.Context(), to(&b, 1, fmt.Sprintf("u@d%d.test", i)))
			}
			if o.State == queue.Delivered {
				delivered.Add(1)
			}
		})
	}
	<-all
	if got := w.sender.ContentsInUse(); got != 0 {
		t.Errorf("contents in use while all messages wait for the last reply: got %d octets, want 0", got)
	}
	if got := peak.Load(); got > budget || got < octets {
		t.Errorf("contents in use at most: got %d octets, want at most %d, and more than one has", got, budget)
	}
	close(release)
	work.Wait()
	if got := delivered.Load(); got != batches {
		t.Errorf("delivered: got %d, want %d", got, batches)
	}
}

// Hosts that read nothing of large messages have all the memory for them, each with one of
// another client. The message of one client more gets room, and theirs are tried again.
func TestSlowReadersMakeWay(t *testing.T) {
	t.Parallel()
	const clients, octets, budget = 12, 1 << 20, 4 << 20
	stalled, over := make(chan struct{}, clients), make(chan struct{})
	release := sync.OnceFunc(func() { close(over) })
	defer release()
	slow := smtptest.Config{Reply: func(c smtptest.Command) string {
		if c.Verb == "MAIL" {
			stalled <- struct{}{}
			<-over
		}
		return ""
	}}
	zone := "good.test. MX 10 mx.good.test.\n" + aliases(clients, "slow")
	w := newWorld(t, zone, hosts{"slow": slow, "mx.good.test": {Discard: true}})
	w.sender.MaxContents, w.sender.MakeWayAfter = budget, time.Second
	deliver := func(i int, addr string) queue.Outcome {
		b := *testBatch
		b.ID, b.Client, b.Text, b.Octets = int64(i+1), fmt.Sprintf("c%d.test", i), "", octets
		b.Read = func(context.Context) (*queue.Batch, error) {
			whole := b
			whole.Read, whole.Text = nil, "Text.\n"
			whole.Attachments = []queue.Attachment{{Filename: "film.mp4", Content: make([]byte, octets)}}
			return &whole, nil
		}
		return w.sender.Deliver(t.Context(), to(&b, 1, addr))
	}
	var work sync.WaitGroup
	cut := make(chan queue.Outcome, clients)
	for i := range clients {
		work.Go(func() { cut <- deliver(i, fmt.Sprintf("u@d%d.test", i)) })
	}
	<-stalled
	eventually(t, "there is room for no other", func() bool { return w.sender.ContentsInUse() > budget-2*octets })
	eventually(t, "a client more is delivered to", func() bool {
		return deliver(clients, "u@good.test").State == queue.Delivered
	})
	made := 0
	for len(cut) > 0 {
		switch o := <-cut; {
		case o.State != queue.Deferred:
			t.Errorf("a message that was cut off: got %+v, want deferred", o)
		case o.Class == queue.Offline:
			made++
		}
	}
	if made == 0 {
		t.Error("messages that made way: got 0, want some")
	}
	release()
	work.Wait()
}
