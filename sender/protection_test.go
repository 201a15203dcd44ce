package sender_test

import (
	"context"
	"crypto/sha256"
	"crypto/sha512"
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	"enotify/queue"
	"enotify/sender"
	"enotify/sender/mtasts"
	"enotify/sender/smtptest"
	"enotify/spfguard/dns"
	"enotify/spfguard/dns/dnstest"
)

func authority(t *testing.T) *smtptest.Authority {
	t.Helper()
	a, err := smtptest.NewAuthority("Test Authority")
	if err != nil {
		t.Fatal(err)
	}
	return a
}

func issue(t *testing.T, a *smtptest.Authority, ends time.Duration, hosts ...string) *tls.Config {
	t.Helper()
	config, err := a.Issue(time.Now().Add(ends), hosts...)
	if err != nil {
		t.Fatal(err)
	}
	return config
}

func leaf(t *testing.T, config *tls.Config) *x509.Certificate {
	t.Helper()
	c, err := x509.ParseCertificate(config.Certificates[0].Certificate[0])
	if err != nil {
		t.Fatal(err)
	}
	return c
}

// validating has the world's DNS server trusted, and what it says about names
// proved.
func (w *world) validating(names ...string) {
	w.dns.Sign(names...)
	w.sender.Resolver = &dns.Resolver{Server: w.dns.Addr, DNSSEC: true}
}

// Which certificates DANE accepts, and what happens where it proves nothing.
func TestDANE(t *testing.T) {
	t.Parallel()
	ca, other := authority(t), authority(t)
	good := issue(t, ca, time.Hour, "mx.a.test")
	expired := issue(t, ca, -time.Hour, "mx.a.test")
	stranger := issue(t, ca, time.Hour, "mx.elsewhere.test")
	named := issue(t, ca, time.Hour, "a.test")
	key256 := func(c *x509.Certificate) string {
		return fmt.Sprintf("1 1 %x", sha256.Sum256(c.RawSubjectPublicKeyInfo))
	}
	cert512 := func(c *x509.Certificate) string { return fmt.Sprintf("0 2 %x", sha512.Sum512(c.Raw)) }
	whole := func(c *x509.Certificate) string { return fmt.Sprintf("0 0 %x", c.Raw) }
	zeros := "1 1 " + strings.Repeat("00", 32)
	all := []string{"a.test", "_tcp.mx.a.test", "mx.a.test"}
	for _, test := range []struct {
		name   string
		signed []string
		tlsa   []string
		host   *tls.Config
		want   queue.State
		secure bool
	}{
		{"no record", all, nil, nil, queue.Delivered, false},
		{"the host's key", all, []string{"3 " + key256(leaf(t, good))}, good, queue.Delivered, true},
		{"the host's certificate, in its other strength", all, []string{"3 " + cert512(leaf(t, good))}, good,
			queue.Delivered, true},
		{"names and dates do not count for the host's own", all, []string{"3 " + whole(leaf(t, expired))}, expired,
			queue.Delivered, true},
		{"another key", all, []string{"3 " + zeros}, good, queue.Deferred, false},
		{"one of two records", all, []string{"3 " + zeros, "3 " + key256(leaf(t, good))}, good, queue.Delivered, true},
		{"the authority", all, []string{"2 " + key256(ca.Certificate)}, good, queue.Delivered, true},
		{"the authority, for the domain's name", all, []string{"2 " + cert512(ca.Certificate)}, named, queue.Delivered,
			true},
		{"the authority, for another name", all, []string{"2 " + key256(ca.Certificate)}, stranger, queue.Deferred,
			false},
		{"the authority, out of date", all, []string{"2 " + key256(ca.Certificate)}, expired, queue.Deferred, false},
		{"another authority", all, []string{"2 " + whole(other.Certificate)}, good, queue.Deferred, false},
		{"no STARTTLS", all, []string{"3 " + key256(leaf(t, good))}, nil, queue.Deferred, false},
		{"none of use, encrypted", all, []string{"1 " + zeros}, stranger, queue.Delivered, true},
		{"none of use, in the clear", all, []string{"1 " + zeros, "3 1 1 00ff"}, nil, queue.Deferred, false},
		{"the domain is not signed", []string{"mx.a.test"}, []string{"3 " + zeros}, good, queue.Delivered, true},
		{"nothing is signed", nil, []string{"3 " + zeros}, good, queue.Delivered, true},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			w, host := one(t, smtptest.Config{TLS: test.host})
			w.validating(test.signed...)
			zone := ""
			for _, r := range test.tlsa {
				zone += "_25._tcp.mx.a.test. TLSA " + r + "\n"
			}
			if err := w.dns.Put(zone); err != nil {
				t.Fatal(err)
			}
			for i := range 2 {
				if o := w.deliver(t, to(testBatch, i+1, "u@a.test")); o.State != test.want {
					t.Fatalf("message %d: got %+v, want %s", i+1, o, test.want)
				}
			}
			if test.want != queue.Delivered {
				if n := host.Connections(); n != 1 {
					t.Errorf("connections for two messages: got %d, want 1: the host is left alone for a while", n)
				}
				return
			}
			for _, m := range messages(t, host, 2) {
				if m.TLS != test.secure {
					t.Errorf("by TLS: got %v, want %v", m.TLS, test.secure)
				}
			}
			if n := host.Connections(); n != 1 {
				t.Errorf("connections for two messages: got %d, want 1", n)
			}
		})
	}
}

