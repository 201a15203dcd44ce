package sender_test

import (
	"fmt"
	"net"
	"net/netip"
	"strings"
	"testing"

	"enotify/queue"
	"enotify/sender/smtptest"
)

// A recipient domain cannot have a node connect to where it likes: what leads
// there is final, and nobody is dialled. Another MX that is fine is used.
func TestMailHostsThatAreNotDialled(t *testing.T) {
	t.Parallel()
	listening, err := net.Listen("tcp", "127.0.0.99:0") // on the port where mail hosts are looked for
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { listening.Close() })
	port := listening.Addr().(*net.TCPAddr).Port
	dialled := make(chan net.Addr, 100)
	go func() {
		for {
			c, err := listening.Accept()
			if err != nil {
				return
			}
			dialled <- c.RemoteAddr()
			c.Close()
		}
	}()
	w := newWorld(t, `
mx127.test. MX 10 a.mx127.test.
a.mx127.test. A 127.0.0.99
implicit.test. A 127.0.0.99
localhost.test. MX 10 localhost.
localdomain.test. MX 10 localhost.localdomain.
zero.test. MX 10 a.zero.test.
a.zero.test. A 0.0.0.0
private.test. MX 10 a.private.test.
a.private.test. A 10.1.2.3
a.private.test. A 192.168.7.7
linklocal.test. MX 10 a.linklocal.test.
a.linklocal.test. A 169.254.169.254
six.test. MX 10 a.six.test.
a.six.test. AAAA ::1
a.six.test. AAAA fd00::1
a.six.test. AAAA 64:ff9b::7f00:63
multicast.test. MX 10 a.multicast.test.
a.multicast.test. A 224.0.0.5
literal.test. MX 10 127.0.0.99.
public-literal.test. MX 10 192.0.2.25.
own.test. MX 10 a.own.test.
a.own.test. A 198.51.100.7
several.test. MX 10 localhost.
several.test. MX 20 a.mx127.test.
several.test. MX 30 a.private.test.
down.test. MX 10 localhost.
down.test. MX 20 gone.down.test.
`, hosts{})
	w.sender.Port, w.sender.AllowMX = port, nil
	w.sender.Own = []netip.Addr{netip.MustParseAddr("198.51.100.7")}
	for domain, part := range map[string]string{
		"mx127.test": "a.mx127.test has 127.0.0.99, a loopback address", "implicit.test": "a loopback address",
		"localhost.test": "localhost has 127.0.0.1", "localdomain.test": "a loopback address",
		"zero.test": "the unspecified address", "private.test": "RFC 1918", "linklocal.test": "a link-local address",
		"six.test": "a loopback address", "multicast.test": "a multicast address",
		"literal.test": "127.0.0.99 is an address, not a name", "public-literal.test": "192.0.2.25 is an address",
		"own.test": "an address of our own", "several.test": "no mail is sent to",
		"[127.0.0.99]": "127.0.0.99 is an address", "[IPv6:::1]": "::1 is an address",
		"[192.0.2.25]": "192.0.2.25 is an address",
	} {
		o := w.deliver(t, to(testBatch, 1, "u@"+domain))
		if o.State != queue.Bounced || o.Class != queue.Policy || o.Reply.Code != 556 || o.Reply.Enhanced != "5.4.6" ||
			!strings.Contains(o.Reply.Text, part) {
			t.Errorf("%s: got %s %s %s, want bounced policy 556 5.4.6 with %q", domain, o.State, o.Class, o.Reply, part)
		}
		if got := w.sender.NotDialled(t.Context(), domain); !strings.Contains(got, part) {
			t.Errorf("%s, before anything is sent: got %q, want %q in it", domain, got, part)
		}
		if s, err := w.sender.Survey(t.Context(), domain); err != nil || s.NoMail != nil || s.Site == "" {
			t.Errorf("survey of %s: got %+v, %v, want a site: what a node dials is no fact of the DNS", domain, s, err)
		}
	}
	// One that has no address now may have one later.
	if o := w.deliver(t, to(testBatch, 1, "u@down.test")); o.State != queue.Deferred || o.Class != queue.Offline {
		t.Errorf("down.test: got %s %s %s, want deferred offline", o.State, o.Class, o.Reply)
	}
	if len(dialled) > 0 {
		t.Errorf("connections: got one from %v, want none", <-dialled)
	}
}

// What the operator allows is dialled, and the smarthost always is.
func TestAllowMX(t *testing.T) {
	t.Parallel()
	w, host := one(t, smtptest.Config{})
	deliver := func(domain string) queue.State { return w.deliver(t, to(testBatch, 1, "u@"+domain)).State }
	address, _, _ := net.SplitHostPort(host.Addr)

	w.sender.AllowMX = []netip.Prefix{netip.PrefixFrom(netip.MustParseAddr(address), 32)}
	w.sender.Own = []netip.Addr{netip.MustParseAddr(address)}
	for _, domain := range []string{"a.test", "[" + address + "]"} {
		if got := deliver(domain); got != queue.Delivered {
			t.Errorf("%s, allowed: got %s, want delivered", domain, got)
		}
	}
	w.sender.Close()

	other, behind := one(t, smtptest.Config{})
	other.sender.AllowMX, other.sender.Smarthost = nil, behind.Addr
	if o := other.deliver(t, to(testBatch, 1, "u@a.test")); o.State != queue.Delivered {
		t.Errorf("by the smarthost at %s: got %s %s, want delivered", behind.Addr, o.State, o.Reply)
	}
	if got, want := fmt.Sprint(host.Delivered(), behind.Delivered()), "2 1"; got != want {
		t.Errorf("messages at the hosts: got %s, want %s", got, want)
	}
}

// A better host where no mail is sent to is passed over.
func TestNotDialledPassedOver(t *testing.T) {
	t.Parallel()
	w := newWorld(t, "a.test. MX 10 loop.test.\nloop.test. A 127.9.9.9\na.test. MX 10 inside.test.\ninside.test. A 10.0.0.1\na.test. MX 20 mx.a.test.", hosts{"mx.a.test": {}})
	address, _, _ := net.SplitHostPort(w.hosts["mx.a.test"].Addr)
	w.sender.AllowMX = []netip.Prefix{netip.PrefixFrom(netip.MustParseAddr(address), 32)}
	if o := w.deliver(t, to(testBatch, 1, "u@a.test")); o.State != queue.Delivered || o.Host != "mx.a.test" {
		t.Errorf("got %s at %s, %s, want delivered at mx.a.test", o.State, o.Host, o.Reply)
	}
	if got := w.sender.NotDialled(t.Context(), "a.test"); got != "" {
		t.Errorf("before anything is sent: got %q, want a host that is dialled", got)
	}
}
