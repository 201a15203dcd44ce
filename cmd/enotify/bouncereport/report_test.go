package bouncereport_test

import (
	"slices"
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
			t.Errorf("segment %s: got title %q and advice %q, want both, and a title of its own", s.Class, s.Title, s.Advice)
		}
		titles[s.Title] = true
	}
	slices.Sort(got)
	want := slices.DeleteFunc(queue.Classes(), func(c queue.Class) bool { return c == queue.NotBegun }) // no reply
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("segments (-classes +got):\n%s", diff)
	}
}