// A host whose TLSA records cannot be looked up gets no mail; the other host does.
func TestDANEUnknown(t *testing.T) {
	t.Parallel()
	ca := authority(t)
	w := newWorld(t, "a.test. MX 10 mx1.a.test.\na.test. MX 20 mx2.a.test.",
		hosts{"mx1.a.test": {}, "mx2.a.test": {TLS: issue(t, ca, time.Hour, "mx2.a.test")}})
	w.validating("a.test")
	w.dns.Fail("_25._tcp.mx1.a.test", dnstest.ServFail)
	if o := w.deliver(t, to(testBatch, 1, "u@a.test")); o.State != queue.Delivered || o.Host != "mx2.a.test" {
		t.Errorf("got %+v, want it delivered by mx2.a.test", o)
	}
}

// Mail of a domain with DANE does not take a connection that another domain had
// opened without looking at the certificate; that domain goes on without.
func TestDANEAndItsNeighbours(t *testing.T) {
	t.Parallel()
	config := issue(t, authority(t), time.Hour, "mx.shared.test")
	w := newWorld(t, "a.test. MX 10 mx.shared.test.\nb.test. MX 10 mx.shared.test.",
		hosts{"mx.shared.test": {TLS: config}})
	w.validating("a.test", "shared.test")
	if err := w.dns.Put("_25._tcp.mx.shared.test. TLSA 3 1 1 " + strings.Repeat("00", 32) + "\n"); err != nil {
		t.Fatal(err)
	}
	for i, want := range []queue.State{queue.Delivered, queue.Deferred, queue.Delivered} {
		domain := []string{"b.test", "a.test", "b.test"}[i]
		if o := w.deliver(t, to(testBatch, i+1, "u@"+domain)); o.State != want {
			t.Errorf("%s: got %+v, want %s", domain, o, want)
		}
	}
}

// A policyHost publishes MTA-STS policies by HTTPS.
type policyHost struct {
	*httptest.Server
	mu    sync.Mutex
	texts map[string]string // by host
	asked int
	hold  chan struct{} // not nil: no answer before it is closed
}

