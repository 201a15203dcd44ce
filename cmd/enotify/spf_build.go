package main

import (
	"context"
	"fmt"
	"net/netip"

	"github.com/spf13/cobra"

	"enotify/cmd/enotify/exit"
	"enotify/cmd/enotify/term"
	"enotify/spfguard"
)

// spfPlan holds the flags of spf build.
type spfPlan struct {
	domain   string
	mx, a    bool
	ptr      bool
	networks []string
	hosts    []string
	includes []string
	all      string
}

func (s *spf) buildCmd() *cobra.Command {
	var plan spfPlan
	cmd := &cobra.Command{
		Use: "build [DOMAIN]", Short: "Write a record from the answers of the usual wizard", Args: cobra.MaximumNArgs(1),
		Long: `Writes the record for what the flags say, evaluates it and prints it. On a
terminal and without flags it asks.

Exit codes: 0 here is the record; 2 it exceeds the limits of receivers; 1 the
DNS could not say.`,
		Example: `  enotify spf build client.example --mx --a --ip 38.106.5.33/32 --all softfail`,
		RunE: func(cmd *cobra.Command, args []string) error {
			if len(args) == 1 {
				plan.domain = args[0]
			}
			asked := cmd.LocalNonPersistentFlags()
			if asked.Changed("mx") || asked.Changed("a") || asked.Changed("ptr") || asked.Changed("ip") ||
				asked.Changed("host") || asked.Changed("include") || asked.Changed("all") {
				return s.build(cmd.Context(), plan)
			}
			if !term.IsTerminal(s.stdin) {
				return exit.Usagef("who may send? see the flags of enotify spf build --help; on a terminal it asks")
			}
			if err := plan.converse(s.stdin, s.stderr); err != nil {
				return err
			}
			return s.build(cmd.Context(), plan)
		},
	}
	f := cmd.Flags()
	f.BoolVar(&plan.mx, "mx", false, "the hosts that receive mail for the domain may send")
	f.BoolVar(&plan.a, "a", false, "the domain's own address may send")
	f.BoolVar(&plan.ptr, "ptr", false, "any host under the domain may send (slow; advised against by RFC 7208)")
	f.StringSliceVar(&plan.networks, "ip", nil, "`NETWORK` or address that may send")
	f.StringSliceVar(&plan.hosts, "host", nil, "`NAME` of another host that may send")
	f.StringSliceVar(&plan.includes, "include", nil, "`DOMAIN` whose senders may send for this one too")
	f.StringVar(&plan.all, "all", "softfail", "what happens to everyone else: fail, softfail or neutral")
	return cmd
}

// build writes the record, and evaluates it as if it were published.
func (s *spf) build(ctx context.Context, plan spfPlan) error {
	checker, err := s.checker()
	if err != nil {
		return err
	}
	if plan.domain == "" {
		return exit.Usagef("for which domain?")
	}
	domain := spfguard.ASCII(plan.domain)
	p := spfguard.Plan{A: plan.a, MX: plan.mx, PTR: plan.ptr, Hosts: plan.hosts, Includes: plan.includes, All: spfguard.Result(plan.all)}
	for _, text := range plan.networks {
		net, err := spfguard.ParseNetwork(text)
		if err != nil {
			return exit.Usagef("%v", err)
		}
		p.Networks = append(p.Networks, net)
	}
	record, err := spfguard.Build(p)
	if err != nil {
		return exit.Usagef("%v", err)
	}
	r := newSPFReport(domain, record)
	r.Fix = &spfFix{Record: record, Zone: spfguard.ZoneLine(domain, record), Changes: []string{}, Flatten: []string{}}
	var samples []netip.Addr
	for _, net := range p.Networks {
		samples = append(samples, net.Addr())
	}
	r.evaluate(ctx, checker, samples, spfguard.Query{Sender: "postmaster@" + domain, Domain: domain, Record: record})
	if _, r.Findings, err = checker.Lint(ctx, domain, record); err != nil {
		return fmt.Errorf("the record would be %s; it could not be evaluated: %w", record, err)
	}
	r.Findings = orEmpty(r.Findings)
	if s.format == "json" {
		err = s.printJSON(r)
	} else {
		err = s.print(func(p *treePrinter) {
			p.line("zone file   %s", r.Fix.Zone)
			p.line("web form    %s", record)
		}, r.findings)
	}
	if err != nil {
		return err
	}
	return lintExit(r.Findings, false)
}
