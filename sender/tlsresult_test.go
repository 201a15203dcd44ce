package sender_test

import (
	"crypto/sha256"
	"crypto/tls"
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"enotify/queue"
	"enotify/sender/smtptest"
	"enotify/sender/tlsrpt"
	"enotify/spfguard/dns/dnstest"
)

// counted are the sessions of a tally, as "domain policy result sessions".
func counted(t *testing.T, tally *tlsrpt.Tally) string {
	t.Helper()
	all, _ := tally.Take()
	var lines []string
	for _, c := range all {
		var p tlsrpt.Policy
		f := tlsrpt.Failure{Type: "successful"}
		if err := json.Unmarshal(c.Policy, &p); err != nil {
			t.Fatal(err)
		}
		if c.Failure != nil {
			if err := json.Unmarshal(c.Failure, &f); err != nil {
				t.Fatal(err)
			}
		}
		lines = append(lines, fmt.Sprintf("%s %s %s %d", c.Domain, p.Type, f.Type, c.Sessions))
	}
	slices.Sort(lines)
	return strings.Join(lines, ", ")
}

// Each way in which TLS ends is counted under its policy and by its name, once for a
// connection, however many messages it carries.
func TestTLSResults(t *testing.T) {
	t.Parallel()
	ca, other := authority(t), authority(t)
	good := issue(t, ca, time.Hour, "mx.a.test")
	fits := fmt.Sprintf("3 1 1 %x", sha256.Sum256(leaf(t, good).RawSubjectPublicKeyInfo))
	broken := &tls.Config{} // no certificate: no handshake
	for _, test := range []struct {
		name, policy string
		tlsa         []string
		host         *tls.Config
		want         string
	}{
		{"no policy", "", nil, selfSigned(t), "no-policy-found successful 1"},
		{"no policy, in the clear", "", nil, nil, "no-policy-found starttls-not-supported 1"},
		{"no policy, broken", "", nil, broken, "no-policy-found validation-failure 1"},
		{"enforce", enforce("enforce", "mx.a.test"), nil, good, "sts successful 1"},
		{"enforce, for another name", enforce("enforce", "mx.a.test"), nil, issue(t, ca, time.Hour, "mx.b.test"),
			"sts certificate-host-mismatch 1"},
		{"enforce, out of date", enforce("enforce", "mx.a.test"), nil, issue(t, ca, -time.Hour, "mx.a.test"),
			"sts certificate-expired 1"},
		{"enforce, by nobody known", enforce("enforce", "mx.a.test"), nil, issue(t, other, time.Hour, "mx.a.test"),
			"sts certificate-not-trusted 1"},
		{"enforce, in the clear", enforce("enforce", "mx.a.test"), nil, nil, "sts starttls-not-supported 1"},
		{"enforce, another host", enforce("enforce", "mx.b.test"), nil, good, "sts validation-failure 1"},
		{"testing", enforce("testing", "mx.a.test"), nil, good, "sts successful 1"},
		{"testing, by nobody known", enforce("testing", "mx.a.test"), nil, selfSigned(t),
			"sts certificate-not-trusted 1"},
		{"testing, another host", enforce("testing", "mx.b.test"), nil, good, "sts validation-failure 1"},
		{"no policy to be had", "nonsense", nil, good, "no-policy-found successful 1, sts sts-policy-invalid 1"},
		{"DANE", "", []string{fits}, good, "tlsa successful 1"},
		{"DANE, another key", "", []string{"3 1 1 " + strings.Repeat("00", 32)}, good, "tlsa validation-failure 1"},
		{"DANE, none of use", "", []string{"1 1 1 " + strings.Repeat("00", 32)}, good, "tlsa tlsa-invalid 1"},
		{"DANE, not to be had", "", []string{"fails"}, good, "tlsa dnssec-invalid 1"},
		{"DANE before MTA-STS", enforce("enforce", "mx.b.test"), []string{fits}, good, "tlsa successful 1"},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			w, _ := one(t, smtptest.Config{TLS: test.host})
			if test.tlsa != nil {
				w.validating("a.test", "mx.a.test")
			}
			if test.policy != "" {
				w.publish(t, ca, map[string]string{"a.test": test.policy})
			}
			for _, r := range test.tlsa {
				if r == "fails" {
					w.dns.Fail("_25._tcp.mx.a.test", dnstest.ServFail)
				} else if err := w.dns.Put("_25._tcp.mx.a.test. TLSA " + r + "\n"); err != nil {
					t.Fatal(err)
				}
			}
			w.sender.TLSResults = &tlsrpt.Tally{}
			for i := range 2 {
				w.deliver(t, to(testBatch, i+1, "u@a.test"))
			}
			if got, want := counted(t, w.sender.TLSResults), "a.test "+
				strings.ReplaceAll(test.want, ", ", ", a.test "); got != want {
				t.Errorf("got %s, want %s", got, want)
			}
		})
	}
}

// A connection that carries mail of two domains counts for both; a report on TLS goes
// out against the policy of its receiver, and counts for none.
func TestTLSResultsOfNeighboursAndReports(t *testing.T) {
	t.Parallel()
	ca := authority(t)
	w := newWorld(t, "a.test. MX 10 mx.shared.test.\nb.test. MX 10 mx.shared.test.",
		hosts{"mx.shared.test": {TLS: selfSigned(t)}})
	w.publish(t, ca, map[string]string{"c.test": enforce("enforce", "mx.shared.test")})
	if err := w.dns.Put("c.test. MX 10 mx.shared.test.\n"); err != nil {
		t.Fatal(err)
	}
	w.sender.TLSResults = &tlsrpt.Tally{}
	for i, domain := range []string{"a.test", "b.test", "a.test", "b.test"} {
		w.deliver(t, to(testBatch, i+1, "u@"+domain))
	}
	if got, want := counted(t, w.sender.TLSResults), "a.test no-policy-found successful 1, b.test no-policy-found successful 1"; got != want {
		t.Errorf("got %s, want %s", got, want)
	}
	report := *testBatch
	report.TLSReport = true
	if o := w.deliver(t, to(&report, 1, "tls@c.test")); o.State != queue.Delivered {
		t.Errorf("a report to a domain whose own policy fails: got %+v, want it delivered", o)
	}
	if got := counted(t, w.sender.TLSResults); got != "" {
		t.Errorf("got %s, want nothing counted for a report", got)
	}
}
