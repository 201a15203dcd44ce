package sender_test

import (
	"bufio"
	"crypto/tls"
	"fmt"
	"io"
	"net"
	"strings"
	"sync"
	"testing"
	"time"

	"enotify/queue"
	"enotify/sender/smtptest"
)

// A stranger is a mail host that says what a script has it say, octet by octet.
type stranger struct {
	net.Conn
	r    *bufio.Reader
	over chan struct{} // closed at the end of the test
}

func (s *stranger) say(text string) { _, _ = io.WriteString(s, text) }

// reads reads commands, and answers them as usual, up to one that is left to the script.
func (s *stranger) reads(verb string) {
	for line, err := s.r.ReadString('\n'); err == nil; line, err = s.r.ReadString('\n') {
		switch word, _, _ := strings.Cut(strings.TrimSpace(line), " "); word {
		case verb:
			return
		case "EHLO":
			s.say("250-mx.test\r\n250-PIPELINING\r\n250 STARTTLS\r\n")
		case "DATA":
			s.say("354 go on\r\n")
			s.message()
			s.say("250 ok\r\n")
		case "STARTTLS":
			s.say("454 4.7.0 not now\r\n")
		default:
			s.say("250 ok\r\n")
		}
	}
}

// message reads up to the final dot.
func (s *stranger) message() {
	for line, err := s.r.ReadString('\n'); err == nil && line != ".\r\n"; line, err = s.r.ReadString('\n') {
	}
}

// strange starts strangers at an address, and returns their port. They end with the test.
func strange(t testing.TB, ip string, script func(*stranger)) (port int) {
	t.Helper()
	l, err := net.Listen("tcp", net.JoinHostPort(ip, "0"))
	if err != nil {
		t.Fatal(err)
	}
	var running sync.WaitGroup
	var mu sync.Mutex
	var open []net.Conn
	over := make(chan struct{})
	running.Go(func() {
		for c, err := l.Accept(); err == nil; c, err = l.Accept() {
			mu.Lock()
			open = append(open, c)
			mu.Unlock()
			running.Go(func() {
				defer c.Close()
				script(&stranger{c, bufio.NewReader(c), over})
			})
		}
	})
	t.Cleanup(func() {
		l.Close()
		close(over)
		mu.Lock()
		for _, c := range open {
			c.Close()
		}
		mu.Unlock()
		running.Wait()
	})
	return l.Addr().(*net.TCPAddr).Port
}

const banner = "220 mx.test\r\n"

// waits reads until the other side is gone, and says nothing.
func (s *stranger) waits() { _, _ = io.Copy(io.Discard, s.r) }

// repeats says something without end.
func (s *stranger) repeats(line string) {
	for err := error(nil); err == nil; {
		_, err = io.WriteString(s, line)
	}
}

