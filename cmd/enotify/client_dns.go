package main

import (
	"context"
	"net/netip"
	"strings"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"enotify/cmd/enotify/cure"
	"enotify/cmd/enotify/exit"
	"enotify/cmd/enotify/preflight"
	"enotify/cmd/enotify/preflight/render"
	"enotify/cmd/enotify/term"
	"enotify/cmd/enotify/zone"
	"enotify/queue"
	"enotify/sender/dkim"
	"enotify/spfguard"
	"enotify/spfguard/dns"
)

func (a *app) clientZoneCmd() *cobra.Command {
	var z zone.File
	var ips, sending []string
	var pool string
	cmd := &cobra.Command{
		Use: "zone DOMAIN", Short: "Print the DNS lines that a client should publish", Args: one("a domain"),
		Long: `Prints the lines for the client's zone file: SPF that authorises the egress
addresses of its pools (or of --egress), the keys of its DKIM selectors, a
DMARC policy to begin with, and for signed return paths the MX and SPF of their
domain. Lines that are published already are commented out, so that the rest can
be pasted.`,
		Example: "  enotify client zone town.example --dkim-dir /etc/enotify/dkim",
		RunE: a.onQueue(func(ctx context.Context, db *queue.DB, args []string) error {
			c, err := db.Client(ctx, args[0])
			if err != nil {
				return err
			}
			spf := &spf{app: a, ips: ips, sending: sending, pool: pool,
				ourEgress: func(ctx context.Context, domain, pool string) ([]netip.Addr, error) {
					return egressOf(ctx, db, domain, pool)
				}}
			if z.Egress, err = spf.egress(ctx, c.Domain); err != nil {
				return err
			}
			if len(z.BounceHosts) == 0 {
				if z.BounceHosts, err = namesOf(ctx, db); err != nil {
					return err
				}
			}
			z.DNS = &dns.Resolver{Server: a.resolver}
			lines, err := z.Lines(ctx, c)
			if err != nil {
				return err
			}
			return a.print(lines, func(p *term.Page) { zone.Lay(p, lines) })
		}),
	}
	f := cmd.Flags()
	f.StringSliceVar(&ips, "ip", nil, "`IP` addresses that send, separated by commas; default: the addresses of --egress")
	f.StringSliceVar(&sending, "egress", nil,
		"`IP` addresses that receivers see, separated by commas; default: those of the client's pools")
	poolFlag(f, &pool)
	f.StringVar(&z.Include, "include", "",
		"include `DOMAIN`, whose SPF record lists our addresses, instead of the addresses")
	f.StringSliceVar(&z.BounceHosts, "bounce-host", nil,
		"`NAME` of a host that listens for bounces; default: the EHLO names of the live nodes")
	dkimDirFlag(f, &z.Keys)
	return cmd
}

func (a *app) clientKeyCmd() *cobra.Command {
	var dir dkim.Directory
	var selector, kind string
	cmd := &cobra.Command{
		Use: "key DOMAIN", Short: "Make a DKIM key and print the record to publish", Args: one("a domain"),
		Long: `Makes a key pair. The private key goes to DIR/DOMAIN/SELECTOR.pem, which only
its owner may read (and its group, where DIR has the set-group-ID bit), and
which is never overwritten: to change keys, take another selector. Copy it to
every node. The record with the public key is the result.`,
		Example: `  enotify client key town.example --selector s2026 --dkim-dir /etc/enotify/dkim
  enotify client key town.example --selector s2026ed --type ed25519 --dkim-dir /etc/enotify/dkim`,
	}
	f := cmd.Flags()
	f.StringVar(&selector, "selector", "",
		"`NAME` of the key, a new one for each key; its record is NAME._domainkey.DOMAIN")
	f.StringVar(&kind, "type", dkim.RSA,
		"rsa (2048 bits, which every receiver can check) or ed25519 (to use beside an RSA key)")
	dkimDirFlag(f, &dir)
	_ = cmd.RegisterFlagCompletionFunc("type",
		cobra.FixedCompletions([]string{dkim.RSA, dkim.Ed25519}, cobra.ShellCompDirectiveNoFileComp))
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		switch {
		case dir.Path == "":
			return exit.Usagef("where do the keys belong? say --dkim-dir DIR")
		case selector == "":
			return exit.Usagef("which selector? say --selector NAME, such as s2026")
		case kind != dkim.RSA && kind != dkim.Ed25519:
			return exit.Usagef("--type %s: want rsa or ed25519", kind)
		}
		key, err := dir.Generate(strings.ToLower(spfguard.ASCII(args[0])), selector, kind)
		if err != nil {
			return err
		}
		a.hint("private key: %s", dir.File(key.Domain, selector))
		a.hint("publish the record below, then: enotify client set %s --dkim-selector %s", key.Domain, selector)
		line := zone.Line{Name: key.Name(), Type: "TXT", Value: key.Record(),
			Why: "receivers find the key of selector " + selector + " here", Status: zone.Publish}
		return a.print(line, func(p *term.Page) { p.Line("%s", line.Text()) })
	}
	return cmd
}

// dkimDirFlag is where the verbs that need keys look for them.
func dkimDirFlag(f *pflag.FlagSet, dir *dkim.Directory) {
	f.StringVar(&dir.Path, "dkim-dir", "", "`DIR` with the DKIM keys, as DIR/DOMAIN/SELECTOR.pem")
}

func (a *app) clientCheckCmd() *cobra.Command {
	p := &preflightFlags{app: a}
	var connect connectFlags
	cmd := &cobra.Command{
		Use: "check DOMAIN", Short: "Check the DNS of a client and show what to publish", Args: one("a domain"),
		Long: `Checks everything that receivers ask the DNS about a client and our servers:
SPF, DKIM, DMARC, names of addresses, block lists. With -o html it is a page for
the person who edits the client's zone: what to publish, line by line, and what
is right already. DOMAIN need not be registered yet.

Exit codes: 0 in order; 2 a check blocks; 3 with --strict, warnings.`,
		Example: `  enotify client check town.example
  enotify client check town.example --egress 192.0.2.10 --helo mail.host.example -o html > town.html`,
	}
	p.add(cmd)
	connect.add(cmd.Flags())
	cmd.RunE = func(cmd *cobra.Command, args []string) (err error) {
		ctx := cmd.Context()
		if err := p.check(); err != nil {
			return err
		}
		if p.connect, err = connect.connector(); err != nil {
			return err
		}
		if a.databaseURL == "" && len(p.Egress) > 0 && p.HELO != "" { // the DNS is all that it takes
			return p.checkClient(ctx, spfguard.ASCII(args[0]))
		}
		return a.withQueue(ctx, func(ctx context.Context, db *queue.DB) error {
			domain, err := db.Domain(ctx, args[0])
			if err != nil {
				return err
			}
			p.DB = db
			return p.checkClient(ctx, domain)
		})
	}
	return cmd
}

func (p *preflightFlags) checkClient(ctx context.Context, domain string) error {
	in, err := p.Client(ctx, "postmaster@"+domain)
	if err != nil {
		return err
	}
	r, err := preflight.Run(ctx, in)
	if err != nil {
		return err
	}
	if p.format == "html" {
		forms, err := cure.Offer(ctx, p.connect, in, r)
		if err != nil {
			return err
		}
		if err := render.HTMLWith(p.stdout, r, forms); err != nil {
			return err
		}
	} else if err := p.show(r); err != nil {
		return err
	}
	return p.exit(r)
}
