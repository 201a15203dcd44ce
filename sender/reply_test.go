package sender_test

import (
	"fmt"
	"net/netip"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"enotify/queue"
	"enotify/sender/smtptest"
)

// A reply may be nothing but its code (RFC 5321 §4.2), at any command.
func TestBareReplies(t *testing.T) { inBothModes(t, testBareReplies) }

func testBareReplies(t *testing.T, extensions []string) {
	for verb, c := range map[string]struct {
		reply string
		want  queue.Outcome
	}{
		"CONNECT": {"220", queue.Outcome{State: queue.Delivered}},
		"MAIL":    {"250", queue.Outcome{State: queue.Delivered}},
		"RCPT":    {"250", queue.Outcome{State: queue.Delivered}},
		"DATA":    {"354", queue.Outcome{State: queue.Delivered}},
		".":       {"250", queue.Outcome{State: queue.Delivered, Reply: queue.Reply{Code: 250}}},
		"RCPT 550": {"550", queue.Outcome{State: queue.Bounced, Class: queue.Other,
			Reply: queue.Reply{Code: 550}}},
		"RCPT 450": {"450", queue.Outcome{State: queue.Deferred, Class: queue.Other,
			Reply: queue.Reply{Code: 450}}},
		". 554": {"554", queue.Outcome{State: queue.Bounced, Class: queue.Other,
			Reply: queue.Reply{Code: 554}}},
		"CONNECT 554": {"554", queue.Outcome{State: queue.Deferred, Class: queue.Other,
			Reply: queue.Reply{Code: 554}}},
		"EHLO 421": {"421", queue.Outcome{State: queue.Deferred, Class: queue.Offline,
			Reply: queue.Reply{Code: 421}}},
		"several lines": {"550-\n550-5.1.1\n550",
			queue.Outcome{State: queue.Bounced, Class: queue.NoSuchUser,
				Reply: queue.Reply{Code: 550, Enhanced: "5.1.1"}}},
	} {
		t.Run(verb, func(t *testing.T) {
			t.Parallel()
			at := verb
			if _, err := fmt.Sscanf(verb, "%s", &at); err != nil || verb == "several lines" {
				at = "RCPT"
			}
			w, host := one(t, smtptest.Config{Extensions: extensions, Reply: on(at, c.reply)})
			got := w.deliver(t, to(testBatch, 1, "u@a.test"))
			ignored := cmpopts.IgnoreFields(queue.Outcome{}, "After", "Host", "Site")
			if c.want.State == queue.Delivered && c.want.Reply.Code == 0 {
				ignored = cmpopts.IgnoreFields(queue.Outcome{}, "After", "Host", "Site", "Reply")
			}
			if diff := cmp.Diff(c.want, got, ignored, cmpopts.EquateComparable(netip.Addr{})); diff != "" {
				t.Errorf("outcome (-want +got):\n%s", diff)
			}
			want := 0
			if c.want.State == queue.Delivered {
				want = 1
			}
			if got := host.Delivered(); got != want {
				t.Errorf("delivered: got %d, want %d", got, want)
			}
		})
	}
}

// Over TLS as well.
func TestBareRepliesOverTLS(t *testing.T) {
	t.Parallel()
	w, host := one(t, smtptest.Config{TLS: selfSigned(t), Reply: func(c smtptest.Command) string {
		return map[string]string{"CONNECT": "220", "STARTTLS": "220", "MAIL": "250", "RCPT": "250", "DATA": "354",
			".": "250"}[c.Verb]
	}})
	if o := w.deliver(t, to(testBatch, 1, "u@a.test")); o.State != queue.Delivered || host.Delivered() != 1 {
		t.Errorf("got %+v and %d at the host, want it delivered once", o, host.Delivered())
	}
	if m := messages(t, host, 1)[0]; !m.TLS {
		t.Error("the message came in the clear, want it over TLS")
	}
}

// The lines of a reply should have one code. Where they mean the same, the last
// counts; else the try failed, and the message may be in doubt.
func TestCodesThatDiffer(t *testing.T) { inBothModes(t, testCodesThatDiffer) }

