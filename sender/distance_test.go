package sender_test

import (
	"bytes"
	"net"
	"sync"
	"testing"
	"time"

	"enotify/sender/smtptest"
)

// A distance lies between a sender and its host. Whatever is under way at the
// same time arrives at the same time, however many commands it is.
type distance struct {
	delay time.Duration // each way

	mu     sync.Mutex
	toHost bool // the way that the latest octets went
	trips  int  // there and back
}

// putFar puts a distance before the only host of w.
func putFar(t testing.TB, w *world, host *smtptest.Server, delay time.Duration) *distance {
	t.Helper()
	d := &distance{delay: delay}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	w.sender.Port = l.Addr().(*net.TCPAddr).Port
	var work sync.WaitGroup
	work.Go(func() {
		for {
			near, err := l.Accept()
			if err != nil {
				return
			}
			far, err := net.Dial("tcp", host.Addr)
			if err != nil {
				near.Close()
				continue
			}
			work.Go(func() { d.carry(far, near, true) })
			work.Go(func() { d.carry(near, far, false) })
		}
	})
	t.Cleanup(func() {
		w.sender.Close()
		l.Close()
		work.Wait()
	})
	return d
}

// carry ends when either side has closed.
func (d *distance) carry(dst, src net.Conn, toHost bool) {
	type packet struct {
		octets []byte
		due    time.Time
	}
	underway := make(chan packet, 1<<10)
	go func() {
		defer dst.Close()
		for p := range underway {
			if wait := time.Until(p.due); wait > 0 {
				<-time.After(wait)
			}
			if _, err := dst.Write(p.octets); err != nil {
				src.Close() // and carry on to the end of underway
			}
		}
	}()
	defer close(underway)
	buf := make([]byte, 64<<10)
	for {
		n, err := src.Read(buf)
		if err != nil {
			return
		}
		d.count(toHost)
		underway <- packet{bytes.Clone(buf[:n]), time.Now().Add(d.delay)}
	}
}

func (d *distance) count(toHost bool) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if toHost && !d.toHost {
		d.trips++
	}
	d.toHost = toHost
}

func (d *distance) roundTrips() int {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.trips
}

// At a distance only round trips count: two for a message instead of four,
// also after one that was refused.
func TestRoundTrips(t *testing.T) {
	t.Parallel()
	inBothModes(t, func(t *testing.T, extensions []string) {
		w, host := one(t, smtptest.Config{Extensions: extensions,
			Reply: when(func(c smtptest.Command) bool { return c.Verb == "RCPT" && c.To == "gone@a.test" },
				"550 5.1.1 User unknown"),
		})
		d := putFar(t, w, host, 0)
		var got []int
		before := 1 // EHLO
		for _, user := range []string{"u1", "u2", "gone", "u3"} {
			w.deliver(t, to(testBatch, 1, user+"@a.test"))
			now := d.roundTrips()
			got = append(got, now-before)
			before = now
		}
		want := [4]int{4, 4, 2, 5} // 5: with RSET
		if extensions[0] == "PIPELINING" {
			want = [4]int{2, 2, 1, 2}
		}
		if [4]int(got) != want {
			t.Errorf("round trips of each message: got %v, want %v", got, want)
		}
	})
}

// BenchmarkDeliverDistance hands messages of 10 KB over one connection to a
// host at a round trip of 20 ms.
func BenchmarkDeliverDistance(b *testing.B) {
	for _, mode := range append(modes, struct {
		name       string
		extensions []string
	}{"chunked", chunking}) {
		b.Run(mode.name, func(b *testing.B) {
			w, host := one(b, smtptest.Config{Extensions: mode.extensions, Discard: true})
			d := putFar(b, w, host, 10*time.Millisecond)
			batch := *testBatch
			batch.Text = body
			flow(b, w, &batch, 40) // which also connects, and learns
			before, trips := host.Delivered(), d.roundTrips()
			b.ResetTimer()
			flow(b, w, &batch, b.N)
			n := float64(host.Delivered() - before)
			b.ReportMetric(n/b.Elapsed().Seconds(), "msg/s")
			b.ReportMetric(float64(d.roundTrips()-trips)/n, "round-trips/msg")
		})
	}
}
