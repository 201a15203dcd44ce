package sender_test

import (
	"fmt"
	"testing"
	"time"

	"enotify/queue"
	"enotify/sender/smtptest"
	"enotify/sender/throttle"

	"github.com/google/go-cmp/cmp"
	"golang.org/x/time/rate"
)

// When MAIL, RCPT and DATA have left together, replies to all three come,
// whatever became of the first. What they say of the recipient holds as long as
// they fit the commands; the connection goes on as long as it is in step.
func TestPipelinedReplies(t *testing.T) {
	t.Parallel()
	const (
		noUser  = "550 5.1.1 User unknown"
		bounced = "bounced no_such_user"
		offline = "deferred offline"
	)
	tests := []struct {
		name        string
		replies     map[string]string // to the first message's commands; a line may be a reply of its own
		want        string
		connections int // for this message and the next
	}{
		{"recipient refused", map[string]string{"RCPT": noUser}, bounced, 1},
		{"sender refused", map[string]string{"MAIL": "550 5.7.23 SPF validation failed"}, "bounced auth_rejected", 1},
		{"sender refused, then 421", map[string]string{"MAIL": "550 5.7.23 SPF validation failed",
			"RCPT": "421 4.7.0 Bye"}, "bounced auth_rejected", 2},

		{"354 for nobody", map[string]string{"RCPT": noUser, "DATA": "354 go on"}, bounced, 1},
		{"354 for nobody, dot accepted", map[string]string{"RCPT": noUser, "DATA": "354 go on", ".": "250 fine"},
			bounced, 1},
		{"354 for nobody, dot dropped", map[string]string{"RCPT": noUser, "DATA": "354 go on", ".": smtptest.Drop},
			bounced, 2},
		{"354 for nobody, dot garbage", map[string]string{"RCPT": noUser, "DATA": "354 go on", ".": "what?"}, bounced,
			2},
		{"354 though the sender was refused",
			map[string]string{"MAIL": "451 4.3.0 Not now", "RCPT": "250 fine", "DATA": "354 go on"}, offline, 2},

		{"recipient refused, then 421", map[string]string{"RCPT": noUser, "DATA": "421 4.7.0 Too many errors"}, bounced,
			2},
		{"recipient refused, then dropped", map[string]string{"RCPT": noUser, "DATA": smtptest.Drop}, bounced, 2},
		{"recipient refused, then garbage", map[string]string{"RCPT": noUser, "DATA": "what?"}, offline, 2},
		{"recipient refused, then 250", map[string]string{"RCPT": noUser, "DATA": "250 fine"}, offline, 2},

		{"a reply too many to MAIL", map[string]string{"MAIL": "250 fine\n250 fine"}, offline, 2},
		{"a refusal too many to MAIL", map[string]string{"MAIL": "250 fine\n" + noUser}, offline, 2},
		{"a reply too many to RCPT", map[string]string{"RCPT": noUser + "\n250 fine"}, offline, 2},
		{"a refusal too many to RCPT", map[string]string{"RCPT": noUser + "\n" + noUser}, offline, 2},
		{"a reply too many to DATA", map[string]string{"DATA": "354 go on\n250 fine"}, offline, 2},
		{"a refusal too many to DATA", map[string]string{"RCPT": noUser, "DATA": "503 no\n503 no"}, offline, 2},
		{"421 after all replies", map[string]string{"RCPT": noUser, "DATA": "503 no\n421 4.7.0 Too many errors"},
			bounced, 2},
		{"421 instead of waiting for the message", map[string]string{"DATA": "354 go on\n421 4.3.2 Shutting down"},
			offline, 2},

		{"421 after the confirmation", map[string]string{".": "250 fine\n421 4.7.0 Enough"}, "delivered", 2},
		{"a reply too many to the dot", map[string]string{".": "550 5.6.0 No\n250 fine"}, "bounced content", 2},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			w, host := one(t, smtptest.Config{Reply: func(c smtptest.Command) string {
				if c.Conn == 1 && c.Nth <= 5 { // CONNECT, EHLO, MAIL, RCPT, DATA, dot
					reply := test.replies[c.Verb]
					delete(test.replies, c.Verb)
					return reply
				}
				return ""
			}})
			o := w.deliver(t, to(testBatch, 1, "u1@a.test"))
			if diff := cmp.Diff(map[string]int{test.want: 1}, count([]queue.Outcome{o})); diff != "" {
				t.Errorf("outcome %+v (-want +got):\n%s", o, diff)
			}
			if o := w.deliver(t, to(testBatch, 2, "u2@a.test")); o.State != queue.Delivered {
				t.Errorf("next message: got %+v, want delivered", o)
			}
			if got := host.Connections(); got != test.connections {
				t.Errorf("connections: got %d, want %d", got, test.connections)
			}
			want := map[string]int{"u2@a.test": 1}
			if test.want == "delivered" {
				want["u1@a.test"] = 1
			}
			if diff := cmp.Diff(want, host.Copies()); diff != "" {
				t.Errorf("copies (-want +got):\n%s", diff)
			}
		})
	}
}

