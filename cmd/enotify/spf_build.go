package main

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"net/netip"
	"strings"

	"github.com/spf13/cobra"

	"enotify/cmd/enotify/exit"
	"enotify/cmd/enotify/spfreport"
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
		Use: "build [DOMAIN]", Short: "Write a record from answers, as an SPF wizard " +
			"does", Args: atMost(1),
		Long: `Writes the record for the given flags, evaluates it and prints it. On a terminal
and without flags it asks.

Exit codes: 0 the record is printed; 2 it exceeds the limits of receivers; 1 the
DNS did not answer.`,
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
	f.BoolVar(&plan.ptr, "ptr", false, "any host below the domain may send (slow; RFC 7208 advises against it)")
	f.StringSliceVar(&plan.networks, "ip", nil, "`NETWORK` or address that may send; may be repeated")
	f.StringSliceVar(&plan.hosts, "host", nil, "`NAME` of another host that may send; may be repeated")
	f.StringSliceVar(
		&plan.includes,
		"include",
		nil,
		"`DOMAIN` whose senders may send for this domain too; may be repeated",
	)
	f.StringVar(&plan.all, "all", "softfail", "result for all other senders: fail, softfail or neutral")
	return cmd
}

// build writes the record, and evaluates it as if it were published.
func (s *spf) build(ctx context.Context, plan spfPlan) error {
	checker, err := s.checker()
	if err != nil {
		return err
	}
	if plan.domain == "" {
		return exit.Usagef("which domain? give one, as in enotify spf build town.example --mx")
	}
	domain := spfguard.ASCII(plan.domain)
	p := spfguard.Plan{
		A:        plan.a,
		MX:       plan.mx,
		PTR:      plan.ptr,
		Hosts:    plan.hosts,
		Includes: plan.includes,
		All:      spfguard.Result(plan.all),
	}
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
	r := spfreport.New(domain, record)
	r.Fix = &spfreport.Fix{
		Record:  record,
		Zone:    spfguard.ZoneLine(domain, record),
		Delete:  []string{},
		Changes: []string{},
		Flatten: []string{},
	}
	var samples []netip.Addr
	for _, net := range p.Networks {
		samples = append(samples, net.Addr())
	}
	r.Evaluate(ctx, checker, samples, spfguard.Query{Sender: "postmaster@" + domain, Domain: domain, Record: record})
	if _, r.Findings, err = checker.Lint(ctx, domain, record); err != nil {
		return fmt.Errorf("the record would be %s; it could not be evaluated: %w", record, err)
	}
	r.Findings = spfreport.OrEmpty(r.Findings)
	if s.format == "json" {
		err = term.WriteJSON(s.stdout, r)
	} else {
		err = s.print(func(p *spfreport.Printer) {
			p.Line("zone file   %s", r.Fix.Zone)
			p.Line("web form    %s", record)
		}, r.ListFindings)
	}
	if err != nil {
		return err
	}
	return lintExit(r.Findings, false)
}

// converse asks for what the flags of spf build say, and again where an
// answer cannot be used.
func (p *spfPlan) converse(r io.Reader, w io.Writer) error {
	t := &talk{in: bufio.NewScanner(r), out: w}
	if p.domain == "" {
		p.domain = t.ask("For which domain?", "", func(s string) bool { return strings.Contains(s, ".") })
	}
	p.mx = t.yes("May the hosts that receive mail for " + p.domain + " (MX) also send for it?")
	p.a = t.yes("May the address of " + p.domain + " itself send?")
	p.networks = t.list(
		"Which other addresses or networks may send? (as 192.0.2.1 or 192.0.2.0/24)",
		func(s string) bool {
			_, err := spfguard.ParseNetwork(s)
			return err == nil
		},
	)
	p.hosts = t.list("Which other hosts may send? (names)", isName)
	p.includes = t.list("Which services may send, by the domain of their own SPF record?", isName)
	p.all = t.ask("What shall happen to everyone else: fail, softfail or neutral?", "softfail", func(s string) bool {
		return s == "fail" || s == "softfail" || s == "neutral"
	})
	return t.err()
}

func isName(s string) bool {
	_, err := netip.ParseAddr(s)
	return err != nil && strings.Contains(s, ".") && !strings.ContainsAny(s, " /:@")
}

// A talk is questions to w and answers from a terminal.
type talk struct {
	in    *bufio.Scanner
	out   io.Writer
	ended bool
}

// ask repeats the question until the answer is good or the input ends; an
// empty answer stands for fallback.
func (t *talk) ask(question, fallback string, good func(string) bool) string {
	for {
		fmt.Fprint(t.out, question)
		if fallback != "" {
			fmt.Fprintf(t.out, " [%s]", fallback)
		}
		fmt.Fprint(t.out, " ")
		if !t.in.Scan() {
			t.ended = true
			return fallback
		}
		answer := strings.TrimSpace(t.in.Text())
		if answer == "" {
			answer = fallback
		}
		if good(answer) {
			return answer
		}
		fmt.Fprintf(t.out, "%q is not what is asked for.\n", answer)
	}
}

func (t *talk) yes(question string) bool {
	answer := t.ask(question, "no", func(s string) bool {
		return strings.EqualFold(s, "yes") || strings.EqualFold(s, "no") || strings.EqualFold(s, "y") ||
			strings.EqualFold(s, "n")
	})
	return strings.HasPrefix(strings.ToLower(answer), "y")
}

// list takes answers separated by commas or spaces; none is an answer too.
func (t *talk) list(question string, good func(string) bool) []string {
	answer := t.ask(question, "none", func(s string) bool {
		for _, part := range words(s) {
			if !good(part) {
				return false
			}
		}
		return true
	})
	return words(answer)
}

func words(s string) []string {
	if s == "none" {
		return nil
	}
	return strings.FieldsFunc(s, func(r rune) bool { return r == ' ' || r == ',' })
}

func (t *talk) err() error {
	if t.ended {
		return fmt.Errorf("the answers ended before the questions did")
	}
	return nil
}
