package queue_test

import (
	"context"
	"fmt"
	"maps"
	"net/netip"
	"sync"
	"testing"

	"enotify/queue"
	"enotify/queue/queuetest"
)

// Complaints step back the warm-up of the address that their messages left from. The plan
// of another address of the pool goes on. The login that records them may run nodes, and
// nothing else.
func TestComplaintsCountForTheirAddress(t *testing.T) {
	t.Parallel()
	f := queuetest.NewFixture(t)
	one, other := queuetest.Egress, netip.MustParseAddr("192.0.2.2")
	f.Exec(`INSERT INTO enotify.egress (address) VALUES ($1), ($2)`, one, other)
	f.Exec(`INSERT INTO enotify.warmup (address, site, caps, zone) SELECT a, '*', '{20,40}', 'Etc/GMT+12'
		FROM unnest($1::inet[]) a`, []netip.Addr{one, other})
	// The plans of single sites have room for all.
	f.Exec(`INSERT INTO enotify.warmup (address, site, caps, zone) SELECT $1, format('d%s.example', i), '{20,40}', 'Etc/GMT+12'
		FROM generate_series(0, 39) i`, one)
	var mu sync.Mutex
	left := map[netip.Addr][]int32{}
	send := func(name string) map[netip.Addr]int {
		f.Helper()
		clear(left)
		s := f.Server(name, func(ctx context.Context, m queue.Message) queue.Outcome {
			o := queuetest.Deliver(ctx, m)
			o.Egress = m.Egress[0].Addr
			mu.Lock()
			left[o.Egress] = append(left[o.Egress], m.Seq)
			mu.Unlock()
			return o
		})
		s.Node.Egress = []netip.Addr{one, other}
		f.Serve(s)
		return map[netip.Addr]int{one: len(left[one]), other: len(left[other])}
	}
	domains := make([]string, 40)
	for i := range domains {
		domains[i] = fmt.Sprintf("d%d.example", i)
	}
	batch := f.Enqueue("menu", 400, domains...)
	if got, want := send("n1"), map[netip.Addr]int{one: 20, other: 20}; !maps.Equal(got, want) {
		t.Fatalf("first day: got %v messages, want %v", got, want)
	}
	db := queuetest.Open(t, queuetest.Login(t, f.URL, "enotify_sender"))
	for _, seq := range left[one][:3] {
		if _, err := db.RecordReport(t.Context(), queue.Report{Kind: queue.ReportComplaint, Batch: batch, Seq: seq,
			Signed: true, Via: queue.ViaListener}); err != nil {
			t.Fatal(err)
		}
	}
	if got, want := queuetest.Query[string](f, `SELECT string_agg(format('%s %s: %s', host(address), site, n), ', ' ORDER BY address, site)
		FROM (SELECT address, least(site, 'a site') AS site, sum(complaints) AS n FROM enotify.egress_day GROUP BY 1, 2) d`),
		"192.0.2.1 *: 3, 192.0.2.1 a site: 3, 192.0.2.2 *: 0"; got != want {
		t.Errorf("complaints: got %s, want %s", got, want)
	}
	e, err := f.DB.Egress(t.Context(), one)
	if err != nil || len(e.Warmups) == 0 {
		t.Fatalf("the address: got %+v, %v", e, err)
	}
	if got := e.Warmups[0].Today(); got.Complaints != 3 || got.Taken != 20 {
		t.Errorf("the day of the address: got %+v, want 3 complaints of 20 messages", got)
	}

	f.Exec(`UPDATE enotify.warmup SET zone = 'Etc/GMT-14'`) // 26 hours ahead: another day
	if got, want := send("n2"), map[netip.Addr]int{one: 20, other: 40}; !maps.Equal(got, want) {
		t.Errorf("next day: got %v messages, want %v", got, want)
	}
	why := `SELECT why FROM enotify.warmup WHERE address = $1 AND site = '*'`
	if got, want := queuetest.Query[string](f, why, one), "readers called 3 of 20 messages spam (15.00 %)"; got != want {
		t.Errorf("why the plan did not grow: got %q, want %q", got, want)
	}
	if got := queuetest.Query[string](f, why, other); got != "" {
		t.Errorf("the plan of the other address: got %q, want it to grow", got)
	}
}
