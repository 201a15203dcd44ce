package main

import (
	"context"
	"net/netip"
	"sync"

	"enotify/spfguard"
)

// A spfReport is what all verbs of spf print with -o json.
type spfReport struct {
	Domain   string             `json:"domain"`
	Record   string             `json:"record"`
	Results  []spfResult        `json:"results"`
	Findings []spfguard.Finding `json:"findings"`
	Fix      *spfFix            `json:"fix"` // what to publish; null when nothing needs a cure, or none is known

	verdicts []spfguard.Verdict
}

func newSPFReport(domain, record string) *spfReport {
	return &spfReport{Domain: domain, Record: record, Results: []spfResult{}, Findings: []spfguard.Finding{}}
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

// evaluate asks for all addresses at once: what they wait for in the DNS is the same.
func (r *spfReport) evaluate(ctx context.Context, c *spfguard.Checker, ips []netip.Addr, q spfguard.Query) {
	verdicts := make([]spfguard.Verdict, len(ips))
	var wg sync.WaitGroup
	for i, ip := range ips {
		ask := q
		ask.IP = ip
		wg.Go(func() { verdicts[i] = c.Verdict(ctx, ask) })
	}
	wg.Wait()
	for _, v := range verdicts {
		r.add(v)
	}
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

// lint adds findings. While the DNS cannot say what there is, only the text of
// the record can be judged.
func (r *spfReport) lint(ctx context.Context, c *spfguard.Checker, record string, egress []netip.Addr) {
	if !r.unsure() {
		if _, found, err := c.Lint(ctx, r.Domain, record, egress...); err == nil {
			r.Findings = orEmpty(found)
			return
		}
	}
	if r.Record != "" {
		r.Findings = orEmpty(spfguard.LintText(r.Record, r.Domain))
	}
}

func (r *spfReport) passing() bool {
	for _, v := range r.verdicts {
		if v.Result != spfguard.Pass {
			return false
		}
	}
	return true
}

// unsure reports whether the DNS has left a question open.
func (r *spfReport) unsure() bool {
	for _, v := range r.verdicts {
		if v.Decision == spfguard.Wait || v.Worst.Err != nil {
			return true
		}
	}
	return false
}

// A spfFix is a record to publish.
type spfFix struct {
	Record  string   `json:"record"`
	Zone    string   `json:"zone"` // the same as a line of a zone file
	Changes []string `json:"changes"`
	Flatten []string `json:"flatten"`
}

// showFix is nil when there is nothing to publish.
func showFix(f *spfguard.Fix) *spfFix {
	if f == nil || !f.Changed() {
		return nil
	}
	return &spfFix{f.After, spfguard.ZoneLine(f.Domain, f.After), orEmpty(f.Changes), orEmpty(f.Flatten)}
}

// orEmpty makes a list that JSON shows as [] and not as null.
func orEmpty[T any](list []T) []T {
	if list == nil {
		return []T{}
	}
	return list
}
