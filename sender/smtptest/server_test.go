package smtptest_test

import (
	"bufio"
	"crypto/tls"
	"fmt"
	"net"
	"net/smtp"
	"strings"
	"testing"
	"time"

	"enotify/sender/smtptest"

	"github.com/google/go-cmp/cmp"
)

func start(t testing.TB, config smtptest.Config) *smtptest.Server {
	t.Helper()
	s, err := smtptest.Start(config)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { s.Close() })
	return s
}

// talk sends lines in one packet and returns all that the server says.
func talk(t *testing.T, s *smtptest.Server, lines ...string) []string {
	t.Helper()
	conn, err := net.Dial("tcp", s.Addr)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	conn.SetDeadline(time.Now().Add(time.Minute))
	fmt.Fprint(conn, strings.Join(lines, "\r\n")+"\r\n")
	var replies []string
	scanner := bufio.NewScanner(conn)
	for scanner.Scan() {
		replies = append(replies, scanner.Text())
	}
	return replies
}

func TestTransaction(t *testing.T) {
	t.Parallel()
	s := start(t, smtptest.Config{})
	got := talk(t, s, "EHLO client.test", "MAIL FROM:<a@from.test> BODY=8BITMIME", "RCPT TO:<b@to.test>",
		"DATA", "Subject: x", "", "..dot", "bare\nend", ".", "QUIT")
	want := []string{
		"220 mx.test ESMTP",
		"250-mx.test", "250-PIPELINING", "250-8BITMIME", "250-SIZE 52428800", "250 ENHANCEDSTATUSCODES",
		"250 2.1.0 Ok", "250 2.1.5 Ok", "354 End data with <CR><LF>.<CR><LF>", "250 2.0.0 Ok: queued", "221 2.0.0 Bye",
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("replies (-want +got):\n%s", diff)
	}
	m := s.Messages()[0]
	m.At = time.Time{}
	data := "Subject: x\r\n\r\n.dot\r\nbare\nend\r\n"
	wantMessage := smtptest.Message{
		From: "a@from.test", To: []string{"b@to.test"}, Data: []byte(data),
		Conn: 1, Peer: "127.0.0.1", Helo: "client.test", Octets: len(data), BareEnds: 1,
	}
	if diff := cmp.Diff(wantMessage, m); diff != "" {
		t.Errorf("message (-want +got):\n%s", diff)
	}
}

func TestScript(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name   string
		config smtptest.Config
		want   string // the last reply
	}{
		{"per recipient", smtptest.Config{Reply: func(c smtptest.Command) string {
			if c.Verb == "RCPT" && c.To == "b@to.test" {
				return "550-5.1.1 no\n550 5.1.1 such user"
			}
			return ""
		}}, "503 5.5.1 Need RCPT command"},
		{"drop", smtptest.Config{Reply: func(c smtptest.Command) string {
			if c.Verb == "DATA" {
				return smtptest.Drop
			}
			return ""
		}}, "250 2.1.5 Ok"},
		{"421 closes", smtptest.Config{Reply: func(c smtptest.Command) string {
			if c.Verb == "MAIL" {
				return "421 4.3.2 Shutting down"
			}
			return ""
		}}, "421 4.3.2 Shutting down"},
		{"garbage", smtptest.Config{Reply: func(c smtptest.Command) string {
			if c.Verb == "." {
				return "what?"
			}
			return ""
		}}, "what?"},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			s := start(t, test.config)
			lines := []string{"EHLO c.test", "MAIL FROM:<a@from.test>", "RCPT TO:<b@to.test>", "DATA"}
			if test.name == "garbage" {
				lines = append(lines, "x", ".")
			}
			conn, err := net.Dial("tcp", s.Addr)
			if err != nil {
				t.Fatal(err)
			}
			defer conn.Close()
			conn.SetDeadline(time.Now().Add(time.Minute))
			fmt.Fprint(conn, strings.Join(lines, "\r\n")+"\r\n")
			conn.(*net.TCPConn).CloseWrite()
			got := ""
			for scanner := bufio.NewScanner(conn); scanner.Scan(); {
				got = scanner.Text()
			}
			if got != test.want {
				t.Errorf("last reply: got %q, want %q", got, test.want)
			}
		})
	}
}

