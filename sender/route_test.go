package sender_test

import (
	"fmt"
	"net"
	"net/netip"
	"strings"
	"testing"
	"time"

	"enotify/queue"
	"enotify/sender/smtptest"
	"enotify/spfguard/dns/dnstest"
)

// Domains that take no mail fail at once, and never as unknown users.
func TestNoRoute(t *testing.T) {
	t.Parallel()
	w := newWorld(t, `
null.test. MX 0 .
empty.test. TXT "no mail here"
nohost.test. MX 10 mx.gone.test.
`, nil)
	w.dns.Fail("servfail.test", dnstest.ServFail)
	w.dns.Fail("silent.test", dnstest.Timeout)
	w.sender.Resolver.Timeout = 100 * time.Millisecond
	tests := []struct {
		domain string
		want   queue.Outcome // with a piece of the text
	}{
		{"null.test", queue.Outcome{State: queue.Bounced, Class: queue.Policy,
			Reply: queue.Reply{Code: 556, Enhanced: "5.1.10", Text: "null MX"}}},
		{"nx.test", queue.Outcome{State: queue.Bounced, Class: queue.Other,
			Reply: queue.Reply{Code: 550, Enhanced: "5.1.2", Text: "does not exist"}}},
		{"empty.test", queue.Outcome{State: queue.Bounced, Class: queue.Other,
			Reply: queue.Reply{Code: 550, Enhanced: "5.1.2", Text: "neither MX nor address"}}},
		{"nohost.test", queue.Outcome{State: queue.Deferred, Class: queue.Offline,
			Reply: queue.Reply{Text: "no address for mx.gone.test"}, Host: "mx.gone.test", Site: "gone.test"}},
		{"servfail.test", queue.Outcome{State: queue.Deferred, Class: queue.Offline,
			Reply: queue.Reply{Text: "SERVFAIL"}}},
		{"silent.test", queue.Outcome{State: queue.Deferred, Class: queue.Offline,
			Reply: queue.Reply{Text: "silent.test"}}},
	}
	for _, test := range tests {
		got := w.deliver(t, to(testBatch, 1, "u@"+test.domain))
		if !strings.Contains(got.Reply.Text, test.want.Reply.Text) {
			t.Errorf("%s: got text %q, want %q in it", test.domain, got.Reply.Text, test.want.Reply.Text)
		}
		got.Reply.Text = test.want.Reply.Text
		if got != test.want {
			t.Errorf("%s: got %+v, want %+v", test.domain, got, test.want)
		}
		if n, _ := w.throttle.Admit(test.domain, 4, time.Now()); got.State == queue.Bounced && n != 4 {
			t.Errorf("%s: then admitted %d, want 4: the others fail at once too", test.domain, n)
		}
	}
}

// A domain whose name servers are silent costs one time-out, and not one a message.
func TestSilentDNS(t *testing.T) {
	t.Parallel()
	w := newWorld(t, "a.test. MX 10 mx.a.test.", hosts{"mx.a.test": {}})
	w.dns.Fail("silent.test", dnstest.Timeout)
	w.sender.Resolver.Timeout = 2 * time.Second
	if _, err := w.sender.Survey(t.Context(), "silent.test"); err == nil {
		t.Fatal("survey of a domain whose DNS is silent: got no error")
	}
	asked := w.dns.Queries("silent.test", "MX")
	for seq := range 20 {
		if o := w.deliver(t, to(testBatch, seq+1, "u@silent.test")); o.State != queue.Deferred || o.Class != queue.Offline ||
			!strings.Contains(o.Reply.Text, "silent.test: no answer") {
			t.Errorf("got %s %s, %q, want deferred, offline, with the question", o.State, o.Class, o.Reply.Text)
		}
	}
	if got := w.dns.Queries("silent.test", "MX") - asked; got != 0 {
		t.Errorf("questions for 20 messages: got %d, want none after the survey's", got)
	}
	if o := w.deliver(t, to(testBatch, 21, "u@a.test")); o.State != queue.Delivered {
		t.Errorf("another domain: got %s, %q, want delivered", o.State, o.Reply.Text)
	}
}

func TestPreference(t *testing.T) {
	t.Parallel()
	w := newWorld(t, "a.test. MX 20 second.mx.test.\na.test. MX 10 first.mx.test.",
		hosts{"first.mx.test": {}, "second.mx.test": {}})
	for i := range 20 {
		if o := w.deliver(t, to(testBatch, i, "u@a.test")); o.Host != "first.mx.test" {
			t.Fatalf("host: got %+v, want the first", o)
		}
	}
}

// Hosts of equal preference share the connections (RFC 5321 §5.1).
func TestEqualPreference(t *testing.T) {
	t.Parallel()
	w := newWorld(t, "a.test. MX 10 mx1.a.test.\na.test. MX 10 mx2.a.test.",
		hosts{"mx1.a.test": {}, "mx2.a.test": {}})
	w.sender.IdleTime = time.Nanosecond
	for i := range 200 {
		w.deliver(t, to(testBatch, i, "u@a.test"))
		if w.hosts["mx1.a.test"].Connections() > 0 && w.hosts["mx2.a.test"].Connections() > 0 {
			return
		}
		eventually(t, "idle connections are closed", func() bool {
			return w.hosts["mx1.a.test"].Open()+w.hosts["mx2.a.test"].Open() == 0
		})
	}
	t.Error("only one of the hosts was ever used")
}

