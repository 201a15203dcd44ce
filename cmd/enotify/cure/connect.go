package cure

import (
	"context"
	"crypto"
	"crypto/rsa"
	"crypto/sha256"
	"crypto/tls"
	"crypto/x509"
	"encoding/base64"
	"encoding/json"
	"encoding/pem"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/netip"
	"net/url"
	"os"
	"strings"
	"syscall"
	"time"

	"enotify/spfguard"
)

// A Connector makes links by which a client's DNS provider publishes our records at one
// click (Domain Connect, draft-ietf-dconn-domainconnect). Its zero value makes none.
type Connector struct {
	// Provider and Service name the template that DNS providers have registered; see
	// [Connector.Template].
	Provider, Service string
	// Key signs the links; its public half is published at KeyHost.Provider.
	Key     *rsa.PrivateKey
	KeyHost string

	// Allow are networks that a provider may be in though they are not public.
	Allow []netip.Prefix
	// Roots verify the certificates of providers; nil are the system's.
	Roots *x509.CertPool
}

// On reports whether links can be made.
func (c *Connector) On() bool { return c != nil && c.Provider != "" }

// ReadKey reads a PEM file with an RSA key.
func ReadKey(file string) (*rsa.PrivateKey, error) {
	text, err := os.ReadFile(file)
	if err != nil {
		return nil, err
	}
	block, _ := pem.Decode(text)
	if block == nil {
		return nil, fmt.Errorf("%s is no PEM file; openssl genrsa -out %s 2048 makes one", file, file)
	}
	if key, err := x509.ParsePKCS1PrivateKey(block.Bytes); err == nil {
		return key, nil
	}
	parsed, err := x509.ParsePKCS8PrivateKey(block.Bytes)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", file, err)
	}
	key, ok := parsed.(*rsa.PrivateKey)
	if !ok {
		return nil, fmt.Errorf("%s: Domain Connect wants an RSA key", file)
	}
	return key, nil
}

// Settings are what a DNS provider says of itself.
type Settings struct {
	ProviderID          string `json:"providerId"`
	ProviderName        string `json:"providerName"`
	ProviderDisplayName string `json:"providerDisplayName"`
	URLSyncUX           string `json:"urlSyncUX"`
	URLAPI              string `json:"urlAPI"`
}

// Name is the provider for people.
func (s Settings) Name() string {
	for _, name := range []string{s.ProviderDisplayName, s.ProviderName, s.ProviderID} {
		if name != "" {
			return name
		}
	}
	return "your DNS provider"
}

// ErrNoConnect is the error when the client's DNS provider has nothing to offer.
var ErrNoConnect = errors.New("the DNS provider offers no Domain Connect for it")

const (
	askTime     = 5 * time.Second
	maxSettings = 64 << 10 // octets
)

// discover finds the zone of a domain and the settings of its DNS provider, by the TXT record
// _domainconnect.
func (c *Connector) discover(ctx context.Context, resolver spfguard.Resolver, domain string) (zone string, s Settings,
	err error) {
	for _, zone := range zones(domain) {
		answer, err := resolver.TXT(ctx, "_domainconnect."+zone)
		if err != nil || len(answer.Records) == 0 {
			continue
		}
		at, err := url.Parse("https://" + answer.Records[0])
		if err != nil || at.Host == "" || at.User != nil || at.RawQuery != "" || at.Fragment != "" {
			return "", s, fmt.Errorf("%w: the record _domainconnect.%s names no host", ErrNoConnect, zone)
		}
		text, err := c.get(ctx, at.JoinPath("v2", zone, "settings").String())
		if err != nil {
			return "", s, err
		}
		if err := json.Unmarshal(text, &s); err != nil {
			return "", s, fmt.Errorf("%w: its settings are no JSON: %w", ErrNoConnect, err)
		}
		ux, err := url.Parse(s.URLSyncUX)
		if err != nil || ux.Scheme != "https" || ux.Host == "" {
			return "", s, fmt.Errorf("%w: it has no page for it", ErrNoConnect)
		}
		return zone, s, nil
	}
	return "", s, ErrNoConnect
}

// knows asks whether a provider has our template.
func (c *Connector) knows(ctx context.Context, s Settings) error {
	api, err := url.Parse(s.URLAPI)
	if err != nil || api.Scheme != "https" || api.Host == "" {
		return fmt.Errorf("%w: it has no interface to ask", ErrNoConnect)
	}
	if _, err := c.get(ctx, api.JoinPath(templatePath(c)...).String()); err != nil {
		return fmt.Errorf("%s has not registered the template %s/%s: %w", s.Name(), c.Provider, c.Service, err)
	}
	return nil
}

func templatePath(c *Connector) []string {
	return []string{"v2", "domainTemplates", "providers", c.Provider, "services", c.Service}
}

