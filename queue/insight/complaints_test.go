package insight_test

import (
	"context"
	"fmt"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"enotify/queue"
	"enotify/queue/insight"
	"enotify/queue/queuetest"
)

// Complaints raise one alert for each threshold that they cross, while the batch is
// under way, and their rates are told for the client, its sites and the batch.
func TestComplaints(t *testing.T) {
	t.Parallel()
	f := queuetest.NewFixture(t)
	deliver := func(context.Context, queue.Message) queue.Outcome { return queue.Outcome{State: queue.Delivered} }
	few := f.Enqueue("few", queue.ComplaintSample-1, "a.example", "b.example")
	f.Serve(f.Server("n1", deliver))
	complain := func(batch int64, seq int32, mail string) (kinds []string) {
		t.Helper()
		done, err := f.DB.RecordReport(t.Context(),
			queue.Report{Batch: batch, Seq: seq, Kind: queue.ReportComplaint, ID: mail, CountOnly: true,
				Via: queue.ViaListener})
		if err != nil {
			t.Fatal(err)
		}
		for _, a := range done.Alerts {
			kinds = append(kinds, fmt.Sprintf("%s %s %d: %s", a.Kind, a.Client, a.Batch, a.Next))
		}
		return kinds
	}
	if got := complain(few, 1, "1"); got != nil {
		t.Errorf("of fewer messages than a rate takes: got the alerts %v, want none", got)
	}
	one := f.Enqueue("one more", 1, "a.example")
	f.Serve(f.Server("n2", deliver))
	warn, block := []string{fmt.Sprintf("complaints town.example %d: enotify bounce report --client town.example",
		few)}, []string{fmt.Sprintf("complaints town.example %d: enotify batch pause %[1]d", few)}
	for i, c := range []struct {
		batch int64
		seq   int32
		want  []string
	}{{few, 2, warn}, {few, 2, nil}, {few, 600, block}, {one, 1, nil}} {
		if diff := cmp.Diff(c.want, complain(c.batch, c.seq, fmt.Sprint("mail ", i))); diff != "" {
			t.Errorf("complaint %d, alerts (-want +got):\n%s", i, diff)
		}
	}
	// Seven days later it is told once more, and a batch of long ago counts no more.
	f.Exec(`UPDATE enotify.complaint_level SET alerted_at = now() - interval '8 days'`)
	if got := complain(few, 700, "later"); len(got) != 1 {
		t.Errorf("a week later: got the alerts %v, want one", got)
	}
	f.Exec(`UPDATE enotify.batch SET started_at = now() - interval '2 days' WHERE id = $1`, few)

	rates := func(in insight.Scope) (all []string) {
		t.Helper()
		found, err := insight.Of(f.DB).Complaints(t.Context(), in)
		if err != nil {
			t.Fatal(err)
		}
		for _, c := range found {
			all = append(all, fmt.Sprintf("%s at %q in %d days: %d of %d", c.Client, c.Site, c.Days, c.Complaints,
				c.Accepted))
		}
		return all
	}
	want := []string{
		`town.example at "" in 1 days: 1 of 1`, `town.example at "" in 7 days: 5 of 1000`,
		`town.example at "" in 30 days: 5 of 1000`,
		`town.example at "a.example" in 1 days: 1 of 1`, `town.example at "a.example" in 7 days: 3 of 501`,
		`town.example at "a.example" in 30 days: 3 of 501`,
		`town.example at "b.example" in 7 days: 2 of 499`, `town.example at "b.example" in 30 days: 2 of 499`,
	}
	if diff := cmp.Diff(want, rates(insight.Scope{Client: "town.example", Since: time.Now()})); diff != "" {
		t.Errorf("rates of the client (-want +got):\n%s", diff)
	}
	if diff := cmp.Diff([]string{`town.example at "" in 0 days: 1 of 1`,
		`town.example at "a.example" in 0 days: 1 of 1`}, rates(insight.Scope{Batch: one})); diff != "" {
		t.Errorf("rates of a batch (-want +got):\n%s", diff)
	}
	if got := rates(insight.Scope{Client: "village.example"}); got != nil {
		t.Errorf("rates of another client: got %v, want none", got)
	}
	if got := queuetest.Query[int](f, `SELECT count(*)::int FROM enotify.suppression`); got != 0 {
		t.Errorf("suppressed by complaints that anyone could have written: got %d, want 0", got)
	}
}
