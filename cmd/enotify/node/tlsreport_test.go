package node_test

import (
	"bytes"
	"compress/gzip"
	"crypto/sha256"
	"crypto/tls"
	"crypto/x509"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"io"
	"mime"
	"mime/multipart"
	"net"
	"net/http"
	"net/http/httptest"
	"net/mail"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"enotify/cmd/enotify/sitetest"
	"enotify/sender/dkim"
	"enotify/sender/smtptest"
	"enotify/sender/tlsrpt"
)

// A domain whose policy of MTA-STS its own certificate does not meet gets no mail,
// but for one report that says so, of two nodes; a domain with DNSSEC and matching
// TLSA records gets its mail, and its report by HTTPS.
func TestTLSReports(t *testing.T) {
	t.Parallel()
	ca, err := smtptest.NewAuthority("Test Authority")
	if err != nil {
		t.Fatal(err)
	}
	issue := func(names ...string) *tls.Config {
		config, err := ca.Issue(time.Now().Add(time.Hour), names...)
		if err != nil {
			t.Fatal(err)
		}
		return config
	}
	wrong := issue("mx.elsewhere.test")
	s := sitetest.New(t, smtptest.Config{TLS: wrong})
	leaf, err := x509.ParseCertificate(wrong.Certificates[0].Certificate[0])
	if err != nil {
		t.Fatal(err)
	}
	posted := make(chan []byte, 10)
	pages := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Method == http.MethodPost {
			body, _ := io.ReadAll(r.Body)
			posted <- body
			return
		}
		w.Header().Set("Content-Type", "text/plain")
		fmt.Fprint(w, "version: STSv1\nmode: enforce\nmx: mx.test\nmax_age: 86400\n")
	}))
	pages.TLS = issue("mta-sts.bad.test")
	pages.StartTLS()
	t.Cleanup(pages.Close)
	port := pages.Listener.Addr().(*net.TCPAddr).Port
	keys := dkim.Directory{Path: t.TempDir()}
	key, err := keys.Generate("host.example", "s1", dkim.Ed25519)
	if err != nil {
		t.Fatal(err)
	}
	key256 := sha256.Sum256(leaf.RawSubjectPublicKeyInfo)
	if err := s.DNS.Put(fmt.Sprintf(`
host.example.                TXT "v=spf1 ip4:192.0.2.10 -all"
s1._domainkey.host.example.  TXT %q
_mta-sts.bad.test.           TXT "v=STSv1; id=1;"
mta-sts.bad.test.            A   127.0.0.1
_smtp._tls.bad.test.         TXT "v=TLSRPTv1; rua=mailto:tls@bad.test"
bad.test.                    MX  10 mx.test.
dane.test.                   MX  10 mx.dane.test.
mx.dane.test.                A   127.0.0.1
_25._tcp.mx.dane.test.       TLSA 3 1 1 %x
_smtp._tls.dane.test.        TXT "v=TLSRPTv1;rua=https://reports.test:%d/tls"
reports.test.                A   127.0.0.1
`, key.Record(), key256, port)); err != nil {
		t.Fatal(err)
	}
	s.DNS.Sign("dane.test")
	s.Exec(`INSERT INTO enotify.client (domain, dkim_selectors) VALUES ('host.example', '{s1}')`)
	batch := sitetest.Ask[int64](s, `SELECT enotify.enqueue('k', 'info@town.example', 'Menu', 'Soup.', '{ada@bad.test,bob@dane.test}')`)
	c := s.Node()
	c.DNSSECResolver, c.RootCAs, c.HTTPSPort, c.DKIMDir = s.DNS.Addr, ca.Pool(), port, keys.Path

	stop := s.Serve(c)
	s.Until(`SELECT count(*) = 2 FROM enotify.delivery WHERE batch_id = $1 AND state IN ('delivered', 'deferred')`,
		batch)
	stop()
	if got, want := s.States(batch), "deferred 1, delivered 1"; got != want {
		t.Fatalf("got %s, want %s: the policy holds", got, want)
	}
	s.Exec(`UPDATE enotify.tls_result SET day = day - 2`)
	day := sitetest.Ask[string](s, `SELECT min(day)::text FROM enotify.tls_result`)
	c.TLSReportFrom, c.Name = "tls@host.example", "one"
	s.Serve(c)
	c.Name = "two"
	s.Serve(c)
	s.Until(`SELECT count(*) = 2 FROM enotify.tls_report WHERE finished_at IS NOT NULL`)
	s.Until(`SELECT count(*) = 1 FROM enotify.batch_status WHERE client = 'host.example' AND delivered = 1`)

	report := s.SMTP.Messages()[1]
	if got := fmt.Sprint(report.From, report.To, len(s.SMTP.Messages())); got != "tls@host.example[tls@bad.test] 2" {
		t.Fatalf("got %s, want one report to bad.test by mail", got)
	}
	got := readReport(t, report.Data)
	want := fmt.Sprintf(`{"contact-info":"tls@host.example","date-range":{"end-datetime":"%[1]sT23:59:59Z","start-datetime":"%[1]sT00:00:00Z"},`+
		`"organization-name":"host.example","policies":[{"failure-details":[{"failed-session-count":1,"receiving-ip":"127.0.0.1",`+
		`"receiving-mx-hostname":"mx.test","result-type":"certificate-host-mismatch"}],"policy":{"mx-host":["mx.test"],"policy-domain":"bad.test",`+
		`"policy-string":["version: STSv1","mode: enforce","mx: mx.test","max_age: 86400"],"policy-type":"sts"},`+
		`"summary":{"total-failure-session-count":1,"total-successful-session-count":0}}],"report-id":"ID"}`, day)
	if diff := cmp.Diff(want, sorted(t, got)); diff != "" {
		t.Errorf("the mailed report (-want +got):\n%s", diff)
	}
	select {
	case body := <-posted:
		want := fmt.Sprintf(`"policies":[{"policy":{"policy-domain":"mx.dane.test","policy-string":["3 1 1 %X"],"policy-type":"tlsa"},`+
			`"summary":{"total-failure-session-count":0,"total-successful-session-count":1}}]`, key256)
		if got := sorted(t, body); !strings.Contains(got, want) {
			t.Errorf("the posted report: got %s, want %s in it", got, want)
		}
	default:
		t.Error("nothing was posted, want a report")
	}
	if n := len(posted); n != 0 {
		t.Errorf("got %d more posts, want none", n)
	}
	if n := sitetest.Ask[int](s, `SELECT count(*) FROM enotify.tls_result WHERE day < current_date`); n != 0 {
		t.Errorf("got %d counts kept after their reports, want none", n)
	}
}

