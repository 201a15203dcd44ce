package dkim_test

import (
	"context"
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/emersion/go-msgauth/dkim"

	ours "enotify/sender/dkim"
	"enotify/spfguard"
	"enotify/spfguard/dns"
	"enotify/spfguard/dns/dnstest"
)

// twoKeys are an RSA and an Ed25519 key of from.test, and a DNS that publishes them.
func twoKeys(t *testing.T) (keys []*ours.Key, lookup func(string) ([]string, error)) {
	t.Helper()
	dir := &ours.Directory{Path: t.TempDir()}
	zone := ""
	for _, kind := range []string{ours.RSA, ours.Ed25519} {
		key, err := dir.Generate("from.test", "s-"+kind, kind)
		if err != nil {
			t.Fatal(err)
		}
		keys = append(keys, key)
		zone += spfguard.ZoneLine(key.Name(), key.Record()) + "\n"
	}
	resolver := &dns.Resolver{Server: dnstest.New(t, zone).Addr}
	return keys, func(name string) ([]string, error) {
		answer, err := resolver.TXT(context.Background(), name)
		return answer.Records, err
	}
}

// An independent verifier finds every signature good, whatever the message.
func TestSign(t *testing.T) {
	t.Parallel()
	keys, lookup := twoKeys(t)
	const from = "From: news@from.test\r\n"
	for _, test := range []struct{ name, header, body string }{
		{"plain", from + "To: <u@a.test>\r\nSubject: Hi\r\n", "Hello\r\n"},
		{"no body", from, ""},
		{"empty lines alone", from, "\r\n\r\n"},
		{"empty lines at the end", from, "a\r\n\r\n\r\n"},
		{"white space", from + "Subject:  a \t b  \r\n", "  a \t b  \r\n\t\r\n c\r\n \r\n"},
		{"long lines", from + "Subject: " + strings.Repeat("x", 900) + "\r\n", strings.Repeat("y ", 499) + "\r\n"},
		{"folded", from + "List-Unsubscribe: <https://from.test/u?x=1>,\r\n\t<mailto:u@from.test>\r\nList-Unsubscribe-Post:\r\n List-Unsubscribe=One-Click\r\n", "x\r\n"},
		{"encoded words", from + "Subject: =?UTF-8?q?Gr=C3=B6=C3=9Fe?=\r\n =?UTF-8?q?_n?=\r\n", "x\r\n"},
		{"8 bits", "From: Bürgerbüro <news@from.test>\r\n", "Größe\r\n"},
		{"a field twice", from + "To: <a@a.test>\r\nTo: <b@a.test>\r\n", "x\r\n"},
	} {
		for _, key := range keys {
			signature, err := key.Sign([]byte(test.header), ours.HashBody([]byte(test.body)), time.Now())
			if err != nil {
				t.Fatal(err)
			}
			for line := range strings.SplitSeq(string(signature), "\r\n") {
				if len(line) > 78 {
					t.Errorf("%s: got a line of %d octets: %q", test.name, len(line), line)
				}
			}
			message := string(signature) + test.header + "\r\n" + test.body
			verified, err := verify(message, lookup)
			if err != nil || verified.Domain != "from.test" {
				t.Errorf("%s, %s: got %+v, %v, want a good signature of from.test", test.name, key.Type(), verified,
					err)
			}
			for what, changed := range map[string]string{
				"another From":            "From: evil@from.test\r\n" + message,
				"another body":            message + "more\r\n",
				"an added Subject":        "Subject: other\r\n" + message,
				"an added one-click link": "List-Unsubscribe: <https://evil.test/>\r\n" + message,
			} {
				if _, err := verify(changed, lookup); err == nil {
					t.Errorf("%s, %s, with %s: the signature still holds", test.name, key.Type(), what)
				}
			}
		}
	}
}

// verify checks the one signature of a message.
func verify(message string, lookup func(string) ([]string, error)) (*dkim.Verification, error) {
	found, err := dkim.VerifyWithOptions(strings.NewReader(message), &dkim.VerifyOptions{LookupTXT: lookup})
	if err != nil {
		return nil, err
	}
	if len(found) != 1 {
		return nil, errors.New("not one signature")
	}
	return found[0], found[0].Err
}

// What cannot be used as a key says so, and what to do.
func TestUnusableKeys(t *testing.T) {
	t.Parallel()
	short, err := os.ReadFile("testdata/rsa768.pem") // crypto/rsa makes none so short
	if err != nil {
		t.Fatal(err)
	}
	ec, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	der, err := x509.MarshalPKCS8PrivateKey(ec)
	if err != nil {
		t.Fatal(err)
	}
	other := string(pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: der}))
	for _, test := range []struct{ name, content, want string }{
		{"missing", "", "there is no file"},
		{"text", "hello", "is no PEM file"},
		{"short", string(short), "768 bits"},
		{"a type DKIM does not know", other, "ecdsa"},
		{"a certificate", "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n", `"CERTIFICATE"`},
		{"damaged", "-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----\n", "asn1"},
	} {
		dir := &ours.Directory{Path: t.TempDir()}
		if test.content != "" {
			put(t, dir.File("from.test", "s1"), test.content)
		}
		_, err := dir.Key("from.test", "s1")
		if !errors.Is(err, ours.ErrNoKey) || !strings.Contains(err.Error(), test.want) ||
			!strings.Contains(err.Error(), "from.test") ||
			!strings.Contains(err.Error(), "enotify client key from.test") || strings.Contains(err.Error(), "\n") {
			t.Errorf("%s: got %v, want one line of ErrNoKey with %q, the domain and what to do", test.name, err,
				test.want)
		}
	}
	if _, err := new(ours.Directory).Key("from.test", "s1"); !errors.Is(err, ours.ErrNoKey) ||
		!strings.Contains(err.Error(), "--dkim-dir") {
		t.Errorf("no directory: got %v, want ErrNoKey and --dkim-dir", err)
	}
	dir := &ours.Directory{Path: t.TempDir()}
	if _, err := dir.Key("from.test", "../s1"); !errors.Is(err, ours.ErrNoKey) ||
		!strings.Contains(err.Error(), "no DKIM selector") {
		t.Errorf("a selector that leaves the directory: got %v", err)
	}
}

