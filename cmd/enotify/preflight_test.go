package main_test

import (
	"bufio"
	"bytes"
	"encoding/json"
	"encoding/pem"
	"errors"
	"fmt"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"enotify/cmd/enotify/preflight"
	"enotify/cmd/enotify/sitetest"
	"enotify/queue/queuetest"
	"enotify/sender/dkim"
	"enotify/sender/smtptest"
	"enotify/sender/token"
)

// What is simulated comes true: a batch is forecast, and then really sent. Its
// end is decided by rates, of a domain, of a site, and of all others; another
// batch has the turn before. The rates let nobody be faster than forecast; on a
// machine with other work it may be slower.
func TestForecastComesTrue(t *testing.T) {
	t.Parallel()
	s := newSite(t, smtptest.Config{})
	if err := s.DNS.Put("mx.slow.test. A 127.0.0.1\n*.slow.test. MX 10 mx.slow.test.\nslow.test. MX 10 mx.slow.test."); err != nil {
		t.Fatal(err)
	}
	s.Exec(`UPDATE enotify.destination SET rate_messages = 40, burst = 5 WHERE name = '*'`)
	s.Exec(`INSERT INTO enotify.destination (name, rate_messages, rate_per, burst) VALUES ('big.test', 25, '1 s', 5), ('slow.test', 20, '1 s', 5)`)
	first := s.Enqueue("first", "Soup.", 400, 4) // 100 to each of 4 domains at 40/s: 2.5 s
	second := ask[int64](s, `SELECT enotify.enqueue('second', 'info@town.example', 'Lunch menu', 'Soup.',
		ARRAY(SELECT format('user%s@big.test', i) FROM generate_series(1, 150) i) ||
		ARRAY(SELECT format('user%s@d%s.slow.test', i, i % 10) FROM generate_series(1, 160) i) ||
		ARRAY(SELECT format('user%s@d%s.test', i, i % 10) FROM generate_series(1, 100) i))`)

	var r preflight.Report
	// our addresses have no names here: 2
	text, exit := s.Enotify("preflight", fmt.Sprint(second), "-o", "json", "--message-time", "5ms").Output()
	if err := json.Unmarshal(text, &r); err != nil {
		t.Fatalf("%v, %v: %s", exit, err, text)
	}
	s.Run("run", "--until-idle")
	took := func(batch int64) float64 {
		return ask[float64](s, `SELECT extract(epoch FROM max(o.at) - b.started_at)::float8 FROM enotify.outcome o JOIN enotify.batch b ON b.id = o.batch_id WHERE b.id = $1 GROUP BY b.started_at`, batch)
	}
	slowest := r.Sites[slices.IndexFunc(r.Sites, func(s preflight.Site) bool { return s.Name == "slow.test" })]
	for _, c := range []struct {
		name             string
		forecast, really float64
		rounded          float64 // the report has whole seconds: half a second off for each figure
	}{
		{"both batches", float64(r.Summary.Seconds), took(first) + took(second), 0.5},
		{"its slowest site", float64(slowest.Seconds - r.Curve[0].Seconds[0]), took(second), 1},
	} {
		t.Logf("%s: forecast %.1f s, really %.1f s", c.name, c.forecast, c.really)
		if c.really < 0.9*c.forecast-c.rounded || c.really > 2*c.forecast+10 {
			t.Errorf("%s: forecast %.1f s, really %.1f s", c.name, c.forecast, c.really)
		}
	}
	if r.Summary.Slowest != "slow.test" {
		t.Errorf("slowest: got %s, want slow.test", r.Summary.Slowest)
	}
}

// named gives the site's address its name, and the client a place for answers.
const named = `
10.2.0.192.in-addr.arpa.  PTR mail.host.example.
mail.host.example.        A   192.0.2.10
town.example.             MX  10 mail.host.example.
`

// A watch goes on until the DNS is right, and says what it waits for.
func TestWatchUntilGreen(t *testing.T) {
	t.Parallel()
	s := newSite(t, smtptest.Config{})
	batch := s.Enqueue("menu", "Soup.", 10, 2)
	cmd := s.Enotify("preflight", fmt.Sprint(batch), "--watch", "--every", "1s")
	var stdout bytes.Buffer
	cmd.Stdout = &stdout
	stderr, err := cmd.StderrPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	lines := bufio.NewScanner(stderr)
	if !lines.Scan() || !strings.Contains(lines.Text(), "BLOCKED: 2 block") ||
		!strings.HasSuffix(lines.Text(), "; waits for ptr.fcrdns hdr.from") {
		t.Errorf("first line: got %q", lines.Text())
	}
	if err := s.DNS.Put(named); err != nil {
		t.Fatal(err)
	}
	for lines.Scan() {
		t.Errorf("said %q as well", lines.Text())
	}
	if err := cmd.Wait(); err != nil {
		t.Errorf("got %v, want exit code 0", err)
	}
	if !strings.Contains(stdout.String(), "\nWARNINGS: 0 block") {
		t.Errorf("got %s", stdout.String())
	}
	if got := ask[string](s, `SELECT string_agg(verdict, ' ') FROM enotify.preflight WHERE batch_id = $1`,
		batch); got != "warnings" {
		t.Errorf("kept: got %s, want the last report", got)
	}
}

