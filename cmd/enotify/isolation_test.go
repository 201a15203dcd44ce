package main_test

import (
	"bufio"
	"fmt"
	"net"
	"net/http"
	"net/netip"
	"strings"
	"testing"
	"time"

	"enotify/cmd/enotify/sitetest"
	"enotify/sender/smtptest"
	"enotify/spfguard/dns/dnstest"
)

// others are the clients that have no poison.
const others = 49

// A street is a node that sends for fifty clients, of which bad.example has the poison.
type street struct {
	*site
	returns, web string        // where returned mail and the readers of mail are listened to
	done         chan struct{} // closed at the end: until then who is silent stays so
	hosts        int           // receivers that were started
}

// poisons are what the mail of one client, its receivers, what comes back to it, its readers and its application do to
// the node. Locks, and batches that are many or cannot be read, have theirs in queue/engine.
var poisons = []struct {
	name string
	give func(*street)
}{
	{"black holes", func(s *street) {
		at := netip.MustParseAddrPort(s.SMTP.Addr).Port()
		for i := range 60 {
			ip := fmt.Sprintf("127.19.0.%d", i+1)
			blackHole(s, ip, int(at))
			s.put("d%d.hole. A %s\n", i, ip)
		}
		s.submit("hole", 60, 5)
	}},
	{"no greeting", func(s *street) {
		s.receiver("tarpit", smtptest.Config{Reply: s.silentAt("CONNECT")})
		s.submit("tarpit", 100, 3)
	}},
	{"an octet a second", func(s *street) {
		s.receiver("drip", smtptest.Config{Drip: time.Second})
		s.submit("drip", 100, 3)
	}},
	{"silent after the dot", func(s *street) {
		s.receiver("stall", smtptest.Config{Reply: s.silentAt(".")})
		s.submit("stall", 100, 3)
	}},
	{"a large message at silent hosts", func(s *street) {
		s.receiver("large", smtptest.Config{Reply: s.silentAt("MAIL")})
		s.Exec(`SELECT enotify.create_batch('large', 'info@bad.example', 'S', 'x')`)
		s.Exec(`SELECT enotify.add_attachment(id, 'plan.pdf', convert_to(repeat('0123456789abcdef', 500000), 'UTF8')),
			enotify.add_recipients(id, ARRAY(SELECT format('u@d%s.large', i) FROM generate_series(1, 100) i)),
			enotify.submit_batch(id) FROM enotify.batch WHERE idem_key = 'large'`)
	}},
	{"refuses every connection", func(s *street) {
		s.put("*.refused. A 127.19.1.1\n")
		s.submit("refused", 100, 5)
	}},
	{"breaks off", func(s *street) {
		s.receiver("rude", smtptest.Config{Reply: rude})
		s.submit("rude", 100, 3)
	}},
	{"replies of which two codes differ", func(s *street) {
		s.receiver("codes", smtptest.Config{Reply: func(c smtptest.Command) string {
			if c.Verb == "RCPT" {
				return "250-2.1.5 Yes\n451 4.3.0 No"
			}
			return ""
		}})
		s.submit("codes", 100, 3)
	}},
	{"replies of very many lines", func(s *street) {
		long := strings.Repeat("250-hello\n", 20_000) + "250 hello"
		s.receiver("lines", smtptest.Config{Reply: func(c smtptest.Command) string {
			if c.Verb == "RCPT" {
				return long
			}
			return ""
		}})
		s.submit("lines", 100, 3)
	}},
	{"forgets what came in one packet", func(s *street) {
		s.receiver("forget", smtptest.Config{Forgetful: true})
		s.submit("forget", 20, 3)
	}},
	{"two hundred dead mail hosts of one domain", func(s *street) {
		for i := range 200 {
			s.put("d0.mxs. MX 10 mx%d.mxs.\nmx%d.mxs. A 127.19.2.%d\n", i, i, i+1)
		}
		s.submit("mxs", 1, 500)
	}},
	{"a private address", func(s *street) {
		s.put("*.private. A 10.0.0.1\n")
		s.submit("private", 20, 3)
	}},
	{"DNS that does not answer", func(s *street) {
		for i := range 100 {
			s.DNS.Fail(fmt.Sprintf("d%d.mute", i), dnstest.Timeout)
		}
		s.submit("mute", 100, 3)
	}},
	{"relaying denied", func(s *street) {
		s.receiver("relay", smtptest.Config{Reply: func(c smtptest.Command) string {
			if c.Verb == "RCPT" {
				return "554 5.7.1 <" + c.To + ">: Relay access denied"
			}
			return ""
		}})
		s.submit("relay", 20, 5)
	}},
	{"templates without end", func(s *street) {
		for i, text := range []string{`{{define "a"}}{{template "a" .}}{{end}}{{template "a" .}}`, `{{printf "%999999d" 1}}`,
			`{{range .l}}{{range $.l}}{{range $.l}}{{range $.l}}x{{end}}{{end}}{{end}}{{end}}`, `{{.name`} {
			s.Exec(`SELECT enotify.enqueue('text' || $1::int, 'info@bad.example', 'S', $2, '{u@d1.alone,u@d2.alone}',
				(SELECT array_agg(jsonb_build_object('name', 'x', 'l', (SELECT array_agg(j) FROM generate_series(1, 100) j)))
				FROM generate_series(1, 2)))`, i, text)
		}
	}},
	{"an address of 8,000 octets", func(s *street) {
		s.Exec(`SELECT enotify.enqueue('long', 'info@bad.example', 'S', 'x', ARRAY(SELECT repeat('a.', 4000) || '@' || i
			|| '.alone' FROM generate_series(1, 20) i))`)
	}},
	{"forged notifications", func(s *street) {
		s.Exec(`SELECT count(pg_notify(c, i || ' ' || repeat('x', 1000))) FROM generate_series(1, 1000) i,
			unnest('{enotify,enotify_alert,enotify_event}'::text[]) c`)
	}},
	{"strangers who say nothing to the listener of returned mail", func(s *street) {
		s.hold(300, s.returns, "")
		s.hold(100, s.returns, "EHLO x\r\nMAIL FROM:<>\r\nRCPT TO:<postmaster@bad.example>\r\nDATA\r\n")
	}},
	{"returned mail of empty parts", func(s *street) {
		if code := s.Bring(s.returns, "", "u+1@bounce.bad.example", "Content-Type: multipart/mixed; boundary=r\n\n"+
			strings.Repeat("--r\n\n", 60_000)+"--r--"); code == 0 {
			s.Error("a returned mail of empty parts: got no reply")
		}
	}},
	{"readers who say half of a request", func(s *street) {
		s.hold(300, s.web, "POST /u/abc HTTP/1.1\r\nHost: x\r\nContent-Length: 100\r\n\r\nList-")
	}},
	{"links that were never sent", func(s *street) {
		for i := range 200 {
			if r, err := http.Get(fmt.Sprintf("http://%s/u/%040d", s.web, i)); err == nil {
				r.Body.Close()
			}
		}
	}},
}

