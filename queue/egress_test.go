package queue_test

import (
	"testing"

	"enotify/queue"
	"enotify/queue/queuetest"
)

// A complaint counts for the addresses of the batch's pool that are warming up, for all
// sites or for the recipient's, and for no others. It is a share of what the whole pool sent.
func TestComplaintsCountForWarmingAddresses(t *testing.T) {
	t.Parallel()
	f := queuetest.NewFixture(t)
	f.Exec(`INSERT INTO enotify.pool (name) VALUES ('others')`)
	f.Exec(`INSERT INTO enotify.egress (address, pool) VALUES ('192.0.2.1', 'default'), ('192.0.2.2', 'default'), ('192.0.2.3', 'others'), ('192.0.2.4', 'default')`)
	f.Exec(`INSERT INTO enotify.warmup (address, site, caps, day, step) VALUES ('192.0.2.1', '*', '{50,100}', current_date, 0), ('192.0.2.1', 'a.example', '{5}', current_date, 0),
		('192.0.2.1', 'b.example', '{5}', current_date, 0), ('192.0.2.2', '*', '{50}', current_date, 1), ('192.0.2.3', '*', '{50}', current_date, 0)`)
	f.Exec(`INSERT INTO enotify.egress_day (address, site, day, begun, accepted) VALUES ('192.0.2.1', '*', current_date, 40, 40), ('192.0.2.4', '*', current_date, 9960, 9960)`)
	batch := f.Enqueue("menu", 1, "a.example")
	f.Serve(f.Server("n1", queuetest.Deliver))
	if _, err := f.DB.RecordReport(t.Context(), queue.Report{
		Kind: queue.ReportComplaint, Batch: batch, Seq: 1, Signed: true, Via: "listener",
	}); err != nil {
		t.Fatal(err)
	}
	got := queuetest.Query[string](f, `SELECT string_agg(format('%s %s', host(address), site), ', ' ORDER BY address, site) FROM enotify.egress_day WHERE complaints = 1`)
	if want := "192.0.2.1 *, 192.0.2.1 a.example"; got != want {
		t.Errorf("complaints: got %s, want %s", got, want)
	}
	e, err := f.DB.Egress(t.Context(), queuetest.Egress)
	if err != nil {
		t.Fatal(err)
	}
	if got := e.Warmups[0].Today(); got.Complaints != 1 || got.PoolAccepted < 10_000 || got.Accepted >= 100 {
		t.Errorf("the day of the address: got %+v, want one complaint, of 10,000 messages or more of the pool", got)
	}
}
