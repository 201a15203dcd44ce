package queue_test

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"math/big"
	"net"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"enotify/queue"
	"enotify/queue/localpg"
	"enotify/queue/queuetest"
)

// The way to the database is what pgx offers: with sslmode=verify-full it is
// encrypted, and to the server that the certificate names, or it is not used.
func TestDatabaseByTLS(t *testing.T) {
	t.Parallel()
	server, err := localpg.Start(t.Context(), localpg.Options{Dir: queuetest.OwnDir(t, false), Unsafe: true})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = server.Stop(context.Background()) })
	certificate, key := selfSigned(t, net.IPv4(127, 0, 0, 1))
	other, _ := selfSigned(t, net.IPv4(127, 0, 0, 1))
	f := &queuetest.Fixture{T: t, URL: server.URL(), Conn: queuetest.Connect(t, server.URL())}
	folder := queuetest.Query[string](f, `SHOW data_directory`)
	for name, text := range map[string][]byte{"server.crt": certificate, "server.key": key} {
		path := filepath.Join(folder, name)
		// The server writes them itself, so that they belong to its user.
		f.Exec(`COPY (SELECT unnest(string_to_array('` + strings.TrimSpace(string(text)) + `', E'\n'))) TO '` + path +
			`'`)
		if err := os.Chmod(path, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	f.Exec(`ALTER SYSTEM SET ssl = on`)
	f.Exec(`SELECT pg_reload_conf()`)
	for encrypted := false; !encrypted; {
		encrypted = queuetest.Query[string](f, `SHOW ssl`) == "on"
	}

	db, err := queue.Open(t.Context(), secure(t, f.URL, certificate, ""), 0)
	if err != nil {
		t.Fatalf("with the right certificate: %v", err)
	}
	defer db.Close()
	if got := queuetest.Query[int](f, `SELECT count(*)::int FROM pg_stat_ssl JOIN pg_stat_activity USING (pid) WHERE ssl AND application_name = 'enotify'`); got == 0 {
		t.Error("encrypted connections of ours: got none, want some")
	}
	for name, url := range map[string]string{
		"another authority": secure(t, f.URL, other, ""),
		"another name":      secure(t, f.URL, certificate, "localhost"),
	} {
		db, err := queue.Open(t.Context(), url, 0)
		if err == nil {
			db.Close()
			t.Errorf("%s: accepted, want an error", name)
			continue
		}
		if text := err.Error(); !strings.Contains(text, "x509") && !strings.Contains(text, "certificate") ||
			strings.Contains(text, "\n") || strings.Contains(text, password(t, url)) {
			t.Errorf("%s: got error %q, want one line about the certificate without the password", name, text)
		}
	}
}

// secure is a URL that takes only a server with a certificate of that authority.
func secure(t *testing.T, database string, authority []byte, host string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "authority.pem")
	if err := os.WriteFile(path, authority, 0o600); err != nil {
		t.Fatal(err)
	}
	u, err := url.Parse(database)
	if err != nil {
		t.Fatal(err)
	}
	if host != "" {
		u.Host = net.JoinHostPort(host, u.Port())
	}
	u.RawQuery = url.Values{"sslmode": {"verify-full"}, "sslrootcert": {path}}.Encode()
	return u.String()
}

func password(t *testing.T, database string) string {
	t.Helper()
	u, err := url.Parse(database)
	if err != nil {
		t.Fatal(err)
	}
	password, _ := u.User.Password()
	return password
}

func selfSigned(t *testing.T, ip net.IP) (certificate, key []byte) {
	t.Helper()
	private, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "test"}, IPAddresses: []net.IP{ip},
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour),
		IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageCertSign | x509.KeyUsageDigitalSignature,
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, &private.PublicKey, private)
	if err != nil {
		t.Fatal(err)
	}
	pkcs8, err := x509.MarshalPKCS8PrivateKey(private)
	if err != nil {
		t.Fatal(err)
	}
	return pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der}),
		pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: pkcs8})
}

// No error of Open holds the password, whatever is wrong with the URL.
func TestErrorsHoldNoPassword(t *testing.T) {
	t.Parallel()
	good, err := url.Parse(queuetest.New(t))
	if err != nil {
		t.Fatal(err)
	}
	const secret = "hunter2"
	for _, bad := range []string{
		"postgres://postgres:" + secret + "@" + good.Host + "/postgres",                  // wrong
		"postgres://postgres:" + secret + "@127.0.0.1:1/postgres",                        // nobody there
		"postgres://postgres:" + secret + "@" + good.Host + "/postgres?sslmode=nonsense", // no setting
		"postgres://postgres:" + secret + "@[::1/postgres",                               // no URL
		"postgres://postgres:" + secret + "%zz@" + good.Host + "/postgres",               // no escape
		"host=127.0.0.1 port=1 user=postgres password=" + secret + " dbname=postgres",    // keywords
		"host=127.0.0.1 port=x user=postgres password=" + secret,
		"host=127.0.0.1 password='" + secret,
	} {
		db, err := queue.Open(t.Context(), bad, 0)
		if err == nil {
			db.Close()
			t.Errorf("%s: opened", bad)
			continue
		}
		if text := err.Error(); strings.Contains(text, secret) || strings.Contains(text, "\n") {
			t.Errorf("%s: got error %q, want one line without the password", bad, text)
		}
	}
}
