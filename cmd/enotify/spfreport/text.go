package spfreport

import (
	"fmt"
	"net/netip"
	"strings"

	"enotify/cmd/enotify/term"
	"enotify/spfguard"
)

// Tree shows for each address the result, the terms with their results,
// and one sentence.
func (r *Report) Tree(p *Printer) {
	for i, v := range r.Verdicts {
		if i > 0 {
			p.Line("")
		}
		p.Line("%s  %s  %d of 10 lookups, %d of 2 voids; worst case %d and %d", v.IP,
			p.paint(v.Result, strings.ToUpper(string(v.Result))), v.Lookups, v.Voids, v.WorstLookups, v.WorstVoids)
		p.node(v.Evaluation.Root, "  ", v.Evaluation.Path())
		p.Hang("  ", 2, v.Explanation)
		if v.StrictExplanation != "" {
			p.Hang("  "+p.Paint("WARNING", term.Yellow)+" ", 10, v.StrictExplanation)
		}
	}
}

// A Printer writes parts of a report on a page.
type Printer struct {
	*term.Page
	begun bool
}

// Line writes a line.
func (p *Printer) Line(format string, args ...any) {
	p.begun = true
	p.Page.Line(format, args...)
}

// Hang writes a text behind a head, see [term.Page.Hang].
func (p *Printer) Hang(head term.Painted, indent int, text string) {
	p.begun = true
	p.Page.Hang(head, indent, text)
}

// heading begins a part.
func (p *Printer) heading(text string) {
	if p.begun {
		p.Line("")
	}
	p.Line("%s", text)
}

// paint colours text by what a result means for the mail.
func (p *Printer) paint(r spfguard.Result, text string) term.Painted {
	return p.Paint(text, map[spfguard.Decision]term.Style{
		spfguard.Send: term.Green, spfguard.Warn: term.Yellow, spfguard.Wait: term.Yellow, spfguard.Block: term.Red,
	}[r.Decide()])
}

// node shows a record and its terms; path is what led to the decision.
func (p *Printer) node(n *spfguard.Node, indent string, path []*spfguard.Node) {
	text := n.Text
	switch {
	case text != "":
	case n.Result == spfguard.TempError:
		text = "the record could not be had"
	case n.Absent:
		text = "no such domain"
	default:
		text = "no SPF record"
	}
	p.Line("%s%s: %s", indent, n.Domain, text)
	if n.Err != nil && len(n.Steps) == 0 {
		p.Line("%s  %v", indent, n.Err)
	}
	width := 0
	for i := range n.Steps {
		width = max(width, len(n.Steps[i].Term.Text))
	}
	for i := range n.Steps {
		st := &n.Steps[i]
		branch, below := "├─", "│  "
		if i == len(n.Steps)-1 {
			branch, below = "└─", "   "
		}
		mark := ""
		if len(path) > 0 && path[0] == n && n.Decided() == st {
			mark = "  ◀"
		}
		p.Line("%s%s %-*s  %s%s", indent, branch, min(width, 40), st.Term.Text, outcome(st), mark)
		if st.Node != nil {
			rest := path
			if len(path) > 0 && path[0] == n {
				rest = path[1:]
			}
			p.node(st.Node, indent+below, rest)
		}
	}
}

// outcome is the result of a term, and the addresses it resolved to.
func outcome(st *spfguard.Step) string {
	var parts []string
	switch {
	case st.Outcome == spfguard.NotReached && st.Term.Kind == spfguard.Unknown:
		return "(unknown modifier, ignored)"
	case st.Outcome == spfguard.NotReached && st.Term.Kind == spfguard.Exp:
		return ""
	case st.Outcome == spfguard.NotReached:
		return "(not reached)"
	case st.Err != nil && st.Node == nil:
		parts = append(parts, "error: "+st.Err.Error())
	default:
		parts = append(parts, string(st.Outcome))
	}
	if st.Target != "" && st.Target != st.Term.Spec.String() && st.Node == nil {
		parts = append(parts, st.Target)
	}
	if len(st.Hosts) > 0 {
		parts = append(parts, strings.Join(st.Hosts, " "))
	}
	if len(st.Addrs) > 0 {
		parts = append(parts, "= "+addresses(st.Addrs))
	}
	if st.Void {
		parts = append(parts, "("+missing(st)+")")
	}
	return strings.Join(parts, "  ")
}

