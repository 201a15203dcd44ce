package main

import (
	"errors"
	"fmt"

	"github.com/spf13/cobra"

	"enotify/cmd/enotify/exit"
	"enotify/cmd/enotify/spfreport"
	"enotify/cmd/enotify/term"
	"enotify/spfguard"
	"enotify/spfguard/dns"
)

func (s *spf) checkCmd() *cobra.Command {
	cmd := &cobra.Command{
		Use: "check [DOMAIN]", Short: "Evaluate SPF for our addresses as receivers do", Args: atMost(1),
		Long: `Evaluates SPF as strict receivers do (RFC 7208) for every address and shows
which terms decided. DOMAIN may be left out when --mail-from is given. With
--record, a record is tested before it is published.

Exit codes: 0 all pass; 2 one fails or the record is a permerror; 1 the DNS did
not answer; 3 any other result, with --strict. A domain that does not exist
exits with 2.`,
		Example: `  enotify spf check client.example --egress 192.0.2.10,2001:db8::10
  enotify spf check --mail-from news@client.example --ip 192.0.2.10 --record 'v=spf1 mx -all'`,
		RunE: func(cmd *cobra.Command, args []string) error { return s.check(cmd, args) },
	}
	f := cmd.Flags()
	s.ipFlag(f)
	s.senderFlags(f)
	s.recordFlag(f)
	f.BoolVar(&s.strict, "strict", false, "exit with 3 if a result is neither pass nor blocking")
	return cmd
}

func (s *spf) check(cmd *cobra.Command, args []string) error {
	ctx := cmd.Context()
	checker, err := s.checker()
	if err != nil {
		return err
	}
	domain, sender, err := s.identity(cmd, args)
	if err != nil {
		return err
	}
	ips, err := s.egress(ctx, domain)
	if err != nil {
		return err
	}
	r := spfreport.New(domain, s.record)
	r.Evaluate(ctx, checker, ips, spfguard.Query{Sender: sender, HELO: s.helo, Domain: domain, Record: s.record})
	r.Lint(ctx, checker, s.record, ips)
	if !r.Passing() && !r.Unsure() {
		// That there is no fix, or none that the DNS lets us prove, is no error here.
		f, err := checker.Fix(ctx,
			spfguard.FixQuery{Domain: domain, Record: s.record, Egress: ips, Sender: sender, HELO: s.helo})
		r.AddFix(f, err)
	}
	if ctx.Err() != nil {
		return ctx.Err()
	}
	if s.format == "json" {
		err = term.WriteJSON(s.stdout, r)
	} else {
		err = s.print(r.Tree, r.ListFindings, r.ShowFix, r.ShowOpen)
	}
	if err != nil {
		return err
	}
	return checkExit(r, s.strict)
}

// checkExit is the worst of the results.
func checkExit(r *spfreport.Report, strict bool) error {
	worst, strictly := spfguard.Send, false
	for _, v := range r.Verdicts {
		if v.Decision.Worse(worst) {
			worst = v.Decision
		}
		if v.Evaluation.Root.Absent {
			worst = spfguard.Block
		}
		strictly = strictly || v.StrictExplanation != ""
	}
	switch {
	case worst == spfguard.Block:
		return exit.With(exit.Blocked, nil)
	case worst == spfguard.Wait:
		return exit.With(exit.Failed, temporary(r))
	case (worst == spfguard.Warn || strictly) && strict:
		return exit.With(exit.Warned, nil)
	default:
		return nil
	}
}

// temporary is why the first result is a temperror, and what to do about it.
func temporary(r *spfreport.Report) error {
	for _, v := range r.Verdicts {
		if v.Decision == spfguard.Wait {
			return unanswered(v.Err)
		}
	}
	return nil
}