// A host that answers RCPT and then no more has said what counts, and is not
// asked again.
func TestSilenceAfterRefusal(t *testing.T) {
	t.Parallel()
	var log commands
	release := make(chan struct{})
	w, host := one(t, smtptest.Config{Prompt: true, Reply: log.reply(func(c smtptest.Command) string {
		switch {
		case c.Conn == 1 && c.Verb == "RCPT":
			return "550 5.1.1 User unknown"
		case c.Conn == 1 && c.Verb == "DATA":
			<-release
		}
		return ""
	})})
	w.sender.CommandTimeout = 4 * time.Second
	if o := w.deliver(t, to(testBatch, 1, "u1@a.test")); o.State != queue.Bounced || o.Class != queue.NoSuchUser {
		t.Errorf("outcome: got %+v, want bounced, no_such_user", o)
	}
	close(release)
	if o := w.deliver(t, to(testBatch, 2, "u2@a.test")); o.State != queue.Delivered {
		t.Errorf("next message: got %+v, want delivered", o)
	}
	eventually(t, "the first connection is closed", func() bool { return host.Open() == 1 })
	want := []string{
		"1 CONNECT", "1 EHLO", "1 MAIL", "1 RCPT", "1 DATA",
		"2 CONNECT", "2 EHLO", "2 MAIL", "2 RCPT", "2 DATA", "2 .",
	}
	if diff := cmp.Diff(want, log.list()); diff != "" {
		t.Errorf("commands (-want +got):\n%s", diff)
	}
}

// A host that closes after some messages says so after the last of them. The
// next in the queue goes by another connection.
func TestLeaveAfterConfirmation(t *testing.T) {
	t.Parallel()
	inBothModes(t, func(t *testing.T, extensions []string) {
		w, host := one(t, smtptest.Config{Extensions: extensions,
			Reply: when(func(c smtptest.Command) bool { return c.Verb == "." && c.Nth > 5 },
				"250 2.0.0 Ok\n421 4.7.0 Enough"),
		})
		w.throttle.SetPolicies(map[string]throttle.Policy{throttle.Everyone: {Rate: rate.Inf, Connections: 1}})
		got := count(w.deliverAll(t, testBatch, "a.test", 40))
		if diff := cmp.Diff(map[string]int{"delivered": 40}, got); diff != "" {
			t.Errorf("outcomes (-want +got):\n%s", diff)
		}
		if host.Delivered() != 40 || host.Connections() != 20 {
			t.Errorf("delivered %d over %d connections, want 40 over 20", host.Delivered(), host.Connections())
		}
	})
}

// What a host said that nobody had asked for is no reply to MAIL.
func TestUnaskedBeforeMail(t *testing.T) {
	t.Parallel()
	for _, extension := range []string{"PIPELINING", "8BITMIME"} {
		w, host := one(t, smtptest.Config{Reply: on("EHLO", "250-mx.test\n250 "+extension+"\n550 5.1.1 User unknown")})
		o := w.deliver(t, to(testBatch, 1, "u@a.test"))
		if o.State != queue.Deferred || o.Class != queue.Offline || host.Delivered() != 0 {
			t.Errorf("%s: got %+v, want deferred, offline", extension, o)
		}
	}
}

// A host that cannot forget a transaction gets the next one by another
// connection. The refusal says nothing of the next recipient.
func TestResetRefused(t *testing.T) {
	t.Parallel()
	inBothModes(t, func(t *testing.T, extensions []string) {
		for _, reply := range []string{"550 5.1.1 User unknown", "421 4.3.2 Bye", "huh"} {
			w, host := one(t, smtptest.Config{Extensions: extensions, Reply: func(c smtptest.Command) string {
				switch {
				case c.Verb == "RSET":
					return reply
				case c.Verb == "RCPT" && c.To == "gone@a.test":
					return "550 5.1.1 User unknown"
				}
				return ""
			}})
			var got []string
			for _, user := range []string{"gone", "u1"} {
				got = append(got, fmt.Sprint(w.deliver(t, to(testBatch, 1, user+"@a.test")).State))
			}
			if diff := cmp.Diff([]string{"bounced", "delivered"}, got); diff != "" {
				t.Errorf("%q (-want +got):\n%s", reply, diff)
			}
			if host.Connections() != 2 {
				t.Errorf("%q: %d connections, want 2", reply, host.Connections())
			}
		}
	})
}