// publish starts the policy host of domains, whose records are in the world's DNS.
func (w *world) publish(t *testing.T, ca *smtptest.Authority, texts map[string]string) *policyHost {
	t.Helper()
	h := &policyHost{texts: map[string]string{}}
	var names []string
	for domain, text := range texts {
		name := "mta-sts." + domain
		names, h.texts[name] = append(names, name), text
		if err := w.dns.Put(fmt.Sprintf("_mta-sts.%s. TXT \"v=STSv1; id=1;\"\n%s. A 127.0.0.1\n", domain,
			name)); err != nil {
			t.Fatal(err)
		}
	}
	h.Server = httptest.NewUnstartedServer(http.HandlerFunc(func(rw http.ResponseWriter, r *http.Request) {
		h.mu.Lock()
		text, hold := h.texts[r.Host], h.hold
		h.asked++
		h.mu.Unlock()
		if hold != nil {
			select {
			case <-hold:
			case <-r.Context().Done():
			}
		}
		if text == "" || r.URL.Path != "/.well-known/mta-sts.txt" {
			http.NotFound(rw, r)
			return
		}
		rw.Header().Set("Content-Type", "text/plain; charset=utf-8")
		fmt.Fprint(rw, text)
	}))
	h.TLS = issue(t, ca, time.Hour, names...)
	h.StartTLS()
	t.Cleanup(h.Close)
	w.sender.RootCAs = ca.Pool()
	w.sender.STS = &mtasts.Policies{Fetcher: mtasts.Fetcher{
		Resolver: w.sender.Resolver, RootCAs: ca.Pool(), Port: h.Listener.Addr().(*net.TCPAddr).Port,
	}}
	return h
}

func enforce(mode string, mx ...string) string {
	return "version: STSv1\r\nmode: " + mode + "\r\nmx: " + strings.Join(mx, "\r\nmx: ") + "\r\nmax_age: 86400\r\n"
}

// What a policy of MTA-STS does to mail.
func TestMTASTS(t *testing.T) {
	t.Parallel()
	ca, other := authority(t), authority(t)
	good := issue(t, ca, time.Hour, "mx.a.test")
	for _, test := range []struct {
		name, text string
		host       *tls.Config
		want       queue.State
		says       string
	}{
		{"the certificate is good", enforce("enforce", "mx.a.test"), good, queue.Delivered, ""},
		{"by a pattern", enforce("enforce", "mx.elsewhere.test", "*.a.test"), good, queue.Delivered, ""},
		{"for another name", enforce("enforce", "mx.a.test"), issue(t, ca, time.Hour, "a.test"), queue.Deferred,
			"not mx.a.test"},
		{"by nobody known", enforce("enforce", "mx.a.test"), issue(t, other, time.Hour, "mx.a.test"), queue.Deferred,
			"unknown authority"},
		{"out of date", enforce("enforce", "mx.a.test"), issue(t, ca, -time.Hour, "mx.a.test"), queue.Deferred,
			"expired"},
		{"no STARTTLS", enforce("enforce", "mx.a.test"), nil, queue.Deferred, "does not offer STARTTLS"},
		{"another host", enforce("enforce", "mx.elsewhere.test"), good, queue.Deferred, "does not name this host"},
		{"testing", enforce("testing", "mx.elsewhere.test"), nil, queue.Delivered, ""},
		{"none", enforce("none", "mx.elsewhere.test"), nil, queue.Delivered, ""},
		{"no policy of that kind", "version: STSv2\nmode: enforce\nmx: no.test\nmax_age: 86400\n", nil, queue.Delivered,
			""},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			w, host := one(t, smtptest.Config{TLS: test.host})
			w.publish(t, ca, map[string]string{"a.test": test.text})
			for i := range 2 {
				o := w.deliver(t, to(testBatch, i+1, "u@a.test"))
				if o.State != test.want || !strings.Contains(o.Reply.Text, test.says) {
					t.Fatalf("message %d: got %+v, want %s with %q", i+1, o, test.want, test.says)
				}
			}
			if test.want == queue.Delivered {
				messages(t, host, 2)
			} else if n := host.Connections(); n > 1 {
				t.Errorf("connections for two messages: got %d, want at most 1", n)
			}
		})
	}
}

// A policy that somebody made up for our neighbour's host costs only mail to his
// own domain.
func TestMTASTSAndItsNeighbours(t *testing.T) {
	t.Parallel()
	ca := authority(t)
	w := newWorld(t, "evil.test. MX 10 mx.b.test.\nb.test. MX 10 mx.b.test.", hosts{"mx.b.test": {TLS: selfSigned(t)}})
	w.publish(t, ca, map[string]string{"evil.test": enforce("enforce", "mx.b.test")})
	for i, want := range []queue.State{queue.Deferred, queue.Delivered, queue.Deferred} {
		domain := []string{"evil.test", "b.test", "evil.test"}[i]
		if o := w.deliver(t, to(testBatch, i+1, "u@"+domain)); o.State != want {
			t.Errorf("%s: got %+v, want %s", domain, o, want)
		}
	}
	for _, m := range messages(t, w.hosts["mx.b.test"], 1) {
		if !m.TLS {
			t.Error("the neighbour's mail went in the clear, want it encrypted")
		}
	}
}

