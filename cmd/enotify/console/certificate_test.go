package console_test

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"math/big"
	"net"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"enotify/cmd/enotify/console"
	"enotify/cmd/enotify/sitetest"
	"enotify/sender/smtptest"
)

// An authority issues certificates.
type authority struct {
	testing.TB
	cert *x509.Certificate
	key  *ecdsa.PrivateKey
}

func newAuthority(t testing.TB, name string) *authority {
	t.Helper()
	a := &authority{TB: t}
	made := a.issue(&x509.Certificate{Subject: pkix.Name{CommonName: name}, IsCA: true, BasicConstraintsValid: true,
		KeyUsage: x509.KeyUsageCertSign}, time.Now().Add(time.Hour))
	a.cert, a.key = made.Leaf, made.PrivateKey.(*ecdsa.PrivateKey)
	return a
}

// issue makes a certificate that ends then, signed by itself if the authority has none yet.
func (a *authority) issue(c *x509.Certificate, end time.Time) tls.Certificate {
	a.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		a.Fatal(err)
	}
	c.SerialNumber, c.NotBefore, c.NotAfter = big.NewInt(time.Now().UnixNano()), end.Add(-2*time.Hour), end
	parent, signer := a.cert, a.key
	if parent == nil {
		parent, signer = c, key
	}
	raw, err := x509.CreateCertificate(rand.Reader, c, parent, &key.PublicKey, signer)
	if err != nil {
		a.Fatal(err)
	}
	leaf, err := x509.ParseCertificate(raw)
	if err != nil {
		a.Fatal(err)
	}
	return tls.Certificate{Certificate: [][]byte{raw}, PrivateKey: key, Leaf: leaf}
}

func (a *authority) person(name string, end time.Time) []tls.Certificate {
	a.Helper()
	return []tls.Certificate{a.issue(&x509.Certificate{Subject: pkix.Name{CommonName: name},
		ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth}}, end)}
}

// write puts a certificate and its key into PEM files.
func write(t testing.TB, dir, name string, c tls.Certificate) (cert, key string) {
	t.Helper()
	cert, key = filepath.Join(dir, name+".pem"), filepath.Join(dir, name+".key")
	raw, err := x509.MarshalPKCS8PrivateKey(c.PrivateKey)
	if err != nil {
		t.Fatal(err)
	}
	for file, block := range map[string]*pem.Block{cert: {Type: "CERTIFICATE", Bytes: c.Certificate[0]},
		key: {Type: "PRIVATE KEY", Bytes: raw}} {
		if err := os.WriteFile(file, pem.EncodeToMemory(block), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	return cert, key
}

// A console that listens beyond loopback lets in the certificates of one authority, as
// long as they last, and nobody else; with tokens beside them, a token does too.
func TestCertificates(t *testing.T) {
	t.Parallel()
	s := sitetest.New(t, smtptest.Config{})
	s.Enqueue("menu", "Soup.", 1, 1)
	ours, theirs := newAuthority(t, "ours"), newAuthority(t, "theirs")
	dir := t.TempDir()
	c := console.Config{Listen: "0.0.0.0:0"}
	c.Cert, c.Key = write(t, dir, "server", ours.issue(&x509.Certificate{
		IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)}}, time.Now().Add(time.Hour)))
	c.ClientCA, _ = write(t, dir, "ca", tls.Certificate{Certificate: [][]byte{ours.cert.Raw}, PrivateKey: ours.key})
	tokens := filepath.Join(dir, "tokens")
	writeTokens(t, tokens, "bob a-token-of-bob-for-the-console")
	roots := x509.NewCertPool()
	roots.AddCert(ours.cert)
	browser := func(base string, certs []tls.Certificate) *visitor {
		at, err := url.Parse(base)
		if err != nil {
			t.Fatal(err)
		}
		v := visit(t, "https://127.0.0.1:"+at.Port()+"/")
		v.Transport = &http.Transport{TLSClientConfig: &tls.Config{RootCAs: roots,
			// sent whatever the server asks for
			GetClientCertificate: func(*tls.CertificateRequestInfo) (*tls.Certificate, error) {
				if len(certs) == 0 {
					return &tls.Certificate{}, nil
				}
				return &certs[0], nil
			}}}
		return v
	}
	now := time.Now()
	right := ours.person("ada", now.Add(time.Hour))
	refused := map[string][]tls.Certificate{"of another authority": theirs.person("ada", now.Add(time.Hour)),
		"that has ended": ours.person("ada", now.Add(-time.Minute)), "none": nil}
	alone := serve(s, c)
	c.Tokens = tokens
	both := serve(s, c)
	for what, certs := range refused {
		for _, base := range []string{alone, both} {
			v := browser(base, certs)
			r, err := v.Get(v.base)
			if base == both && what == "none" {
				if code, body := v.read(r, err); code != http.StatusOK || strings.Contains(body, "Menu") ||
					!strings.Contains(body, "Sign in") {
					t.Errorf("certificate %s, where a token will do: got %d and\n%s\nwant to be asked for one", what, code, body)
				}
				if code, body := v.post("login", url.Values{"token": {"a-token-of-bob-for-the-console"}}); code != http.StatusOK ||
					!strings.Contains(body, "bob") {
					t.Errorf("a token beside certificates: got %d and\n%s", code, body)
				}
				continue
			}
			if err == nil {
				r.Body.Close()
				t.Errorf("certificate %s: got %s, want no connection", what, r.Status)
			}
		}
	}
	v := browser(alone, right)
	if code, body := v.post("batch/1/pause", url.Values{"reason": {"a typo"}}); code != http.StatusOK ||
		!strings.Contains(body, "ada (login") {
		t.Errorf("the right certificate: got %d and\n%s\nwant the batch paused by the person in it", code, body)
	}
	// one that ends while the connection stays open
	v = browser(alone, ours.person("eve", time.Now().Add(2*time.Second).Truncate(time.Second).Add(time.Second)))
	if code, body := v.get(""); code != http.StatusOK || !strings.Contains(body, "eve") {
		t.Fatalf("a certificate that ends soon: got %d and\n%s", code, body)
	}
	stream, err := v.Get(v.base + "live?path=/")
	if err != nil {
		t.Fatal(err)
	}
	if _, body := v.read(stream, err); !strings.Contains(body, "event: ended") {
		t.Errorf("the stream of a certificate that has ended: got\n%s\nwant its farewell", body)
	}
}
