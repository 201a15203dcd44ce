package spfguard_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"gopkg.in/yaml.v3"

	"enotify/spfguard"
	"enotify/spfguard/dns"
)

// A scenario is one document of the openspf.org test suites.
type scenario struct {
	Description string
	Tests       map[string]scenarioTest
	ZoneData    map[string][]zoneEntry `yaml:"zonedata"`
}

type scenarioTest struct {
	HELO        string `yaml:"helo"`
	Host        string
	MailFrom    string `yaml:"mailfrom"`
	Result      oneOrMore
	Explanation string
}

// oneOrMore decodes a scalar as a list of one.
type oneOrMore []string

func (l *oneOrMore) UnmarshalYAML(n *yaml.Node) error {
	if n.Kind == yaml.ScalarNode {
		var s string
		err := n.Decode(&s)
		*l = oneOrMore{s}
		return err
	}
	var s []string
	err := n.Decode(&s)
	*l = s
	return err
}

// A zoneEntry is one record, or how a name fails.
type zoneEntry struct {
	A, AAAA, SPF, TXT, PTR, CNAME oneOrMore
	MX                            []string
	Fails                         bool
}

func (e *zoneEntry) UnmarshalYAML(n *yaml.Node) error {
	if n.Kind == yaml.ScalarNode { // a bare TIMEOUT
		e.Fails = true
		return nil
	}
	var m map[string]yaml.Node
	if err := n.Decode(&m); err != nil {
		return err
	}
	for key, value := range m {
		var list oneOrMore
		if err := value.Decode(&list); err != nil {
			return err
		}
		switch key {
		case "A":
			e.A = list
		case "AAAA":
			e.AAAA = list
		case "SPF":
			e.SPF = list
		case "TXT":
			e.TXT = list
		case "PTR":
			e.PTR = list
		case "CNAME":
			e.CNAME = list
		case "MX":
			e.MX = list
		case "TIMEOUT", "SERVFAIL", "CNAMELOOP":
			e.Fails = true
		default:
			return fmt.Errorf("zone entry %q is not known to this test", key)
		}
	}
	return nil
}

// zoneOf builds the DNS of a scenario. Entries of the old SPF type (99) stand
// for TXT ones, unless the name has TXT entries of its own; a failing name
// fails for the types it has no records of.
func zoneOf(data map[string][]zoneEntry) *memory {
	z := newMemory()
	for name, entries := range data {
		name = strings.ToLower(strings.TrimSuffix(name, "."))
		ownTXT := slices.ContainsFunc(entries, func(e zoneEntry) bool { return e.TXT != nil })
		for _, e := range entries {
			z.exists[name] = true
			if e.Fails {
				z.fails[name] = true
			}
			for _, a := range e.A {
				z.a[name] = append(z.a[name], netip.MustParseAddr(a))
			}
			for _, a := range e.AAAA {
				z.aaaa[name] = append(z.aaaa[name], netip.MustParseAddr(a))
			}
			if e.MX != nil {
				var mx dns.MX
				fmt.Sscan(e.MX[0], &mx.Pref)
				mx.Host = strings.TrimSuffix(e.MX[1], ".")
				z.mx[name] = append(z.mx[name], mx)
			}
			for _, host := range e.PTR {
				z.ptr[name] = append(z.ptr[name], strings.TrimSuffix(host, "."))
			}
			for _, to := range e.CNAME {
				z.cname[name] = strings.ToLower(strings.TrimSuffix(to, "."))
			}
			switch {
			case e.TXT != nil && e.TXT[0] != "NONE":
				z.txt[name] = append(z.txt[name], octets(strings.Join(e.TXT, "")))
			case e.SPF != nil && !ownTXT:
				z.txt[name] = append(z.txt[name], octets(strings.Join(e.SPF, "")))
			}
		}
	}
	return z
}

// octets undoes YAML's reading of "\x96" as the character U+0096.
func octets(s string) string {
	var b []byte
	for _, r := range s {
		b = append(b, byte(r))
	}
	return string(b)
}

// loadSuite reads a suite out of the module that ships it.
func loadSuite(t *testing.T, file string) []scenario {
	t.Helper()
	out, err := exec.Command("go", "list", "-m", "-f", "{{.Dir}}", "blitiri.com.ar/go/spf").Output()
	if err != nil {
		t.Fatalf("where is the suite: %v", err)
	}
	f, err := os.Open(filepath.Join(strings.TrimSpace(string(out)), "testdata", file))
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	var all []scenario
	for dec := yaml.NewDecoder(f); ; {
		var s scenario
		err := dec.Decode(&s)
		if errors.Is(err, io.EOF) {
			return all
		}
		if err != nil {
			t.Fatal(err)
		}
		all = append(all, s)
	}
}

// runSuite runs every case; differs names those where we are right to differ,
// and what we say.
func runSuite(t *testing.T, file string, differs map[string]spfguard.Result) (cases int) {
	t.Helper()
	for _, s := range loadSuite(t, file) {
		c := &spfguard.Checker{Resolver: zoneOf(s.ZoneData)}
		for name, tc := range s.Tests {
			cases++
			want := []string(tc.Result)
			if r, ok := differs[name]; ok {
				want = []string{string(r)}
			}
			got := c.Check(context.Background(),
				spfguard.Query{IP: netip.MustParseAddr(tc.Host), Sender: tc.MailFrom, HELO: tc.HELO})
			if !slices.Contains(want, string(got.Result)) {
				t.Errorf("%s/%s: got %s (%v), want %s", s.Description, name, got.Result, got.Err, want)
				continue
			}
			if wantExp := strings.TrimPrefix(tc.Explanation, "DEFAULT"); tc.Explanation != "" &&
				got.Explanation != wantExp {
				t.Errorf("%s/%s: got explanation %q, want %q", s.Description, name, got.Explanation, wantExp)
			}
		}
	}
	return cases
}

// The suite of RFC 7208: all of it, none skipped.
func TestRFC7208Suite(t *testing.T) {
	t.Parallel()
	if n := runSuite(t, "rfc7208-tests.yml", nil); n != 203 {
		t.Errorf("got %d cases, want 203", n)
	}
}

// The suite of the RFC before: no difference, since a case whose answer RFC
// 7208 changed lists both answers or was decided the same way.
func TestRFC4408Suite(t *testing.T) {
	t.Parallel()
	runSuite(t, "rfc4408-tests.yml", nil)
}

// The cases of the reference implementation in Python.
func TestPySPFSuite(t *testing.T) {
	t.Parallel()
	runSuite(t, "pyspf-tests.yml", map[string]spfguard.Result{
		// default= of drafts before RFC 4408 never became part of SPF: an
		// unknown modifier has no effect (RFC 7208 §6), nothing matches, and
		// the result is neutral (§4.7). "ambiguous" is that library's own.
		"default-modifier":       spfguard.Neutral,
		"default-modifier-harsh": spfguard.Neutral,
	})
}
