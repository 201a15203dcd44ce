package queue_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	"enotify/queue"
	"enotify/queue/queuetest"
	"enotify/queue/retention"
)

// returned is what a receiver says later of an address that is gone.
func returned(batch int64, seq int32) queue.Report {
	return queue.Report{
		Batch: batch, Seq: seq, Signed: true, Kind: queue.ReportBounce, Class: queue.NoSuchUser, Via: queue.ViaListener,
		Reply: queue.Reply{Code: 550, Enhanced: "5.1.1", Text: "no such user"},
		Raw:   []byte("From: mailer-daemon@a.example\n\ngone\n"),
	}
}

func record(f *queuetest.Fixture, r queue.Report) queue.Recorded {
	f.Helper()
	done, err := f.DB.RecordReport(f.Context(), r)
	if err != nil {
		f.Fatalf("RecordReport(%s): %v", r.Kind, err)
	}
	return done
}

// outcome is how recipient 1 of a batch stands, with what was said, and who is suppressed.
func outcome(f *queuetest.Fixture, batch int64) string {
	f.Helper()
	return queuetest.Query[string](f, `SELECT concat_ws(' ', d.state, d.class, d.code, d.reply, '/', s.address, s.cause, c.domain) FROM enotify.delivery d
		LEFT JOIN enotify.suppression s ON s.batch_id = d.batch_id AND s.seq = d.seq LEFT JOIN enotify.client c ON c.id = s.client_id
		WHERE d.batch_id = $1 AND d.seq = 1`, batch)
}

// counted checks that the counts of a batch agree with its outcomes.
func counted(f *queuetest.Fixture, batch int64) {
	f.Helper()
	if got := queuetest.Query[int](f, `SELECT count(*)::int FROM (SELECT state, n FROM (SELECT state, sum(n)::int AS n FROM enotify.batch_count WHERE batch_id = $1 GROUP BY 1) k WHERE n <> 0
		EXCEPT SELECT state, count(*)::int FROM enotify.outcome WHERE batch_id = $1 GROUP BY 1) d`, batch); got != 0 {
		f.Errorf("states of batch %d that are counted wrongly: got %d, want 0", batch, got)
	}
}

func TestRecordReport(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		first queue.Outcome // of the attempt
		said  func(r *queue.Report)
		want  string
		was   queue.State
	}{
		"gone after a delivery": {said: func(*queue.Report) {},
			want: "bounced no_such_user 550 5.1.1 no such user / u@a.example no_such_user", was: queue.Delivered},
		"gone, in doubt before": {first: queue.Outcome{State: queue.Unknown}, said: func(*queue.Report) {},
			want: "bounced no_such_user 550 5.1.1 no such user / u@a.example no_such_user", was: queue.Unknown},
		"had bounced already": {
			first: queue.Outcome{State: queue.Bounced, Class: queue.Policy, Reply: queue.Reply{Code: 554, Text: "no"}},
			said:  func(*queue.Report) {}, want: "bounced policy 554 no /",
		},
		"refused for other reasons": {said: func(r *queue.Report) { r.Class = queue.Content },
			want: "bounced content 550 5.1.1 no such user /", was: queue.Delivered},
		"given up": {
			said: func(r *queue.Report) {
				r.Kind, r.Class, r.Reply = queue.ReportExpired, queue.Offline,
					queue.Reply{Text: "too long in the queue"}
			},
			want: "expired offline too long in the queue /", was: queue.Delivered,
		},
		"delayed": {said: func(r *queue.Report) { r.Kind, r.Class = queue.ReportDelay, queue.Offline },
			want: "delivered /"},
		"on vacation": {said: func(r *queue.Report) { r.Kind, r.Class = queue.ReportAutoReply, "" },
			want: "delivered /"},
		"complained": {said: func(r *queue.Report) { r.Kind, r.Class = queue.ReportComplaint, "" },
			want: "delivered / u@a.example complaint town.example"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			f := queuetest.NewFixture(t)
			batch := queuetest.Query[int64](f,
				`SELECT enotify.enqueue('k', 'info@town.example', 's', 't', '{U@a.example}')`)
			f.Serve(f.Server("n1", func(context.Context, queue.Message) queue.Outcome {
				if c.first.State == "" {
					return queue.Outcome{State: queue.Delivered}
				}
				return c.first
			}))
			r := returned(batch, 1)
			c.said(&r)
			if got := record(f, r); got.Known || got.Was != c.was || got.Address != "U@a.example" {
				t.Errorf("the first time: got %+v, want new, was %q", got, c.was)
			}
			if got := strings.TrimSpace(outcome(f, batch)); got != c.want {
				t.Errorf("outcome: got %q, want %q", got, c.want)
			}
			counted(f, batch)

			// the same, on another way
			r.Raw, r.Via = append([]byte("Received: from elsewhere\n"), r.Raw...), queue.ViaIngest
			if got := record(f, r); !got.Known || got.Was != "" {
				t.Errorf("the second time: got %+v, want known", got)
			}
			if got := queuetest.Query[int](f, `SELECT count(*)::int FROM enotify.report`); got != 1 {
				t.Errorf("reports kept: got %d, want 1", got)
			}
			counted(f, batch)
		})
	}
}

