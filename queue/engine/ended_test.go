package engine_test

import (
	"context"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"enotify/queue"
	"enotify/queue/queuetest"
)

// oneByOne admits one message at a time: the next once the last one is recorded.
type oneByOne struct {
	queuetest.Unlimited
	under atomic.Bool
}

func (a *oneByOne) Admit(_ string, _ int, now time.Time) (int, queue.Wait) {
	w := queue.Wait{Until: now.Add(time.Millisecond)}
	if a.under.CompareAndSwap(false, true) {
		return 1, w
	}
	return 0, w
}

// A slow site leaves no message under way again and again, while others wait: a node that
// runs until it is idle does not take each of these moments for the end of the batch.
func TestUntilIdleEndsNotWhileOthersWait(t *testing.T) {
	t.Parallel()
	const n = 50
	f := queuetest.NewFixture(t)
	f.Enqueue("menu", n, "a.example")
	begun := make(chan struct{})
	begin := sync.OnceFunc(func() { close(begun) })
	s := f.Server("n1", func(ctx context.Context, m queue.Message) queue.Outcome {
		begin()
		return queuetest.Deliver(ctx, m)
	})
	tap := queuetest.NewTap(t, f.URL)
	one := &oneByOne{}
	s.DB, s.Admission = queuetest.Open(t, tap.URL), one
	s.Flushed = func([]*queue.Result, time.Duration) { one.under.Store(false) }
	go func() {
		<-s.Joined()
		for more := true; more; {
			f.Judge(t.Context(), "pass")
			s.Wake()
			select {
			case <-begun: // from here on only the node itself wakes it
				more = false
			case <-time.After(10 * time.Millisecond):
			}
		}
	}()
	if err := s.Serve(t.Context()); err != nil {
		t.Fatal(err)
	}
	f.SentOnce(n)
	looks := 0
	for sql, times := range tap.Count() {
		if strings.Contains(sql, "SELECT id FROM moves") {
			looks += times
		}
	}
	if looks == 0 || looks >= n/2 {
		t.Errorf("looks whether the batch has ended: got %d, want some, and fewer than %d", looks, n/2)
	}
}