// readReport checks the form of a mailed report (RFC 8460 §5.3) and returns its file.
func readReport(t *testing.T, message []byte) []byte {
	t.Helper()
	m, err := mail.ReadMessage(bytes.NewReader(message))
	if err != nil {
		t.Fatal(err)
	}
	kind, params, err := mime.ParseMediaType(m.Header.Get("Content-Type"))
	if err != nil || kind != "multipart/report" || params["report-type"] != "tlsrpt" {
		t.Errorf("got type %s %v, %v", kind, params, err)
	}
	for name, want := range map[string]string{"TLS-Report-Domain": "bad.test", "TLS-Report-Submitter": "host.example",
		"List-Id": "", "Feedback-ID": ""} {
		if got := m.Header.Get(name); got != want {
			t.Errorf("%s: got %q, want %q", name, got, want)
		}
	}
	if got := m.Header.Get("DKIM-Signature"); !strings.Contains(got, "d=host.example") ||
		!strings.Contains(strings.ToLower(got), "tls-report-domain") {
		t.Errorf("got signature %q, want one of host.example that covers the fields of the report", got)
	}
	if got := m.Header.Get("Subject"); !strings.HasPrefix(got,
		"Report Domain: bad.test Submitter: host.example Report-ID: <") {
		t.Errorf("got subject %q", got)
	}
	parts := multipart.NewReader(m.Body, params["boundary"])
	text, err := parts.NextPart()
	if err != nil || !strings.HasPrefix(text.Header.Get("Content-Type"), "text/plain") {
		t.Errorf("the first part: got %v, %v, want text", text.Header, err)
	}
	file, err := parts.NextPart()
	if err != nil {
		t.Fatal(err)
	}
	if got, name := file.Header.Get("Content-Type"), file.FileName(); got != tlsrpt.MediaType ||
		!strings.HasPrefix(name, "host.example!bad.test!") || !strings.HasSuffix(name, ".json.gz") {
		t.Errorf("the second part: got %s %s", got, name)
	}
	encoded, err := io.ReadAll(file)
	if err != nil {
		t.Fatal(err)
	}
	packed, err := base64.StdEncoding.DecodeString(strings.ReplaceAll(string(encoded), "\r\n", ""))
	if err != nil {
		t.Fatal(err)
	}
	return packed
}

// sorted unpacks a report and puts its fields in the order of their names.
func sorted(t *testing.T, packed []byte) string {
	t.Helper()
	r, err := gzip.NewReader(bytes.NewReader(packed))
	if err != nil {
		t.Fatal(err)
	}
	var report map[string]any
	if err := json.NewDecoder(r).Decode(&report); err != nil {
		t.Fatal(err)
	}
	if id, _ := report["report-id"].(string); !strings.HasSuffix(id, "@host.example") {
		t.Errorf("got report-id %q", id)
	}
	report["report-id"] = "ID"
	text, _ := json.Marshal(report)
	return string(text)
}
