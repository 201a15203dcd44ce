package main

import (
	"fmt"

	"github.com/spf13/cobra"

	"enotify/cmd/enotify/exit"
	"enotify/cmd/enotify/spfreport"
	"enotify/spfguard"
)

func (s *spf) checkCmd() *cobra.Command {
	cmd := &cobra.Command{
		Use: "check [DOMAIN]", Short: "Evaluate SPF for our addresses as receivers do", Args: cobra.MaximumNArgs(1),
		Long: `Evaluates SPF as strict receivers do (RFC 7208) for every address and shows which
terms decided. DOMAIN may be left out when --mail-from is given. With --record, a
record is tested before it is published.

Exit codes: 0 all pass; 2 one fails or the record is a permerror; 1 the DNS did
not answer; 3 any other result, with --strict.`,
		Example: `  enotify spf check client.example --ip 192.0.2.10,2001:db8::10
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
	ips, err := s.egress(ctx)
	if err != nil {
		return err
	}
	r := spfreport.New(domain, s.record)
	r.Evaluate(ctx, checker, ips, spfguard.Query{Sender: sender, HELO: s.helo, Domain: domain, Record: s.record})
	r.Lint(ctx, checker, s.record, ips)
	if !r.Passing() && !r.Unsure() {
		// That there is no fix, or none that the DNS lets us prove, is no error here.
		if f, err := checker.Fix(ctx, spfguard.FixQuery{Domain: domain, Record: s.record, Egress: ips, Sender: sender, HELO: s.helo}); err == nil {
			r.Fix = spfreport.NewFix(f)
		}
	}
	if ctx.Err() != nil {
		return ctx.Err()
	}
	if s.format == "json" {
		err = writeJSON(s.stdout, r)
	} else {
		err = s.print(r.Tree, r.ListFindings, r.ShowFix)
	}
	if err != nil {
		return err
	}
	return checkExit(r, s.strict)
}

// checkExit is the worst of the results.
func checkExit(r *spfreport.Report, strict bool) error {
	worst := spfguard.Send
	for _, v := range r.Verdicts {
		if v.Decision.Worse(worst) {
			worst = v.Decision
		}
	}
	switch {
	case worst == spfguard.Block:
		return exit.With(exit.Blocked, nil)
	case worst == spfguard.Wait:
		return exit.With(exit.Failed, fmt.Errorf("the DNS could not say, try again or name another server with --resolver: %w", temporary(r)))
	case worst == spfguard.Warn && strict:
		return exit.With(exit.Warned, nil)
	default:
		return nil
	}
}

// temporary is why the first result is a temperror.
func temporary(r *spfreport.Report) error {
	for _, v := range r.Verdicts {
		if v.Decision == spfguard.Wait {
			return v.Err
		}
	}
	return nil
}
