package console

import (
	"cmp"
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"log/slog"
	"net"
	"net/netip"
	"os"

	"enotify/cmd/enotify/cure"
	"enotify/cmd/enotify/exit"
	"enotify/cmd/enotify/preflight/gather"
	"enotify/queue"
)

// A Config is what a console is told. Its errors call the fields by the flags of enotify
// console.
type Config struct {
	// DatabaseURL is where the queue is.
	DatabaseURL string
	// Listen is the address of the console. Without Tokens and ClientCA it must be a
	// loopback address.
	Listen string
	// Tokens is a file with the tokens of the persons that may use the console; "" is none. See [tokens].
	Tokens string
	// Cert and Key are PEM files, for HTTPS; "" is HTTP.
	Cert, Key string
	// ClientCA is a PEM file: who has a certificate of this authority may come in; "" is
	// nobody.
	ClientCA string
	// Person is who works without a token: the user of the process.
	Person string
	// Resolver, AllowMX and DKIMDir are for the pages that ask the DNS, see [gather.Sources].
	Resolver string
	AllowMX  []string
	// Connect makes links by which DNS providers publish records at one click; nil makes none.
	Connect *cure.Connector
	DKIMDir string
	// Log is where actions are logged; nil is nowhere.
	Log *slog.Logger
}

// Check reports the first field that makes no sense. It connects to nothing.
func (c *Config) Check() error {
	c.Log = cmp.Or(c.Log, slog.New(slog.DiscardHandler))
	host, _, err := net.SplitHostPort(c.Listen)
	if err != nil {
		return exit.Usagef("console at %s: want an address such as 127.0.0.1:9027", c.Listen)
	}
	if (c.Cert == "") != (c.Key == "") {
		return exit.Usagef("--console-cert and --console-key belong together")
	}
	if c.ClientCA != "" && c.Cert == "" {
		return exit.Usagef("--console-client-ca needs HTTPS: give --console-cert and --console-key")
	}
	if c.Tokens != "" {
		if _, err := readTokens(c.Tokens); err != nil {
			return exit.Usagef("--console-tokens: %w", err)
		}
	}
	if !c.locked() && !loopback(host) {
		return exit.Usagef("console at %s: anybody who reaches that address could steer; give a loopback address such as 127.0.0.1:9027, --console-tokens FILE, or --console-client-ca FILE", c.Listen)
	}
	if _, err := c.tls(); err != nil {
		return err
	}
	_, err = c.sources(nil)
	return err
}

// sources say where a preflight looks.
func (c *Config) sources(db *queue.DB) (*gather.Sources, error) {
	s := &gather.Sources{DB: db, Resolver: c.Resolver, AllowMX: c.AllowMX}
	s.Keys.Path = c.DKIMDir
	return s, s.Check()
}

// locked: who comes in shows a token or a certificate.
func (c *Config) locked() bool { return c.Tokens != "" || c.ClientCA != "" }

// loopback reports whether only this machine reaches a host.
func loopback(host string) bool {
	addr, err := netip.ParseAddr(host)
	return err == nil && addr.Unmap().IsLoopback() || host == "localhost"
}

// tls is the configuration for HTTPS, nil for HTTP.
func (c *Config) tls() (*tls.Config, error) {
	if c.Cert == "" {
		return nil, nil
	}
	pair, err := tls.LoadX509KeyPair(c.Cert, c.Key)
	if err != nil {
		return nil, exit.Usagef("--console-cert %s: %w", c.Cert, err)
	}
	t := &tls.Config{Certificates: []tls.Certificate{pair}, MinVersion: tls.VersionTLS12}
	if c.ClientCA == "" {
		return t, nil
	}
	text, err := os.ReadFile(c.ClientCA)
	if err != nil {
		return nil, exit.Usagef("--console-client-ca: %w", err)
	}
	t.ClientCAs = x509.NewCertPool()
	if !t.ClientCAs.AppendCertsFromPEM(text) {
		return nil, exit.Usagef("--console-client-ca %s: no certificate in it", c.ClientCA)
	}
	t.ClientAuth = tls.RequireAndVerifyClientCert
	if c.Tokens != "" {
		t.ClientAuth = tls.VerifyClientCertIfGiven // a token will do
	}
	return t, nil
}

// url is where a person finds the console that listens at an address.
func (c *Config) url(at net.Addr) string {
	scheme := "http"
	if c.Cert != "" {
		scheme = "https"
	}
	return fmt.Sprintf("%s://%s/", scheme, at)
}