// A receiver may be quicker with its report than we with our own record.
func TestReportOvertakesTheOutcome(t *testing.T) {
	t.Parallel()
	f := queuetest.NewFixture(t)
	batch := queuetest.Query[int64](f, `SELECT enotify.enqueue('k', 'info@town.example', 's', 't', '{u@a.example}')`)
	f.Serve(f.Server("n1", func(_ context.Context, m queue.Message) queue.Outcome {
		if got, err := f.DB.RecordReport(f.Context(), returned(batch, m.Seq)); err != nil || got.Was != queue.Sending {
			t.Errorf("report: got %+v, %v, want that the recipient was sending", got, err)
		}
		return queue.Outcome{State: queue.Delivered}
	}))
	if got, want := outcome(f, batch), "bounced no_such_user 550 5.1.1 no such user / u@a.example no_such_user"; got != want {
		t.Errorf("got %q, want %q", got, want)
	}
	if got := queuetest.Query[string](f, `SELECT state::text FROM enotify.batch`); got != "done" {
		t.Errorf("batch: got %s, want done", got)
	}
	counted(f, batch)
}

// Nobody bounces who was never sent to, whatever came in.
func TestReportBeforeTheTry(t *testing.T) {
	t.Parallel()
	f := queuetest.NewFixture(t)
	batch := queuetest.Query[int64](f, `SELECT enotify.enqueue('k', 'info@town.example', 's', 't', '{u@a.example}')`)
	if got := record(f, returned(batch, 1)); got.Was != "" {
		t.Errorf("got %+v, want no change", got)
	}
	if got := strings.TrimSpace(outcome(f, batch)); got != "pending /" {
		t.Errorf("got %q, want pending", got)
	}
}

func TestReportOnNobody(t *testing.T) {
	t.Parallel()
	f := queuetest.NewFixture(t)
	if _, err := f.DB.RecordReport(t.Context(), returned(7, 1)); !errors.Is(err, queue.ErrNotFound) {
		t.Errorf("got %v, want ErrNotFound", err)
	}
}

// Copies that come in at once, at several nodes, count once.
func TestReportsAtOnce(t *testing.T) {
	t.Parallel()
	f := queuetest.NewFixture(t)
	batch := queuetest.Query[int64](f, `SELECT enotify.enqueue('k', 'info@town.example', 's', 't', '{u@a.example}')`)
	f.Serve(f.Server("n1", queuetest.Deliver))
	var wg sync.WaitGroup
	var mu sync.Mutex
	fresh := 0
	for range 10 {
		wg.Go(func() {
			done, err := f.DB.RecordReport(context.Background(), returned(batch, 1))
			if err != nil {
				t.Error(err)
			}
			mu.Lock()
			defer mu.Unlock()
			if !done.Known {
				fresh++
			}
		})
	}
	wg.Wait()
	if fresh != 1 {
		t.Errorf("reports that were new: got %d, want 1", fresh)
	}
	counted(f, batch)
}

// A recipient of a message may report anything about his own address, but not for ever.
func TestReportsOnOneRecipientAreLimited(t *testing.T) {
	t.Parallel()
	f := queuetest.NewFixture(t)
	batch := queuetest.Query[int64](f, `SELECT enotify.enqueue('k', 'info@town.example', 's', 't', '{u@a.example}')`)
	f.Serve(f.Server("n1", queuetest.Deliver))
	for i := range 30 {
		r := returned(batch, 1)
		r.Kind, r.ID, r.Reply.Enhanced = queue.ReportDelay, fmt.Sprintf("<%d@a.example>", i), fmt.Sprintf("4.0.%d", i)
		record(f, r)
	}
	if got := queuetest.Query[int](f, `SELECT count(*)::int FROM enotify.report`); got != 20 {
		t.Errorf("reports kept: got %d, want 20", got)
	}
}