// unanswered says about a temporary error of the DNS what can be done.
func unanswered(err error) error {
	var failure *dns.FailureError
	if !errors.As(err, &failure) {
		return err
	}
	switch failure.Fault() {
	case dns.TheirDNS:
		return fmt.Errorf("%w; the DNS of %s is at fault, as receivers see it too: tell its owner, and try again",
			err, failure.Name)
	case dns.OurResolver:
		return fmt.Errorf("%w; name another DNS server with --resolver", err)
	default:
		return fmt.Errorf("%w; try again, or name another DNS server with --resolver", err)
	}
}

func (s *spf) fixCmd() *cobra.Command {
	var include string
	cmd := &cobra.Command{
		Use: "fix [DOMAIN]", Short: "Print the smallest change that authorises all our " +
			"addresses", Args: atMost(1),
		Long: `Repairs faults that make the record a permerror, adds what is missing, and tests
the result by evaluating it for every address before it is shown. Senders that
passed before still pass, and so does every sender that a reader would take the
record to name. Where one of them cannot be told, the result is a question to
ask the client, and no record.

Exit codes: 0 the record is printed, or nothing needs to change; 2 a question
needs an answer first, or no change helps; 1 the DNS did not answer.`,
		Example: `  enotify spf fix client.example --egress 192.0.2.10 --include _spf.host.example`,
		RunE: func(cmd *cobra.Command, args []string) error {
			return s.runFix(cmd, args, include)
		},
	}
	f := cmd.Flags()
	s.ipFlag(f)
	s.senderFlags(f)
	s.recordFlag(f)
	f.StringVar(
		&include,
		"include",
		"",
		"include `DOMAIN`, whose record lists our addresses, instead of the addresses",
	)
	return cmd
}

func (s *spf) runFix(cmd *cobra.Command, args []string, include string) error {
	checker, err := s.checker()
	if err != nil {
		return err
	}
	domain, sender, err := s.identity(cmd, args)
	if err != nil {
		return err
	}
	ips, err := s.egress(cmd.Context(), domain)
	if err != nil {
		return err
	}
	f, err := checker.Fix(cmd.Context(), spfguard.FixQuery{
		Domain: domain, Record: s.record, Egress: ips, Sender: sender, HELO: s.helo, Include: include})
	var doubt *spfguard.DoubtError
	switch {
	case errors.As(err, &doubt):
	case errors.Is(err, spfguard.ErrNoFix):
		return exit.With(exit.Blocked, err)
	case err != nil:
		return unanswered(err)
	}
	r := spfreport.New(domain, s.record)
	if f != nil {
		r.Record = f.Before
	}
	r.AddFix(f, err)
	if s.format == "json" {
		r.Evaluate(cmd.Context(), checker, ips,
			spfguard.Query{Sender: sender, HELO: s.helo, Domain: domain, Record: s.record})
		r.Lint(cmd.Context(), checker, s.record, ips)
		err = term.WriteJSON(s.stdout, r)
	} else {
		err = s.print(r.ShowFix, func(p *spfreport.Printer) {
			switch {
			case f == nil:
			case r.Fix == nil && len(f.Open) == 0:
				p.Line("Nothing to be done: every address passes under the record of %s.", domain)
			case r.Fix == nil && f.Worst.Over():
				p.Line("Our addresses pass under the record of %s, but it is over the limits of receivers, and "+
					"others are refused.", domain)
			case r.Fix == nil:
				p.Line("Nothing to publish: every address passes under the record of %s.", domain)
			case f.Before == "":
				p.Line("  Proven by evaluating it: our addresses pass (%d).", len(f.Proof))
			default:
				p.Line("  Proven by evaluating it: our addresses pass (%d), and so do the addresses that stand "+
					"for the senders in the old record (%d).", len(f.Proof), f.Others)
			}
		}, r.ShowOpen)
	}
	if err != nil {
		return err
	}
	if doubt != nil || r.Fix == nil && f.Worst.Over() {
		return exit.With(exit.Blocked, nil)
	}
	return nil
}
