package doctor_test

import (
	"bytes"
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"errors"
	"math/big"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"enotify/cmd/enotify/doctor"
	"enotify/cmd/enotify/term"
	"enotify/queue"
	"enotify/queue/queuetest"
	"enotify/sender/smtptest"
	"enotify/spfguard/dns/dnstest"
)

const zone = `
.                        NS  a.root.example.
10.2.0.192.in-addr.arpa. PTR mail.host.example.
mail.host.example.       A   192.0.2.10
mail.host.example.       TXT "v=spf1 ip4:192.0.2.10 -all"
11.2.0.192.in-addr.arpa. PTR elsewhere.example.
elsewhere.example.       A   198.51.100.1
12.2.0.192.in-addr.arpa. PTR other.example.
other.example.           A   192.0.2.12
`

// An operator's installation is in order, and each thing that breaks in it is
// found, with its cure.
func TestDoctor(t *testing.T) {
	t.Parallel()
	f := queuetest.NewFixture(t)
	f.Exec(`INSERT INTO enotify.node (name, egress, helo, version, live_until) VALUES ('n1', '{192.0.2.10}', 'mail.host.example', 'dev', now() + interval '1 hour')`)
	f.Exec(`UPDATE enotify.client SET dkim_selectors = '{s1}'`)
	names := dnstest.New(t, zone)
	names.Sign(".")
	lying := dnstest.New(t, "*.invalid. A 192.0.2.99")
	lying.Fail(".", dnstest.Refused) // as one that serves a private DNS alone
	host, err := smtptest.Start(smtptest.Config{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { host.Close() })
	open := func(ctx context.Context) (*queue.DB, error) { return queue.Open(ctx, f.URL, 0) }
	soundly := doctor.Config{Open: open, Resolver: names.Addr,
		StateDir: filepath.Join(t.TempDir(), "not", "made", "yet"), Port25Host: host.Addr}

	// The server of the tests forgets on purpose, and no keys were named.
	base := map[string]string{
		"db.open": "ok", "db.server": "ok", "db.login": "ok", "db.durability": "warning", "db.pooler": "ok",
		"db.schema": "ok", "db.transactions": "ok",
		"host.clock": "ok", "nodes.alive": "ok", "clients.blocked": "note", "dns": "ok", "dns.honest": "ok",
		"dns.validates": "note",
		"egress.public": "ok", "egress.name": "ok", "egress.spf": "ok", "egress.port25": "ok", "host.state": "ok",
		"dkim.keys": "note",
	}
	got := doctor.Run(t.Context(), soundly)
	if diff := cmp.Diff(base, severities(got)); diff != "" {
		t.Errorf("an installation in order (-want +got):\n%s", diff)
	}
	if page := text(got, 40); !strings.HasPrefix(page,
		"2 warnings.\n\nwarning  The database runs with fsync =\n         off: a crash") {
		t.Errorf("page: got\n%s\nwant the verdict and then the warnings, in lines of 40", page)
	}

	f.Exec(`INSERT INTO enotify.verdict (client_id, identity, domain, egress, result, blocks, valid_until)
		SELECT id, 'mailfrom', domain, '192.0.2.10', 'fail', true, now() FROM enotify.client`)
	f.Exec(`UPDATE enotify.node SET live_until = now() - interval '1 hour'`)
	cert, key := certificate(t, time.Now().Add(-time.Hour))
	for name, test := range map[string]struct {
		change func(c *doctor.Config)
		want   map[string]string // what differs
	}{
		"no node, a client blocked": {
			func(c *doctor.Config) { c.Egress, c.HELO = addrs("192.0.2.10"), "mail.host.example" },
			map[string]string{"nodes.alive": "problem", "nodes.silent": "note", "clients.blocked": "warning"},
		},
		"no database": {
			func(c *doctor.Config) {
				c.Open = func(context.Context) (*queue.DB, error) {
					return nil,
						errors.New("no database at 127.0.0.1:1")
				}
				c.Egress, c.HELO = addrs("192.0.2.11"), "mail.host.example"
			},
			map[string]string{
				"db.open": "problem", "db.server": "", "db.login": "", "db.durability": "", "db.pooler": "",
				"db.schema": "", "db.transactions": "", "host.clock": "",
				"nodes.alive": "", "clients.blocked": "", "dkim.keys": "", "egress.name": "problem",
				"egress.spf": "warning",
			},
		},
		"a login of an application": {
			func(c *doctor.Config) {
				login := queuetest.Login(t, f.URL, "enotify_app")
				c.Open = func(ctx context.Context) (*queue.DB, error) { return queue.Open(ctx, login, 0) }
				c.Egress, c.HELO = addrs("192.0.2.12"), "mail.host.example"
			},
			map[string]string{"db.login": "note", "db.transactions": "", "nodes.alive": "", "clients.blocked": "", "dkim.keys": "",
				"egress.name": "warning", "egress.spf": "warning"},
		},
		"a DNS server that lies, a closed port, an ended certificate": {
			func(c *doctor.Config) {
				c.Resolver, c.Port25Host, c.DKIMDir = lying.Addr, "127.0.0.1:1", "/nonexistent"
				c.Egress, c.HELO = addrs("10.0.0.5"), "mail.host.example"
				c.StateDir, c.BounceCert, c.BounceKey = "/dev/null/journals", cert, key
			},
			map[string]string{
				"nodes.alive": "problem", "nodes.silent": "note", "clients.blocked": "warning", "dns": "warning",
				"dns.honest": "problem", "dns.validates": "",
				"egress.public": "problem", "egress.name": "", "egress.spf": "", "egress.port25": "problem",
				"host.state": "problem", "dkim.keys": "problem", "cert.bounce": "problem",
			},
		},
	} {
		c := soundly
		test.change(&c)
		want := map[string]string{}
		for id, severity := range base {
			want[id] = severity
		}
		for id, severity := range test.want {
			if want[id] = severity; severity == "" {
				delete(want, id)
			}
		}
		got := doctor.Run(t.Context(), c)
		if diff := cmp.Diff(want, severities(got)); diff != "" {
			t.Errorf("%s (-want +got):\n%s\n%s", name, diff, text(got, 0))
		}
		for _, finding := range got.Findings {
			if finding.Severity == doctor.Problem && len(finding.Cure) == 0 && finding.ID != "db.open" {
				t.Errorf("%s: %s: got no cure for %q", name, finding.ID, finding.Found)
			}
		}
	}
}

// A mail host that does not exist says nothing about port 25.
func TestPort25HostDoesNotExist(t *testing.T) {
	t.Parallel()
	f := queuetest.NewFixture(t)
	r := doctor.Run(t.Context(), doctor.Config{
		Open:     func(ctx context.Context) (*queue.DB, error) { return queue.Open(ctx, f.URL, 0) },
		Resolver: dnstest.New(t, zone).Addr, StateDir: t.TempDir(), Egress: addrs("192.0.2.10"), HELO: "mail.host.example",
		Port25Host: "no..host", // a name that no DNS is asked for
	})
	if got, want := text(r, 0), "is not known: the DNS knows no host no..host."; !strings.Contains(got, want) {
		t.Errorf("got\n%s\nwant %q", got, want)
	}
}

// Logins of applications that may take every connection of the server are named, with the line that cures it.
func TestLoginsWithoutLimit(t *testing.T) {
	t.Parallel()
	f := queuetest.NewFixture(t)
	config := doctor.Config{Open: func(ctx context.Context) (*queue.DB, error) { return queue.Open(ctx, f.URL, 0) },
		Resolver: dnstest.New(t, zone).Addr, StateDir: t.TempDir(), Egress: addrs("192.0.2.10"), HELO: "mail.host.example"}
	tied := queuetest.Connect(t, queuetest.Login(t, f.URL, "enotify_app")).Config().User
	app := queuetest.Connect(t, queuetest.Login(t, f.URL, "enotify_app"))
	if _, err := app.Exec(t.Context(), `SELECT enotify.enqueue('k', 'info@town.example', 'S', 'x', '{x@a.example}')`); err != nil {
		t.Fatal(err)
	}
	f.Exec(`INSERT INTO enotify.client_login SELECT id, $1 FROM enotify.client`, tied)
	for name, login := range map[string]string{"tied to a client": tied, "that has made a batch": app.Config().User} {
		f.Exec(`ALTER ROLE ` + tied + ` CONNECTION LIMIT 1`)
		f.Exec(`ALTER ROLE ` + app.Config().User + ` CONNECTION LIMIT 1`)
		f.Exec(`ALTER ROLE ` + login + ` CONNECTION LIMIT 1000`)
		if got := severities(doctor.Run(t.Context(), config))["db.logins"]; got != "note" {
			t.Errorf("%s, a limit of more connections than there are: got %s, want note", name, got)
		}
		f.Exec(`ALTER ROLE ` + login + ` CONNECTION LIMIT -1`)
		var cure string
		for _, finding := range doctor.Run(t.Context(), config).Findings {
			if finding.ID == "db.logins" && finding.Severity == doctor.Warning {
				cure = finding.Cure[0]
			}
		}
		if cure == "" {
			t.Fatalf("%s, without limit: got no warning", name)
		}
		f.Exec(cure)
		if got := severities(doctor.Run(t.Context(), config))["db.logins"]; got != "ok" {
			t.Errorf("%s, after %s: got %s, want ok", name, cure, got)
		}
	}
	owner := queuetest.Connect(t, queuetest.Login(t, f.URL)).Config().User
	f.Exec(`DO $$ BEGIN EXECUTE format('GRANT %I TO ` + owner + `', (SELECT nspowner::regrole FROM pg_namespace WHERE nspname = 'enotify')); END $$`)
	f.Exec(`UPDATE enotify.batch SET created_by = $1`, owner)
	if got := severities(doctor.Run(t.Context(), config))["db.logins"]; got != "ok" {
		t.Errorf("an owner of the schema without limit, who has made a batch: got %s, want ok", got)
	}
}

func addrs(text string) []netip.Addr { return []netip.Addr{netip.MustParseAddr(text)} }

// severities are the worst of each kind of finding. How many files a test may
// have open is not ours to say.
func severities(r doctor.Report) map[string]string {
	worst := map[string]string{}
	for _, f := range r.Findings {
		if _, ok := worst[f.ID]; !ok && f.ID != "host.files" {
			worst[f.ID] = string(f.Severity)
		}
	}
	return worst
}

func text(r doctor.Report, columns int) string {
	var b bytes.Buffer
	p := term.NewPage(&b, false, time.Now())
	p.Columns = columns
	r.Lay(p)
	_ = p.Flush() // a buffer takes all
	return b.String()
}

// certificate makes one that ends then, and returns its files.
func certificate(t *testing.T, until time.Time) (cert, key string) {
	t.Helper()
	private, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "mail.host.example"},
		NotAfter: until}
	der, err := x509.CreateCertificate(rand.Reader, template, template, &private.PublicKey, private)
	if err != nil {
		t.Fatal(err)
	}
	secret, err := x509.MarshalPKCS8PrivateKey(private)
	if err != nil {
		t.Fatal(err)
	}
	write := func(name, kind string, der []byte) string {
		file := filepath.Join(t.TempDir(), name)
		if err := os.WriteFile(file, pem.EncodeToMemory(&pem.Block{Type: kind, Bytes: der}), 0o600); err != nil {
			t.Fatal(err)
		}
		return file
	}
	return write("cert.pem", "CERTIFICATE", der), write("key.pem", "PRIVATE KEY", secret)
}
