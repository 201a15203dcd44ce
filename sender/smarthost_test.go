package sender_test

import (
	"bytes"
	"context"
	"log/slog"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"enotify/queue"
	"enotify/sender"
	"enotify/sender/smtptest"
)

// viaSmarthost is a world whose mail goes through a scripted smarthost.
func viaSmarthost(t *testing.T, config smtptest.Config) (*world, *smtptest.Server) {
	t.Helper()
	smart, err := smtptest.Start(config)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { smart.Close() })
	w, _ := one(t, smtptest.Config{})
	w.sender.Smarthost = smart.Addr
	return w, smart
}

// A smarthost that does not accept us stops everything and nobody: one alert, a
// closed site, and mail again once it does.
func TestSmarthostRefusesUs(t *testing.T) {
	t.Parallel()
	for _, test := range []struct{ name, verb, reply, user string }{
		{"wants a login", "MAIL", "530 5.7.0 Authentication required", ""},
		{"wants one, pipelined", "RCPT", "530 5.7.57 Client not authenticated to send anonymous mail", ""},
		{"wants a stronger one", "AUTH", "534 5.7.9 Stronger authentication required", "ann"},
		{"wrong password", "AUTH", "535 5.7.8 Bad credentials", "ann"},
		{"its accounts are down", "AUTH", "454 4.7.0 Temporary authentication failure", "ann"},
		{"offers no AUTH", "EHLO", "250 smart.test", "ann"},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			var cured atomic.Bool
			w, smart := viaSmarthost(t, smtptest.Config{
				Extensions: []string{"PIPELINING", "AUTH PLAIN LOGIN"},
				Reply: func(c smtptest.Command) string {
					switch {
					case !cured.Load() && c.Verb == test.verb:
						return test.reply
					case c.Verb == "AUTH":
						return "235 2.7.0 Welcome"
					}
					return ""
				},
			})
			w.sender.SmarthostLogin = sender.Login{User: test.user, Password: "secret"}
			var log bytes.Buffer
			var mu sync.Mutex
			var alerts []queue.Alert
			w.sender.Log = slog.New(slog.NewTextHandler(&log, &slog.HandlerOptions{Level: slog.LevelInfo}))
			w.sender.Alerted = func(_ context.Context, a queue.Alert) {
				mu.Lock()
				defer mu.Unlock()
				alerts = append(alerts, a)
			}
			for i := range 3 {
				o := w.deliver(t, to(testBatch, i, "u@a.test"))
				if o.State != queue.Deferred || o.Class != queue.NotBegun || o.Reply.Code != 0 ||
					o.After < 30*time.Second || o.After > time.Minute {
					t.Fatalf("message %d: got %+v, want deferred, not begun, for a minute", i, o)
				}
			}
			if n, w := w.throttle.Admit("a.test", 10, time.Now()); n != 0 {
				t.Errorf("admitted while the smarthost refuses us: got %d, %+v, want none", n, w)
			}
			if got := smart.Connections(); got != 1 {
				t.Errorf("connections: got %d, want 1: nothing more is tried", got)
			}
			if len(alerts) != 1 || alerts[0].Kind != queue.AlertSmarthost || alerts[0].Client != "" ||
				!strings.Contains(alerts[0].Next, "ENOTIFY_SMARTHOST_USER") {
				t.Errorf("alerts: got %+v, want one of the smarthost", alerts)
			}
			if n := strings.Count(log.String(), "level=WARN"); n != 1 || strings.Contains(log.String(), "secret") {
				t.Errorf("log: got %d warnings, want 1 and no password: %s", n, log.String())
			}

			cured.Store(true)
			w.throttle.Halt("127.0.0.1", time.Now(), time.Now()) // the wait is over
			if o := w.deliver(t, to(testBatch, 9, "u@a.test")); o.State != queue.Delivered {
				t.Errorf("once it accepts us: got %+v, want delivered", o)
			}
			if !strings.Contains(log.String(), "accepts us again") {
				t.Errorf("log: got %s, want that it accepts us again", log.String())
			}
		})
	}
}

