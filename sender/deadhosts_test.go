package sender_test

import (
	"sync"
	"testing"
	"time"

	"enotify/queue"
	"enotify/sender/smtptest"
)

// A host that cannot be reached is dialled less and less often, and by one message
// at a time, however many there are for it; once it can be, as before.
func TestDeadHostIsDialledRarely(t *testing.T) {
	t.Parallel()
	var mu sync.Mutex
	alive := false
	w, host := one(t, smtptest.Config{Reply: func(c smtptest.Command) string {
		mu.Lock()
		defer mu.Unlock()
		if c.Verb == "CONNECT" && !alive {
			return smtptest.Drop
		}
		return ""
	}})
	const first = 20 * time.Millisecond
	w.sender.DeadTime = first
	deadline := time.Now().Add(40 * first) // 1 + 2 + 4 + 8 + 16 times first and more
	for n := 0; time.Now().Before(deadline); n++ {
		var all sync.WaitGroup
		for i := range 4 {
			all.Go(func() {
				if o := w.sender.Deliver(t.Context(), to(testBatch, 4*n+i, "u@a.test")); o.State != queue.Deferred {
					t.Errorf("outcome: got %+v, want deferred", o)
				}
			})
		}
		all.Wait()
	}
	if got := host.Connections(); got > 4+6 { // the four of the beginning knew nothing of each other
		t.Errorf("connections in 40 times the first wait: got %d, want at most 10", got)
	}
	mu.Lock()
	alive = true
	mu.Unlock()
	eventually(t, "a message is delivered",
		func() bool { return w.deliver(t, to(testBatch, 1, "u@a.test")).State == queue.Delivered })
	if o := w.deliver(t, to(testBatch, 2, "u@a.test")); o.State != queue.Delivered {
		t.Errorf("next message: got %+v, want delivered", o)
	}
}
