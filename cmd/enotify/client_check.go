package main

import (
	"context"

	"github.com/spf13/cobra"

	"enotify/cmd/enotify/preflight"
	"enotify/queue"
	"enotify/spfguard"
)

func (a *app) clientCheckCmd() *cobra.Command {
	p := &preflightFlags{app: a}
	cmd := &cobra.Command{
		Use: "check DOMAIN", Short: "Check the DNS of a client and show what to publish", Args: one("a domain"),
		Long: `Checks everything that receivers ask the DNS about a client and our servers: SPF,
DKIM, DMARC, names of addresses, block lists. With -o html it is a page for the
person who edits the client's zone: what to publish, line by line, and what is
right already. DOMAIN need not be registered yet.

Exit codes: 0 in order; 2 a check blocks; 3 with --strict, warnings.`,
		Example: `  enotify client check town.example
  enotify client check town.example --egress 192.0.2.10 --helo mail.host.example -o html > town.html`,
	}
	p.add(cmd)
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		ctx := cmd.Context()
		if err := p.check(); err != nil {
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
	if err := p.show(r); err != nil {
		return err
	}
	return p.exit(r)
}
