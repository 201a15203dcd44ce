package main

import (
	"bytes"
	"context"
	"encoding/json"
	"flag"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"enotify/cmd/enotify/exit"
	"enotify/spfguard/dns/dnstest"
)

var update = flag.Bool("update", false, "write the golden files of testdata/spf")

const spfZone = `
client.example.     300 IN TXT "v=spf1 mx include:_spf.host.example -all"
client.example.     300 IN MX  10 mail.client.example.
mail.client.example. 300 IN A  192.0.2.1
_spf.host.example.  300 IN TXT "v=spf1 ip4:198.51.100.0/24 ?all"
closed.example.     300 IN TXT "v=spf1 mx a:gone.example include:_spf.host.example foo=bar -all exp=why.closed.example"
closed.example.     300 IN MX  10 mail.client.example.
why.closed.example. 300 IN TXT "%{i} is no host of %{d}"
strict.example.     300 IN TXT "v=spf1 mx ip6:2001:db8::/48 -all"
strict.example.     300 IN MX  10 mail.client.example.
strict.example.     300 IN MX  20 mail2.client.example.
strict.example.     300 IN MX  30 mail3.client.example.
mail2.client.example. 300 IN A 192.0.2.2
mail3.client.example. 300 IN A 192.0.2.3
soft.example.       300 IN TXT "v=spf1 ~all"
broken.example.     300 IN TXT "v=spf1 mx, ipv4:203.0.113.9 - all"
nospf.example.      300 IN A   192.0.2.1
over.example.       300 IN TXT "v=spf1 ip4:198.51.100.7 include:eleven.example -all"
eleven.example.     300 IN TXT "v=spf1 a:a1.example a:a1.example a:a1.example a:a1.example a:a1.example a:a1.example a:a1.example a:a1.example a:a1.example a:a1.example a:a1.example -all"
a1.example.         300 IN A   192.0.2.9
two.example.        300 IN TXT "v=spf1 mx -all"
two.example.        300 IN TXT "v=spf1 include:_spf.host.example ~all"
two.example.        300 IN MX  10 mail.client.example.
doubt.example.      300 IN TXT "v=spf1 mx newsletter -all"
dead.example.       300 IN TXT "v=spf1 mx include:spf.gone.example -all"
typed.example.      300 IN TXT "v=spf1 include: _spf.host.example mail.client.example +all"
evil.example.       300 IN TXT "v=spf1 a:\027[2J\"x\\ -all"
`

// spfRun is one call of enotify spf.
func spfRun(t *testing.T, live []netip.Addr, stdin string, args ...string) (stdout, stderr string, code int) {
	t.Helper()
	srv := dnstest.New(t, spfZone)
	srv.Fail("down.example", dnstest.ServFail)
	var out, errs bytes.Buffer
	a := &app{getenv: func(string) string { return "" }, stdin: strings.NewReader(stdin), stdout: &out, stderr: &errs,
		resolver: srv.Addr}
	cmd := a.spfCmd(func(context.Context, string, string) ([]netip.Addr, error) { return live, nil })
	cmd.SilenceErrors, cmd.SilenceUsage = true, true
	cmd.SetArgs(args)
	code = exitCode(cmd.ExecuteContext(t.Context()), &errs)
	return strings.ReplaceAll(out.String(), srv.Addr, "RESOLVER"),
		strings.ReplaceAll(errs.String(), srv.Addr, "RESOLVER"), code
}

func TestSPFExitCodes(t *testing.T) {
	t.Parallel()
	node := []netip.Addr{netip.MustParseAddr("198.51.100.7")}
	for _, tt := range []struct {
		args string
		code int
		err  string // contained in stderr
	}{
		{"check client.example --ip 198.51.100.7", 0, ""},
		{"check client.example --ip 198.51.100.7,192.0.2.1 --ip 198.51.100.8", 0, ""},
		{"check client.example", 0, ""}, // the live node's
		{"check client.example --ip 203.0.113.1", 2, ""},
		{"check client.example --ip 198.51.100.7,203.0.113.1", 2, ""},
		{"check broken.example", 2, ""},
		{"check down.example", 1, "SERVFAIL"},
		{"check down.example,", 64, `"," is not allowed`},
		{"check info@client.example", 64, "--mail-from info@client.example"},
		{"check https://client.example/", 64, "is a link"},
		{"check client", 64, "has no dot"},
		{"check typo.invalid", 2, ""},
		{"fix typo.invalid", 2, "is the name mistyped"},
		{"fix client.example --ip 10.0.0.5", 2, "10.0.0.5 is a private address (RFC 1918)"},
		{"fix doubt.example", 2, ""},
		{"fix over.example", 2, ""}, // ours pass, others do not
		{"check soft.example", 0, ""},
		{"check soft.example --strict", 3, ""},
		{"check client.example --strict", 0, ""},
		{"check nospf.example --strict", 3, ""},
		{"check --mail-from news@client.example", 0, ""},
		{"check --mail-from= --helo client.example", 0, ""},
		{"check closed.example --record v=spf1~+all", 0, ""},
		{"check --mail-from=", 64, "--helo"},
		{"check", 64, "--mail-from"},
		{"check client.example --ip 198.51.100", 64, "--ip 198.51.100"},
		{"check client.example -o xml", 64, "text or json"},
		{"lint client.example", 0, ""},
		{"lint closed.example", 0, ""},
		{"lint closed.example --strict", 3, ""},
		{"lint broken.example", 2, ""},
		{"lint --record v=spf1~mx~-all", 0, ""},
		{"lint down.example", 1, "SERVFAIL"},
		{"lint", 64, "--record"},
		{"fix closed.example", 0, ""},
		{"fix down.example", 1, "SERVFAIL"},
		{"fix single", 64, "single"},
		{"build client.example --mx --all fail", 0, ""},
		{"build client.example --include nospf.example", 2, ""},
		{"build client.example --host single", 64, "single"},
		{"build client.example --ip 192.0.2", 64, "192.0.2"},
		{"build client.example --all pass", 64, "pass"},
		{"build client.example", 64, "who may send"},
	} {
		args := strings.Fields(tt.args)
		for i := range args {
			args[i] = strings.ReplaceAll(args[i], "~", " ")
		}
		_, stderr, code := spfRun(t, node, "", args...)
		if code != tt.code || !strings.Contains(stderr, tt.err) || strings.Count(stderr, "\n") > 1 {
			t.Errorf("%s: got exit %d, %q, want %d and %q in one line", tt.args, code, stderr, tt.code, tt.err)
		}
	}
	if _, stderr, code := spfRun(t, nil, "", "check", "client.example"); code != exit.Usage ||
		!strings.Contains(stderr, "--egress") {
		t.Errorf("no live node: got exit %d, %q, want %d and how to name addresses", code, stderr, exit.Usage)
	}
}

