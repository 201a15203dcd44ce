package sender_test

import (
	"context"
	"fmt"
	"runtime"
	"sync"
	"sync/atomic"
	"testing"

	"enotify/queue"
	"enotify/sender/smtptest"
)

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
	zone := ""
	for i := range messages {
		zone += fmt.Sprintf("d%d.test. MX 10 mx.d%d.test.\nmx.d%d.test. CNAME sink.\n", i, i, i)
	}
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