// What one client's mail, receivers, readers or application do stops nobody else: the other 49 clients are through
// about as soon as alone. Every poison stays until the end, so that the last ones find all before them in the node.
func TestIsolation(t *testing.T) {
	t.Parallel()
	s := newStreet(t)
	alone := s.send("alone")
	for _, p := range poisons {
		p.give(s)
		beside := s.send(p.name)
		t.Logf("%v beside %s, %v alone", beside.Round(time.Millisecond), p.name, alone.Round(time.Millisecond))
		if limit := 2*alone + 8*time.Second; beside > limit {
			t.Errorf("49 clients beside %s: got %v, want at most %v (alone %v)", p.name, beside, limit, alone)
		}
	}
	s.Until(`SELECT count(*) = 7 FROM enotify.batch_status WHERE client = 'bad.example' AND state IN ('done', 'blocked')`)
	want := `long invalid 20, private bounced 60, relay bounced 100, text0 pending 2, text1 invalid 2, text2 invalid 2, text3 pending 2`
	if got := ask[string](s.site, `SELECT string_agg(format('%s %s %s', idem_key, d.state, d.n), ', ' ORDER BY idem_key, d.state)
		FROM enotify.batch_status b, LATERAL (SELECT state, count(*) AS n FROM enotify.delivery WHERE batch_id = b.id GROUP BY 1) d
		WHERE client = 'bad.example' AND b.state IN ('done', 'blocked')`); got != want {
		t.Errorf("what ended or is blocked of the poisons: got %s, want %s", got, want)
	}
}

