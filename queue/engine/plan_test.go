package engine_test

import (
	"context"
	"fmt"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"enotify/queue"
	"enotify/queue/queuetest"
)

func setLimits(f *queuetest.Fixture, change queue.LimitsChange) {
	f.Helper()
	if _, err := f.DB.SetClient(f.Context(), "town.example", queue.ClientChange{Limits: &change}); err != nil {
		f.Fatal(err)
	}
}

// However many nodes send, and however often they start again, a client sends as many
// messages a day as it may. The rest waits with its reason, gives the turn on, and is
// sent once the next day has begun.
func TestDayLimitIsExact(t *testing.T) {
	t.Parallel()
	f := queuetest.NewFixture(t)
	f.Exec(`INSERT INTO enotify.client (domain) VALUES ('city.example')`)
	domains := make([]string, 40)
	for i := range domains {
		domains[i] = fmt.Sprintf("d%d.example", i)
	}
	most := 333
	setLimits(f, queue.LimitsChange{PerDay: &most})
	batch := f.Enqueue("menu", 1000, domains...)
	other := queuetest.Query[int64](f, `SELECT enotify.enqueue('agenda', 'info@city.example', 'Agenda', 'Text', $1)`,
		queuetest.Addresses(100, []string{"other.example"}))
	var sent atomic.Int32
	slowly := func(ctx context.Context, m queue.Message) queue.Outcome {
		if m.Batch.ID == batch {
			sent.Add(1)
			time.Sleep(time.Millisecond)
		}
		return queuetest.Deliver(ctx, m)
	}
	first, second := f.Server("first", slowly), f.Server("second", slowly)
	first.MaxInFlight, second.MaxInFlight = 20, 30 // so that both have a part of it
	node(f, first)
	f.ServeUntil(second, `SELECT sum(delivered) FILTER (WHERE id = $1) > 150 FROM enotify.batch_status`, batch)
	node(f, f.Server("third", slowly))

	await(f, `SELECT state = 'done' FROM enotify.batch WHERE id = $1`, other)
	await(f, `SELECT state = 'queued' FROM enotify.batch WHERE id = $1`, batch)
	if got, want := f.States(batch), map[string]int{"delivered": 333, "pending": 667}; !cmp.Equal(got, want) {
		t.Errorf("after the day's messages are used up: got %v, want %v", got, want)
	}
	if got := sent.Load(); got != 333 {
		t.Errorf("handed to the sender: got %d, want 333", got)
	}
	reason := queuetest.Query[string](f, `SELECT reason FROM enotify.batch_status WHERE id = $1`, batch)
	if want := "client town.example has sent all that it may for now; it goes on at "; !strings.HasPrefix(reason,
		want) || !strings.HasSuffix(reason, " 00:00 UTC") {
		t.Errorf("why it waits: got %q, want %q and midnight in its zone", reason, want)
	}
	c, err := f.DB.Client(f.Context(), "town.example")
	if err != nil || c.Sent == nil || c.Sent.Today != 333 || c.Sent.Left != 0 {
		t.Errorf("client: got %+v and %v, want 333 sent today, 0 left", c.Sent, err)
	}

	// the next day
	f.Exec(`UPDATE enotify.client_sent SET n = 0; UPDATE enotify.client SET spent_until = now() WHERE domain = 'town.example'`)
	await(f, `SELECT delivered = 666 AND state = 'queued' FROM enotify.batch_status WHERE id = $1`, batch)
	more := 400 // raised while the batch waits: in force at once
	setLimits(f, queue.LimitsChange{PerDay: &more})
	await(f, `SELECT delivered = 733 AND state = 'queued' FROM enotify.batch_status WHERE id = $1`, batch)
	none := 0
	setLimits(f, queue.LimitsChange{PerDay: &none})
	await(f, `SELECT state = 'done' FROM enotify.batch WHERE id = $1`, batch)
	f.SentOnce(1100)
	f.Balances()
}

