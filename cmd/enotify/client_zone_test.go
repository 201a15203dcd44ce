package main_test

import (
	"encoding/json"
	"flag"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"enotify/cmd/enotify/preflight"
	"enotify/sender/smtptest"
)

// publicKey is what differs from run to run in what client zone prints.
var publicKey = regexp.MustCompile(`p=([A-Za-z0-9+/=]|" "){40,}`)

// What a client is to publish, and what of it is there: nothing, all, something else.
func TestClientZone(t *testing.T) {
	t.Parallel()
	s := newSite(t, smtptest.Config{})
	keys := t.TempDir()
	for _, domain := range []string{"new.example", "all.example", "other.example", "news.org.example"} {
		s.Run("client", "add", domain)
	}
	for domain, selectors := range map[string][]string{"all.example": {"s1", "s2"}, "other.example": {"s1", "gone"},
		"news.org.example": {"s1"}} {
		for i, selector := range selectors {
			if selector != "gone" {
				line := s.Run("client", "key", domain, "--selector", selector, "--type", []string{"rsa", "ed25519"}[i],
					"--dkim-dir", keys)
				if domain == "all.example" {
					s.DNS.Put(line)
				}
			}
		}
		s.Run("client", "set", domain, "--dkim-selector", strings.Join(selectors, ","))
	}
	s.Run("client", "set", "other.example", "--return-path", "bounces@bounce.other.example")
	s.DNS.Put(`
all.example.              TXT "v=spf1 ip4:192.0.2.0/24 -all"
_dmarc.all.example.       TXT "v=DMARC1; p=reject"
other.example.            TXT "v=spf1 mx ip4:198.51.100.1 -all"
other.example.            MX  10 mx.test.
s1._domainkey.other.example. TXT "v=DKIM1; p=AAAA"
_dmarc.other.example.     TXT "no policy at all"
_dmarc.org.example.       TXT "v=DMARC1; p=quarantine"
`)
	for _, domain := range []string{"new.example", "all.example", "other.example", "news.org.example"} {
		args := []string{"client", "zone", domain, "--ip", "192.0.2.10,192.0.2.11", "--dkim-dir", keys}
		got := strings.ReplaceAll(publicKey.ReplaceAllString(s.Run(args...), "p=KEY"), keys, "DIR")
		golden(t, "zone-"+domain+".txt", got)
		var lines []struct{ Name, Type, Value, Why, Status string }
		if err := json.Unmarshal([]byte(s.Run(append(args, "-o", "json")...)), &lines); err != nil || len(lines) < 3 {
			t.Errorf("%s: got %d lines of JSON, %v", domain, len(lines), err)
		}
	}
	// and client check says the same of the lines that both look at
	s.Run("client", "set", "other.example", "--dkim-selector", "s1")
	for domain, want := range map[string][]string{"new.example": {"missing", "_dmarc.new.example"},
		"other.example": {"wrong", "s1._domainkey.other.example"}} {
		zone := s.Run("client", "zone", domain, "--ip", "192.0.2.10", "--dkim-dir", keys)
		// it blocks: 2
		text, exit := s.Enotify("client", "check", domain, "--egress", "192.0.2.10", "--helo", "mail.host.example",
			"--dkim-dir", keys, "-o", "json").Output()
		var r preflight.Report
		if err := json.Unmarshal(text, &r); err != nil {
			t.Fatalf("%v, %v: %s", err, exit, text)
		}
		i := slices.IndexFunc(r.Setup, func(l preflight.Line) bool { return l.Name == want[1] })
		if i < 0 || r.Setup[i].State != want[0] || !strings.Contains(zone, "\n"+r.Setup[i].Zone+"\n") {
			t.Errorf("client check %s: got %+v, want %s %s as in\n%s", domain, r.Setup, want[0], want[1], zone)
		}
	}
	// signed return paths have an MX and an SPF record of their own
	s.Run("client", "set", "new.example", "--bounce-domain", "bounce.new.example")
	golden(t, "zone-bounce.txt", s.Run("client", "zone", "new.example", "--ip", "192.0.2.10", "--bounce-host",
		"mail.host.example"))
	s.DNS.Put("bounce.new.example. MX 10 mx.elsewhere.example.")
	if got := s.Run("client", "zone", "new.example", "--ip", "192.0.2.10", "--bounce-host",
		"mail.host.example"); !strings.Contains(got, "CHANGE: MX") ||
		!strings.Contains(got, "in place of mx.elsewhere.example") {
		t.Errorf("another MX: got\n%s", got)
	}
	s.Run("client", "set", "new.example", "--bounce", "off")
	// what it prints can be pasted as it is, and then all is right
	var before []string
	for range 2 {
		out := s.Run("client", "zone", "new.example", "--ip", "192.0.2.10")
		before = append(before, out)
		s.DNS.Put(out)
	}
	if strings.Contains(before[0], "SPF, already") || !strings.Contains(before[1], "RIGHT: SPF, already") ||
		!strings.Contains(before[1], "KEEP: DMARC") {
		t.Errorf("pasted: got first\n%s\nthen\n%s", before[0], before[1])
	}
}