// The mail goes after 30 days, the fact stays; after the batch was pruned both go.
func TestReturnedMailIsKeptForAMonth(t *testing.T) {
	t.Parallel()
	f := queuetest.NewFixture(t)
	batch := queuetest.Query[int64](f, `SELECT enotify.enqueue('k', 'info@town.example', 's', 't', '{u@a.example}')`)
	f.Serve(f.Server("n1", queuetest.Deliver))
	record(f, returned(batch, 1))
	retain := func(kind string, want int) {
		t.Helper()
		if got, err := retention.Of(f.DB).Drop(t.Context(), kind, 10); err != nil || got != want {
			t.Errorf("%s dropped: got %d (%v), want %d", kind, got, err, want)
		}
	}
	for _, days := range []int{29, 31} {
		f.Exec(`UPDATE enotify.report SET received_at = now() - make_interval(days => $1)`, days)
		retain("mails", map[int]int{29: 0, 31: 1}[days])
		retain("reports", 0)
	}
	if got := queuetest.Query[string](f,
		`SELECT concat_ws(' ', class, reply, raw) FROM enotify.report`); got != "no_such_user no such user" {
		t.Errorf("left: got %q, want class and reply without the mail", got)
	}
	f.Exec(`SELECT enotify.prune_batch($1)`, batch)
	retain("reports", 1)
	if _, err := f.DB.RecordReport(t.Context(), returned(batch, 1)); !errors.Is(err, queue.ErrNotFound) {
		t.Errorf("a report on a pruned batch: got %v, want ErrNotFound", err)
	}
}

// A report without our signature is found by Message-ID.
func TestFindRecipient(t *testing.T) {
	t.Parallel()
	f := queuetest.NewFixture(t)
	f.Enqueue("older", 5, "a.example")
	batch := f.Enqueue("newer", 5, "a.example", "b.example")
	f.Serve(f.Server("n1", queuetest.Deliver))
	created := queuetest.Query[time.Time](f, `SELECT created_at FROM enotify.batch WHERE id = $1`, batch)
	want := queuetest.Query[string](f, `SELECT address FROM enotify.recipient WHERE batch_id = $1 AND seq = 3`, batch)
	if got, err := f.DB.AboutMessage(t.Context(), batch, 3, "Town.example", created); err != nil || got != want {
		t.Errorf("AboutMessage: got %q, %v; want %q", got, err, want)
	}
	for _, c := range []struct {
		client  string
		created time.Time
		seq     int32
	}{{"city.example", created, 3}, {"town.example", created.Add(time.Microsecond), 3}, {"town.example", created, 30}} {
		if _, err := f.DB.AboutMessage(t.Context(), batch, c.seq, c.client, c.created); !errors.Is(err,
			queue.ErrNotFound) {
			t.Errorf("AboutMessage(%+v): got %v, want ErrNotFound", c, err)
		}
	}
}

// A client's new return path is looked at before its next batch leaves.
func TestSetBounceAsksTheGuard(t *testing.T) {
	t.Parallel()
	f := queuetest.NewFixture(t)
	f.Exec(`INSERT INTO enotify.verdict (client_id, identity, domain, egress, result, blocks, valid_until) SELECT id, 'mailfrom', domain, '192.0.2.1', 'pass', false, now() + interval '1 hour' FROM enotify.client`)
	if _, err := f.DB.SetClient(t.Context(), "Town.Example.",
		queue.ClientChange{Bounces: &queue.Bounces{Mode: queue.BounceOwn, Domain: "Bounce.Town.example"}}); err != nil {
		t.Fatal(err)
	}
	if got := queuetest.Query[bool](f, `SELECT valid_until <= now() FROM enotify.verdict`); !got {
		t.Error("the verdict on the old return path: still valid, want asked again")
	}
	c, err := f.DB.Client(t.Context(), "town.example")
	if err != nil || c.Bounce != queue.BounceOwn || c.BounceAt != "bounce.town.example" {
		t.Errorf("client: got %+v, %v; want own at bounce.town.example", c, err)
	}
	batch := queuetest.Query[int64](f, `SELECT enotify.enqueue('k', 'info@town.example', 's', 't', '{u@a.example}')`)
	content, err := f.DB.Content(t.Context(), batch)
	if err != nil || content.Bounces.At("") != "bounce.town.example" {
		t.Errorf("batch: got %+v, %v; want bounces at bounce.town.example", content.Bounces, err)
	}
	if _, err := f.DB.SetClient(t.Context(), "town.example", queue.ClientChange{Selectors: &[]string{}}); err != nil {
		t.Fatal(err)
	}
	if c, err := f.DB.Client(t.Context(), "town.example"); err != nil || c.BounceAt != "bounce.town.example" {
		t.Errorf("after a change of something else: got %+v, %v; want it to stay", c, err)
	}
	if _, err := f.DB.SetClient(t.Context(), "town.example",
		queue.ClientChange{Bounces: &queue.Bounces{Mode: queue.BounceOff}}); err != nil {
		t.Fatal(err)
	}
	if c, err := f.DB.Client(t.Context(), "town.example"); err != nil || c.Bounce != queue.BounceOff ||
		c.BounceAt != "" {
		t.Errorf("off again: got %+v, %v", c, err)
	}
}

