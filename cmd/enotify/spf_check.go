package main

import (
	"context"
	"fmt"
	"net/netip"
	"sync"

	"github.com/spf13/cobra"

	"enotify/spfguard"
)

// A spfReport is what spf check finds; -o json prints it as it is.
type spfReport struct {
	Domain   string             `json:"domain"`
	Record   string             `json:"record"`
	Results  []spfResult        `json:"results"`
	Findings []spfguard.Finding `json:"findings"`
	Fix      *spfFix            `json:"fix"` // null when nothing needs a cure, or none is known

	verdicts []spfguard.Verdict
}

// A spfResult is what one address gets.
type spfResult struct {
	IP           string          `json:"ip"`
	Result       spfguard.Result `json:"result"`
	Matched      string          `json:"matched"`
	Path         []string        `json:"path"`
	Lookups      int             `json:"lookups"`
	Voids        int             `json:"voids"`
	WorstLookups int             `json:"worst_lookups"`
	WorstVoids   int             `json:"worst_voids"`
	Explanation  string          `json:"explanation"`
	Error        string          `json:"error"`
}

func (s *spf) checkCmd() *cobra.Command {
	cmd := &cobra.Command{
		Use: "check [DOMAIN]", Short: "Say what receivers make of mail from our addresses", Args: cobra.MaximumNArgs(1),
		Long: `Evaluates SPF as strict receivers do (RFC 7208) for every address, and shows
how the result came about. DOMAIN may be left out when --mail-from is given.
With --record, a record is tested before it is published.

Exit codes: 0 all pass; 2 one fails or the record is a permerror; 1 the DNS
could not say; 3 with --strict, any other result.`,
		Example: `  enotify spf check client.example --ip 192.0.2.10,2001:db8::10
  enotify spf check --mail-from news@client.example --ip 192.0.2.10 --record 'v=spf1 mx -all'`,
		RunE: func(cmd *cobra.Command, args []string) error { return s.check(cmd, args) },
	}
	f := cmd.Flags()
	s.ipFlag(f)
	s.senderFlags(f)
	s.recordFlag(f)
	f.BoolVar(&s.strict, "strict", false, "exit 3 when a result is neither pass nor blocking")
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
	r := &spfReport{Domain: domain, Record: s.record, Findings: []spfguard.Finding{}}
	for _, v := range verdicts(ctx, checker, ips, spfguard.Query{Sender: sender, HELO: s.helo, Domain: domain, Record: s.record}) {
		r.add(v)
	}
	if ctx.Err() != nil {
		return ctx.Err()
	}
	if err := r.advise(ctx, checker, spfguard.FixQuery{
		Domain: domain, Record: s.record, Egress: ips, Sender: sender, HELO: s.helo}, s); err != nil {
		return err
	}
	if s.format == "json" {
		err = s.printJSON(r)
	} else {
		err = r.print(s.stdout, s.colour(s.stdout))
	}
	if err != nil {
		return err
	}
	return r.exit(s.strict)
}

// verdicts asks for all addresses at once: what they wait for in the DNS is the same.
func verdicts(ctx context.Context, c *spfguard.Checker, ips []netip.Addr, q spfguard.Query) []spfguard.Verdict {
	all := make([]spfguard.Verdict, len(ips))
	var wg sync.WaitGroup
	for i, ip := range ips {
		ask := q
		ask.IP = ip
		wg.Go(func() { all[i] = c.Verdict(ctx, ask) })
	}
	wg.Wait()
	return all
}

func (r *spfReport) add(v spfguard.Verdict) {
	if r.Record == "" {
		r.Record = v.Record
	}
	result := spfResult{
		IP: v.IP.String(), Result: v.Result, Matched: v.Matched, Path: orEmpty(v.Path),
		Lookups: v.Lookups, Voids: v.Voids, WorstLookups: v.WorstLookups, WorstVoids: v.WorstVoids,
		Explanation: v.Explanation,
	}
	if v.Err != nil {
		result.Error = v.Err.Error()
	}
	r.Results = append(r.Results, result)
	r.verdicts = append(r.verdicts, v)
}

// advise adds findings, and a fix if an address needs one. While the DNS
// cannot say what there is, only the text of the record can be judged.
func (r *spfReport) advise(ctx context.Context, c *spfguard.Checker, q spfguard.FixQuery, s *spf) error {
	passing := true
	for _, v := range r.verdicts {
		if (v.Decision == spfguard.Wait || v.Worst.Err != nil) && r.Record != "" {
			r.Findings = orEmpty(spfguard.LintText(r.Record, q.Domain))
		}
		if v.Decision == spfguard.Wait {
			return nil
		}
		passing = passing && v.Result == spfguard.Pass
	}
	if r.verdicts[0].Worst.Err == nil {
		if _, found, err := c.Lint(ctx, q.Domain, q.Record, q.Egress...); err == nil {
			r.Findings = orEmpty(found)
		}
	}
	if passing {
		return nil
	}
	if f, err := s.fix(ctx, c, q); err == nil {
		r.Fix = showFix(f)
	}
	return ctx.Err()
}

// exit is the worst of the results.
func (r *spfReport) exit(strict bool) error {
	worst := spfguard.Send
	for _, v := range r.verdicts {
		if v.Decision.Worse(worst) {
			worst = v.Decision
		}
	}
	switch {
	case worst == spfguard.Block:
		return codeError{code: exitBlocked}
	case worst == spfguard.Wait:
		return codeError{exitError, fmt.Errorf("the DNS could not say, try again or name another server with --resolver: %w", r.temporary())}
	case worst == spfguard.Warn && strict:
		return codeError{code: exitWarned}
	default:
		return nil
	}
}

// temporary is why the first result is a temperror.
func (r *spfReport) temporary() error {
	for _, v := range r.verdicts {
		if v.Decision == spfguard.Wait {
			return v.Err
		}
	}
	return nil
}
