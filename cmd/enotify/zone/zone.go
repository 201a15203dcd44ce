// Package zone says what a client should publish in the DNS, line by line, and what
// of it is published already.
package zone

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"strings"

	"enotify/cmd/enotify/dmarc"
	"enotify/cmd/enotify/term"
	"enotify/queue"
	"enotify/sender/dkim"
	"enotify/spfguard"
	"enotify/spfguard/dns"
)

// A Line is a record that a client should publish.
type Line struct {
	Name   string `json:"name"` // without the dot at the end
	Type   string `json:"type"`
	Value  string `json:"value"` // of TXT: the text, in one piece; "" when it is not known
	Why    string `json:"why"`
	Status string `json:"status"`
}

// What is to be done about a [Line].
const (
	Right   = "right"   // published as it should be
	Keep    = "keep"    // published, and the client's own business
	Publish = "publish" // to be added
	Change  = "change"  // replaces what is published
	Unknown = "unknown" // what it should be cannot be said here
)

// Text is the line as a zone file has it.
func (l Line) Text() string {
	if l.Type == "TXT" {
		return spfguard.ZoneLine(l.Name, l.Value)
	}
	return l.Name + ". IN " + l.Type + " " + l.Value
}

// Lay puts lines on a page; what needs no action is commented out.
func Lay(p *term.Page, lines []Line) {
	for i, l := range lines {
		if i > 0 {
			p.Line("")
		}
		p.Line("; %s: %s", p.Paint(strings.ToUpper(l.Status), styles[l.Status]), l.Why)
		switch {
		case l.Value == "":
		case l.Status == Right || l.Status == Keep:
			p.Line("; %s", l.Text())
		default:
			p.Line("%s", l.Text())
		}
	}
}

var styles = map[string]term.Style{Right: term.Green, Keep: term.Green, Publish: term.Yellow, Change: term.Yellow,
	Unknown: term.Red}

// A File is what a client should publish, for nodes that send from some addresses.
type File struct {
	// DNS says what is published now.
	DNS *dns.Resolver
	// Egress are the addresses that send.
	Egress []netip.Addr
	// Include is a domain whose SPF record lists them, to be included rather than
	// the addresses themselves; "" is none.
	Include string
	// Keys are the DKIM keys.
	Keys dkim.Directory
	// BounceHosts listen for bounces.
	BounceHosts []string
}