// All of it at once, DKIM, the domain of signed return paths and DMARC, is one
// piece of a zone file: pasted as it is, nothing is left to be done.
func TestClientZoneWhole(t *testing.T) {
	t.Parallel()
	s := newSite(t, smtptest.Config{})
	keys := t.TempDir()
	s.Run("client", "add", "new.example")
	s.Run("client", "key", "new.example", "--selector", "s1", "--dkim-dir", keys)
	s.Run("client", "set", "new.example", "--dkim-selector", "s1", "--bounce-domain", "bounce.new.example")
	zone := func() string {
		return s.Run("client", "zone", "new.example", "--ip", "192.0.2.10", "--bounce-host", "mail.host.example",
			"--dkim-dir", keys)
	}
	var got []string
	out := zone()
	for line := range strings.Lines(out) {
		if f := strings.Fields(line); len(f) >= 4 && line[0] != ';' {
			got = append(got, strings.Join(f[:3], " "))
		}
	}
	want := []string{"new.example. IN TXT", "bounce.new.example. IN TXT", "bounce.new.example. IN MX",
		"s1._domainkey.new.example. IN TXT", "_dmarc.new.example. IN TXT"}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("lines (-want +got):\n%s", diff)
	}
	s.DNS.Put(out)
	for line := range strings.Lines(zone()) {
		if line != "\n" && line[0] != ';' {
			t.Errorf("pasted, and still to be published: %s", line)
		}
	}
}

// golden compares with a file of testdata; -update of TestSPFOutput writes it.
func golden(t *testing.T, name, got string) {
	t.Helper()
	file := filepath.Join("testdata", "client", name)
	if flag.Lookup("update").Value.String() == "true" {
		if err := os.WriteFile(file, []byte(got), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(string(want), got); diff != "" {
		t.Errorf("%s (-want +got)\n%s", name, diff)
	}
}

// A node signs with the keys it has; without, the client's batches are blocked
// and do not hold the turn, others go out, and the key sets them free.
func TestRunSigns(t *testing.T) {
	t.Parallel()
	s := newSite(t, smtptest.Config{})
	s.DNS.Put(`city.example. TXT "v=spf1 ip4:192.0.2.10 -all"`)
	s.Run("client", "add", "city.example")
	keys, spare := t.TempDir(), t.TempDir()
	s.Run("client", "key", "town.example", "--selector", "s1", "--type", "ed25519", "--dkim-dir", spare)
	s.Run("client", "set", "town.example", "--dkim-selector", "s1")
	signed := s.Enqueue("signed", "soup", 3, 1)
	s.Start("run", "--dkim-dir", keys)
	s.Until(`SELECT state = 'blocked' AND reason LIKE 'DKIM: no DKIM key for town.example, selector s1: there is no file %/town.example/s1.pem; %' FROM enotify.batch WHERE id = $1`, signed)
	other := ask[int64](s, `SELECT enotify.enqueue('other', 'info@city.example', 'Hello', 'x', ARRAY['a@d0.test'])`)
	s.Until(`SELECT state = 'done' FROM enotify.batch WHERE id = $1`, other)
	if out := s.Run("client", "show", "town.example"); !strings.Contains(out,
		"fail for s1._domainkey.town.example from 192.0.2.10: blocks the client's batches") {
		t.Errorf("client show: got\n%s", out)
	}
	if out := s.Run("client", "list"); !regexp.MustCompile(`(?m)^town.example +pass `).MatchString(out) {
		t.Errorf("client list: got\n%s\nwant pass: SPF is not to blame", out)
	}
	if err := os.CopyFS(keys, os.DirFS(spare)); err != nil {
		t.Fatal(err)
	}
	s.Run("batch", "resume", "1")
	s.Until(`SELECT state = 'done' FROM enotify.batch WHERE id = $1`, signed)
	for _, m := range s.SMTP.Messages() {
		if is, want := strings.HasPrefix(string(m.Data), "DKIM-Signature:"), m.From == "info@town.example"; is != want {
			t.Errorf("message from %s is signed: %v, want %v", m.From, is, want)
		}
	}
}
