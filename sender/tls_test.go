package sender_test

import (
	"crypto/tls"
	"crypto/x509"
	"strings"
	"testing"

	"golang.org/x/time/rate"

	"enotify/queue"
	"enotify/sender"
	"enotify/sender/smtptest"
	"enotify/sender/throttle"
)

func selfSigned(t *testing.T) *tls.Config {
	t.Helper()
	config, err := smtptest.SelfSigned("mx.a.test")
	if err != nil {
		t.Fatal(err)
	}
	return config
}

func TestStartTLS(t *testing.T) {
	t.Parallel()
	offered := selfSigned(t)
	broken := &tls.Config{MinVersion: tls.VersionTLS13, CipherSuites: nil} // has no certificate
	trust := x509.NewCertPool()
	leaf, err := x509.ParseCertificate(offered.Certificates[0].Certificate[0])
	if err != nil {
		t.Fatal(err)
	}
	trust.AddCert(leaf)
	untrusted := x509.NewCertPool()
	tests := []struct {
		name   string
		host   smtptest.Config
		policy sender.TLSPolicy
		roots  *x509.CertPool
		want   queue.State
		secure bool
	}{
		{"not offered", smtptest.Config{}, 0, nil, queue.Delivered, false},
		{"offered", smtptest.Config{TLS: offered}, 0, nil, queue.Delivered, true},
		{"handshake fails", smtptest.Config{TLS: broken}, 0, nil, queue.Delivered, false},
		{"454", smtptest.Config{TLS: offered, Reply: on("STARTTLS", "454 4.7.0 TLS not available")}, 0, nil,
			queue.Delivered, false},
		{"421", smtptest.Config{TLS: offered, Reply: on("STARTTLS", "421 4.7.0 not now")}, sender.Required, nil,
			queue.Deferred, false},
		{"required", smtptest.Config{TLS: offered}, sender.Required, untrusted, queue.Delivered, true},
		{"required, not offered", smtptest.Config{}, sender.Required, nil, queue.Deferred, false},
		{"required, 454", smtptest.Config{TLS: offered, Reply: on("STARTTLS", "454 4.7.0 TLS not available")},
			sender.Required, nil, queue.Deferred, false},
		{"required, handshake fails", smtptest.Config{TLS: broken}, sender.Required, nil, queue.Deferred, false},
		{"verified, unknown issuer", smtptest.Config{TLS: offered}, sender.Verified, untrusted, queue.Deferred, false},
		{"verified, known issuer", smtptest.Config{TLS: offered}, sender.Verified, trust, queue.Delivered, true},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			w, host := one(t, test.host)
			w.sender.TLS, w.sender.RootCAs = test.policy, test.roots
			o := w.deliver(t, to(testBatch, 1, "u@a.test"))
			if o.State != test.want {
				t.Fatalf("outcome: got %+v, want %s", o, test.want)
			}
			if m := host.Messages(); test.want == queue.Delivered && m[0].TLS != test.secure {
				t.Errorf("by TLS: got %v, want %v", m[0].TLS, test.secure)
			}
			if why := "no encryption with mx.a.test, which is required: "; test.want == queue.Deferred &&
				o.Reply.Code != 421 && (!strings.HasPrefix(o.Reply.Text, why) || o.Class != queue.Offline) {
				t.Errorf("outcome: got %+v, want %q", o, why)
			}
			w.sender.Close()
			eventually(t, "all connections are closed", func() bool { return host.Open() == 0 })
		})
	}
}

