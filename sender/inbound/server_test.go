package inbound_test

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"net/textproto"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"enotify/queue"
	"enotify/sender/inbound"
	"enotify/sender/smtptest"
	"enotify/sender/token"
)

var (
	keys = token.Keys{{ID: "1", Secret: []byte(strings.Repeat("secret", 6))}}
	ada  = token.Subject{Batch: 42, Seq: 7}
)

// A box is a server and what came in at it.
type box struct {
	*inbound.Server
	t    *testing.T
	addr string
	stop context.CancelFunc
	done chan error

	mu   sync.Mutex
	got  []inbound.Mail
	fail error // of Deliver
}

func newBox(t *testing.T, s inbound.Server) *box {
	t.Helper()
	b := &box{Server: &s, t: t, done: make(chan error, 1)}
	s.Name = "mail.host.test"
	s.Open = func(_ context.Context, p token.Purpose, text string) (token.Subject, error) {
		return keys.Open(p, text)
	}
	if s.Known == nil {
		s.Known = func(context.Context, token.Subject) error { return nil }
	}
	s.Deliver = func(_ context.Context, m inbound.Mail) error {
		b.mu.Lock()
		defer b.mu.Unlock()
		if b.fail != nil {
			return b.fail
		}
		b.got = append(b.got, m)
		return nil
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	b.addr = l.Addr().String()
	ctx, stop := context.WithCancel(context.Background())
	b.stop = stop
	go func() { b.done <- s.Serve(ctx, l, 10*time.Second) }()
	t.Cleanup(func() {
		stop()
		if err := <-b.done; err != nil {
			t.Errorf("Serve: %v", err)
		}
	})
	return b
}

func (b *box) mails() []inbound.Mail {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.got
}

// dial connects and reads the banner.
func (b *box) dial() *textproto.Conn {
	b.t.Helper()
	return b.dialFrom("127.0.0.1")
}

// front is a mail server of ours.
var front = []netip.Prefix{netip.MustParsePrefix("127.0.0.1/32")}

// dialFrom connects from an address of this host's loopback.
func (b *box) dialFrom(local string) *textproto.Conn {
	b.t.Helper()
	d := net.Dialer{LocalAddr: &net.TCPAddr{IP: net.ParseIP(local)}}
	c, err := d.Dial("tcp", b.addr)
	if err != nil {
		b.t.Fatal(err)
	}
	_ = c.SetDeadline(time.Now().Add(time.Minute))
	text := textproto.NewConn(c)
	b.t.Cleanup(func() { text.Close() })
	return text
}

// talk says commands, and returns the codes of the replies to all of them, the
// banner's first.
func (b *box) talk(c *textproto.Conn, commands ...string) (codes []int) {
	b.t.Helper()
	for _, command := range append([]string{""}, commands...) {
		if command != "" {
			if err := c.PrintfLine("%s", command); err != nil {
				b.t.Fatalf("%s: %v", command, err)
			}
		}
		code, _, err := c.ReadResponse(0)
		if err != nil {
			b.t.Fatalf("after %q: %v", command, err)
		}
		codes = append(codes, code)
	}
	return codes
}

func TestTakesWhatWasSigned(t *testing.T) {
	t.Parallel()
	for _, lmtp := range []bool{false, true} {
		for _, p := range []token.Purpose{token.Bounce, token.Unsubscribe} {
			b := newBox(t, inbound.Server{LMTP: lmtp})
			hello := map[bool]string{false: "EHLO mx.test", true: "LHLO mx.test"}[lmtp]
			for _, from := range []string{"", "reader@x.test"} {
				to := keys.Address(p, ada, "bounce.town.test")
				codes := b.talk(b.dial(), hello, "MAIL FROM:<"+from+"> BODY=8BITMIME SIZE=99", "RCPT TO:<"+
					strings.ToUpper(to)+">", "DATA", "Subject: hi\r\n\r\n..dot\r\n.", "QUIT")
				if diff := cmp.Diff([]int{220, 250, 250, 250, 354, 250, 221}, codes); diff != "" {
					t.Errorf("lmtp %t, from <%s>: (-want +got):\n%s", lmtp, from, diff)
				}
			}
			want := inbound.Mail{To: p, Subject: ada, Data: []byte("Subject: hi\r\n\r\n.dot\r\n")}
			if diff := cmp.Diff([]inbound.Mail{want, want}, b.mails()); diff != "" {
				t.Errorf("lmtp %t: came in (-want +got):\n%s", lmtp, diff)
			}
		}
	}
}

func TestRefusesOthers(t *testing.T) {
	t.Parallel()
	b := newBox(t, inbound.Server{Known: func(_ context.Context, s token.Subject) error {
		switch s.Seq {
		case 8:
			return fmt.Errorf("batch %d: %w", s.Batch, queue.ErrNotFound)
		case 9:
			return errors.New("the database is down")
		}
		return nil
	}})
	good := keys.Address(token.Bounce, ada, "bounce.town.test")
	other := token.Keys{{ID: "2", Secret: []byte(strings.Repeat("others", 6))}}
	forged := token.Keys{{ID: "1", Secret: []byte(strings.Repeat("others", 6))}}
	for name, c := range map[string]struct {
		to   string
		want int
	}{
		"a mailbox":          {"postmaster@bounce.town.test", 550},
		"forged":             {forged.Address(token.Bounce, ada, "bounce.town.test"), 550},
		"a key we lack":      {other.Address(token.Bounce, ada, "bounce.town.test"), 550},
		"another purpose":    {strings.Replace(good, "b-", "u-", 1), 550},
		"somebody else":      {strings.Replace(good, "b-1-f", "b-1-g", 1), 550},
		"not known any more": {keys.Address(token.Bounce, token.Subject{Batch: 42, Seq: 8}, "x.test"), 550},
		"not known just now": {keys.Address(token.Bounce, token.Subject{Batch: 42, Seq: 9}, "x.test"), 451},
		"signed":             {good, 250},
	} {
		codes := b.talk(b.dial(), "EHLO mx.test", "MAIL FROM:<>", "RCPT TO:<"+c.to+">")
		if got := codes[len(codes)-1]; got != c.want {
			t.Errorf("%s: got %d, want %d", name, got, c.want)
		}
	}
	if got := b.talk(b.dial(), "EHLO mx.test", "MAIL FROM:<>", "RCPT TO:<postmaster@x.test>", "DATA"); got[4] < 500 {
		t.Errorf("DATA after a refused recipient: got %d, want it refused", got[4])
	}
}

// The address of a feedback loop is the same for all, and signs for nobody.
func TestTakesFixedAddresses(t *testing.T) {
	t.Parallel()
	b := newBox(t, inbound.Server{Feedback: []string{"fbl@mail.host.test"}})
	for to, want := range map[string]int{"FBL@mail.host.test": 250, "fbl@other.test": 550} {
		codes := b.talk(b.dial(), "EHLO mx.test", "MAIL FROM:<>", "RCPT TO:<"+to+">")
		if got := codes[len(codes)-1]; got != want {
			t.Errorf("RCPT TO:<%s>: got %d, want %d", to, got, want)
		}
	}
	b.talk(b.dial(), "EHLO mx.test", "MAIL FROM:<>", "RCPT TO:<fbl@mail.host.test>", "DATA", "Subject: hi\r\n\r\n.",
		"QUIT")
	if diff := cmp.Diff([]inbound.Mail{{Data: []byte("Subject: hi\r\n\r\n")}}, b.mails()); diff != "" {
		t.Errorf("came in (-want +got):\n%s", diff)
	}
}

// 250 is a promise: it is given only when the mail is recorded.
func TestAnswersOnlyForWhatIsRecorded(t *testing.T) {
	t.Parallel()
	to := "RCPT TO:<" + keys.Address(token.Bounce, ada, "x.test") + ">"
	for _, c := range []struct {
		fail error
		want int
	}{{errors.New("the database is down"), 451}, {fmt.Errorf("pruned: %w", queue.ErrNotFound), 550}, {nil, 250}} {
		b := newBox(t, inbound.Server{})
		b.fail = c.fail
		if got := b.talk(b.dial(), "EHLO mx.test", "MAIL FROM:<>", to, "DATA", "hi\r\n."); got[5] != c.want {
			t.Errorf("%v: got %d, want %d", c.fail, got[5], c.want)
		}
	}
}

// A stop lets a mail under way finish, and keeps nobody else.
func TestStops(t *testing.T) {
	t.Parallel()
	b := newBox(t, inbound.Server{})
	idle, busy := b.dial(), b.dial()
	b.talk(idle, "EHLO mx.test")
	b.talk(busy, "EHLO mx.test", "MAIL FROM:<>", "RCPT TO:<"+keys.Address(token.Bounce, ada, "x.test")+">", "DATA")
	b.stop()
	if _, err := idle.ReadLine(); err == nil {
		if _, err := idle.ReadLine(); err == nil {
			t.Error("who was idle: still connected")
		}
	}
	if err := busy.PrintfLine("hi\r\n."); err != nil {
		t.Fatal(err)
	}
	if _, _, err := busy.ReadResponse(250); err != nil {
		t.Errorf("the mail under way: got %v, want 250", err)
	}
	if got := b.mails(); len(got) != 1 {
		t.Errorf("came in: got %d, want 1", len(got))
	}
}

func TestSTARTTLS(t *testing.T) {
	t.Parallel()
	config, err := smtptest.SelfSigned("mail.host.test")
	if err != nil {
		t.Fatal(err)
	}
	b := newBox(t, inbound.Server{TLS: config})
	raw, err := net.Dial("tcp", b.addr)
	if err != nil {
		t.Fatal(err)
	}
	defer raw.Close()
	if got := b.talk(textproto.NewConn(raw), "EHLO mx.test", "STARTTLS"); got[2] != 220 {
		t.Fatalf("STARTTLS: got %d, want 220", got[2])
	}
	secure := textproto.NewConn(tls.Client(raw, &tls.Config{InsecureSkipVerify: true})) // nobody vouches for it
	for _, command := range []string{"EHLO mx.test", "MAIL FROM:<>", "RCPT TO:<" +
		keys.Address(token.Bounce, ada, "x.test") + ">", "DATA", "hi\r\n."} {
		if err := secure.PrintfLine("%s", command); err != nil {
			t.Fatal(err)
		}
		if code, said, err := secure.ReadResponse(0); err != nil || code >= 400 {
			t.Fatalf("%s: got %d %s, %v", command, code, said, err)
		}
	}
	if got := b.mails(); len(got) != 1 {
		t.Errorf("came in: got %d, want 1", len(got))
	}
}