// get reads a page of a provider. The client's DNS names it, so nothing of our own network
// is reached, and little is read.
func (c *Connector) get(ctx context.Context, at string) ([]byte, error) {
	ctx, cancel := context.WithTimeout(ctx, askTime)
	defer cancel()
	dialer := &net.Dialer{Timeout: askTime, Control: func(_, address string, _ syscall.RawConn) error {
		to, err := netip.ParseAddrPort(address)
		if err != nil {
			return err
		}
		ip := to.Addr().Unmap()
		for _, network := range c.Allow {
			if network.Contains(ip) {
				return nil
			}
		}
		if why := spfguard.NotPublic(ip); why != "" {
			return fmt.Errorf("%s is %s", ip, why)
		}
		return nil
	}}
	transport := &http.Transport{DialContext: dialer.DialContext,
		TLSClientConfig: &tls.Config{RootCAs: c.Roots, MinVersion: tls.VersionTLS12}, DisableKeepAlives: true,
		MaxResponseHeaderBytes: 16 << 10}
	client := &http.Client{Transport: transport,
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}
	r, err := http.NewRequestWithContext(ctx, http.MethodGet, at, nil)
	if err != nil {
		return nil, err
	}
	answer, err := client.Do(r)
	if err != nil {
		return nil, fmt.Errorf("%w: %s does not answer: %w", ErrNoConnect, r.URL.Host, cause(err))
	}
	defer answer.Body.Close()
	if answer.StatusCode != http.StatusOK {
		return nil, fmt.Errorf("%w: it answers %d", ErrNoConnect, answer.StatusCode)
	}
	text, err := io.ReadAll(io.LimitReader(answer.Body, maxSettings+1))
	if err == nil && len(text) > maxSettings {
		err = fmt.Errorf("%w: it answers too much", ErrNoConnect)
	}
	return text, err
}

// cause is why a page could not be read, without its address and what the client did.
func cause(err error) error {
	var asked *url.Error
	if errors.As(err, &asked) {
		err = asked.Err
	}
	var dialled *net.OpError
	if errors.As(err, &dialled) {
		err = dialled.Err
	}
	var name *net.DNSError
	if errors.As(err, &name) {
		err = errors.New("the resolver of this host finds no address for it")
	}
	return err
}

// A Link leads to the page of a DNS provider that publishes records at one click.
type Link struct {
	URL, Provider string
	SPF           string // the record that it leaves; "" when it leaves SPF alone
	Others        int    // changes that it does not make
}

// Link finds the client's DNS provider, proves what one click would leave, and returns the
// signed link. Its error says why there is none.
func (c *Connector) Link(ctx context.Context, resolver spfguard.Resolver, p Plan) (Link, error) {
	if !c.On() {
		return Link{}, ErrNoConnect
	}
	zone, settings, err := c.discover(ctx, resolver, p.Domain)
	if err != nil {
		return Link{}, err
	}
	if err := c.knows(ctx, settings); err != nil {
		return Link{}, err
	}
	l := Link{Provider: settings.Name()}
	if l.SPF, err = p.Leaves(ctx, &spfguard.Checker{Resolver: resolver}); err != nil {
		return Link{}, err
	}
	query, others := c.query(p, zone)
	l.Others = others
	if c.Key != nil {
		sum := sha256.Sum256([]byte(query))
		sig, err := rsa.SignPKCS1v15(nil, c.Key, crypto.SHA256, sum[:])
		if err != nil {
			return Link{}, err
		}
		query += "&sig=" + url.QueryEscape(base64.StdEncoding.EncodeToString(sig)) + "&key=" +
			url.QueryEscape(c.KeyHost)
	}
	ux, err := url.Parse(settings.URLSyncUX)
	if err != nil {
		return Link{}, err
	}
	ux = ux.JoinPath(append(templatePath(c), "apply")...)
	ux.RawQuery = query
	l.URL = ux.String()
	return l, nil
}

// query is what the template is filled with, in the order that is signed.
func (c *Connector) query(p Plan, zone string) (query string, others int) {
	values := []string{"domain=" + url.QueryEscape(zone)}
	if host := strings.TrimSuffix(strings.TrimSuffix(p.Domain, zone), "."); host != "" {
		values = append(values, "host="+url.QueryEscape(host))
	}
	var groups []string
	add := func(group string, pairs ...string) bool {
		for _, g := range groups {
			if g == group {
				return false // the template has one of each
			}
		}
		groups = append(groups, group)
		for i := 0; i < len(pairs); i += 2 {
			values = append(values, pairs[i]+"="+url.QueryEscape(pairs[i+1]))
		}
		return true
	}
	for _, change := range p.Changes {
		host, below := strings.CutSuffix(change.Name, "."+p.Domain)
		if change.Name == p.Domain {
			host, below = "@", true
		}
		lower := strings.ToLower(change.Value)
		done := false
		switch {
		case !below:
		case host == "@" && strings.HasPrefix(lower, "v=spf1"):
			done = add(groupSPF, "spfrules", p.rules())
		case host == "_dmarc" && strings.HasPrefix(lower, "v=dmarc1"):
			done = add(groupDMARC, "dmarc", change.Value)
		case strings.HasSuffix(host, "._domainkey"):
			done = add(groupDKIM, "dkimhost", host, "dkim", change.Value)
		case change.Type == "MX" && host != "@":
			done = add(groupBounce, "bouncehost", host, "bouncemx", change.Value)
		}
		if !done {
			others++
		}
	}
	values = append(values, "groupId="+url.QueryEscape(strings.Join(groups, ",")))
	return strings.Join(values, "&"), others
}
