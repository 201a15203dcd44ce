// Package spfreport is the result of the verbs of enotify spf: as JSON, and as text
// for people.
package spfreport

import (
	"context"
	"errors"
	"net/netip"
	"sync"

	"enotify/spfguard"
)

// A Report is what all verbs of enotify spf print with -o json.
type Report struct {
	Domain   string             `json:"domain"`
	Record   string             `json:"record"`
	Results  []Result           `json:"results"`
	Findings []spfguard.Finding `json:"findings"`
	Fix      *Fix               `json:"fix"`  // what to publish; null when nothing needs a cure, or none is known
	Open     []string           `json:"open"` // questions and tasks that remain

	// Asking says that a fix waits for the answers to the questions of Open.
	Asking bool `json:"asking"`
	// IfGone is what to publish if the senders asked about are gone; null when
	// they cannot simply be left out.
	IfGone *Fix `json:"if_gone"`

	// Verdicts are those behind the results.
	Verdicts []spfguard.Verdict `json:"-"`
}

// New is a report without results.
func New(domain, record string) *Report {
	return &Report{
		Domain:   domain,
		Record:   record,
		Results:  []Result{},
		Findings: []spfguard.Finding{},
		Open:     []string{},
	}
}

// A Result is what one address gets.
type Result struct {
	IP           string          `json:"ip"`
	Result       spfguard.Result `json:"result"`
	Matched      string          `json:"matched"`
	Path         []string        `json:"path"`
	Lookups      int             `json:"lookups"`
	Voids        int             `json:"voids"`
	WorstLookups int             `json:"worst_lookups"`
	WorstVoids   int             `json:"worst_voids"`
	StrictResult spfguard.Result `json:"strict_result"` // at receivers that count every empty answer
	Empty        int             `json:"empty"`         // empty answers as they count them
	WorstEmpty   int             `json:"worst_empty"`
	Explanation  string          `json:"explanation"`
	Error        string          `json:"error"`
}

// Evaluate asks for all addresses at once: what they wait for in the DNS is the same.
func (r *Report) Evaluate(ctx context.Context, c *spfguard.Checker, ips []netip.Addr, q spfguard.Query) {
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

func (r *Report) add(v spfguard.Verdict) {
	if r.Record == "" {
		r.Record = v.Record
	}
	result := Result{
		IP: v.IP.String(), Result: v.Result, Matched: v.Matched, Path: OrEmpty(v.Path),
		Lookups: v.Lookups, Voids: v.Voids, WorstLookups: v.WorstLookups, WorstVoids: v.WorstVoids,
		StrictResult: v.Strict, Empty: v.Empty, WorstEmpty: v.WorstEmpty, Explanation: v.Explanation,
	}
	if v.Err != nil {
		result.Error = v.Err.Error()
	}
	r.Results = append(r.Results, result)
	r.Verdicts = append(r.Verdicts, v)
}

// Lint adds findings. While the DNS does not answer, only the text of
// the record can be judged.
func (r *Report) Lint(ctx context.Context, c *spfguard.Checker, record string, egress []netip.Addr) {
	if !r.Unsure() {
		if _, found, err := c.Lint(ctx, r.Domain, record, egress...); err == nil {
			r.Findings = OrEmpty(found)
			return
		}
	}
	if r.Record != "" {
		r.Findings = OrEmpty(spfguard.LintText(r.Record, r.Domain))
	}
}

// Passing reports whether every address passes, at strict receivers too.
func (r *Report) Passing() bool {
	for _, v := range r.Verdicts {
		if v.Result != spfguard.Pass || v.Strict != spfguard.Pass {
			return false
		}
	}
	return true
}

// Unsure reports whether the DNS has left a question open.
func (r *Report) Unsure() bool {
	for _, v := range r.Verdicts {
		if v.Decision == spfguard.Wait || v.Worst.Err != nil {
			return true
		}
	}
	return false
}

// A Fix is a record to publish.
type Fix struct {
	Record   string   `json:"record"`
	Zone     string   `json:"zone"`     // the same as a line of a zone file
	Replaces string   `json:"replaces"` // the record that it takes the place of; "" if there is none
	Delete   []string `json:"delete"`   // further TXT records that are to be deleted
	Changes  []string `json:"changes"`
	Flatten  []string `json:"flatten"`
}

// newFix is nil when there is nothing to publish.
func newFix(f *spfguard.Fix) *Fix {
	if f == nil || !f.Changed() {
		return nil
	}
	return &Fix{
		f.After,
		spfguard.ZoneLine(f.Domain, f.After),
		f.Before,
		OrEmpty(f.Delete),
		OrEmpty(f.Changes),
		OrEmpty(f.Flatten),
	}
}

// AddFix takes what [spfguard.Checker.Fix] returned: the record to publish, and
// the questions that remain, or those without whose answers there is none.
func (r *Report) AddFix(f *spfguard.Fix, err error) {
	var doubt *spfguard.DoubtError
	switch {
	case errors.As(err, &doubt):
		r.Open, r.Asking, r.IfGone = doubt.Questions, true, newFix(doubt.IfGone)
	case err == nil && f != nil:
		r.Fix, r.Open = newFix(f), OrEmpty(f.Open)
	}
}

// OrEmpty makes a list that JSON shows as [] and not as null.
func OrEmpty[T any](list []T) []T {
	if list == nil {
		return []T{}
	}
	return list
}