// DANE goes before MTA-STS: a certificate that fits the TLSA records needs no
// authority, and one that does not is of no use however many authorities it has.
func TestDANEBeforeMTASTS(t *testing.T) {
	t.Parallel()
	ca := authority(t)
	signed := issue(t, ca, time.Hour, "mx.a.test")
	for _, test := range []struct {
		name string
		host *tls.Config
		tlsa [32]byte
		want queue.State
	}{
		{"it fits, and has no authority", selfSigned(t), [32]byte{}, queue.Delivered},
		{"it does not fit, and has one", signed, [32]byte{1}, queue.Deferred},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			if test.tlsa == [32]byte{} {
				test.tlsa = sha256.Sum256(leaf(t, test.host).RawSubjectPublicKeyInfo)
			}
			w, _ := one(t, smtptest.Config{TLS: test.host})
			w.validating("a.test")
			w.publish(t, ca, map[string]string{"a.test": enforce("enforce", "mx.a.test")})
			if err := w.dns.Put(fmt.Sprintf("_25._tcp.mx.a.test. TLSA 3 1 1 %x\n", test.tlsa)); err != nil {
				t.Fatal(err)
			}
			if o := w.deliver(t, to(testBatch, 1, "u@a.test")); o.State != test.want {
				t.Errorf("got %+v, want %s", o, test.want)
			}
		})
	}
}

// A policy host that does not answer delays the first message of its own domain
// by seconds, and no other.
func TestSlowPolicyHost(t *testing.T) {
	t.Parallel()
	ca := authority(t)
	w := newWorld(t, "slow.test. MX 10 mx.slow.test.", hosts{"mx.slow.test": {}})
	h := w.publish(t, ca, map[string]string{"slow.test": enforce("enforce", "mx.slow.test")})
	h.hold = make(chan struct{})
	w.sender.STS.Patience = 50 * time.Millisecond
	if o := w.deliver(t, to(testBatch, 1, "u@slow.test")); o.State != queue.Delivered {
		t.Errorf("while the policy is not known: got %+v, want it delivered", o)
	}
	close(h.hold)
	eventually(t, "the policy is known", func() bool {
		k, _ := w.sender.STS.Of(context.Background(), "slow.test")
		return k.Policy.Mode == mtasts.Enforce
	})
	if o := w.deliver(t, to(testBatch, 2, "u@slow.test")); o.State != queue.Deferred {
		t.Errorf("once the policy is known: got %+v, want it deferred, since the host offers no STARTTLS", o)
	}
}

// The answer for people names the policy that holds, and says why.
func TestExplainTLS(t *testing.T) {
	t.Parallel()
	ca := authority(t)
	w := newWorld(t, "a.test. MX 10 mx.a.test.\na.test. MX 20 mx.b.test.\nplain.test. MX 10 mx.b.test.",
		hosts{"mx.a.test": {}, "mx.b.test": {}})
	w.validating("a.test")
	w.publish(t, ca, map[string]string{"a.test": enforce("enforce", "mx.a.test")})
	if err := w.dns.Put("_25._tcp.mx.a.test. TLSA 3 1 1 " + strings.Repeat("00", 32) + "\n"); err != nil {
		t.Fatal(err)
	}
	for domain, want := range map[string]string{
		"a.test":     "mx.a.test required dane false, mx.b.test verified mta-sts true",
		"plain.test": "mx.b.test opportunistic setting false",
	} {
		found, err := w.sender.ExplainTLS(t.Context(), domain, sender.Opportunistic)
		if err != nil {
			t.Fatal(err)
		}
		var got []string
		for _, h := range found.Hosts {
			got = append(got, fmt.Sprint(h.Host, " ", h.TLS, " ", h.By, " ", h.Refused != ""))
		}
		if strings.Join(got, ", ") != want {
			t.Errorf("%s: got %s, want %s", domain, strings.Join(got, ", "), want)
		}
	}
}
