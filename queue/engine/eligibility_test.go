package engine_test

import (
	"context"
	"fmt"
	"net/netip"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"enotify/queue"
	"enotify/queue/engine"
	"enotify/queue/queuetest"
)

// A node joins, with all groups a fair share, from an address that the client
// has not authorised: it sends nothing of the batch under way, which the other
// one sends to its end. A new batch of the client is blocked until the address
// is authorised; another client's goes out.
func TestNodeThatMayNotSendForAClient(t *testing.T) {
	t.Parallel()
	f := queuetest.NewFixture(t)
	stranger := netip.MustParseAddr("198.51.100.9")
	f.Exec(`INSERT INTO enotify.client (domain) VALUES ('city.example')`)
	var authorised atomic.Bool
	f.Verdict = func(client string, ip netip.Addr) string {
		if ip == stranger && client == "town.example" && !authorised.Load() {
			return "fail"
		}
		return "pass"
	}
	domains := make([]string, 100)
	for i := range domains {
		domains[i] = string(rune('a'+i%26)) + string(rune('a'+i/26)) + ".example"
	}
	batch := f.Enqueue("menu", 2000, domains...)
	gate := make(chan struct{})
	var strangerSent, othersSent atomic.Int32
	first := f.Server("first", func(ctx context.Context, m queue.Message) queue.Outcome {
		<-gate
		return queuetest.Deliver(ctx, m)
	})
	first.UntilIdle, first.MaxInFlight = false, 100
	second := f.Server("second", func(ctx context.Context, m queue.Message) queue.Outcome {
		if m.Batch.Client == "town.example" && !authorised.Load() {
			strangerSent.Add(1)
		} else {
			othersSent.Add(1)
		}
		return queuetest.Deliver(ctx, m)
	})
	second.UntilIdle = false
	second.Node.Egress = []netip.Addr{stranger}
	ctx, cancel := context.WithCancel(t.Context())
	var nodes sync.WaitGroup
	defer nodes.Wait()
	defer cancel()
	serve := func(s *engine.Server) {
		nodes.Go(func() {
			if err := f.Run(ctx, s, "pass"); err != nil {
				t.Error(err)
			}
		})
	}
	serve(first)
	f.Until(func() {}, `SELECT state = 'sending' FROM enotify.batch WHERE id = $1`, batch)
	serve(second)
	f.Until(func() {}, `SELECT count(*) > 0 FROM enotify.verdict WHERE egress = $1 AND blocks`, stranger)
	next := f.Enqueue("next", 10, domains...)
	f.Exec(`UPDATE enotify.verdict SET valid_until = now() WHERE blocks`) // as it is within 30 s
	f.Until(func() {}, `SELECT state = 'blocked' FROM enotify.batch WHERE id = $1`, next)
	close(gate)
	f.Until(func() {}, `SELECT state = 'done' FROM enotify.batch WHERE id = $1`, batch)
	if got, want := f.States(batch), map[string]int{"delivered": 2000}; !cmp.Equal(got, want) {
		t.Errorf("states: got %v, want %v", got, want)
	}
	f.Until(func() {}, `SELECT count(*) = 2 FROM (SELECT FROM enotify.lease WHERE node_id IS NOT NULL GROUP BY node_id HAVING count(*) = 32) n`)
	other := queuetest.Query[int64](f, `SELECT enotify.enqueue('o', 'info@city.example', 's', 't', $1)`,
		queuetest.Addresses(200, domains))
	f.Until(func() {}, `SELECT state = 'done' FROM enotify.batch WHERE id = $1`, other)
	if got := strangerSent.Load(); got != 0 {
		t.Errorf("messages for the client from an address that it has not authorised: got %d, want 0", got)
	}
	if othersSent.Load() == 0 {
		t.Error("messages for another client from that node: got none, want its share")
	}

	authorised.Store(true)
	f.Exec(`SELECT enotify.resume_batch($1)`, next)
	f.Until(func() {}, `SELECT state = 'done' FROM enotify.batch WHERE id = $1`, next)
	if got, want := f.States(next), map[string]int{"delivered": 10}; !cmp.Equal(got, want) {
		t.Errorf("states after the cure: got %v, want %v", got, want)
	}
}