func TestMaxConnections(t *testing.T) {
	t.Parallel()
	s := start(t, smtptest.Config{MaxConnections: 1})
	first, err := smtp.Dial(s.Addr)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := smtp.Dial(s.Addr); err == nil || !strings.HasPrefix(err.Error(), "421") {
		t.Errorf("second connection: got %v, want a 421", err)
	}
	first.Quit()
	if got, want := [3]int{s.Peak(), s.Connections(), s.Refused()}, [3]int{1, 2, 1}; got != want {
		t.Errorf("peak, connections, refused: got %v, want %v", got, want)
	}
}

func TestGreylist(t *testing.T) {
	t.Parallel()
	s := start(t, smtptest.Config{Greylist: 20 * time.Millisecond})
	send := func() error {
		return smtp.SendMail(s.Addr, nil, "a@from.test", []string{"b@to.test"}, []byte("x\r\n"))
	}
	if err := send(); err == nil || !strings.HasPrefix(err.Error(), "451") {
		t.Errorf("first try: got %v, want a 451", err)
	}
	deadline := time.Now().Add(time.Minute)
	for send() != nil {
		if time.Now().After(deadline) {
			t.Fatal("never accepted")
		}
	}
	if got := s.Copies()["b@to.test"]; got != 1 {
		t.Errorf("copies: got %d, want 1", got)
	}
}

func TestStartTLS(t *testing.T) {
	t.Parallel()
	config, err := smtptest.SelfSigned("mx.test")
	if err != nil {
		t.Fatal(err)
	}
	s := start(t, smtptest.Config{TLS: config})
	c, err := smtp.Dial(s.Addr)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	if err := c.StartTLS(&tls.Config{InsecureSkipVerify: true}); err != nil {
		t.Fatal(err)
	}
	if offered, _ := c.Extension("STARTTLS"); offered {
		t.Error("STARTTLS is offered again inside TLS")
	}
}

// A receiver far away makes each packet wait, not each command.
func TestRoundTrip(t *testing.T) {
	t.Parallel()
	const trip = 50 * time.Millisecond
	s := start(t, smtptest.Config{RoundTrip: trip})
	quickest := time.Hour
	for range 3 {
		begun := time.Now()
		got := talk(t, s, "EHLO client.test", "MAIL FROM:<a@from.test>", "RCPT TO:<b@to.test>", "DATA", "Subject: x",
			"", ".", "QUIT")
		quickest = min(quickest, time.Since(begun))
		if len(got) != 11 {
			t.Fatalf("replies: got %q, want 11 lines", got)
		}
	}
	if quickest < trip || quickest > 5*trip {
		t.Errorf("seven commands in one packet: got %v, want one or two round trips of %v", quickest, trip)
	}
}

// Close must not return while a connection is still served.
func TestClose(t *testing.T) {
	t.Parallel()
	s := start(t, smtptest.Config{})
	c, err := smtp.Dial(s.Addr)
	if err != nil {
		t.Fatal(err)
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	if s.Open() != 0 {
		t.Errorf("open connections: got %d, want 0", s.Open())
	}
	if err := c.Noop(); err == nil {
		t.Error("the connection outlived its server")
	}
}

func BenchmarkServer(b *testing.B) {
	s := start(b, smtptest.Config{Discard: true})
	c, err := smtp.Dial(s.Addr)
	if err != nil {
		b.Fatal(err)
	}
	defer c.Close()
	body := []byte(strings.Repeat(strings.Repeat("x", 74)+"\r\n", 135))
	for b.Loop() {
		if err := deliver(c, body); err != nil {
			b.Fatal(err)
		}
	}
	b.ReportMetric(float64(s.Delivered())/b.Elapsed().Seconds(), "msg/s")
}

func deliver(c *smtp.Client, body []byte) error {
	if err := c.Mail("a@from.test"); err != nil {
		return err
	}
	if err := c.Rcpt("b@to.test"); err != nil {
		return err
	}
	w, err := c.Data()
	if err != nil {
		return err
	}
	if _, err := w.Write(body); err != nil {
		return err
	}
	return w.Close()
}