// The same reply from a mail host of the domain is a refusal of the client's mail.
func TestNoSmarthostRefusesMail(t *testing.T) {
	t.Parallel()
	for _, reply := range []string{"530 5.7.0 Authentication required", "535 5.7.8 Bad credentials"} {
		w, _ := one(t, smtptest.Config{Reply: when(func(c smtptest.Command) bool { return c.Verb == "MAIL" }, reply)})
		if o := w.deliver(t, to(testBatch, 1, "u@a.test")); o.State != queue.Bounced || o.Class != queue.AuthRejected {
			t.Errorf("%s: got %+v, want bounced as auth_rejected", reply, o)
		}
	}
}

// A password goes to a smarthost whose name is proven, and never in the clear.
func TestSmarthostLogin(t *testing.T) {
	t.Parallel()
	var said atomic.Value
	w, smart := viaSmarthost(t, smtptest.Config{
		Extensions: []string{"AUTH LOGIN PLAIN"},
		Reply: func(c smtptest.Command) string {
			if c.Verb != "AUTH" {
				return ""
			}
			said.Store(c.Arg)
			return "235 2.7.0 Welcome"
		},
	})
	w.sender.SmarthostLogin = sender.Login{User: "ann", Password: "secret"}
	for i := range 2 {
		if o := w.deliver(t, to(testBatch, i, "u@a.test")); o.State != queue.Delivered {
			t.Fatalf("got %+v, want delivered", o)
		}
	}
	if got := said.Load(); got != "PLAIN AGFubgBzZWNyZXQ=" { // \0ann\0secret
		t.Errorf("AUTH: got %v, want PLAIN of ann", got)
	}
	if got := smart.Connections(); got != 1 {
		t.Errorf("connections: got %d, want 1, logged in once", got)
	}

	// By a name that is not loopback's, without STARTTLS: nothing is said.
	said.Store("")
	_, port, _ := strings.Cut(smart.Addr, ":")
	if err := w.dns.Put("smart.test. A 127.0.0.1\n"); err != nil {
		t.Fatal(err)
	}
	w.sender.Close()
	w.sender.Smarthost = "smart.test:" + port
	if o := w.deliver(t, to(testBatch, 3, "u@a.test")); o.State != queue.Deferred {
		t.Errorf("without encryption: got %+v, want deferred", o)
	}
	if got := said.Load(); got != "" {
		t.Errorf("without encryption it said AUTH %v", got)
	}
}

// A smarthost that goes on refusing us is tried less and less often, up to every
// quarter of an hour.
func TestSmarthostIsLeftAloneForLonger(t *testing.T) {
	t.Parallel()
	want := []time.Duration{time.Minute, 2 * time.Minute, 4 * time.Minute, 8 * time.Minute, 15 * time.Minute,
		15 * time.Minute}
	if diff := cmp.Diff(want, sender.HaltWaits(len(want))); diff != "" {
		t.Errorf("waits (-want +got):\n%s", diff)
	}
}

// A password is sent to a smarthost whose certificate was verified, and to this machine.
// With --tls required, the operator does without the certificate.
func TestSmarthostLoginIsSentToWhoProvesItsName(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		user, host string
		set, want  sender.TLSPolicy
	}{
		{"", "smart.example", sender.Opportunistic, sender.Opportunistic},
		{"ann", "smart.example", sender.Opportunistic, sender.Verified},
		{"ann", "smart.example", sender.Required, sender.Required},
		{"ann", "127.0.0.1", sender.Opportunistic, sender.Opportunistic},
		{"ann", "localhost", sender.Opportunistic, sender.Opportunistic},
		{"ann", "192.0.2.1", sender.Opportunistic, sender.Verified},
	} {
		s := sender.Sender{SmarthostLogin: sender.Login{User: c.user, Password: "secret"}}
		if got := s.LoginTLS(c.set, c.host); got != c.want {
			t.Errorf("user %q at %s with --tls %s: got %s, want %s", c.user, c.host, c.set, got, c.want)
		}
	}
}