// An address that was let send and is not any more blocks what is under way.
func TestVerdictThatTurnsBlocksWhatIsUnderWay(t *testing.T) {
	t.Parallel()
	f := queuetest.NewFixture(t)
	// n1 gets half of the groups
	batch := f.Enqueue("menu", 500, "a.example", "b.example", "c.example", "d.example", "e.example", "f.example",
		"g.example", "h.example", "i.example", "j.example", "k.example")
	other := netip.MustParseAddr("192.0.2.2")
	f.Exec(`INSERT INTO enotify.node (name, egress, helo, version, live_until) VALUES ('other', ARRAY[$1::inet], 'h', 'v', now() + interval '1 hour')`, other)
	var turned atomic.Bool
	f.Verdict = func(_ string, ip netip.Addr) string {
		if turned.Load() && ip == other {
			return "fail"
		}
		return "pass"
	}
	s := f.Server("n1", func(ctx context.Context, m queue.Message) queue.Outcome {
		time.Sleep(time.Millisecond)
		return queuetest.Deliver(ctx, m)
	})
	s.UntilIdle, s.MaxInFlight = false, 1
	ctx, cancel := context.WithCancel(t.Context())
	var watch sync.WaitGroup
	watch.Go(func() {
		f.Until(func() {
			turned.Store(true)
			conn := queuetest.Connect(t, f.URL)
			if _, err := conn.Exec(t.Context(), `UPDATE enotify.verdict SET valid_until = now()`); err != nil {
				t.Error(err)
			}
		}, `SELECT delivered > 0 FROM enotify.batch_status WHERE id = $1`, batch)
	})
	watch.Go(func() { f.Until(cancel, `SELECT state = 'blocked' FROM enotify.batch WHERE id = $1`, batch) })
	if err := f.Run(ctx, s, "pass"); err != nil {
		t.Fatal(err)
	}
	watch.Wait()
}

// In whatever moments a node hears that it may not send, and however soon after
// that it may: those not tried yet, and those to be tried again, are sent to.
func TestMayNotForAMoment(t *testing.T) {
	t.Parallel()
	const asked = 5 // times; more than a node asks in one look at the queue
	for no := 1; no < 1<<asked; no++ {
		t.Run(fmt.Sprintf("%05b", no), func(t *testing.T) {
			t.Parallel()
			f := queuetest.NewFixture(t)
			batch := f.Enqueue("menu", 4, "a.example")
			f.Exec(`CREATE SEQUENCE public.asked MINVALUE 0`)
			var n atomic.Int32
			s := f.Server("n1", func(ctx context.Context, m queue.Message) queue.Outcome {
				switch n.Add(1) {
				case 1:
					return queue.Outcome{State: queue.Deferred, Class: queue.Offline}
				case 2:
					f.Exec(fmt.Sprintf(`CREATE OR REPLACE FUNCTION enotify.may_send(node int, client int, pool text) RETURNS boolean LANGUAGE sql VOLATILE
						AS 'SELECT (%d >> least(nextval(''public.asked''), 30)::int) & 1 = 0'`, no))
					f.Until(func() {}, `SELECT last_value > $1 FROM public.asked`, asked)
				}
				return queuetest.Deliver(ctx, m)
			})
			s.MaxInFlight = 1
			ctx, cancel := context.WithTimeout(t.Context(), time.Minute) // for a test that fails
			defer cancel()
			if err := f.Run(ctx, s, "pass"); err != nil {
				t.Fatal(err)
			}
			if got, want := f.States(batch), map[string]int{"delivered": 4}; !cmp.Equal(got, want) {
				t.Errorf("states: got %v, want %v", got, want)
			}
			f.Balances()
		})
	}
}