// A sender's login may record reports; an application's or admin's may not, and is told whose may.
func TestWhoMayRecordReports(t *testing.T) {
	t.Parallel()
	f := queuetest.NewFixture(t)
	batch := queuetest.Query[int64](f, `SELECT enotify.enqueue('k', 'info@town.example', 's', 't', '{u@a.example}')`)
	f.Serve(f.Server("n1", queuetest.Deliver))
	admin := queuetest.Open(t, queuetest.Login(t, f.URL, "enotify_admin"))
	if _, err := admin.RecordReport(t.Context(), returned(batch, 1)); err == nil ||
		!strings.Contains(err.Error(), "enotify_sender") {
		t.Errorf("an admin: got %v, want an error that names enotify_sender", err)
	}
	sender := queuetest.Open(t, queuetest.Login(t, f.URL, "enotify_sender"))
	if got, err := sender.RecordReport(t.Context(), returned(batch, 1)); err != nil || got.Was != queue.Delivered {
		t.Errorf("a sender: got %+v, %v; want it recorded", got, err)
	}
}

// After a cure the same receiver may bounce the message again: that is another
// fact, and the old mail read again is not.
func TestReportsAfterARequeue(t *testing.T) {
	t.Parallel()
	f := queuetest.NewFixture(t)
	batch := queuetest.Query[int64](f, `SELECT enotify.enqueue('k', 'info@town.example', 's', 't', '{u@a.example}')`)
	f.Serve(f.Server("n1", queuetest.Deliver))
	first := returned(batch, 1)
	first.ID, first.Class, first.Reply = "<1@a.example>", queue.AuthRejected,
		queue.Reply{Code: 550, Enhanced: "5.7.26", Text: "not authorised"}
	record(f, first)
	requeue := func() {
		t.Helper()
		if got := queuetest.Query[int](f, `SELECT requeued FROM enotify.requeue_batch($1, 'auth_rejected')`,
			batch); got != 1 {
			t.Fatalf("requeued: got %d, want 1", got)
		}
	}
	requeue()
	late := first
	late.ID, late.Reply.Enhanced = "<2@a.example>", "5.7.1" // of the first try too: nobody was sent to since
	if got := record(f, late); got.Was != "" {
		t.Errorf("a late word of the first try: got %+v, want no change", got)
	}
	f.Exec(`UPDATE enotify.verdict SET blocks = false`)
	f.Serve(f.Server("n2", queuetest.Deliver))
	if got := record(f, first); !got.Known {
		t.Errorf("the first mail, read again: got %+v, want known", got)
	}
	if got := strings.TrimSpace(outcome(f, batch)); got != "delivered 250 ok /" {
		t.Errorf("after the second try: got %q, want delivered", got)
	}
	again := first
	again.ID = "<3@a.example>"
	if got := record(f, again); got.Known || got.Was != queue.Delivered {
		t.Errorf("the bounce of the second try: got %+v, want new", got)
	}
	counted(f, batch)
}

// What a receiver says late counts as if it had said so at once: a client
// whose mail is not believed is stopped, a full mailbox is counted.
func TestReportsHaveConsequences(t *testing.T) {
	t.Parallel()
	f := queuetest.NewFixture(t)
	batch := queuetest.Query[int64](f, `SELECT enotify.enqueue('k', 'info@town.example', 's', 't', '{a@a.example, b@b.example, c@c.example, full@c.example}')`)
	f.Serve(f.Server("n1", queuetest.Deliver))
	var alerts []string
	for seq := range int32(3) {
		r := returned(batch, seq+1)
		r.Class, r.Reply, r.Host = queue.AuthRejected,
			queue.Reply{Code: 550, Enhanced: "5.7.26", Text: "not authorised"}, fmt.Sprintf("mx%d.example", seq)
		for _, a := range record(f, r).Alerts {
			alerts = append(alerts, a.Kind)
		}
	}
	if want := queue.AlertClientBlocked; len(alerts) == 0 || alerts[len(alerts)-1] != want {
		t.Errorf("alerts: got %q, want the last to be %s", alerts, want)
	}
	if got := queuetest.Query[bool](f, `SELECT refused_at IS NOT NULL FROM enotify.client`); !got {
		t.Error("the client: not stopped")
	}
	r := returned(batch, 4)
	r.Class, r.Reply = queue.MailboxFull, queue.Reply{Code: 552, Enhanced: "5.2.2", Text: "full"}
	record(f, r)
	record(f, r)
	if got := queuetest.Query[string](f,
		`SELECT concat_ws(' ', address, replies) FROM enotify.counted_reply`); got != "full@c.example 1" {
		t.Errorf("full mailboxes: got %q, want full@c.example 1", got)
	}
	counted(f, batch)
}