// A limit that is set in the middle of a month counts what was sent before.
func TestMonthLimitCountsWhatWasSent(t *testing.T) {
	t.Parallel()
	f := queuetest.NewFixture(t)
	f.Enqueue("menu", 60, "a.example")
	f.Serve(f.Server("n1", queuetest.Deliver))
	most := 100
	setLimits(f, queue.LimitsChange{PerMonth: &most})
	batch := f.Enqueue("agenda", 60, "b.example")
	f.Serve(f.Server("n1", queuetest.Deliver)) // until nothing is due
	if got, want := f.States(batch), map[string]int{"delivered": 40, "pending": 20}; !cmp.Equal(got, want) {
		t.Errorf("100 a month, 60 sent before: got %v, want %v", got, want)
	}
	if got := queuetest.Query[bool](f, `SELECT spent_until = date_trunc('month', now() AT TIME ZONE 'UTC') AT TIME ZONE 'UTC' + interval '1 month' FROM enotify.client WHERE domain = 'town.example'`); !got {
		t.Error("it does not go on with the next month")
	}
}

// A third batch of a client that may have two at once waits until one is done; an
// urgent one does not.
func TestBatchesAtOnce(t *testing.T) {
	t.Parallel()
	f := queuetest.NewFixture(t)
	two := 2
	setLimits(f, queue.LimitsChange{MaxBatches: &two})
	var open atomic.Bool
	s := f.Server("n1", func(ctx context.Context, m queue.Message) queue.Outcome {
		if m.Domain == "grey.example" && !open.Load() {
			return queue.Outcome{State: queue.Deferred, Class: queue.Throttled, Reply: queue.Reply{Code: 451},
				After: time.Second}
		}
		return queuetest.Deliver(ctx, m)
	})
	var ids []int64
	for i := range 3 {
		ids = append(ids, f.Enqueue(fmt.Sprint("menu", i), 2, "grey.example", "a.example"))
	}
	urgent := queuetest.Query[int64](f, `SELECT enotify.enqueue('flood', 'info@town.example', 'Flood', 'Leave.', '{x@a.example}', priority => 100)`)
	node(f, s)
	await(f, `SELECT count(*) = 2 FROM enotify.batch WHERE state = 'retrying'`)
	await(f, `SELECT state = 'done' FROM enotify.batch WHERE id = $1`, urgent)
	await(f, `SELECT reason LIKE '%has 2 batches under way, as many as it may have at once' FROM enotify.batch_status WHERE id = $1`, ids[2])
	open.Store(true)
	await(f, `SELECT state = 'done' FROM enotify.batch WHERE id = $1`, ids[2])
}