// A host that fails is passed over for the next.
func TestFallback(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name  string
		first func(smtptest.Command) string
	}{
		{"drops", on("CONNECT", smtptest.Drop)},
		{"busy", on("CONNECT", "421 4.7.0 Too many connections")},
		{"refuses", on("CONNECT", "554 5.3.2 No service here")},
		{"refuses EHLO", when(func(c smtptest.Command) bool { return c.Verb == "EHLO" || c.Verb == "HELO" },
			"550 5.7.1 Not you")},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t, "a.test. MX 10 mx1.a.test.\na.test. MX 20 mx2.a.test.",
				hosts{"mx1.a.test": {Reply: test.first}, "mx2.a.test": {}})
			for i := range 3 {
				if o := w.deliver(t, to(testBatch, i, "u@a.test")); o.State != queue.Delivered ||
					o.Host != "mx2.a.test" {
					t.Errorf("outcome: got %+v, want delivered by the second", o)
				}
			}
			if got := w.hosts["mx2.a.test"].Connections(); got != 1 {
				t.Errorf("connections to the second: got %d, want 1", got)
			}
		})
	}
}

// Addresses of a host are tried in turn, and a domain without MX is its own host.
func TestAddresses(t *testing.T) {
	t.Parallel()
	w := newWorld(t, "", hosts{"implicit.test": {}})
	ip, _, _ := net.SplitHostPort(w.hosts["implicit.test"].Addr)
	w.dns.Put(fmt.Sprintf(`
two.test. MX 10 mx.two.test.
mx.two.test. A 127.0.9.9
mx.two.test. A %s
six.test. MX 10 mx.six.test.
mx.six.test. AAAA ::1
mx.six.test. A %s
`, ip, ip))
	for _, address := range []string{"u@implicit.test", "u@two.test", "u@six.test", "u@[" + ip + "]"} {
		if o := w.deliver(t, to(testBatch, 1, address)); o.State != queue.Delivered {
			t.Errorf("%s: got %+v, want delivered", address, o)
		}
	}
}

func TestBind(t *testing.T) {
	t.Parallel()
	w, host := one(t, smtptest.Config{})
	w.sender.Bind = []netip.Addr{netip.MustParseAddr("::1")}
	if o := w.deliver(t, to(testBatch, 1, "u@a.test")); o.State != queue.Deferred || host.Connections() != 0 {
		t.Errorf("bound to IPv6 alone, host has IPv4: got %+v over %d connections", o, host.Connections())
	}
	w, host = one(t, smtptest.Config{})
	w.sender.Bind = []netip.Addr{netip.MustParseAddr("::1"), netip.MustParseAddr("127.0.0.77")}
	if o := w.deliver(t, to(testBatch, 1, "u@a.test")); o.State != queue.Delivered {
		t.Fatalf("bound to an IPv4 address: got %+v", o)
	}
	if got := host.Messages()[0].Peer; got != "127.0.0.77" {
		t.Errorf("came from %s, want 127.0.0.77", got)
	}
}

// A host that cannot be reached is left alone for a while: the others for it
// are told so without a connection. TestDeadHostIsDialledRarely tries it again.
func TestDeadHost(t *testing.T) {
	t.Parallel()
	release := make(chan struct{})
	defer close(release)
	w, host := one(t, smtptest.Config{Reply: func(c smtptest.Command) string {
		if c.Conn == 1 {
			<-release
		}
		return ""
	}})
	w.sender.CommandTimeout, w.sender.DeadTime = 100*time.Millisecond, time.Hour
	first := w.deliver(t, to(testBatch, 1, "u1@a.test"))
	second := w.deliver(t, to(testBatch, 2, "u2@a.test"))
	if second != first || host.Connections() != 1 {
		t.Errorf("second message: got %+v over %d connections, want %+v over 1", second, host.Connections(), first)
	}
}

func TestSmarthost(t *testing.T) {
	t.Parallel()
	smart, err := smtptest.Start(smtptest.Config{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { smart.Close() })
	w, host := one(t, smtptest.Config{})
	w.sender.Smarthost = smart.Addr
	for _, address := range []string{"u@a.test", "u@nx.test"} {
		if o := w.deliver(t, to(testBatch, 1, address)); o.State != queue.Delivered {
			t.Errorf("%s: got %+v, want delivered", address, o)
		}
	}
	if got := [3]int{smart.Delivered(), smart.Connections(), host.Connections()}; got != [3]int{2, 1, 0} {
		t.Errorf("delivered to smarthost, connections to it, to the MX: got %v, want [2 1 0]", got)
	}
}

// Of a mail host with many dead addresses four are tried for a message: its transaction
// ends soon, and the next host is asked.
func TestAtMostFourAddressesOfAHost(t *testing.T) {
	t.Parallel()
	zone := "a.test. MX 10 many.test.\n"
	for i := range 9 {
		zone += fmt.Sprintf("many.test. A 127.0.9.%d\n", i+1)
	}
	w := newWorld(t, zone, hosts{"other.test": {}})
	addrs, err := w.sender.Addresses(t.Context(), "many.test")
	if err != nil || len(addrs) != 4 {
		t.Errorf("addresses of a host that has nine: got %v, %v, want 4", addrs, err)
	}
}
