package watch_test

import (
	"bytes"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
	"unicode/utf8"

	"github.com/google/go-cmp/cmp"

	"enotify/cmd/enotify/term"
	"enotify/cmd/enotify/watch"
	"enotify/queue"
	"enotify/queue/insight"
)

var update = flag.Bool("update", false, "write the golden files")

// The picture fits the terminal, narrow ones too.
func TestWatchFrame(t *testing.T) {
	t.Parallel()
	eta := 95.0
	due := time.Now().Add(5*time.Minute + time.Second)
	sending := &watch.Progress{
		Status: queue.Status{ID: 42, Client: "townofsmyrna.example",
			Subject: "Agenda for the council's meeting of December", State: "sending",
			Total: 100_000, Pending: 57_000, Sending: 1000, Deferred: 1200, Delivered: 40_000, Bounced: 780,
			Suppressed: 20},
		PerSecond: 612.4, ETA: &eta,
		Sites: []watch.Site{
			{insight.Waiting{Site: "google", Domains: 3100, Untried: 31_000, Deferred: 900}, "bears 5 connections"},
			{insight.Waiting{Site: "office365", Domains: 900, Untried: 12_000}, "closed until 2026-12-01 12:00:00"},
			{insight.Waiting{Site: "a-provider-with-a-very-long-name.example", Domains: 1, Untried: 70, Deferred: 300},
				""},
		},
		Failures: []insight.Failure{
			{State: "deferred", Class: "throttled", Code: 421, Alike: 900,
				Reply: "421 4.7.28 Our system has detected an unusual rate of mail\ncoming from you"},
			{State: "bounced", Class: "no_such_user", Code: 550, Alike: 780, Reply: "550 5.1.1 No such user"},
		},
	}
	retrying := &watch.Progress{
		Status: queue.Status{ID: 7, Client: "town.example", Subject: "Soup", State: "retrying", Total: 3, Deferred: 1,
			Delivered: 2}, NextDue: &due,
		Sites: []watch.Site{{insight.Waiting{Site: "slow.example", Domains: 1, Deferred: 1}, ""}},
	}
	var got strings.Builder
	for _, width := range []int{60, 100} {
		for _, p := range []*watch.Progress{sending, retrying} {
			w := &watch.Watch{Screen: term.NewScreen(new(bytes.Buffer), false, true)}
			fmt.Fprintf(&got, "%d columns\n", width)
			for _, line := range w.Frame(p, width) {
				if n := utf8.RuneCountInString(line); n > width {
					t.Errorf("%d columns: got a line of %d: %q", width, n, line)
				}
				got.WriteString(line + "\n")
			}
		}
	}
	file := filepath.Join("testdata", "watch.txt")
	if *update {
		if err := os.WriteFile(file, []byte(got.String()), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(string(want), got.String()); diff != "" {
		t.Errorf("(-want +got)\n%s", diff)
	}
	if got, want := sending.Line(), "sending 40,800/100,000, 612/s, about 95 s to go, 1,200 deferred, 780 bounced, 20 suppressed, google bears 5 connections"; got != want {
		t.Errorf("line: got %q, want %q", got, want)
	}
}
