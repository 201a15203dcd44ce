package returns_test

import (
	"testing"

	"github.com/google/go-cmp/cmp"

	"enotify/queue"
	"enotify/sender/bounce"
	"enotify/sender/bounce/report"
	"enotify/sender/returns"
	"enotify/sender/token"
)

// What a report says of one recipient, by whatever address it knows him.
func TestSaidOf(t *testing.T) {
	t.Parallel()
	failed := report.Recipient{Address: "full@a.test", Action: "failed", Reply: queue.Reply{Code: 552},
		Reported: "mx.a.test", Verdict: bounce.Verdict{Class: queue.MailboxFull}}
	delayed := report.Recipient{Address: "late@a.test", Was: "alias@a.test", Action: "delayed",
		Verdict: bounce.Verdict{Class: queue.Offline}}
	relayed := report.Recipient{Address: "here@a.test", Action: "relayed"}
	elsewhere := queue.MailboxFull.Treatment()
	elsewhere.Suppresses = queue.Suppresses{} // of his own mailbox nobody said anything
	mixed := report.Report{Kind: report.Bounce, MessageID: "<1@a.test>",
		Recipients: []report.Recipient{delayed, relayed, failed}}
	for address, want := range map[string]queue.Report{
		"Full@a.test": {Kind: queue.ReportBounce, Class: queue.MailboxFull, Reply: queue.Reply{Code: 552},
			Host: "mx.a.test"},
		"alias@a.test": {Kind: queue.ReportDelay, Class: queue.Offline},
		"here@a.test":  {Kind: queue.ReportOther},
		"forwarded@b.test": {Kind: queue.ReportBounce, Class: queue.MailboxFull, Treatment: elsewhere,
			Reply: queue.Reply{Code: 552}, Host: "mx.a.test"},
	} {
		want.Batch, want.Seq, want.ID, want.Raw = 42, 7, "<1@a.test>", []byte("raw")
		got := returns.SaidOf(token.Subject{Batch: 42, Seq: 7}, address, mixed, []byte("raw"))
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("%s (-want +got):\n%s", address, diff)
		}
	}
	if got := returns.SaidOf(token.Subject{}, "x@a.test", report.Report{Kind: report.Bounce},
		nil); got.Class != queue.Other {
		t.Errorf("a bounce of nobody it can name: got class %q, want other", got.Class)
	}
}
