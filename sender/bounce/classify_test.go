package bounce_test

import (
	"testing"

	"github.com/google/go-cmp/cmp"

	"enotify/queue"
	"enotify/sender/bounce"
)

// What looks like an unknown user and is none, and what hides one.
func TestTraps(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		line string
		want queue.Class
	}{
		// permanent in all digits, or not at all
		{"450 4.1.1 <jo@example.net>: User unknown", queue.Other},
		{"450 5.1.1 <jo@example.net>: User unknown", queue.Other},
		{"550 4.1.1 <jo@example.net>: User unknown", queue.Other},
		{"5.1.1 User unknown", queue.NoSuchUser},

		// an unknown sender is no unknown recipient
		{"550 5.1.8 <news@example.com>: Sender address rejected: Domain not found", queue.AuthRejected},
		{"553 5.1.8 Domain of sender address news@example.com does not exist", queue.AuthRejected},
		{"550 5.1.0 Sender unknown", queue.AuthRejected},
		{"550 Sender verify failed, no such user there", queue.AuthRejected},
		{"550 5.1.1 The MAIL FROM address is invalid", queue.AuthRejected},

		// codes of an unknown user, words of something else
		{"552 5.1.1 <jo@example.net> is over quota", queue.MailboxFull},
		{"550 5.1.1 Rejected, see www.spamhaus.org/query/ip/192.0.2.1", queue.SpamBlock},
		{"550 5.1.1 SPF says 192.0.2.1 may not send for example.com", queue.AuthRejected},
		{"550 5.1.1 Too many recipients this hour", queue.Throttled},
		{"554 Too many invalid recipients from 192.0.2.1, blocked for today", queue.SpamBlock},

		// words of an unknown user behind codes of something else
		{"550 5.7.1 <jo@example.net>: Recipient address rejected: User unknown", queue.NoSuchUser},
		{"552 Action aborted, mailbox not found", queue.NoSuchUser},
		{"554 This mailbox is no longer valid", queue.NoSuchUser},
		{"553 5.3.0 <jo@example.net>... No such user", queue.NoSuchUser},

		// a bare refusal says nothing of the address
		{"550 No", queue.Other},
		{"554 Refused", queue.Other},
		{"550 5.0.0 No", queue.Other},
		{"554 <jo@example.net>: unknown error", queue.Other},
		{"550 Mail for jo@example.net refused, invalid signature", queue.Other},
		{"550 5.7.1 Your account is suspended", queue.Policy},
		{"554 Transaction for jo@example.net failed, template not found", queue.Other},

		// authorisation refused for now is authorisation refused
		{"421 4.7.27 SPF did not pass", queue.AuthRejected},
		{"451 4.7.26 Neither SPF nor DKIM passed", queue.AuthRejected},
		{"421 Reverse DNS of 192.0.2.1 failed, try again later", queue.AuthRejected},
		{"451 4.7.1 DMARC could not be evaluated, try again later", queue.AuthRejected},

		// promises to fight spam are no accusation
		{"421 4.7.30 DKIM did not pass; to protect our users from spam, your mail is rate limited", queue.AuthRejected},
		{"452 4.2.1 Rate limited, to protect our users from spam", queue.Throttled},
	} {
		if got := bounce.Classify(bounce.Parse(tt.line), ""); got.Class != tt.want {
			t.Errorf("%q: got %s by %s, want %s", tt.line, got.Class, got.Rule, tt.want)
		}
	}
}

func TestActions(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		line   string
		action string
		final  bool
	}{
		{"421 Service not available", "retry", false},
		{"554 5.4.6 Too many hops", "retry", false},
		{"421 Too many connections", "slow_down", false},
		{"550 Ip frequency limited", "slow_down", false},
		{"550 5.1.1 No such user", "suppress", true},
		{"452 4.2.2 Mailbox full", "score_full", false},
		{"552 5.2.2 Mailbox full", "score_full", false},
		{"550 5.7.26 Not authorised", "ask_guard", true},
		{"450 4.7.26 Not authorised", "ask_guard_retry", false},
		{"530 Authentication required", "stop_smarthost", true},
		{"534 5.7.9 Stronger authentication required", "stop_smarthost", true},
		{"535 5.7.8 Bad credentials", "stop_smarthost", true},
		{"530 5.7.57 Anonymous mail refused", "ask_guard", true},
		{"554 Blocked using zen.spamhaus.org", "hold_egress", false},
		{"450 Blocked using zen.spamhaus.org", "hold_egress", false},
		{"554 192.0.2.1 has a poor reputation for spam", "hold_egress", false},
		{"550 5.7.1 Message considered spam", "fail", true}, // this message, not where it came from
		{"550 DT:SPM see our help", "fail", true},
		{"451 4.7.1 Message suspected of phishing", "retry", false},
		{"550 Administrative prohibition", "fail", true},
		{"450 Administrative prohibition", "retry", false},
		{"552 5.3.4 Message too large", "fail", true},
		{"452 4.3.4 Message too large", "retry", false},
		{"550 No", "review", true},
		{"450 No", "retry", false},
		{"User unknown", "retry", false}, // nobody said that it is for good
		{"", "retry", false},
		{"read tcp: connection reset by peer", "retry", false},
	} {
		v := bounce.Classify(bounce.Parse(tt.line), "")
		if diff := cmp.Diff([]any{tt.action, tt.final}, []any{v.Action, v.Final()}); diff != "" {
			t.Errorf("%q, %s by %s (-want +got):\n%s", tt.line, v.Class, v.Rule, diff)
		}
	}
}

// A reply that was not parsed still has its enhanced code found in the text.
func TestClassifyFindsEnhanced(t *testing.T) {
	t.Parallel()
	got := bounce.Classify(queue.Reply{Code: 550, Text: "no (#5.1.1)"}, "")
	want := bounce.Verdict{Class: queue.NoSuchUser, Action: "suppress", Rule: "x.1-recipient", Permanent: true,
		Treatment: queue.NoSuchUser.Treatment()}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

func BenchmarkClassify(b *testing.B) {
	var replies []queue.Reply
	for _, line := range examples() {
		replies = append(replies, bounce.Parse(line))
	}
	b.ReportAllocs()
	for i := 0; b.Loop(); i++ {
		bounce.Classify(replies[i%len(replies)], "")
	}
}

func BenchmarkParse(b *testing.B) {
	lines := examples()
	b.ReportAllocs()
	for i := 0; b.Loop(); i++ {
		bounce.Parse(lines[i%len(lines)])
	}
}