// Where STARTTLS fails at one MX, the next is tried; the clear comes last, goes
// to the best host, and only where the policy allows it.
func TestTLSBeforeClear(t *testing.T) {
	t.Parallel()
	offered, err := smtptest.SelfSigned("mx2.a.test")
	if err != nil {
		t.Fatal(err)
	}
	broken := smtptest.Config{TLS: &tls.Config{}}
	const zone = "a.test. MX 10 mx1.a.test.\na.test. MX 20 mx2.a.test."
	for _, test := range []struct {
		name   string
		second smtptest.Config
		policy sender.TLSPolicy
		host   string // that got both messages; "" is none
	}{
		{"the second encrypts", smtptest.Config{TLS: offered}, sender.Opportunistic, "mx2.a.test"},
		{"the second does, as is required", smtptest.Config{TLS: offered}, sender.Required, "mx2.a.test"},
		{"both are broken", broken, sender.Opportunistic, "mx1.a.test"},
		{"both are broken, and it is required", broken, sender.Required, ""},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t, zone, hosts{"mx1.a.test": broken, "mx2.a.test": test.second})
			w.sender.TLS = test.policy
			for i := range 2 {
				o := w.deliver(t, to(testBatch, i+1, "u@a.test"))
				if test.host == "" && (o.State != queue.Deferred ||
					!strings.Contains(o.Reply.Text, "which is required")) ||
					test.host != "" && (o.State != queue.Delivered || o.Host != test.host) {
					t.Errorf("message %d: got %+v, want it at %q", i+1, o, test.host)
				}
			}
			for name, h := range w.hosts {
				if n := h.Connections(); n > 2 {
					t.Errorf("%s: got %d connections for two messages, want it left alone or reused", name, n)
				}
				n := 0
				if name == test.host {
					n = 2
				}
				for _, m := range messages(t, h, n) {
					if secure := test.second.TLS == offered; m.TLS != secure {
						t.Errorf("%s: by TLS %v, want %v", name, m.TLS, secure)
					}
				}
			}
		})
	}
}

// Each destination has a policy of its own, which changes while mail is sent;
// a connection in the clear is not used for mail that must not go so.
func TestTLSPerDestination(t *testing.T) {
	t.Parallel()
	w := newWorld(t, "a.test. MX 10 mx.shared.test.\nb.test. MX 10 mx.shared.test.", hosts{"mx.shared.test": {}})
	host := w.hosts["mx.shared.test"]
	deliver := func(domain string, want queue.State) {
		t.Helper()
		if o := w.deliver(t, to(testBatch, 1, "u@"+domain)); o.State != want {
			t.Errorf("%s: got %+v, want %s", domain, o, want)
		}
	}
	w.sender.SetTLS(map[string]sender.TLSPolicy{"b.test": sender.Required})
	deliver("a.test", queue.Delivered)
	deliver("b.test", queue.Deferred)
	deliver("a.test", queue.Delivered) // the host is not dead for it
	w.sender.SetTLS(map[string]sender.TLSPolicy{"shared.test": sender.Required, "b.test": sender.Opportunistic})
	deliver("a.test", queue.Deferred) // by the site
	deliver("b.test", queue.Delivered)
	if got := host.Delivered(); got != 3 {
		t.Errorf("delivered: got %d, want 3", got)
	}
}

// The second connection to a host goes on with the session of the first.
func TestTLSResumption(t *testing.T) {
	t.Parallel()
	for _, policy := range []sender.TLSPolicy{sender.Opportunistic, sender.Verified} {
		config := selfSigned(t)
		roots := x509.NewCertPool()
		leaf, err := x509.ParseCertificate(config.Certificates[0].Certificate[0])
		if err != nil {
			t.Fatal(err)
		}
		roots.AddCert(leaf)
		resumed := make(chan bool, 2)
		config.VerifyConnection = func(state tls.ConnectionState) error {
			resumed <- state.DidResume
			return nil
		}
		w, host := one(t, smtptest.Config{TLS: config})
		w.sender.TLS, w.sender.RootCAs = policy, roots
		w.throttle.SetPolicies(map[string]throttle.Policy{throttle.Everyone: {Rate: rate.Inf, PerConnection: 1}})
		for i := range 2 {
			if o := w.deliver(t, to(testBatch, i+1, "u@a.test")); o.State != queue.Delivered {
				t.Fatalf("outcome: got %+v, want delivered", o)
			}
			if got, want := <-resumed, i == 1; got != want {
				t.Errorf("policy %d, connection %d is resumed: got %v, want %v", policy, i+1, got, want)
			}
		}
		if host.Connections() != 2 {
			t.Errorf("connections: got %d, want 2", host.Connections())
		}
	}
}