// A mail host may say and do what it likes: each costs its own message a try, at most,
// within the time-outs, and the outcome says in words what was wrong.
func TestStrangers(t *testing.T) {
	t.Parallel()
	chain, err := smtptest.SelfSigned("mx.test")
	if err != nil {
		t.Fatal(err)
	}
	for c := &chain.Certificates[0]; len(c.Certificate)*len(c.Certificate[0]) < 1<<20; {
		c.Certificate = append(c.Certificate, c.Certificate[0])
	}
	large := *testBatch
	large.ID, large.Attachments = 8, []queue.Attachment{{Filename: "film.mp4", Content: make([]byte, 12<<20)}}
	for name, test := range map[string]struct {
		script func(*stranger)
		batch  *queue.Batch
		want   queue.State
		says   string
	}{
		"closes at once": {func(*stranger) {}, nil, queue.Deferred, "the connection"},
		"a banner of 1 MB": {func(s *stranger) {
			s.say("220 " + strings.Repeat("x", 1<<20))
			s.waits()
		}, nil, queue.Deferred, "talks without end"},
		"a banner without end": {func(s *stranger) {
			s.repeats("220-more\r\n")
		}, nil, queue.Deferred, "talks without end"},
		"an EHLO reply of 1 MB": {func(s *stranger) {
			s.say(banner)
			s.repeats("250-X\r\n")
		}, nil, queue.Deferred, "talks without end"},
		"STARTTLS and silence": {func(s *stranger) {
			s.say(banner)
			s.reads("STARTTLS")
			s.say("220 go\r\n")
			s.waits()
		}, nil, queue.Delivered, ""},
		"STARTTLS and garbage": {func(s *stranger) {
			s.say(banner)
			s.reads("STARTTLS")
			s.repeats("220 go\r\n")
		}, nil, queue.Delivered, ""},
		"certificates of 1 MB": {func(s *stranger) {
			s.say(banner)
			s.reads("STARTTLS")
			s.say("220 go\r\n")
			_ = tls.Server(s.Conn, chain).Handshake()
		}, nil, queue.Delivered, ""},
		"reads nothing of a message": {func(s *stranger) {
			s.say(banner)
			s.reads("DATA")
			s.say("354 go\r\n")
			<-s.over
		}, &large, queue.Deferred, "stopped reading"},
		"resets within a message": {func(s *stranger) {
			s.say(banner)
			s.reads("DATA")
			s.say("354 go\r\n")
			_, _ = s.r.Peek(1)
			_ = s.Conn.(*net.TCPConn).SetLinger(0)
		}, &large, queue.Deferred, "reset the connection"},
		"closes after MAIL": {func(s *stranger) {
			s.say(banner)
			s.reads("MAIL")
		}, nil, queue.Deferred, "the connection"},
		"a reply to MAIL without end": {func(s *stranger) {
			s.say(banner)
			s.reads("MAIL")
			s.repeats("250-more\r\n")
		}, nil, queue.Deferred, "talks without end"},
		"all replies at once": {func(s *stranger) {
			s.say(banner + "250-mx\r\n250 PIPELINING\r\n250 ok\r\n250 ok\r\n354 go\r\n250 ok\r\n")
			s.waits()
		}, nil, queue.Deferred, "do not fit our commands"},
		"a reply too few": {func(s *stranger) {
			s.say(banner)
			s.reads("RCPT")
			s.reads("QUIT")
		}, nil, queue.Deferred, "another reply was due"},
		"a reply too many": {func(s *stranger) {
			s.say(banner)
			s.reads("RCPT")
			s.say("250 ok\r\n250 ok\r\n")
			s.reads("QUIT")
		}, nil, queue.Deferred, "another reply was due"},
		"250 to DATA": {func(s *stranger) {
			s.say(banner)
			s.reads("DATA")
			s.say("250 ok\r\n")
			s.waits()
		}, nil, queue.Deferred, "said 250 ok where another reply was due"},
		"354 to the dot": {func(s *stranger) {
			s.say(banner)
			s.reads("DATA")
			s.say("354 go\r\n")
			s.message()
			s.say("354 go\r\n")
			s.waits()
		}, nil, queue.Unknown, "neither took nor refused"},
		"silence": {(*stranger).waits, nil, queue.Deferred, "did not answer in time"},
		"421 after each message": {func(s *stranger) {
			s.say(banner)
			s.reads("DATA")
			s.say("354 go\r\n")
			s.message()
			s.say("250 ok\r\n421 4.3.2 bye\r\n")
		}, nil, queue.Delivered, ""},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t, "a.test. MX 10 mx.a.test.\nmx.a.test. A 127.0.0.99\n", hosts{})
			w.sender.Port = strange(t, "127.0.0.99", test.script)
			w.sender.CommandTimeout, w.sender.ContentTimeout = 2*time.Second, 2*time.Second
			b := test.batch
			if b == nil {
				b = testBatch
			}
			o := w.deliver(t, to(b, 1, "u@a.test"))
			if o.State != test.want || !strings.Contains(o.Reply.Text, test.says) {
				t.Errorf("got %s %s, %q, want %s with %q", o.State, o.Class, o.Reply.Text, test.want, test.says)
			}
			if o.Site != "a.test" || o.Host != "mx.a.test" {
				t.Errorf("got host %q of site %q, want them named", o.Host, o.Site)
			}
		})
	}
}

// A domain may publish more mail hosts than anybody wants to try, over TCP. Those that
// are best are found, whatever else is in the list.
func TestThousandMX(t *testing.T) {
	t.Parallel()
	zone := "a.test. MX 5 mx.a.test.\n"
	for i := range 1000 {
		zone += fmt.Sprintf("a.test. MX %d %d.gone.test.\nb.test. MX %d %d.gone.test.\n", 10+i, i, 10+i, i)
	}
	w := newWorld(t, zone, hosts{"mx.a.test": {}})
	for seq := 1; seq <= 20; seq++ {
		if o := w.deliver(t, to(testBatch, seq, "u@a.test")); o.State != queue.Delivered || o.Host != "mx.a.test" {
			t.Fatalf("got %s at %s, %q, want delivered at the best host", o.State, o.Host, o.Reply.Text)
		}
	}
	before := w.dns.Total()
	if o := w.deliver(t, to(testBatch, 1, "u@b.test")); o.State != queue.Deferred || o.Class != queue.Offline {
		t.Errorf("none of a thousand hosts has an address: got %s %s, want deferred, offline", o.State, o.Class)
	}
	if asked := w.dns.Total() - before; asked > 50 {
		t.Errorf("questions for a domain of a thousand hosts: got %d, want those of the ten that are tried", asked)
	}
}