// Keys of other programs are taken; weak ones and exposed ones are known as such.
func TestForeignKey(t *testing.T) {
	t.Parallel()
	dir := &ours.Directory{Path: t.TempDir()}
	put(t, dir.File("from.test", "old"), pkcs1(t, 1024))
	key, err := dir.Key("from.test", "old")
	if err != nil {
		t.Fatal(err)
	}
	if got := key.Weakness(); !strings.Contains(got, "1024 bits") {
		t.Errorf("weakness of 1024 bits: got %q", got)
	}
	if dir.Exposed("from.test", "old") {
		t.Error("mode 0600: got exposed")
	}
	if err := os.Chmod(dir.File("from.test", "old"), 0o644); err != nil {
		t.Fatal(err)
	}
	if !dir.Exposed("from.test", "old") {
		t.Error("mode 0644: got not exposed")
	}
}

func TestGenerate(t *testing.T) {
	t.Parallel()
	dir := &ours.Directory{Path: filepath.Join(t.TempDir(), "new")}
	key, err := dir.Generate("from.test", "s1", ours.Ed25519)
	if err != nil {
		t.Fatal(err)
	}
	info, err := os.Stat(dir.File("from.test", "s1"))
	if err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("the file: got %v, %v, want mode 0600", info.Mode(), err)
	}
	if _, err := dir.Generate("from.test", "s1", ours.RSA); err == nil ||
		!strings.Contains(err.Error(), "never overwritten") {
		t.Errorf("again: got %v, want a refusal", err)
	}
	again, err := dir.Key("from.test", "s1")
	if err != nil || again.Record() != key.Record() {
		t.Errorf("read back: got %+v, %v, want the same key", again, err)
	}
	for _, bad := range []string{"", "A", "a_b", "-a", "a.", "a/b", strings.Repeat("a", 64)} {
		if _, err := dir.Generate("from.test", bad, ours.RSA); err == nil {
			t.Errorf("selector %q was accepted", bad)
		}
	}
	if _, err := dir.Generate("from.test", "s2", "dsa"); err == nil ||
		!strings.Contains(err.Error(), "rsa or ed25519") {
		t.Errorf("type dsa: got %v", err)
	}
}

func pkcs1(t *testing.T, bits int) string {
	t.Helper()
	key, err := rsa.GenerateKey(rand.Reader, bits)
	if err != nil {
		t.Fatal(err)
	}
	return string(pem.EncodeToMemory(&pem.Block{Type: "RSA PRIVATE KEY", Bytes: x509.MarshalPKCS1PrivateKey(key)}))
}

func put(t *testing.T, file, content string) {
	t.Helper()
	if err := os.MkdirAll(filepath.Dir(file), 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(file, []byte(content), 0o600); err != nil {
		t.Fatal(err)
	}
}

// What BenchmarkSign and BenchmarkSignedDeliver are to be compared with.
func BenchmarkRSAAlone(b *testing.B) {
	key, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		b.Fatal(err)
	}
	digest := sha256.Sum256([]byte("digest"))
	for b.Loop() {
		if _, err := key.Sign(rand.Reader, digest[:], crypto.SHA256); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkSign(b *testing.B) {
	header := []byte("From: news@from.test\r\nTo: <u@a.test>\r\nSubject: Hello\r\nDate: Tue, 03 Feb 2026 04:05:06 +0000\r\nMessage-ID: <enotify.7.3@from.test>\r\nMIME-Version: 1.0\r\n")
	body := []byte(strings.Repeat("A line of text in a newsletter, of ordinary length and content.\r\n", 160))
	for _, kind := range []string{ours.Ed25519, ours.RSA} {
		key, err := (&ours.Directory{Path: b.TempDir()}).Generate("from.test", "s1", kind)
		if err != nil {
			b.Fatal(err)
		}
		hash := ours.HashBody(body)
		for _, each := range []bool{false, true} {
			name := kind + ", body hashed once"
			if each {
				name = kind + ", body hashed each time"
			}
			b.Run(name, func(b *testing.B) {
				b.ReportAllocs()
				for b.Loop() {
					if each {
						hash = ours.HashBody(body)
					}
					if _, err := key.Sign(header, hash, time.Now()); err != nil {
						b.Fatal(err)
					}
				}
			})
		}
	}
}
