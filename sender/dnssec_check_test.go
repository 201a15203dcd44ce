//go:build check

package sender_test

import (
	"bytes"
	"crypto/sha256"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	miekg "github.com/miekg/dns"

	"enotify/queue"
	"enotify/sender/smtptest"
	"enotify/spfguard/dns"
)

// DANE holds by a zone that is really signed, asked of a resolver that validates it
// (Unbound): a record that was changed on its way is no reason to send in the clear.
func TestDANEBySignedZone(t *testing.T) {
	t.Parallel()
	ca := authority(t)
	good := issue(t, ca, time.Hour, "mx.a.test")
	key := fmt.Sprintf("%X", sha256.Sum256(leaf(t, good).RawSubjectPublicKeyInfo))
	zeros := strings.Repeat("00", sha256.Size)
	for _, test := range []struct {
		name, published, served string
		want                    queue.State
	}{
		{"the host's key", key, key, queue.Delivered},
		{"another key", zeros, zeros, queue.Deferred},
		{"another key, changed on its way to the host's", zeros, key, queue.Deferred},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			w, host := one(t, smtptest.Config{TLS: good})
			ip, _, _ := net.SplitHostPort(host.Addr)
			w.sender.Resolver = &dns.Resolver{DNSSEC: true, Server: unbound(t, "a.test", fmt.Sprintf(`$ORIGIN a.test.
$TTL 300
@            SOA  ns hostmaster 1 3600 600 86400 300
@            NS   ns
ns           A    127.0.0.1
@            MX   10 mx
mx           A    %s
_25._tcp.mx  TLSA 3 1 1 %s
`, ip, test.published), strings.NewReplacer(test.published, test.served))}
			if o := w.deliver(t, to(testBatch, 1, "u@a.test")); o.State != test.want {
				t.Fatalf("got %+v, want %s", o, test.want)
			}
			if test.want == queue.Delivered && !messages(t, host, 1)[0].TLS {
				t.Error("delivered in the clear, want it by TLS")
			}
		})
	}
}

// unbound signs a zone, changes the signed text, and returns the address of a resolver
// that serves it and validates it by the zone's key.
func unbound(t *testing.T, name, zone string, change *strings.Replacer) (addr string) {
	t.Helper()
	dir := t.TempDir()
	file := filepath.Join(dir, "zone")
	if err := os.WriteFile(file, []byte(zone), 0o600); err != nil {
		t.Fatal(err)
	}
	id := strings.TrimSpace(run(t, dir, "dnssec-keygen", "-q", "-a", "ECDSAP256SHA256", "-f", "KSK", name))
	run(t, dir, "dnssec-signzone", "-q", "-z", "-S", "-O", "full", "-o", name, "-f", file+".signed", file)
	signed, err := os.ReadFile(file + ".signed")
	if err != nil {
		t.Fatal(err)
	}
	var text strings.Builder
	for line := range strings.Lines(string(signed)) {
		if head, digits, is := strings.Cut(line, "TLSA\t3 1 1 "); is { // they are written in pieces
			line = head + "TLSA\t3 1 1 " + change.Replace(strings.ReplaceAll(digits, " ", ""))
		}
		text.WriteString(line)
	}
	if err := os.WriteFile(file+".served", []byte(text.String()), 0o600); err != nil {
		t.Fatal(err)
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	addr = l.Addr().String()
	l.Close()
	_, port, _ := net.SplitHostPort(addr)
	config := filepath.Join(dir, "unbound.conf")
	if err := os.WriteFile(config, fmt.Appendf(nil, `server:
  interface: 127.0.0.1
  port: %s
  directory: "%s"
  chroot: ""
  username: ""
  pidfile: ""
  use-syslog: no
  trust-anchor-file: "%s.key"
  local-zone: "test." nodefault
remote-control:
  control-enable: no
auth-zone:
  name: "%s"
  zonefile: "%s.served"
  for-downstream: no
  for-upstream: yes
  fallback-enabled: no
`, port, dir, filepath.Join(dir, id), name, file), 0o600); err != nil {
		t.Fatal(err)
	}
	var log bytes.Buffer
	server := exec.Command("unbound", "-d", "-d", "-c", config)
	server.Stdout, server.Stderr = &log, &log
	if err := server.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = server.Process.Kill()
		_ = server.Wait()
		if t.Failed() {
			t.Log(log.String())
		}
	})
	question := new(miekg.Msg).SetQuestion(miekg.Fqdn(name), miekg.TypeMX)
	for deadline := time.Now().Add(time.Minute); ; time.Sleep(10 * time.Millisecond) {
		if answer, err := miekg.Exchange(question, addr); err == nil && len(answer.Answer) > 0 {
			return addr
		} else if time.Now().After(deadline) {
			t.Fatalf("unbound does not answer for %s: %v %v", name, answer, err)
		}
	}
}

func run(t *testing.T, dir, name string, args ...string) string {
	t.Helper()
	cmd := exec.Command(name, args...)
	cmd.Dir = dir
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("%s: %v", name, err)
	}
	return string(out)
}
