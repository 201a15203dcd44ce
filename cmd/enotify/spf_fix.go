package main

import (
	"errors"

	"github.com/spf13/cobra"

	"enotify/cmd/enotify/exit"
	"enotify/cmd/enotify/spfreport"
	"enotify/spfguard"
)

func (s *spf) fixCmd() *cobra.Command {
	var include string
	cmd := &cobra.Command{
		Use: "fix [DOMAIN]", Short: "Print the smallest change that authorises all our addresses", Args: cobra.MaximumNArgs(1),
		Long: `Repairs faults that make the record a permerror, adds what is missing, and tests
the result by evaluating it for every address before it is shown. Senders that
passed before still pass, and so does every sender that a reader would take the
record to name. Where one of them cannot be told, the result is a question to ask
the client, and no record.

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
	f.StringVar(&include, "include", "", "include `DOMAIN`, whose record lists our addresses, instead of the addresses")
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
	ips, err := s.egress(cmd.Context())
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
		r.Evaluate(cmd.Context(), checker, ips, spfguard.Query{Sender: sender, HELO: s.helo, Domain: domain, Record: s.record})
		r.Lint(cmd.Context(), checker, s.record, ips)
		err = writeJSON(s.stdout, r)
	} else {
		err = s.print(r.ShowFix, func(p *spfreport.Printer) {
			switch {
			case f == nil:
			case r.Fix == nil && len(f.Open) == 0:
				p.Line("Nothing to be done: every address passes under the record of %s.", domain)
			case r.Fix == nil:
				p.Line("Nothing to publish: every address passes under the record of %s.", domain)
			case f.Before == "":
				p.Line("  Proven by evaluating it: our addresses pass (%d).", len(f.Proof))
			default:
				p.Line("  Proven by evaluating it: our addresses pass (%d), and so do the addresses that stand for the senders in the old record (%d).", len(f.Proof), f.Others)
			}
		}, r.ShowOpen)
	}
	if err != nil {
		return err
	}
	if doubt != nil {
		return exit.With(exit.Blocked, nil)
	}
	return nil
}