func newStreet(t *testing.T) *street {
	t.Helper()
	s := &street{site: newSite(t, smtptest.Config{Discard: true}), returns: sitetest.FreePort(t),
		web: sitetest.FreePort(t), done: make(chan struct{})}
	s.Exec(`INSERT INTO enotify.client (domain) SELECT 'c' || i || '.example' FROM generate_series(1, $1) i`, others)
	s.Exec(`INSERT INTO enotify.client (domain) VALUES ('bad.example')`)
	s.put("*.example. TXT \"v=spf1 ip4:192.0.2.10 -all\"\n")
	s.Start("run", "--bounce-listen", s.returns, "--listen", s.web, "--public-url", "https://news.host.example")
	return s
}

func (s *street) put(format string, args ...any) {
	s.Helper()
	if err := s.DNS.Put(fmt.Sprintf(format, args...)); err != nil {
		s.Fatal(err)
	}
}

// receiver starts a host of all domains in a top-level domain.
func (s *street) receiver(tld string, config smtptest.Config) {
	s.Helper()
	s.hosts++
	ip := fmt.Sprintf("127.18.0.%d", s.hosts)
	config.Addr, config.Discard = fmt.Sprintf("%s:%d", ip, netip.MustParseAddrPort(s.SMTP.Addr).Port()), true
	host, err := smtptest.Start(config)
	if err != nil {
		s.Fatal(err)
	}
	s.Cleanup(func() { go host.Close() }) // which waits for replies that drip
	s.put("*.%s. A %s\n", tld, ip)
}

// silentAt has a receiver not answer a command until the test ends.
func (s *street) silentAt(verb string) func(smtptest.Command) string {
	return func(c smtptest.Command) string {
		if c.Verb == verb {
			<-s.done
		}
		return ""
	}
}

// submit submits a batch of the client with the poison to domains in a top-level domain, with so many recipients each.
func (s *street) submit(tld string, domains, each int) {
	s.Helper()
	s.Exec(`SELECT enotify.enqueue($1, 'info@bad.example', 'S', 'x', ARRAY(SELECT format('u%s@d%s.%s', i, d, $1::text)
		FROM generate_series(0, $2 - 1) d, generate_series(1, $3) i))`, tld, domains, each)
}

// hold opens connections that say something and then nothing more.
func (s *street) hold(connections int, at, say string) {
	s.Helper()
	for range connections {
		c, err := net.Dial("tcp", at)
		if err != nil {
			s.Fatal(err)
		}
		s.Cleanup(func() { c.Close() })
		go func() {
			if say != "" {
				fmt.Fprint(c, say)
			}
			for r := bufio.NewReader(c); ; {
				if _, err := r.ReadByte(); err != nil {
					return
				}
			}
		}()
	}
}

// send has the others send, and returns how long that took until all were through.
func (s *street) send(key string) time.Duration {
	s.Helper()
	began := time.Now()
	s.Exec(`SELECT enotify.enqueue($1, format('info@c%s.example', c), 'S', 'x', ARRAY(SELECT format('u%s@d%s.alone', i, i)
		FROM generate_series(1, 5) i)) FROM generate_series(1, $2::int) c`, key, others)
	s.Until(`SELECT count(*) = $2 FROM enotify.batch WHERE idem_key = $1 AND state = 'done'`, key, others)
	if got := ask[int](s.site, `SELECT sum(delivered)::int FROM enotify.batch_status WHERE idem_key = $1`, key); got != 5*others {
		s.Errorf("%s: got %d delivered, want %d", key, got, 5*others)
	}
	return time.Since(began)
}
