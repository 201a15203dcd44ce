package main

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"enotify/cmd/enotify/dmarc"
	"enotify/cmd/enotify/term"
	"enotify/queue"
	"enotify/sender/dkim"
	"enotify/spfguard"
	"enotify/spfguard/dns"
)

// A zoneLine is a record that a client should publish.
type zoneLine struct {
	Name   string `json:"name"` // without the dot at the end
	Type   string `json:"type"`
	Value  string `json:"value"` // of TXT: the text, in one piece; "" when it is not known
	Why    string `json:"why"`
	Status string `json:"status"`
}

// What is to be done about a zoneLine.
const (
	zoneRight   = "right"   // published as it should be
	zoneKeep    = "keep"    // published, and the client's own business
	zonePublish = "publish" // to be added
	zoneChange  = "change"  // to be put in the place of what is published
	zoneUnknown = "unknown" // what it should be cannot be said here
)

// text is the line as a zone file has it.
func (l zoneLine) text() string {
	if l.Type == "TXT" {
		return spfguard.ZoneLine(l.Name, l.Value)
	}
	return l.Name + ". IN " + l.Type + " " + l.Value
}

func (a *app) clientZoneCmd() *cobra.Command {
	z := &zoneFile{app: a}
	cmd := &cobra.Command{
		Use: "zone DOMAIN", Short: "Print the DNS lines that a client should publish", Args: one("a domain"),
		Long: `Prints the lines for the client's zone file: SPF that authorises the egress
addresses of the live nodes (or those of --ip), the keys of its DKIM selectors, a
DMARC policy to begin with, and for signed return paths the MX and SPF of their
domain. Lines that are published already are commented out, so that the rest can
be pasted.`,
		Example: "  enotify client zone town.example --dkim-dir /etc/enotify/dkim",
		RunE: a.onQueue(func(ctx context.Context, db *queue.DB, args []string) error {
			lines, err := z.lines(ctx, db, args[0])
			if err != nil {
				return err
			}
			return a.print(lines, func(p *term.Page) { layZone(p, lines) })
		}),
	}
	f := cmd.Flags()
	f.StringSliceVar(&z.ips, "ip", nil, "`IP` addresses that send, separated by commas; default: the egress addresses of the live nodes")
	f.StringVar(&z.include, "include", "", "include `DOMAIN`, whose SPF record lists our addresses, instead of the addresses")
	f.StringSliceVar(&z.bounceHosts, "bounce-host", nil, "`NAME` of a host that listens for bounces; default: the EHLO names of the live nodes")
	dkimDirFlag(f, &z.keys)
	return cmd
}

func layZone(p *term.Page, lines []zoneLine) {
	for i, l := range lines {
		if i > 0 {
			p.Line("")
		}
		p.Line("; %s: %s", p.Paint(strings.ToUpper(l.Status), zoneTones[l.Status]), l.Why)
		switch {
		case l.Value == "":
		case l.Status == zoneRight || l.Status == zoneKeep:
			p.Line("; %s", l.text())
		default:
			p.Line("%s", l.text())
		}
	}
}

var zoneTones = map[string]term.Style{zoneRight: term.Green, zoneKeep: term.Green, zonePublish: term.Yellow, zoneChange: term.Yellow, zoneUnknown: term.Red}

// A zoneFile is what a client should publish.
type zoneFile struct {
	*app
	ips     []string
	include string
	keys    dkim.Directory

	bounceHosts []string // that listen for bounces
	helo        []string // names of the live nodes

	dns *dns.Resolver
}

func (z *zoneFile) lines(ctx context.Context, db *queue.DB, name string) ([]zoneLine, error) {
	c, err := db.Client(ctx, name)
	if err != nil {
		return nil, err
	}
	spf := &spf{app: z.app, ips: z.ips, liveEgress: func(ctx context.Context) ([]netip.Addr, error) { return egressOf(ctx, db) }}
	egress, err := spf.egress(ctx)
	if err != nil {
		return nil, err
	}
	nodes, err := db.Nodes(ctx)
	if err != nil {
		return nil, err
	}
	for _, n := range nodes {
		if name := strings.ToLower(n.HELO); !slices.Contains(z.helo, name) {
			z.helo = append(z.helo, name)
		}
	}
	z.dns = &dns.Resolver{Server: z.resolver}
	var lines []zoneLine
	for _, part := range []func(context.Context, queue.Client) ([]zoneLine, error){
		func(ctx context.Context, c queue.Client) ([]zoneLine, error) { return z.spf(ctx, c, egress) },
		z.bounces,
		z.dkim,
		z.dmarc,
	} {
		found, err := part(ctx, c)
		if err != nil {
			return nil, fmt.Errorf("client %s: %w", c.Domain, err)
		}
		lines = append(lines, found...)
	}
	return lines, nil
}