// missing says which names of a term have no record, of what type.
func missing(st *spfguard.Step) string {
	var texts []string
	for _, m := range st.Missing {
		what := "no " + m.Type
		if m.Absent && m.Type != "PTR" {
			what = "no such name"
		}
		if m.Name == st.Target && len(st.Missing) == 1 {
			texts = append(texts, what)
		} else {
			texts = append(texts, m.Name+": "+what)
		}
	}
	const few = 4
	if len(texts) > few {
		texts = append(texts[:few], fmt.Sprintf("and %d more", len(texts)-few))
	}
	return "empty answer, " + strings.Join(texts, ", ")
}

// addresses lists a few and counts the rest.
func addresses(addrs []netip.Addr) string {
	const few = 4
	var texts []string
	for i, addr := range addrs {
		if i == few {
			texts = append(texts, fmt.Sprintf("and %d more", len(addrs)-few))
			break
		}
		texts = append(texts, addr.String())
	}
	return strings.Join(texts, " ")
}

// ListFindings lists them by position, each with what it is about and its remedy.
func (r *Report) ListFindings(p *Printer) {
	if len(r.Findings) == 0 {
		return
	}
	p.heading("Findings")
	for _, f := range r.Findings {
		style := map[spfguard.Severity]term.Style{spfguard.Error: term.Red, spfguard.Warning: term.Yellow}[f.Severity]
		p.Hang("  "+p.Paint(fmt.Sprintf("%-7s", f.Severity), style)+"  ", 11, about(r.Record, f)+f.Message)
		p.Hang(term.Painted(strings.Repeat(" ", 11)), 11, f.Remedy)
	}
}

// about quotes what a finding is about, unless that is the whole record or the
// message does it.
func about(record string, f spfguard.Finding) string {
	quoted := fmt.Sprintf("%q", f.Text)
	if f.Text == "" || f.Text == record || strings.Contains(f.Message, quoted) ||
		strings.HasPrefix(f.Message, f.Text+" ") {
		return ""
	}
	return quoted + ": "
}

// ShowFix shows what to publish, for a zone file and for a web form.
func (r *Report) ShowFix(p *Printer) {
	f := r.Fix
	if f == nil {
		return
	}
	p.heading("Fix: " + place(f))
	p.record(f)
	for _, c := range f.Changes {
		p.Hang("  - ", 4, c)
	}
	if len(f.Flatten) > 0 {
		p.Line("  - the record still needs more than 10 look-ups for others: replace by networks %s",
			strings.Join(f.Flatten, ", "))
	}
}

// place names the record that a new record replaces.
func place(f *Fix) string {
	switch {
	case f.Replaces == "":
		return "add this record"
	case len(f.Delete) == 1:
		return "publish this in place of the first record, and delete the second one"
	case len(f.Delete) > 1:
		return "publish this in place of the first record, and delete the others"
	default:
		return "publish this in place of the record"
	}
}

// record shows a record to publish, and those to delete.
func (p *Printer) record(f *Fix) {
	p.Line("  zone file   %s", f.Zone)
	p.Line("  web form    %s", f.Record)
	if len(f.Delete) > 0 {
		p.Line("  first       %s", f.Replaces)
	}
	for _, text := range f.Delete {
		p.Line("  delete      %s", text)
	}
}

// ShowOpen shows the questions that remain, or that a fix waits for.
func (r *Report) ShowOpen(p *Printer) {
	if len(r.Open) == 0 {
		return
	}
	if r.Asking {
		p.heading("No record can be proven before the client has answered:")
	} else {
		p.heading("Still open")
	}
	for _, text := range r.Open {
		p.Hang("  - ", 4, text)
	}
	if r.IfGone != nil {
		p.heading("If these are gone: " + place(r.IfGone))
		p.record(r.IfGone)
	}
}
