package sender_test

import (
	"context"
	"net/netip"
	"strings"
	"testing"
	"time"

	"enotify/queue"
	"enotify/sender"
	"enotify/sender/smtptest"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
)

// What a receiver may do at each stage, and what it means.
func TestOutcome(t *testing.T) {
	t.Parallel()
	inBothModes(t, testOutcome)
}

func testOutcome(t *testing.T, extensions []string) {
	const broken = "*" // any text, no reply
	tests := []struct {
		name  string
		verb  string
		reply string
		want  queue.Outcome
	}{
		{"delivered", ".", "250 2.0.0 Ok: queued as 4711", queue.Outcome{State: queue.Delivered,
			Reply: queue.Reply{Code: 250, Enhanced: "2.0.0", Text: "Ok: queued as 4711"}}},
		{"other good reply", ".", "251 2.1.5 forwarded", queue.Outcome{State: queue.Delivered,
			Reply: queue.Reply{Code: 251, Enhanced: "2.1.5", Text: "forwarded"}}},

		{"banner 421", "CONNECT", "421 4.7.0 Too many connections",
			queue.Outcome{State: queue.Deferred, Class: queue.Throttled,
				Reply: queue.Reply{Code: 421, Enhanced: "4.7.0", Text: "Too many connections"}}},
		{"banner 554", "CONNECT", "554 5.7.1 Service unavailable; Client host blocked using bl.test",
			queue.Outcome{State: queue.Deferred, Class: queue.SpamBlock,
				Reply: queue.Reply{Code: 554, Enhanced: "5.7.1",
					Text: "Service unavailable; Client host blocked using bl.test"}}},
		{"banner unknown user", "CONNECT", "550 5.1.1 User unknown",
			queue.Outcome{State: queue.Deferred, Class: queue.Other,
				Reply: queue.Reply{Code: 550, Enhanced: "5.1.1", Text: "User unknown"}}},
		{"banner dropped", "CONNECT", smtptest.Drop,
			queue.Outcome{State: queue.Deferred, Class: queue.Offline, Reply: queue.Reply{Text: broken}}},
		{"banner garbage", "CONNECT", "HTTP/1.0 400 Bad Request",
			queue.Outcome{State: queue.Deferred, Class: queue.Offline, Reply: queue.Reply{Text: broken}}},
		{"EHLO dropped", "EHLO", smtptest.Drop,
			queue.Outcome{State: queue.Deferred, Class: queue.Offline, Reply: queue.Reply{Text: broken}}},
		{"EHLO 421", "EHLO", "421 4.3.2 Too many connections",
			queue.Outcome{State: queue.Deferred, Class: queue.Throttled,
				Reply: queue.Reply{Code: 421, Enhanced: "4.3.2", Text: "Too many connections"}}},

		{"MAIL dropped", "MAIL", smtptest.Drop,
			queue.Outcome{State: queue.Deferred, Class: queue.Offline, Reply: queue.Reply{Text: broken}}},
		{"MAIL garbage", "MAIL", "huh", queue.Outcome{State: queue.Deferred, Class: queue.Offline,
			Reply: queue.Reply{Text: broken}}},
		{"MAIL refused", "MAIL", "550 5.7.23 SPF validation failed for from.test",
			queue.Outcome{State: queue.Bounced, Class: queue.AuthRejected,
				Reply: queue.Reply{Code: 550, Enhanced: "5.7.23", Text: "SPF validation failed for from.test"}}},

		{"RCPT dropped", "RCPT", smtptest.Drop,
			queue.Outcome{State: queue.Deferred, Class: queue.Offline, Reply: queue.Reply{Text: broken}}},
		{"no such user, several lines", "RCPT",
			"550-5.1.1 The account \"u\" does\n550-5.1.1 not exist:\n550 5.1.1 user unknown",
			queue.Outcome{State: queue.Bounced, Class: queue.NoSuchUser,
				Reply: queue.Reply{Code: 550, Enhanced: "5.1.1",
					Text: "The account \"u\" does\nnot exist:\nuser unknown"}}},
		{"names the recipient", "RCPT", "550 5.1.1 <U@a.test>: User unknown",
			queue.Outcome{State: queue.Bounced, Class: queue.NoSuchUser,
				Reply: queue.Reply{Code: 550, Enhanced: "5.1.1", Text: "<U@a.test>: User unknown"}}},
		{"names our return path", "RCPT", "550 5.1.1 <news@from.test>: User unknown",
			queue.Outcome{State: queue.Bounced, Class: queue.Other,
				Reply: queue.Reply{Code: 550, Enhanced: "5.1.1", Text: "<news@from.test>: User unknown"}}},
		{"names another address", "RCPT", "550 5.1.1 <v@b.test>: User unknown",
			queue.Outcome{State: queue.Bounced, Class: queue.Other,
				Reply: queue.Reply{Code: 550, Enhanced: "5.1.1", Text: "<v@b.test>: User unknown"}}},
		{"names the client's domain", "RCPT", "550 5.1.2 from.test: Host unknown",
			queue.Outcome{State: queue.Bounced, Class: queue.Other,
				Reply: queue.Reply{Code: 550, Enhanced: "5.1.2", Text: "from.test: Host unknown"}}},
		{"mailbox full", "RCPT", "552 5.2.2 Mailbox full",
			queue.Outcome{State: queue.Deferred, Class: queue.MailboxFull,
				Reply: queue.Reply{Code: 552, Enhanced: "5.2.2", Text: "Mailbox full"}}},
		// does not slow the site
		{"greylisted", "RCPT", "451 4.7.1 Greylisted, please try again later",
			queue.Outcome{State: queue.Deferred, Class: queue.Throttled,
				Treatment: queue.Treatment{StandsStill: true, Requeues: true},
				Reply:     queue.Reply{Code: 451, Enhanced: "4.7.1", Text: "Greylisted, please try again later"}}},
		{"4yz is never final", "RCPT", "450 User unknown", queue.Outcome{State: queue.Deferred,
			Reply: queue.Reply{Code: 450, Text: "User unknown"}}},

		{"DATA dropped", "DATA", smtptest.Drop,
			queue.Outcome{State: queue.Deferred, Class: queue.Offline, Reply: queue.Reply{Text: broken}}},
		{"DATA refused", "DATA", "554 5.7.1 Message rejected under our policy", queue.Outcome{State: queue.Bounced,
			Reply: queue.Reply{Code: 554, Enhanced: "5.7.1", Text: "Message rejected under our policy"}}},

		{"dot dropped", ".", smtptest.Drop,
			queue.Outcome{State: queue.Unknown, Class: queue.Offline, Reply: queue.Reply{Text: broken}}},
		{"dot garbage", ".", "what?", queue.Outcome{State: queue.Unknown, Class: queue.Offline,
			Reply: queue.Reply{Text: broken}}},
		{"dot strange code", ".", "354 go on",
			queue.Outcome{State: queue.Unknown, Class: queue.Offline, Reply: queue.Reply{Text: broken}}},
		{"dot 4yz", ".", "451 4.3.0 Try again", queue.Outcome{State: queue.Deferred,
			Reply: queue.Reply{Code: 451, Enhanced: "4.3.0", Text: "Try again"}}},
		{"dot 5yz", ".", "552 5.3.4 Message too big", queue.Outcome{State: queue.Bounced,
			Reply: queue.Reply{Code: 552, Enhanced: "5.3.4", Text: "Message too big"}}},
		{"not for a terminal", "RCPT", "550 5.1.1 no such user \u202eresu\u2066 \u009b31m",
			queue.Outcome{State: queue.Bounced, Class: queue.NoSuchUser,
				Reply: queue.Reply{Code: 550, Enhanced: "5.1.1", Text: "no such user  resu   31m"}}},
		{"not for a database", "RCPT", "550 5.1.1 no such user \x00or\x1b[31m what \xff",
			queue.Outcome{State: queue.Bounced, Class: queue.NoSuchUser,
				Reply: queue.Reply{Code: 550, Enhanced: "5.1.1", Text: "no such user  or [31m what \uFFFD"}}},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			w, _ := one(t, smtptest.Config{Extensions: extensions, Reply: on(test.verb, test.reply)})
			got := w.deliver(t, to(testBatch, 1, "u@a.test"))
			test.want.Host, test.want.Site = "mx.a.test", "a.test"
			if test.want.Reply.Text == broken {
				if got.Reply.Text == "" {
					t.Error("no text says what happened")
				}
				test.want.Reply.Text = got.Reply.Text
			}
			if test.want.Class == "" { // bounce's own tests say which
				test.want.Class = got.Class
			}
			if diff := cmp.Diff(test.want, got, cmpopts.EquateComparable(netip.Addr{}),
				cmpopts.IgnoreFields(queue.Outcome{}, "After")); diff != "" {
				t.Errorf("outcome (-want +got):\n%s", diff)
			}
		})
	}
}