// The message is rendered as the node does: signed with the client's key, and
// with an address to unsubscribe at.
func TestPreflightRendersAsTheNodeDoes(t *testing.T) {
	t.Parallel()
	s := newSite(t, smtptest.Config{})
	keys := dkim.Directory{Path: t.TempDir()}
	key, err := keys.Generate("town.example", "e1", dkim.Ed25519)
	if err != nil {
		t.Fatal(err)
	}
	if err := s.DNS.Put(named + fmt.Sprintf("e1._domainkey.town.example. TXT %q\n_dmarc.town.example. TXT \"v=DMARC1; p=none\"\n", key.Record())); err != nil {
		t.Fatal(err)
	}
	s.Run("client", "set", "town.example", "--dkim-selector", "e1")
	batch := s.Enqueue("menu", "Soup.", 10, 2)
	text, err := s.Enotify("preflight", fmt.Sprint(batch), "-o", "json", "--dkim-dir", keys.Path, "--public-url",
		"https://127.0.0.1:9").Output()
	var r preflight.Report
	if jsonErr := json.Unmarshal(text, &r); jsonErr != nil {
		t.Fatalf("%v, %v: %s", err, jsonErr, text)
	}
	for id, want := range map[string]preflight.Severity{
		"dkim.key": preflight.Pass, "dkim.sign": preflight.Pass, "dmarc.align": preflight.Pass,
		"unsub.header": preflight.Pass, "unsub.works": preflight.NotChecked,
	} {
		if f := r.Row(id); f.Severity != want {
			t.Errorf("%s: got %s (%s %q), want %s", id, f.Severity, f.Found, f.Evidence, want)
		}
	}

	// with a smarthost, its limits are all there is
	text, err = s.Enotify("preflight", fmt.Sprint(batch), "-o", "json", "--smarthost", "relay.test:25").Output()
	if jsonErr := json.Unmarshal(text, &r); jsonErr != nil {
		t.Fatalf("%v, %v: %s", err, jsonErr, text)
	}
	if len(r.Sites) != 1 || r.Sites[0].Name != "relay.test" || r.Sites[0].Recipients != 10 {
		t.Errorf("with a smarthost: got %+v, want relay.test with all 10 recipients", r.Sites)
	}

	out, err := s.Enotify("preflight", fmt.Sprint(batch), "--dkim-dir", t.TempDir()).Output()
	if exit := (*exec.ExitError)(nil); !errors.As(err, &exit) || exit.ExitCode() != 2 ||
		!strings.Contains(string(out), "cannot be signed") {
		t.Errorf("without the key: got %v and %s, want exit code 2", err, out)
	}
}

// A login that is only an admin gets the rows about unsubscribing as well,
// though it may not sign as nodes do. No link in a report unsubscribes anybody.
func TestPreflightAsAnAdmin(t *testing.T) {
	t.Parallel()
	s := newSite(t, smtptest.Config{})
	addr := sitetest.FreePort(t)
	first := s.Enqueue("first", "Soup.", 2, 1)
	s.Start("run", "--listen", addr, "--public-url", "https://news.host.example")
	s.Until(`SELECT state = 'done' FROM enotify.batch WHERE id = $1`, first)
	front := httptest.NewTLSServer(httputil.NewSingleHostReverseProxy(&url.URL{Scheme: "http", Host: addr}))
	t.Cleanup(front.Close)
	trusted := filepath.Join(t.TempDir(), "front.pem")
	if err := os.WriteFile(trusted, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: front.Certificate().Raw}),
		0o600); err != nil {
		t.Fatal(err)
	}
	s.Until(`SELECT coalesce(message_time > '0', false) FROM enotify.node`)
	draft := ask[int64](s, `SELECT enotify.create_batch('second', 'info@town.example', 'Menu', 'Soup.')`)
	s.Exec(`SELECT enotify.add_recipients($1, '{user1@d0.test}')`, draft)

	keys := token.Keys{{ID: ask[string](s, `SELECT id FROM enotify.token_key`),
		Secret: ask[[]byte](s, `SELECT secret FROM enotify.token_key`)}}
	all := s.URL
	for _, c := range []struct{ login, url, says string }{
		{"an admin", queuetest.Login(t, all, "enotify_admin"), "not tried: this login may not sign addresses"},
		{"everything", all, "GET, for a recipient of an earlier batch: 200"},
	} {
		s.URL = c.url
		cmd := s.Enotify("preflight", fmt.Sprint(draft), "-o", "json", "--public-url", front.URL)
		cmd.Env = append(cmd.Env, "SSL_CERT_FILE="+trusted)
		text, exit := cmd.Output() // our addresses have no names here: 2
		var r preflight.Report
		if err := json.Unmarshal(text, &r); err != nil {
			t.Fatalf("as %s: %v, %v: %s", c.login, err, exit, text)
		}
		if f := r.Row("unsub.works"); f.Severity != preflight.Pass ||
			!strings.Contains(strings.Join(f.Evidence, "\n"), c.says) {
			t.Errorf("as %s: unsub.works: got %s (%s %q), want pass and %q", c.login, f.Severity, f.Found, f.Evidence,
				c.says)
		}
		if f := r.Row("eta"); !strings.Contains(strings.Join(f.Evidence, "\n"),
			"in one connection (what the nodes measured lately, over all sites)") {
			t.Errorf("as %s: eta: got %q, want the time that the node measured", c.login, f.Evidence)
		}
		f := r.Row("unsub.header")
		link := regexp.MustCompile(`/u/([a-z0-9-]+)>`).FindStringSubmatch(strings.Join(f.Evidence, "\n"))
		if f.Severity != preflight.Pass || link == nil {
			t.Fatalf("as %s: unsub.header: got %s (%s %q), want pass", c.login, f.Severity, f.Found, f.Evidence)
		}
		if who, err := keys.Open(token.Unsubscribe, link[1]); err == nil {
			t.Errorf("as %s: the report has a link that unsubscribes recipient %d of batch %d", c.login, who.Seq,
				who.Batch)
		}
	}
	if n := ask[int](s, `SELECT count(*)::int FROM enotify.suppression`); n != 0 {
		t.Errorf("got %d suppressed, want none by looking", n)
	}
}