func testCodesThatDiffer(t *testing.T, extensions []string) {
	for _, c := range []struct {
		verb, reply string
		want        queue.State
		class       queue.Class
		code        int
	}{
		{"RCPT", "550-5.1.1 No such user\n551 5.1.1 here", queue.Bounced, queue.NoSuchUser, 551},
		{"RCPT", "250-fine\n251 will forward", queue.Delivered, "", 250},
		{"RCPT", "550-5.1.1 No such user\n450 4.2.1 later", queue.Deferred, queue.Offline, 0},
		{"RCPT", "250-fine\n550 5.1.1 No such user", queue.Deferred, queue.Offline, 0},
		{"MAIL", "250-fine\n421 later", queue.Deferred, queue.Offline, 0},
		{".", "250-Ok\n451 not so", queue.Unknown, queue.Offline, 0},
		{".", "550-no\n554 5.7.1 rejected under our policy", queue.Bounced, queue.Policy, 554},
	} {
		t.Run(c.verb+" "+c.reply, func(t *testing.T) {
			t.Parallel()
			w, _ := one(t, smtptest.Config{Extensions: extensions, Reply: on(c.verb, c.reply)})
			w.sender.CommandTimeout, w.sender.ContentTimeout = 30*time.Second, 30*time.Second
			begun := time.Now()
			o := w.deliver(t, to(testBatch, 1, "u@a.test"))
			if o.State != c.want || o.Class != c.class || o.Reply.Code != c.code {
				t.Errorf("got %s %s %d, %q, want %s %s %d", o.State, o.Class, o.Reply.Code, o.Reply.Text, c.want,
					c.class, c.code)
			}
			if waited := time.Since(begun); waited >= 30*time.Second {
				t.Errorf("it waited %v for lines that did not come", waited)
			}
		})
	}
}

// A host that offers PIPELINING and does not bear it costs one try; the next
// one there says its commands one by one.
func TestPipeliningThatFails(t *testing.T) {
	t.Parallel()
	for name, config := range map[string]smtptest.Config{
		"forgets what came behind": {Forgetful: true},
		"mixes up the replies": {Reply: when(func(c smtptest.Command) bool {
			return c.Verb == "MAIL" &&
				c.Conn == 1
		}, "250-fine\n550 5.1.1 No such user")},
		"hangs up": {Reply: when(func(c smtptest.Command) bool {
			return c.Verb == "RCPT" &&
				c.Conn == 1
		}, smtptest.Drop)},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			heard := make(chan string, 100)
			config.Heard = func(_ int, octets []byte) { heard <- string(octets) }
			w, host := one(t, config)
			w.sender.CommandTimeout = 200 * time.Millisecond
			if o := w.deliver(t, to(testBatch, 1, "u@a.test")); o.State != queue.Deferred || o.Class != queue.Offline {
				t.Errorf("first try: got %s %s, want deferred offline", o.State, o.Class)
			}
			w.sender.CommandTimeout = 10 * time.Second
			for try := 2; try <= 3; try++ {
				for len(heard) > 0 {
					<-heard
				}
				if o := w.deliver(t, to(testBatch, try, "u@a.test")); o.State != queue.Delivered {
					t.Errorf("try %d: got %s %s, %q, want delivered", try, o.State, o.Class, o.Reply.Text)
				}
				for len(heard) > 0 {
					if packet := <-heard; strings.Contains(packet, "MAIL") && strings.Contains(packet, "RCPT") {
						t.Errorf("try %d: got %q in one packet, want one command", try, packet)
					}
				}
			}
			if got := host.Delivered(); got != 2 {
				t.Errorf("delivered: got %d, want 2", got)
			}
		})
	}
}

// RCPT may be accepted by 251, of a host that forwards, and 252 (RFC 5321 §3.4 and §3.5.3).
func TestRecipientsTakenOtherwise(t *testing.T) { inBothModes(t, testRecipientsTakenOtherwise) }

func testRecipientsTakenOtherwise(t *testing.T, extensions []string) {
	for _, c := range []struct {
		reply string
		want  queue.State
	}{
		{"251 2.1.5 User not local; will forward to <u@b.test>", queue.Delivered},
		{"252 2.1.5 Cannot verify, but will take it", queue.Delivered},
		{"551 5.7.1 User not local; please try <u@b.test>", queue.Bounced},
	} {
		w, host := one(t, smtptest.Config{Extensions: extensions, Reply: on("RCPT", c.reply)})
		if o := w.deliver(t, to(testBatch, 1, "u@a.test")); o.State != c.want {
			t.Errorf("%s: got %s %s, want %s", c.reply, o.State, o.Class, c.want)
		}
		if got := host.Delivered() == 1; got != (c.want == queue.Delivered) {
			t.Errorf("%s: at the host: got %v, want %v", c.reply, got, c.want)
		}
	}
}