// Lines are those for a client, with what is to be done about each.
func (z *File) Lines(ctx context.Context, c queue.Client) ([]Line, error) {
	var lines []Line
	for _, part := range []func(context.Context, queue.Client) ([]Line, error){
		z.spf,
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

// spf is a line for the client's domain, and one for the domain of its return path.
func (z *File) spf(ctx context.Context, c queue.Client) ([]Line, error) {
	domains := []string{c.Domain}
	if c.Bounce == queue.BounceOwn {
		domains = append(domains, c.BounceAt)
	} else if c.ReturnPath != "" && domainOf(c.ReturnPath) != c.Domain {
		domains = append(domains, domainOf(c.ReturnPath))
	}
	checker := &spfguard.Checker{Resolver: z.DNS}
	var lines []Line
	for _, domain := range domains {
		who := "lets our addresses send"
		if domain != c.Domain {
			who = "lets our addresses send with the return path " + c.ReturnPath
			if c.Bounce == queue.BounceOwn {
				who = "lets our addresses send with the signed return paths"
			}
		}
		l := Line{Name: domain, Type: "TXT", Status: Publish, Why: "SPF, " + who}
		f, err := checker.Fix(ctx, spfguard.FixQuery{Domain: domain, Egress: z.Egress, Include: z.Include, New: true})
		switch {
		case errors.Is(err, spfguard.ErrNoFix):
			l.Status, l.Why = Unknown, fmt.Sprintf("SPF: %v; see enotify spf check %s", err, domain)
		case err != nil:
			return nil, err
		case !f.Changed():
			l.Value, l.Status, l.Why = f.After, Right, "SPF, already "+who
		default:
			l.Value = f.After
			if f.Absent && domain == c.Domain {
				l.Why += "; " + domain + " does not exist in the DNS: is the name mistyped?"
			}
			if f.Before != "" {
				l.Status, l.Why = Change,
					fmt.Sprintf("SPF, %s; in place of %q: %s", who, f.Before, strings.Join(f.Changes, "; "))
			}
			for _, text := range f.Delete {
				l.Why += fmt.Sprintf("; delete the record %q", text)
			}
		}
		lines = append(lines, l)
	}
	return lines, nil
}

// dkim is a line for each selector.
func (z *File) dkim(ctx context.Context, c queue.Client) ([]Line, error) {
	if len(c.Selectors) == 0 {
		return []Line{{Name: "_domainkey." + c.Domain, Type: "TXT", Status: Unknown, Why: fmt.Sprintf(
			"DKIM, no key signs for this client yet; make one: enotify client key %s --selector s1 --dkim-dir DIR",
			c.Domain)}}, nil
	}
	var lines []Line
	for _, selector := range c.Selectors {
		l := Line{Name: dkim.Name(c.Domain, selector), Type: "TXT", Status: Publish,
			Why: "DKIM, the public key of selector " + selector}
		published, err := z.published(ctx, l.Name)
		if err != nil {
			return nil, err
		}
		key, err := z.Keys.Key(c.Domain, selector)
		switch {
		case err != nil && len(published) > 0:
			l.Value, l.Status, l.Why = published[0], Keep,
				fmt.Sprintf("DKIM, published for selector %s; whether it fits the key cannot be said: %v", selector,
					err)
		case err != nil:
			l.Status, l.Why = Unknown, fmt.Sprintf("DKIM: %v", err)
		default:
			l.Value = key.Record()
			if dkim.Publishes(published, key.Public()) {
				l.Status, l.Why = Right, "DKIM, already the public key of selector "+selector
			} else if len(published) > 0 {
				l.Status, l.Why = Change, l.Why+
					", in place of another key; better: a new key with a new selector, since mail on its way is signed with the old one"
			}
		}
		lines = append(lines, l)
	}
	return lines, nil
}

// dmarc is a policy to begin with. One that is there, also that of the
// organisation's domain, is the client's own business.
func (z *File) dmarc(ctx context.Context, c queue.Client) ([]Line, error) {
	found, ok, err := dmarc.Published(ctx, c.Domain, z.published)
	if err != nil {
		return nil, err
	}
	if ok {
		return []Line{{Name: dmarc.Name(found.Domain), Type: "TXT", Value: found.Record.Text, Status: Keep,
			Why: "DMARC, there is a policy; leave it as it is"}}, nil
	}
	org := dmarc.Organizational(c.Domain, nil)
	return []Line{{Name: dmarc.Name(org), Type: "TXT", Value: dmarc.First(org), Status: Publish,
		Why: "DMARC, which big receivers ask for: only reports, to begin with; go on to p=quarantine when they show that all your mail passes"}}, nil
}

// published are the TXT records at a name; none is no error.
func (z *File) published(ctx context.Context, name string) ([]string, error) {
	answer, err := z.DNS.TXT(ctx, name)
	if errors.Is(err, dns.ErrNXDomain) || errors.Is(err, dns.ErrNoData) {
		return nil, nil
	}
	return answer.Records, err
}

// bounces is the MX of the client's signed return paths (RFC 5321 §5.1).
func (z *File) bounces(ctx context.Context, c queue.Client) ([]Line, error) {
	if c.Bounce != queue.BounceOwn {
		return nil, nil
	}
	l := Line{Name: c.BounceAt, Type: "MX", Status: Publish, Why: "MX, brings bounces to enotify run --bounce-listen"}
	hosts := z.BounceHosts
	if len(hosts) == 0 {
		l.Status, l.Why = Unknown, "MX of the bounces: no node is live; say with --bounce-host which host listens for them"
		return []Line{l}, nil
	}
	published, err := z.DNS.MX(ctx, c.BounceAt)
	if err != nil && !errors.Is(err, dns.ErrNXDomain) && !errors.Is(err, dns.ErrNoData) {
		return nil, err
	}
	var lines []Line
	var others []string
	for _, mx := range published.Records {
		if host := strings.ToLower(strings.TrimSuffix(mx.Host, ".")); !slices.Contains(hosts, host) {
			others = append(others, host)
		}
	}
	for _, host := range hosts {
		line := l
		line.Value = fmt.Sprintf("10 %s.", host)
		switch {
		case slices.ContainsFunc(published.Records,
			func(mx dns.MX) bool { return strings.EqualFold(strings.TrimSuffix(mx.Host, "."), host) }):
			line.Status, line.Why = Right, "MX, already brings bounces here"
		case len(others) > 0:
			line.Status, line.Why = Change, fmt.Sprintf("%s, in place of %s", l.Why, strings.Join(others, ", "))
		}
		lines = append(lines, line)
	}
	return lines, nil
}

func domainOf(address string) string { return address[strings.LastIndexByte(address, '@')+1:] }