// A reply that never ends would fill the memory.
func TestEndlessReply(t *testing.T) {
	t.Parallel()
	inBothModes(t, testEndlessReply)
}

func testEndlessReply(t *testing.T, extensions []string) {
	w, _ := one(t, smtptest.Config{Extensions: extensions, Reply: on("MAIL", "250 "+strings.Repeat("x", 1<<20))})
	if o := w.deliver(t, to(testBatch, 1, "u@a.test")); o.State != queue.Deferred || o.Class != queue.Offline ||
		len(o.Reply.Text) > 1000 {
		t.Errorf("outcome: got %.200v, want deferred, offline", o)
	}
	w, _ = one(t, smtptest.Config{Extensions: extensions, Reply: on("RCPT", "550 5.1.1 "+strings.Repeat("x", 30_000))})
	if o := w.deliver(t, to(testBatch, 1, "u@a.test")); o.State != queue.Bounced || len(o.Reply.Text) > 1000 {
		t.Errorf("outcome: got %.200v of %d octets, want bounced, at most 1000", o, len(o.Reply.Text))
	}
}

// Deliver returns soon after its context ends, wherever it is, and says what
// can be said: only after the final dot is it in doubt.
func TestContextEnds(t *testing.T) {
	t.Parallel()
	inBothModes(t, testContextEnds)
}

