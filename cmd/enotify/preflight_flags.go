package main

import (
	"bufio"
	"cmp"
	"context"
	"errors"
	"net"
	"net/netip"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"enotify/cmd/enotify/exit"
	"enotify/cmd/enotify/node"
	"enotify/cmd/enotify/preflight"
	"enotify/cmd/enotify/preflight/render"
	"enotify/queue"
	"enotify/sender/dkim"
	"enotify/spfguard/dns"
)

// preflightFlags are those of every verb that makes a report.
type preflightFlags struct {
	*app
	format   string // text, json or html
	egress   []string
	helo     string
	mailFrom string
	lists    []string
	strict   bool

	bounceDomain string
	publicURL    string
	smarthost    string // HOST:PORT; "" is none
	keys         dkim.Directory
	message      time.Duration // in one connection; 0: nobody knows
}

func (p *preflightFlags) add(cmd *cobra.Command) {
	f := cmd.Flags()
	f.StringVarP(&p.format, "output", "o", "text", "text, json or html")
	f.BoolVar(&p.strict, "strict", false, "exit 3 when there are warnings")
	p.addSources(f)
}

func (p *preflightFlags) addSources(f *pflag.FlagSet) {
	f.StringSliceVar(&p.egress, "egress", nil, "`IP` addresses that receivers see; default: those of the live nodes")
	f.StringVar(&p.helo, "helo", "", "our `NAME` at EHLO; default: that of the live nodes")
	f.StringVar(&p.mailFrom, "mail-from", "", "envelope sender `ADDRESS`; default: the client's return path, else the From: address")
	f.StringVar(&p.bounceDomain, "bounce-domain", "", "`NAME` of the signed return paths of clients that leave them to the operator")
	f.StringVar(&p.publicURL, "public-url", "", "`URL`, https, of our unsubscribe page, as enotify run has it")
	f.StringVar(&p.smarthost, "smarthost", "", "`HOST:PORT` that gets all mail, as enotify run has it")
	dkimDirFlag(f, &p.keys)
	f.StringSliceVar(&p.lists, "dnsbl", nil, "`ZONES` of DNS block lists to ask, such as zen.spamhaus.org")
}

func (p *preflightFlags) check() error {
	if p.format != "" && p.format != "text" && p.format != "table" && p.format != "json" && p.format != "html" {
		return exit.Usagef("-o %s: it is text, json or html", p.format)
	}
	var err error
	if p.bounceDomain, err = node.ParseDomain("--bounce-domain", p.bounceDomain); err != nil {
		return err
	}
	for _, zone := range p.lists {
		if !strings.Contains(zone, ".") || strings.ContainsAny(zone, " /:@") {
			return exit.Usagef("--dnsbl %s: it is a domain, such as zen.spamhaus.org", zone)
		}
	}
	if p.smarthost != "" {
		if _, _, err := net.SplitHostPort(p.smarthost); err != nil {
			return exit.Usagef("--smarthost %s: it is HOST:PORT", p.smarthost)
		}
	}
	return nil
}

// input is what all reports look at. db may be nil when --egress is given.
func (p *preflightFlags) input(ctx context.Context, db *queue.DB, from string) (*preflight.Input, error) {
	egress, err := p.addresses(ctx, db)
	if err != nil {
		return nil, err
	}
	in := &preflight.Input{
		Now: time.Now(), DNS: &dns.Resolver{Server: p.resolver, MaxEntries: maxAnswers}, Egress: egress, Lists: p.lists,
		From: from, MailFrom: from, Client: strings.ToLower(domainOf(from)),
	}
	if db == nil {
		in.MailFrom = cmp.Or(p.mailFrom, from)
		return in, nil
	}
	c, err := db.Client(ctx, in.Client)
	if err != nil && !errors.Is(err, queue.ErrNotFound) {
		return nil, err
	}
	p.readKeys(in, c)
	switch {
	case p.mailFrom != "":
		in.MailFrom = p.mailFrom
	case c.Bounce == queue.BounceOwn:
		in.MailFrom = "b@" + c.BounceAt
	case c.Bounce == queue.BounceOperator && p.bounceDomain == "":
		return nil, exit.Usagef("bounces of %s come back to the operator's domain: say with --bounce-domain which, as enotify run is told", in.Client)
	case c.Bounce == queue.BounceOperator:
		in.MailFrom = "b@" + p.bounceDomain
	case c.ReturnPath == "<>":
		in.MailFrom = ""
	case c.ReturnPath != "":
		in.MailFrom = c.ReturnPath
	}
	return in, nil
}

// readKeys finds the keys that sign for a client.
func (p *preflightFlags) readKeys(in *preflight.Input, c queue.Client) {
	switch {
	case len(c.Selectors) == 0 && c.Domain != "":
		in.Keys = []preflight.Key{} // it is known that there is none
		return
	case p.keys.Path == "":
		return
	}
	keys, err := p.keys.Keys(in.Client, c.Selectors)
	in.KeyTrouble = err
	for _, k := range keys {
		in.Keys = append(in.Keys, preflight.Key{Domain: k.Domain, Selector: k.Selector, Public: k.Public()})
	}
}

// addresses are those of --egress, else of the live nodes, with their names.
func (p *preflightFlags) addresses(ctx context.Context, db *queue.DB) ([]queue.Egress, error) {
	var nodes []queue.Node
	var err error
	if db != nil {
		if nodes, err = db.Nodes(ctx); err != nil {
			return nil, err
		}
	}
	var egress []queue.Egress
	add := func(addr netip.Addr, helo string) {
		if !slices.ContainsFunc(egress, func(e queue.Egress) bool { return e.Addr == addr }) {
			egress = append(egress, queue.Egress{Addr: addr, HELO: cmp.Or(p.helo, helo)})
		}
	}
	if len(p.egress) == 0 {
		for _, n := range nodes {
			for _, addr := range n.Egress {
				add(addr, n.HELO)
			}
		}
	}
	for _, text := range p.egress {
		addr, err := netip.ParseAddr(strings.TrimSpace(text))
		if err != nil || addr.Zone() != "" {
			return nil, exit.Usagef("--egress %s: not an IP address", text)
		}
		addr = addr.Unmap()
		helo := ""
		for _, n := range nodes {
			if slices.Contains(n.Egress, addr) {
				helo = n.HELO
			}
		}
		add(addr, helo)
	}
	switch {
	case len(egress) == 0:
		return nil, exit.Usagef("no node is live: say with --egress which addresses receivers see")
	case slices.ContainsFunc(egress, func(e queue.Egress) bool { return e.HELO == "" }):
		return nil, exit.Usagef("no live node sends from %s: say with --helo which name it gives at EHLO", egress[0].Addr)
	}
	return egress, nil
}

// show prints the report in the form that was asked for.
func (p *preflightFlags) show(r *preflight.Report) error {
	w := bufio.NewWriter(p.stdout)
	var err error
	switch p.format {
	case "json":
		err = render.JSON(w, r)
	case "html":
		err = render.HTML(w, r)
	default:
		err = render.Text(w, r, p.colour(p.stdout))
	}
	if err != nil {
		return err
	}
	return w.Flush()
}

// exit is what the report means for a script.
func (p *preflightFlags) exit(r *preflight.Report) error {
	switch {
	case r.Summary.Verdict == preflight.Blocked:
		return exit.With(exit.Blocked, nil)
	case r.Summary.Verdict == preflight.Doubts && p.strict:
		return exit.With(exit.Warned, nil)
	default:
		return nil
	}
}