// A batch whose window closes gives the turn on, with nothing begun after a second,
// and takes it again when the window opens. Its retries wait too. An urgent batch of
// the client is sent all the same.
func TestWindowClosesAndOpens(t *testing.T) {
	t.Parallel()
	f := queuetest.NewFixture(t)
	f.Patience = 30 * time.Second
	f.Exec(`INSERT INTO enotify.client (domain) VALUES ('city.example')`)
	tomorrow := queuetest.Query[string](f,
		`SELECT to_char(now() AT TIME ZONE 'UTC' + interval '2 days', 'Dy') || ' 00:00-24:00 UTC'`)
	always, never := "daily 00:00-24:00 UTC", tomorrow
	setLimits(f, queue.LimitsChange{Window: &always})
	const all = 1200 // at 10 ms each, more than are through before the test closes the window
	batch := f.Enqueue("menu", all, "a.example", "b.example")
	var sent atomic.Int32
	var closed atomic.Bool // until then, the first recipient is deferred each time
	s := f.Server("n1", func(ctx context.Context, m queue.Message) queue.Outcome {
		if m.Batch.ID == batch {
			sent.Add(1)
			if !closed.Load() {
				time.Sleep(10 * time.Millisecond)
			}
		}
		if m.Seq == 1 && m.Batch.ID == batch && !closed.Load() {
			return queue.Outcome{State: queue.Deferred, Class: queue.Offline}
		}
		return queuetest.Deliver(ctx, m)
	})
	s.MaxInFlight = 4
	s.Schedule.First, s.Schedule.Max = 500*time.Millisecond, 500*time.Millisecond
	node(f, s)
	await(f, `SELECT delivered > 20 FROM enotify.batch_status WHERE id = $1`, batch)
	setLimits(f, queue.LimitsChange{Window: &never})
	await(f, `SELECT state = 'queued' AND sending = 0 FROM enotify.batch_status WHERE id = $1`, batch)
	closed.Store(true)
	before := sent.Load()
	other := queuetest.Query[int64](f, `SELECT enotify.enqueue('agenda', 'info@city.example', 'Agenda', 'Text', '{a@a.example}')`)
	await(f, `SELECT state = 'done' FROM enotify.batch WHERE id = $1`, other)
	urgent := queuetest.Query[int64](f, `SELECT enotify.enqueue('flood', 'info@town.example', 'Flood', 'Leave.', '{x@a.example}', priority => 100)`)
	await(f, `SELECT state = 'done' FROM enotify.batch WHERE id = $1`, urgent)
	await(f, `SELECT count(*) > 0 FROM enotify.retry WHERE due_at < now() - interval '200 ms' AND batch_id = $1`, batch)
	if got := sent.Load(); got != before {
		t.Errorf("handed to the sender outside of the window: got %d messages, want none", got-before)
	}
	reason := queuetest.Query[string](f, `SELECT reason FROM enotify.batch_status WHERE id = $1`, batch)
	if want := "waits for its window " + tomorrow + ", which opens at "; !strings.HasPrefix(reason, want) {
		t.Errorf("why it waits: got %q, want %q", reason, want)
	}
	setLimits(f, queue.LimitsChange{Window: &always})
	await(f, `SELECT state = 'done' AND delivered = $2 FROM enotify.batch_status WHERE id = $1`, batch, all)
	f.Balances()
}

// An intent is refused outside of the window, though the batch has the turn: a node may
// have read it just before the window closed.
func TestIntentAsksForTheWindow(t *testing.T) {
	t.Parallel()
	f := queuetest.NewFixture(t)
	for i, c := range []struct {
		opens    string // from now
		priority int
		want     bool
	}{{"-1 hour", 0, true}, {"1 hour", 0, false}, {"1 hour", 100, true}} {
		batch := queuetest.Query[int64](f, `SELECT enotify.enqueue('k' || $1::int, 'info@town.example', 'Menu', 'Soup.',
			'{a@a.example}', send_window => format('Mon 0%s:00-12:00 UTC', $1), priority => $2::int)`, i, c.priority)
		f.Exec(`INSERT INTO enotify.send_window (spec, opens_at, closes_at)
			SELECT send_window, now() + $2::interval, now() + $2::interval + interval '2 hours' FROM enotify.batch
			WHERE id = $1`, batch, c.opens)
		if got := queuetest.Query[bool](f, `SELECT enotify.may_take($1, 1)`, batch); got != c.want {
			t.Errorf("window that opens in %s, priority %d: may begin: got %v, want %v", c.opens, c.priority, got, c.want)
		}
	}
}

// Run --until-idle ends when all that is left waits for its window.
func TestIdleOutsideOfTheWindow(t *testing.T) {
	t.Parallel()
	f := queuetest.NewFixture(t)
	batch := queuetest.Query[int64](f, `SELECT enotify.enqueue('menu', 'info@town.example', 'Menu', 'Soup.', '{a@a.example}',
		send_window => to_char(now() AT TIME ZONE 'UTC' + interval '2 days', 'Dy') || ' 10:00-12:00 Europe/Berlin')`)
	f.Serve(f.Server("n1", queuetest.Deliver))
	if got, want := f.States(batch), map[string]int{"pending": 1}; !cmp.Equal(got, want) {
		t.Errorf("got %v, want %v", got, want)
	}
}