func testContextEnds(t *testing.T, extensions []string) {
	tests := []struct {
		verb  string
		state queue.State
		class queue.Class
	}{
		{"CONNECT", queue.Deferred, queue.NotBegun},
		{"EHLO", queue.Deferred, queue.NotBegun},
		{"MAIL", queue.Deferred, queue.NotBegun},
		{"RCPT", queue.Deferred, queue.NotBegun},
		{"DATA", queue.Deferred, queue.NotBegun},
		{".", queue.Unknown, queue.Offline},
	}
	for _, test := range tests {
		t.Run(test.verb, func(t *testing.T) {
			t.Parallel()
			ctx, cancel := context.WithCancel(t.Context())
			release := make(chan struct{})
			w, host := one(t, smtptest.Config{Extensions: extensions, Prompt: true,
				Reply: func(c smtptest.Command) string {
					if c.Verb == test.verb {
						cancel()
						<-release // as a host that does not answer
					}
					return ""
				}})
			begun := time.Now()
			o := w.sender.Deliver(ctx, to(testBatch, 1, "u@a.test"))
			if took := time.Since(begun); took > 30*time.Second {
				t.Errorf("returned after %v", took)
			}
			if o.State != test.state || o.Class != test.class {
				t.Errorf("outcome: got %+v, want %s, %s", o, test.state, test.class)
			}
			close(release)
			eventually(t, "the connection is closed", func() bool { return host.Open() == 0 })
		})
	}
	t.Run("before", func(t *testing.T) {
		t.Parallel()
		w, host := one(t, smtptest.Config{Extensions: extensions})
		ctx, cancel := context.WithCancel(t.Context())
		cancel()
		if o := w.sender.Deliver(ctx, to(testBatch, 1, "u@a.test")); o.State != queue.Deferred ||
			o.Class != queue.NotBegun || host.Connections() != 0 {
			t.Errorf("outcome: got %+v over %d connections, want not_begun over none", o, host.Connections())
		}
	})
}

// A host that stops answering costs one time-out for each command, not one for
// the message: a slow one that does answer is not cut off.
func TestTimeouts(t *testing.T) {
	t.Parallel()
	inBothModes(t, testTimeouts)
}

