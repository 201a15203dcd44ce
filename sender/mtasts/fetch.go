package mtasts

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"mime"
	"net"
	"net/http"
	"net/netip"
	"net/url"
	"strconv"
	"time"

	"enotify/spfguard/dns"
)

// A Fetcher fetches the texts of policies. Its fields must not change after the
// first one.
type Fetcher struct {
	Resolver *dns.Resolver
	// Barred says why an address may not be dialled; "" is when it may.
	Barred func(netip.Addr) string
	// RootCAs vouch for policy hosts; nil are the system's.
	RootCAs *x509.CertPool
	// Port of policy hosts; 0 is 443.
	Port int
}

// Bounds of a fetch. RFC 8461 §3.3 suggests a minute and 64 KB.
const (
	fetchTimeout = 30 * time.Second
	maxPolicy    = 64 << 10 // octets
)

// What a FetchError is about, in the words of RFC 8460 §4.3.
const (
	FetchFailed   = "sts-policy-fetch-error"
	PolicyInvalid = "sts-policy-invalid"
	CertInvalid   = "sts-webpki-invalid"
)

// A FetchError is a policy that was announced and could not be had.
type FetchError struct {
	Domain string
	Type   string // FetchFailed, PolicyInvalid or CertInvalid
	Err    error
}

func (e *FetchError) Error() string {
	return fmt.Sprintf("MTA-STS policy of %s: %v", e.Domain, e.Err)
}

func (e *FetchError) Unwrap() error { return e.Err }

// fetch gets the policy of a domain (RFC 8461 §3.3). Its error is a *FetchError.
func (f *Fetcher) fetch(ctx context.Context, domain string) (Policy, error) {
	ctx, cancel := context.WithTimeout(ctx, fetchTimeout)
	defer cancel()
	text, err := f.get(ctx, "mta-sts."+domain)
	if err != nil {
		kind := FetchFailed
		if bad := (*tls.CertificateVerificationError)(nil); errors.As(err, &bad) {
			kind = CertInvalid
		}
		return Policy{}, &FetchError{domain, kind, err}
	}
	p, err := ParsePolicy(text)
	if err != nil {
		return Policy{}, &FetchError{domain, PolicyInvalid, err}
	}
	return p, nil
}

func (f *Fetcher) get(ctx context.Context, host string) (string, error) {
	client := http.Client{
		Transport: &http.Transport{
			DialContext: func(ctx context.Context, _, _ string) (net.Conn,
				error) {
				return f.Dial(ctx, host, f.port())
			},
			TLSClientConfig:        &tls.Config{RootCAs: f.RootCAs, ServerName: host},
			DisableKeepAlives:      true,
			MaxResponseHeaderBytes: 16 << 10,
		},
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }, // RFC 8461 §3.3
	}
	page := url.URL{Scheme: "https", Host: host, Path: "/.well-known/mta-sts.txt"}
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, page.String(), nil)
	if err != nil {
		return "", err
	}
	resp, err := client.Do(req)
	if err != nil {
		return "", err
	}
	defer resp.Body.Close()
	if resp.StatusCode != http.StatusOK {
		return "", fmt.Errorf("%s answers %s", page.String(), resp.Status)
	}
	if kind, _, _ := mime.ParseMediaType(resp.Header.Get("Content-Type")); kind != "text/plain" {
		return "", fmt.Errorf("%s has the media type %q, where text/plain is wanted", page.String(), kind)
	}
	text, err := io.ReadAll(io.LimitReader(resp.Body, maxPolicy+1))
	if err != nil {
		return "", err
	}
	if len(text) > maxPolicy {
		return "", fmt.Errorf("%s has more than %d octets", page.String(), maxPolicy)
	}
	return string(text), nil
}

func (f *Fetcher) port() string {
	if f.Port == 0 {
		return "443"
	}
	return strconv.Itoa(f.Port)
}

// Dial connects to the first address of host that may be dialled and answers.
// Anybody can publish a policy host that leads into our own network.
func (f *Fetcher) Dial(ctx context.Context, host, port string) (net.Conn, error) {
	v4, err := f.Resolver.A(ctx, host)
	v6, err6 := f.Resolver.AAAA(ctx, host)
	if len(v4.Records)+len(v6.Records) == 0 {
		return nil, fmt.Errorf("no address for %s: %w", host, errors.Join(err, err6))
	}
	for _, addr := range append(v4.Records, v6.Records...) {
		if f.Barred != nil {
			if why := f.Barred(addr); why != "" {
				err = fmt.Errorf("%s has %s, %s", host, addr, why)
				continue
			}
		}
		dialer := net.Dialer{Timeout: fetchTimeout / 3}
		var conn net.Conn
		if conn, err = dialer.DialContext(ctx, "tcp", net.JoinHostPort(addr.String(), port)); err == nil {
			return conn, nil
		}
	}
	return nil, err
}