// spf is a line for the client's domain, and for that of its return path.
func (z *zoneFile) spf(ctx context.Context, c queue.Client, egress []netip.Addr) ([]zoneLine, error) {
	domains := []string{c.Domain}
	if c.Bounce == queue.BounceOwn {
		domains = append(domains, c.BounceAt)
	} else if c.ReturnPath != "" && domainOf(c.ReturnPath) != c.Domain {
		domains = append(domains, domainOf(c.ReturnPath))
	}
	checker := &spfguard.Checker{Resolver: z.dns}
	var lines []zoneLine
	for _, domain := range domains {
		who := "lets our addresses send"
		if domain != c.Domain {
			who = "lets our addresses send with the return path " + c.ReturnPath
			if c.Bounce == queue.BounceOwn {
				who = "lets our addresses send with the signed return paths"
			}
		}
		l := zoneLine{Name: domain, Type: "TXT", Status: zonePublish, Why: "SPF, " + who}
		f, err := checker.Fix(ctx, spfguard.FixQuery{Domain: domain, Egress: egress, Include: z.include})
		switch {
		case errors.Is(err, spfguard.ErrNoFix):
			l.Status, l.Why = zoneUnknown, fmt.Sprintf("SPF: %v; see enotify spf check %s", err, domain)
		case err != nil:
			return nil, err
		case !f.Changed():
			l.Value, l.Status, l.Why = f.After, zoneRight, "SPF, already "+who
		default:
			l.Value = f.After
			if f.Before != "" {
				l.Status, l.Why = zoneChange, fmt.Sprintf("SPF, %s; in place of %q: %s", who, f.Before, strings.Join(f.Changes, "; "))
			}
		}
		lines = append(lines, l)
	}
	return lines, nil
}

// dkim is a line for each selector.
func (z *zoneFile) dkim(ctx context.Context, c queue.Client) ([]zoneLine, error) {
	if len(c.Selectors) == 0 {
		return []zoneLine{{Name: "_domainkey." + c.Domain, Type: "TXT", Status: zoneUnknown, Why: fmt.Sprintf(
			"DKIM, no key signs for this client yet; make one: enotify client key %s --selector s1 --dkim-dir DIR", c.Domain)}}, nil
	}
	var lines []zoneLine
	for _, selector := range c.Selectors {
		l := zoneLine{Name: dkim.Name(c.Domain, selector), Type: "TXT", Status: zonePublish, Why: "DKIM, the public key of selector " + selector}
		published, err := z.published(ctx, l.Name)
		if err != nil {
			return nil, err
		}
		key, err := z.keys.Key(c.Domain, selector)
		switch {
		case err != nil && len(published) > 0:
			l.Value, l.Status, l.Why = published[0], zoneKeep, fmt.Sprintf("DKIM, published for selector %s; whether it fits the key cannot be said: %v", selector, err)
		case err != nil:
			l.Status, l.Why = zoneUnknown, fmt.Sprintf("DKIM: %v", err)
		default:
			l.Value = key.Record()
			if dkim.Publishes(published, key.Public()) {
				l.Status, l.Why = zoneRight, "DKIM, already the public key of selector "+selector
			} else if len(published) > 0 {
				l.Status, l.Why = zoneChange, l.Why+", in place of another key; better: a new key with a new selector, since mail on its way is signed with the old one"
			}
		}
		lines = append(lines, l)
	}
	return lines, nil
}

// dmarc is a policy to begin with. One that is there, also that of the
// organisation's domain, is the client's own business.
func (z *zoneFile) dmarc(ctx context.Context, c queue.Client) ([]zoneLine, error) {
	found, ok, err := dmarc.Published(ctx, c.Domain, z.published)
	if err != nil {
		return nil, err
	}
	if ok {
		return []zoneLine{{Name: dmarc.Name(found.Domain), Type: "TXT", Value: found.Record.Text, Status: zoneKeep, Why: "DMARC, there is a policy; leave it as it is"}}, nil
	}
	org := dmarc.Organizational(c.Domain, nil)
	return []zoneLine{{Name: dmarc.Name(org), Type: "TXT", Value: dmarc.First(org), Status: zonePublish,
		Why: "DMARC, which big receivers ask for: only reports, to begin with; go on to p=quarantine when they show that all your mail passes"}}, nil
}

// published are the TXT records at a name; none is no error.
func (z *zoneFile) published(ctx context.Context, name string) ([]string, error) {
	answer, err := z.dns.TXT(ctx, name)
	if errors.Is(err, dns.ErrNXDomain) || errors.Is(err, dns.ErrNoData) {
		return nil, nil
	}
	return answer.Records, err
}

func domainOf(address string) string { return address[strings.LastIndexByte(address, '@')+1:] }
