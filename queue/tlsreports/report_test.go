package tlsreports_test

import (
	"encoding/json"
	"fmt"
	"testing"
	"time"

	"enotify/queue/queuetest"
	"enotify/queue/tlsreports"
)

// Of two nodes that are at one report, since the first was taken for dead, one mails
// it; a domain cannot fill the table.
func TestTLSReportIsMailedOnce(t *testing.T) {
	t.Parallel()
	f := queuetest.NewFixture(t)
	store := tlsreports.Of(f.DB)
	day := time.Now().UTC().Truncate(24 * time.Hour)
	var results []tlsreports.Result
	for i := range 150 {
		results = append(results, tlsreports.Result{
			Day: day, Domain: "a.example", Shape: [16]byte{byte(i)}, Sessions: 1,
			Policy: json.RawMessage(`{"policy-type": "sts"}`),
			Failure: json.RawMessage(fmt.Sprintf(`{"result-type": "validation-failure", "receiving-ip": "192.0.2.%d"}`,
				i)),
		})
	}
	for range 2 {
		if err := store.Note(t.Context(), results); err != nil {
			t.Fatal(err)
		}
	}
	got := queuetest.Query[[]int](f, `SELECT ARRAY[count(*), sum(sessions)]::int[] FROM enotify.tls_result`)
	if got[0] > 101 || got[1] != 300 {
		t.Errorf("got %d rows with %d sessions, want at most 101 with 300", got[0], got[1])
	}
	if due, err := store.Claim(t.Context(), 10); err != nil || len(due) != 0 {
		t.Errorf("before the day is over: got %v, %v, want no report due", due, err)
	}
	f.Exec(`UPDATE enotify.tls_result SET day = day - 2`)
	var mails []tlsreports.Mail
	for i := range 2 {
		due, err := store.Claim(t.Context(), 10)
		if err != nil || len(due) != 1 || due[0].Tries != i+1 {
			t.Fatalf("claim %d: got %v, %v, want one report", i+1, due, err)
		}
		if again, err := store.Claim(t.Context(), 10); err != nil || len(again) != 0 {
			t.Fatalf("claim %d again: got %v, %v, want none", i+1, again, err)
		}
		mails = append(mails, tlsreports.Mail{
			From: "tls@town.example", Subject: "Report", Text: "Report.",
			Headers:  map[string]string{"TLS-Report-Domain": "a.example"},
			Filename: "a.json.gz", Content: []byte{1}, To: []string{"tls@a.example"},
		})
		batch, err := store.Send(t.Context(), due[0], mails[i])
		if err != nil || (batch == nil) != (i == 1) {
			t.Fatalf("mail %d: got %v, %v", i+1, batch, err)
		}
		if i == 0 {
			content, err := f.DB.Content(t.Context(), *batch)
			if err != nil || !content.TLSReport || content.Priority >= 0 {
				t.Errorf("got %+v, %v, want a report of low priority", content, err)
			}
			f.Exec(`UPDATE enotify.tls_report SET claimed_until = now() - interval '1 s'`) // as if the node had died
		} else if err := store.Finish(t.Context(), due[0], "mailed"); err != nil {
			t.Fatal(err)
		}
	}
	if n := queuetest.Query[int](f, `SELECT count(*)::int FROM enotify.batch`); n != 1 {
		t.Errorf("got %d batches, want 1", n)
	}
	if n := queuetest.Query[int](f, `SELECT count(*)::int FROM enotify.tls_result`); n != 0 {
		t.Errorf("got %d counts after the report, want 0", n)
	}
}