// What people and programs see of each verb.
func TestSPFOutput(t *testing.T) {
	t.Parallel()
	for name, args := range map[string]string{
		"check-pass.txt":   "check client.example --ip 198.51.100.7",
		"check-fail.txt":   "check closed.example --ip 203.0.113.9,198.51.100.7 --helo mail.host.example",
		"check-fail.json":  "check closed.example --ip 203.0.113.9,198.51.100.7 -o json",
		"check-broken.txt": "check broken.example --ip 203.0.113.9",
		"check-evil.txt":   "check evil.example --ip 203.0.113.9",
		"check-none.json":  "check nospf.example --ip 203.0.113.9 -o json",
		"check-down.json":  "check down.example --ip 203.0.113.9 -o json",
		"lint.txt":         "lint broken.example",
		"lint.json":        "lint broken.example -o json",
		"fix.txt":          "fix closed.example --ip 203.0.113.9 --include _spf.host.example",
		"fix.json":         "fix closed.example --ip 203.0.113.9 -o json",
		"fix-nothing.txt":  "fix client.example --ip 198.51.100.7",
		"fix-none.txt":     "fix nospf.example --ip 203.0.113.9",
		"fix-over.txt":     "fix over.example --ip 198.51.100.7",
		"fix-two.txt":      "fix two.example --ip 203.0.113.9",
		"fix-typed.txt":    "fix typed.example --ip 203.0.113.9",
		"fix-dead.txt":     "fix dead.example --ip 203.0.113.9",
		"fix-doubt.txt":    "fix doubt.example --ip 203.0.113.9",
		"fix-doubt.json":   "fix doubt.example --ip 203.0.113.9 -o json",
		"check-absent.txt": "check typo.invalid --ip 203.0.113.9",
		"check-strict.txt": "check strict.example --ip 2001:db8::9",
		"build.txt":        "build client.example --mx --ip 38.106.5.33/32",
		"build.json":       "build client.example --mx --ptr --all fail -o json",
	} {
		got, stderr, code := spfRun(t, nil, "", strings.Fields(args)...)
		if stderr != "" && code != exit.Failed {
			t.Errorf("%s: got %q on stderr", args, stderr)
		}
		if strings.HasSuffix(name, ".json") && !json.Valid([]byte(got)) {
			t.Errorf("%s: got no JSON: %s", args, got)
		}
		golden := filepath.Join("testdata", "spf", name)
		if *update {
			if err := os.WriteFile(golden, []byte(got), 0o644); err != nil {
				t.Fatal(err)
			}
		}
		want, err := os.ReadFile(golden)
		if err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(string(want), got); diff != "" {
			t.Errorf("%s (-want +got)\n%s", args, diff)
		}
	}
}

func TestSPFConversation(t *testing.T) {
	t.Parallel()
	var plan spfPlan
	var asked bytes.Buffer
	answers := strings.Join([]string{"client", "client.example", "y", "perhaps", "no", "192.0.2.1, 198.51.100.0/24",
		"host", "", "_spf.host.example", "fail"}, "\n") + "\n"
	if err := plan.converse(strings.NewReader(answers), &asked); err != nil {
		t.Fatal(err)
	}
	want := spfPlan{domain: "client.example", mx: true, networks: []string{"192.0.2.1", "198.51.100.0/24"},
		includes: []string{"_spf.host.example"}, all: "fail"}
	if diff := cmp.Diff(want, plan, cmp.AllowUnexported(spfPlan{})); diff != "" {
		t.Errorf("(-want +got)\n%s", diff)
	}
	for _, refused := range []string{`"client"`, `"perhaps"`, `"host"`} {
		if !strings.Contains(asked.String(), refused+" is not what is asked for") {
			t.Errorf("%s was accepted:\n%s", refused, &asked)
		}
	}
	if err := new(spfPlan).converse(strings.NewReader("client.example\n"), &asked); err == nil {
		t.Error("the end of the answers: got no error")
	}
}
