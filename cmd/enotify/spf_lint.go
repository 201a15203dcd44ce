package main

import (
	"github.com/spf13/cobra"

	"enotify/cmd/enotify/exit"
	"enotify/cmd/enotify/spfreport"
	"enotify/cmd/enotify/term"
	"enotify/spfguard"
)

func (s *spf) lintCmd() *cobra.Command {
	cmd := &cobra.Command{
		Use: "lint [DOMAIN]", Short: "List the faults of a record, with place and remedy", Args: atMost(1),
		Long: `Reads the record that DOMAIN publishes, or the one given with --record, and
reports every fault, not only the first. Without DOMAIN the DNS is not asked.

Exit codes: 0 no fault; 2 errors; 3 warnings, with --strict; 1 the DNS did not
answer.`,
		Example: `  enotify spf lint client.example
  enotify spf lint --record 'v=spf1 a, mx; - all'`,
		RunE: func(cmd *cobra.Command, args []string) error { return s.lint(cmd, args) },
	}
	f := cmd.Flags()
	s.ipFlag(f)
	s.recordFlag(f)
	f.BoolVar(&s.strict, "strict", false, "exit with 3 if there are warnings")
	return cmd
}

func (s *spf) lint(cmd *cobra.Command, args []string) error {
	checker, err := s.checker()
	if err != nil {
		return err
	}
	egress, err := s.named() // finds hosts without an address of their family
	if err != nil {
		return err
	}
	r := spfreport.New("", s.record)
	switch {
	case len(args) == 1:
		if r.Domain, err = domainName(args[0]); err != nil {
			return err
		}
		r.Record, r.Findings, err = checker.Lint(cmd.Context(), r.Domain, s.record, egress...)
	case cmd.Flags().Changed("record"):
		r.Findings = spfguard.LintText(s.record, "")
	default:
		return exit.Usagef("which record? give a domain, or --record")
	}
	if err != nil {
		return unanswered(err)
	}
	r.Findings = spfreport.OrEmpty(r.Findings)
	if s.format == "json" {
		err = term.WriteJSON(s.stdout, r)
	} else {
		err = s.print(r.ListFindings, func(p *spfreport.Printer) {
			if len(r.Findings) == 0 {
				p.Line("nothing to mend")
			}
		})
	}
	if err != nil {
		return err
	}
	return lintExit(r.Findings, s.strict)
}

func lintExit(found []spfguard.Finding, strict bool) error {
	code := 0
	for _, f := range found {
		switch {
		case f.Severity == spfguard.Error:
			return exit.With(exit.Blocked, nil)
		case f.Severity == spfguard.Warning && strict:
			code = exit.Warned
		}
	}
	if code != 0 {
		return exit.With(code, nil)
	}
	return nil
}
