package bouncereport_test

import (
	"fmt"
	"os"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"enotify/cmd/enotify/bouncereport"
	"enotify/queue"
	"enotify/queue/insight"
)

// The bounce report has a segment for each class of reply, with words of its own.
func TestBounceReportHasEveryClass(t *testing.T) {
	t.Parallel()
	var got []queue.Class
	titles := map[string]bool{}
	for _, s := range bouncereport.New(insight.Scope{}).Segments {
		got = append(got, s.Class)
		if s.Title == "" || s.Advice == "" || titles[s.Title] {
			t.Errorf("segment %s: got title %q and advice %q, want both, and a title of its own", s.Class, s.Title,
				s.Advice)
		}
		titles[s.Title] = true
	}
	slices.Sort(got)
	// a class may have a second segment, for a part of it
	got = slices.Compact(got)
	want := slices.DeleteFunc(queue.Classes(), func(c queue.Class) bool { return c == queue.NotBegun }) // no reply
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("segments (-classes +got):\n%s", diff)
	}
	page, err := os.ReadFile("../guide/replies.md")
	if err != nil {
		t.Fatal(err)
	}
	for _, class := range want {
		if !strings.Contains(string(page), fmt.Sprintf("| `%s` |", class)) {
			t.Errorf("the guide's page on replies has no row for %s", class)
		}
	}
}

// A report says of each reply what really is.
func TestSegments(t *testing.T) {
	t.Parallel()
	r := bouncereport.New(insight.Scope{Client: "town.example", Batch: 42})
	for _, said := range []insight.Said{
		{Class: queue.Throttled, Domain: "busy.example", Code: 421, Enhanced: "4.7.0", Text: "Too many connections"},
		{Class: queue.Throttled, Domain: "grey.example", Code: 451, Enhanced: "4.7.1",
			Text: "Greylisted, please try again later"},
		{Class: queue.Policy, Domain: "null.example", Code: 556, Enhanced: "5.1.10",
			Text: "the domain accepts no mail (null MX)"},
		{Class: queue.Other, Domain: "gone.example", Code: 550, Enhanced: "5.1.2", Text: "the domain does not exist"},
		{Class: queue.Policy, Domain: "rule.example", Code: 550, Text: "Administrative prohibition"},
		{Class: queue.AuthRejected, Domain: "moved.example", Code: 554, Enhanced: "5.7.1",
			Text: "<ann@moved.example>: Relay access denied"},
		{Class: queue.AuthRejected, Domain: "strict.example", Code: 550, Enhanced: "5.7.26", Text: "not authorised"},
	} {
		r.Add(said)
	}
	r.Finish(5)
	got := map[string][]string{}
	for _, s := range r.Segments {
		for _, d := range s.Domains {
			got[s.Kind] = append(got[s.Kind], d.Text)
		}
	}
	want := map[string][]string{
		"throttled": {"busy.example"}, "greylisted": {"grey.example"}, "no_mail": {"gone.example", "null.example"},
		"policy": {"rule.example"}, "auth_rejected": {"strict.example"}, "their_domain": {"moved.example"},
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("domains of each segment (-want +got):\n%s", diff)
	}
	for _, s := range r.Segments {
		switch s.Kind {
		case "throttled":
			if !strings.Contains(s.Advice, "destination set busy.example ") {
				t.Errorf("throttled: got advice %q, want it to name the domain", s.Advice)
			}
		case "auth_rejected":
			if !strings.Contains(s.Advice, "client zone town.example.") || !strings.Contains(s.Advice, "requeue 42 ") {
				t.Errorf("auth_rejected: got advice %q, want it to name the client and the batch", s.Advice)
			}
		}
	}
}

// With the counts of its batch, the reasons of a report add up to the recipients
// that have no message, each once.
func TestReasonsAddUp(t *testing.T) {
	t.Parallel()
	for name, s := range map[string]queue.Status{
		"over": {Total: 20, Delivered: 4, Bounced: 2, Expired: 5, Suppressed: 3, Invalid: 2, Unknown: 1,
			Cancelled: 3},
		"under way": {Total: 20, Delivered: 4, Bounced: 2, Deferred: 1, Pending: 6, Sending: 2, Suppressed: 3,
			Invalid: 2},
		"a reply more":       {Total: 6, Delivered: 4, Bounced: 1, Pending: 1},
		"nobody but replied": {Total: 6, Delivered: 4, Bounced: 2},
	} {
		r := bouncereport.New(insight.Scope{Batch: 42})
		for range 2 {
			r.Add(insight.Said{Class: queue.NoSuchUser, Domain: "a.example", Code: 550})
		}
		r.Count(s)
		sum := 0
		for _, segment := range r.Segments {
			sum += segment.Recipients
		}
		for _, rest := range r.Rest {
			sum += rest.Recipients
		}
		if want := s.Total - s.Delivered; r.Recipients != want || sum != want {
			t.Errorf("%s: got %d recipients and %d over all reasons, want %d", name, r.Recipients, sum, want)
		}
	}
}
