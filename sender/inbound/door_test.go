package inbound_test

import (
	"net/textproto"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"enotify/sender/inbound"
	"enotify/sender/token"
)

// What one connection, mail or remote may take is bounded, and who does nothing makes way.
func TestLimits(t *testing.T) {
	t.Parallel()
	to := "RCPT TO:<" + keys.Address(token.Bounce, ada, "x.test") + ">"
	t.Run("too large by its own word", func(t *testing.T) {
		t.Parallel()
		b := newBox(t, inbound.Server{MaxBytes: 1000})
		if got := b.talk(b.dial(), "EHLO mx.test", "MAIL FROM:<> SIZE=1001"); got[2] != 552 {
			t.Errorf("got %d, want 552", got[2])
		}
	})
	t.Run("too large", func(t *testing.T) {
		t.Parallel()
		b := newBox(t, inbound.Server{MaxBytes: 1000})
		if got := b.talk(b.dial(), "EHLO mx.test", "MAIL FROM:<>", to, "DATA", strings.Repeat("x\r\n", 1000)+".",
			"NOOP"); got[5] != 552 || got[6] != 250 {
			t.Errorf("got %v, want 552 and then 250", got[5:])
		}
		if got := b.mails(); len(got) != 0 {
			t.Errorf("came in: got %d, want 0", len(got))
		}
	})
	t.Run("larger than what is kept", func(t *testing.T) {
		t.Parallel()
		b := newBox(t, inbound.Server{})
		if got := b.talk(b.dial(), "EHLO mx.test", "MAIL FROM:<>", to, "DATA", strings.Repeat("x\r\n", 1<<20)+
			"."); got[5] != 250 {
			t.Errorf("got %d, want 250", got[5])
		}
		if got := len(b.mails()[0].Data); got != 1<<20 {
			t.Errorf("kept: got %d octets, want 1 MiB", got)
		}
	})
	t.Run("connections", func(t *testing.T) {
		t.Parallel()
		b := newBox(t, inbound.Server{MaxConnections: 2})
		first := b.dial()
		b.talk(first, "EHLO mx.test")
		b.talk(b.dial(), "EHLO mx.test")
		if got := b.talk(b.dial()); got[0] != 421 {
			t.Errorf("the third: got %d, want 421", got[0])
		}
		if err := first.PrintfLine("QUIT"); err != nil {
			t.Fatal(err)
		}
		if _, _, err := first.ReadResponse(221); err != nil {
			t.Fatal(err)
		}
		for deadline := time.Now().Add(time.Minute); ; { // until the server has seen it go
			if got := b.talk(b.dial()); got[0] == 220 {
				break
			}
			if time.Now().After(deadline) {
				t.Fatal("after one has left: still 421")
			}
		}
	})
	t.Run("connections from a remote", func(t *testing.T) {
		t.Parallel()
		b := newBox(t, inbound.Server{MaxPerRemote: 2, Trusted: front})
		for i, want := range []int{220, 220, 421} {
			if got := b.talk(b.dialFrom("127.0.0.2")); got[0] != want {
				t.Errorf("connection %d of a remote: got %d, want %d", i+1, got[0], want)
			}
		}
		if got := b.talk(b.dialFrom("127.0.0.3")); got[0] != 220 {
			t.Errorf("another remote: got %d, want 220", got[0])
		}
		for range 4 {
			if got := b.talk(b.dial()); got[0] != 220 {
				t.Errorf("one that is trusted: got %d, want 220", got[0])
			}
		}
	})
	t.Run("mails from a remote", func(t *testing.T) {
		t.Parallel()
		b := newBox(t, inbound.Server{Rate: 1e-3, Trusted: front}) // a burst of one, the next in a quarter of an hour
		mail := []string{"MAIL FROM:<>", to, "DATA", "hi\r\n."}
		codes := b.talk(b.dialFrom("127.0.0.2"), slices.Concat([]string{"EHLO mx.test"}, mail, mail)...)
		if diff := cmp.Diff([]int{220, 250, 250, 250, 354, 250, 250, 250, 354, 450}, codes); diff != "" {
			t.Errorf("two mails in one connection (-want +got):\n%s", diff)
		}
		if got := b.talk(b.dialFrom("127.0.0.2"), slices.Concat([]string{"EHLO mx.test"}, mail)...); got[5] != 450 {
			t.Errorf("one more in another connection: got %d, want 450", got[5])
		}
		for _, other := range []*textproto.Conn{b.dialFrom("127.0.0.3"), b.dial(), b.dial()} {
			if got := b.talk(other, slices.Concat([]string{"EHLO mx.test"}, mail)...); got[5] != 250 {
				t.Errorf("another remote, or one that is trusted: got %d, want 250", got[5])
			}
		}
		if got := len(b.mails()); got != 4 {
			t.Errorf("came in: got %d, want 4", got)
		}
	})
	t.Run("places taken by silent strangers", func(t *testing.T) {
		t.Parallel()
		b := newBox(t, inbound.Server{MaxConnections: 3, IdleGrace: time.Millisecond, Trusted: front})
		busy := b.dialFrom("127.0.0.2")
		b.talk(busy, "EHLO mx.test", "MAIL FROM:<>", to, "DATA")
		silent := []*textproto.Conn{b.dialFrom("127.0.0.3"), b.dialFrom("127.0.0.3")}
		for _, c := range silent {
			b.talk(c)
		}
		time.Sleep(2 * time.Millisecond) // the grace
		if got := b.talk(b.dialFrom("127.0.0.4"), "EHLO mx.test", "MAIL FROM:<>", to, "DATA", "hi\r\n."); got[5] != 250 {
			t.Errorf("one that comes when all places are taken: got %v, want its mail taken", got)
		}
		if code, _, err := silent[0].ReadResponse(421); err != nil {
			t.Errorf("the one that was silent for longest: got %d, %v, want 421", code, err)
		}
		if err := busy.PrintfLine("hi\r\n."); err != nil {
			t.Fatal(err)
		}
		if _, _, err := busy.ReadResponse(250); err != nil {
			t.Errorf("one that hands in a mail: got %v, want it taken", err)
		}
		if got := b.talk(b.dial()); got[0] != 220 {
			t.Errorf("one that is trusted, when all places are taken: got %d, want 220", got[0])
		}
	})
	t.Run("places taken by a silent stranger and one that has named an address of ours", func(t *testing.T) {
		t.Parallel()
		b := newBox(t, inbound.Server{MaxConnections: 2, IdleGrace: time.Millisecond, Trusted: front})
		known, silent := b.dialFrom("127.0.0.2"), b.dialFrom("127.0.0.3")
		b.talk(known, "EHLO mx.test", "MAIL FROM:<>", to)
		b.talk(silent)
		time.Sleep(2 * time.Millisecond) // the grace
		b.talk(b.dialFrom("127.0.0.4"))
		if code, _, err := silent.ReadResponse(421); err != nil {
			t.Errorf("the silent one: got %d, %v, want 421", code, err)
		}
		time.Sleep(2 * time.Millisecond)
		if got := b.talk(b.dialFrom("127.0.0.3")); got[0] != 421 {
			t.Errorf("the silent one again: got %d, want 421: nobody makes way for it", got[0])
		}
		if err := known.PrintfLine("DATA"); err != nil {
			t.Fatal(err)
		}
		if code, _, err := known.ReadResponse(354); err != nil {
			t.Errorf("the one with an address of ours: got %d, %v, want 354", code, err)
		}
	})
	t.Run("places taken by slow mails", func(t *testing.T) {
		t.Parallel()
		b := newBox(t, inbound.Server{MaxConnections: 1, Trusted: front})
		b.talk(b.dialFrom("127.0.0.2"), "EHLO mx.test", "MAIL FROM:<>", to, "DATA")
		for deadline := time.Now().Add(20 * time.Second); ; time.Sleep(50 * time.Millisecond) {
			if got := b.talk(b.dialFrom("127.0.0.3")); got[0] == 220 {
				break
			}
			if time.Now().After(deadline) {
				t.Fatal("beside a mail of no octet in 20 s: still 421")
			}
		}
	})
	t.Run("commands without end", func(t *testing.T) {
		t.Parallel()
		b := newBox(t, inbound.Server{Trusted: front})
		c := b.dialFrom("127.0.0.2")
		b.talk(c)
		const many = 37 << 10 / len("NOOP\r\n")
		began := time.Now()
		if _, err := c.W.WriteString(strings.Repeat("NOOP\r\n", many)); err != nil {
			t.Fatal(err)
		}
		if err := c.W.Flush(); err != nil {
			t.Fatal(err)
		}
		for i := range many {
			if _, _, err := c.ReadResponse(250); err != nil {
				t.Fatalf("reply %d: %v", i+1, err)
			}
		}
		if took := time.Since(began); took < time.Second {
			t.Errorf("%d commands were answered in %v, want that the last ones take a second or more", many, took)
		}
	})
	t.Run("places taken by silent programs of our own", func(t *testing.T) {
		t.Parallel()
		b := newBox(t, inbound.Server{MaxConnections: 2, IdleGrace: time.Millisecond})
		for range 2 {
			b.talk(b.dial())
		}
		time.Sleep(2 * time.Millisecond) // the grace
		if got := b.talk(b.dial()); got[0] != 220 {
			t.Errorf("one that comes when all places of those that are trusted are taken: got %d, want 220", got[0])
		}
	})
	t.Run("a mail of slow pieces", func(t *testing.T) {
		t.Parallel()
		b := newBox(t, inbound.Server{Timeout: time.Second})
		c := b.dial()
		b.talk(c, "EHLO mx.test", "MAIL FROM:<>", to, "DATA")
		for range 6 { // longer in all than a piece may take
			time.Sleep(250 * time.Millisecond)
			if err := c.PrintfLine("hi"); err != nil {
				t.Fatal(err)
			}
		}
		if err := c.PrintfLine("."); err != nil {
			t.Fatal(err)
		}
		if code, _, err := c.ReadResponse(250); err != nil {
			t.Errorf("got %d, %v, want it taken", code, err)
		}
	})
	t.Run("a mail that stops coming", func(t *testing.T) {
		t.Parallel()
		b := newBox(t, inbound.Server{Timeout: 50 * time.Millisecond})
		if got := b.talk(b.dial(), "EHLO mx.test", "MAIL FROM:<>", to, "DATA", "hi"); got[5] != 451 {
			t.Errorf("got %d, want 451: nobody refused it", got[5])
		}
	})
	t.Run("a long line", func(t *testing.T) {
		t.Parallel()
		b := newBox(t, inbound.Server{})
		line := "X-Long: " + strings.Repeat("x", 2<<20) + "\r\n."
		if got := b.talk(b.dial(), "EHLO mx.test", "MAIL FROM:<>", to, "DATA", line); got[5] != 250 {
			t.Errorf("in a mail: got %d, want 250", got[5])
		}
		c := b.dial()
		b.talk(c)
		for err := error(nil); err == nil; { // until it is cut off
			err = c.PrintfLine("%s", strings.Repeat("x", 64<<10))
		}
	})
	t.Run("time", func(t *testing.T) {
		t.Parallel()
		b := newBox(t, inbound.Server{Timeout: 50 * time.Millisecond})
		c := b.dial()
		b.talk(c)
		if code, _, err := c.ReadResponse(221); err == nil && code != 421 {
			t.Errorf("who says nothing: got %d, want the end", code)
		}
	})
}
