package sender_test

import (
	"crypto/tls"
	"crypto/x509"
	"testing"

	"enotify/queue"
	"enotify/sender/smtptest"
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
	tests := []struct {
		name     string
		host     smtptest.Config
		required bool
		config   *tls.Config
		want     queue.State
		secure   bool
	}{
		{"not offered", smtptest.Config{}, false, nil, queue.Delivered, false},
		{"offered", smtptest.Config{TLS: offered}, false, nil, queue.Delivered, true},
		{"handshake fails", smtptest.Config{TLS: broken}, false, nil, queue.Delivered, false},
		{"454", smtptest.Config{TLS: offered, Reply: on("STARTTLS", "454 4.7.0 TLS not available")}, false, nil, queue.Delivered, false},
		{"421", smtptest.Config{TLS: offered, Reply: on("STARTTLS", "421 4.7.0 not now")}, true, nil, queue.Deferred, false},
		{"required, not offered", smtptest.Config{}, true, nil, queue.Deferred, false},
		{"required, 454", smtptest.Config{TLS: offered, Reply: on("STARTTLS", "454 4.7.0 TLS not available")}, true, nil, queue.Deferred, false},
		{"required, handshake fails", smtptest.Config{TLS: broken}, true, nil, queue.Deferred, false},
		{"required, unknown issuer", smtptest.Config{TLS: offered}, true, &tls.Config{}, queue.Deferred, false},
		{"required, known issuer", smtptest.Config{TLS: offered}, true, &tls.Config{RootCAs: trust}, queue.Delivered, true},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			w, host := one(t, test.host)
			w.sender.TLSRequired, w.sender.TLSConfig = test.required, test.config
			if o := w.deliver(t, to(testBatch, 1, "u@a.test")); o.State != test.want {
				t.Fatalf("outcome: got %+v, want %s", o, test.want)
			}
			if m := host.Messages(); test.want == queue.Delivered && m[0].TLS != test.secure {
				t.Errorf("by TLS: got %v, want %v", m[0].TLS, test.secure)
			}
			w.sender.Close()
			eventually(t, "all connections are closed", func() bool { return host.Open() == 0 })
		})
	}
}
