package bouncereport_test

import (
	"flag"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"enotify/cmd/enotify/bouncereport"
	"enotify/cmd/enotify/page"
	"enotify/queue"
	"enotify/queue/insight"
)

var update = flag.Bool("update", false, "write the golden files")

func sample() *bouncereport.Report {
	r := bouncereport.New(insight.Scope{Client: "town.example", Batch: 42})
	r.At = time.Date(2026, 11, 22, 10, 0, 0, 0, time.UTC)
	for _, s := range []struct {
		n    int
		said insight.Said
	}{
		{900, insight.Said{Class: queue.Throttled, Domain: "busy.example", Code: 421, Enhanced: "4.7.28",
			Text: "unusual rate of mail from your address", Deferred: true}},
		{260, insight.Said{Class: queue.NoSuchUser, Domain: "mail.example", Code: 550, Enhanced: "5.1.1",
			Text: "no such user"}},
		{41, insight.Said{Class: queue.AuthRejected, Domain: "strict.example", Code: 550, Enhanced: "5.7.26",
			Text: "unauthenticated <script>alert(1)</script>"}},
		{2, insight.Said{Class: queue.MailboxFull, Domain: "mail.example", Code: 452, Enhanced: "4.2.2",
			Text: "mailbox full", Deferred: true}},
	} {
		for range s.n {
			r.Add(s.said)
		}
	}
	r.Count(queue.Status{ID: 42, Total: 9120, Delivered: 7900, Deferred: 902, Bounced: 301, Suppressed: 17})
	r.Complained([]insight.Complained{{Client: "town.example", Site: "google",
		ComplaintRate: queue.ComplaintRate{Days: 30, Accepted: 20000, Complaints: 30}}})
	r.Finish(5)
	return r
}

// The page says first whether somebody has to act, has no section without
// recipients, and runs nothing that a receiver replies.
func TestPage(t *testing.T) {
	t.Parallel()
	var html strings.Builder
	if err := sample().HTML(&html); err != nil {
		t.Fatal(err)
	}
	got := strings.Replace(html.String(), string(page.Style("")), "page.css", 1) // it is the same on every page
	file := filepath.Join("testdata", "page.html")
	if *update {
		if err := os.WriteFile(file, []byte(got), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(string(want), got); diff != "" {
		t.Errorf("%s, if that is meant run the test with -update (-want +got):\n%s", file, diff)
	}
	for _, wrong := range []string{"<script", ": 0 recipients", "The receiver is offline"} {
		if strings.Contains(got, wrong) {
			t.Errorf("page: got %q in it", wrong)
		}
	}
	if at, reasons := strings.Index(got, "Something to do"), strings.Index(got, "<table"); at < 0 ||
		at > reasons {
		t.Errorf("the verdict is at %d, the reasons at %d; want the verdict first", at, reasons)
	}
}

// A report without bad news says so and has no table.
func TestPageOfNothing(t *testing.T) {
	t.Parallel()
	r := bouncereport.New(insight.Scope{})
	r.Finish(5)
	var got strings.Builder
	if err := r.HTML(&got); err != nil {
		t.Fatal(err)
	}
	if text := got.String(); !strings.Contains(text, "Nothing is missing") || strings.Contains(text, "<table") {
		t.Errorf("got\n%s\nwant the verdict alone", text)
	}
}