func testTimeouts(t *testing.T, extensions []string) {
	for _, verb := range []string{"CONNECT", "EHLO", "MAIL", "RCPT", "DATA", "."} {
		t.Run(verb, func(t *testing.T) {
			t.Parallel()
			release := make(chan struct{})
			w, host := one(t, smtptest.Config{Extensions: extensions, Prompt: true,
				Reply: func(c smtptest.Command) string {
					if c.Verb == verb {
						<-release
					}
					return ""
				}})
			w.sender.CommandTimeout, w.sender.ContentTimeout = 4*time.Second, 4*time.Second
			o := w.deliver(t, to(testBatch, 1, "u@a.test"))
			want := queue.Deferred
			if verb == "." {
				want = queue.Unknown
			}
			if o.State != want || o.Class != queue.Offline {
				t.Errorf("outcome: got %+v, want %s, offline", o, want)
			}
			close(release)
			eventually(t, "the connection is closed", func() bool { return host.Open() == 0 })
		})
	}
	t.Run("slow", func(t *testing.T) {
		t.Parallel()
		w, _ := one(t, smtptest.Config{Extensions: extensions, Prompt: true, Delay: 800 * time.Millisecond})
		w.sender.CommandTimeout, w.sender.ContentTimeout = 4*time.Second, 4*time.Second
		if o := w.deliver(t, to(testBatch, 1, "u@a.test")); o.State != queue.Delivered {
			t.Errorf("six replies of 800ms: got %+v, want delivered", o)
		}
	})
}

// What a host says at EHLO that it would not take is not sent to it, and the
// connection is as good as before.
func TestDoesNotFit(t *testing.T) {
	t.Parallel()
	w, host := one(t, smtptest.Config{Extensions: []string{"SIZE 1000"}})
	big := *testBatch
	big.Text = strings.Repeat("x ", 1000)
	tests := []struct {
		name string
		m    queue.Message
		want queue.Outcome
	}{
		{"size", to(&big, 1, "u@a.test"),
			queue.Outcome{State: queue.Bounced, Class: queue.Content,
				Reply: queue.Reply{Code: 552, Enhanced: "5.3.4"}}},
		{"utf8", to(testBatch, 1, "ü@a.test"),
			queue.Outcome{State: queue.Bounced, Class: queue.Policy, Reply: queue.Reply{Code: 550, Enhanced: "5.6.7"}}},
		{"fits", to(testBatch, 1, "u@a.test"),
			queue.Outcome{State: queue.Delivered, Reply: queue.Reply{Code: 250, Enhanced: "2.0.0"}}},
	}
	for _, test := range tests {
		got := w.deliver(t, test.m)
		test.want.Host, test.want.Site = "mx.a.test", "a.test"
		if diff := cmp.Diff(test.want, got, cmpopts.EquateComparable(netip.Addr{}),
			cmpopts.IgnoreFields(queue.Reply{}, "Text")); diff != "" {
			t.Errorf("%s (-want +got):\n%s", test.name, diff)
		}
	}
	if host.Connections() != 1 {
		t.Errorf("connections: got %d, want 1", host.Connections())
	}
}

// SMTPUTF8 (RFC 6531) is asked for when it is needed, and only then: a relay
// that has it may have to hand the message on to one that has not.
func TestSMTPUTF8(t *testing.T) {
	t.Parallel()
	var mails commands
	w, _ := one(t, smtptest.Config{Extensions: []string{"8BITMIME", "SMTPUTF8"},
		Reply: func(c smtptest.Command) string {
			if c.Verb == "MAIL" {
				mails.mu.Lock()
				mails.got = append(mails.got, c.Arg)
				mails.mu.Unlock()
			}
			return ""
		}})
	for _, address := range []string{"u@a.test", "ü@a.test", "u@a.test"} {
		if o := w.deliver(t, to(testBatch, 1, address)); o.State != queue.Delivered {
			t.Errorf("%s: got %+v, want delivered", address, o)
		}
	}
	want := []string{
		"FROM:<news@from.test> BODY=8BITMIME",
		"FROM:<news@from.test> BODY=8BITMIME SMTPUTF8",
		"FROM:<news@from.test> BODY=8BITMIME",
	}
	if diff := cmp.Diff(want, mails.list()); diff != "" {
		t.Errorf("MAIL (-want +got):\n%s", diff)
	}
}

var _ queue.Handler = new(sender.Sender).Deliver
