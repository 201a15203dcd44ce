package spfreport

import (
	"fmt"
	"net/netip"
	"strings"

	"enotify/cmd/enotify/term"
	"enotify/spfguard"
)

// Tree shows for each address the result, the terms with what became of them,
// and one sentence.
func (r *Report) Tree(p *Printer) {
	for i, v := range r.Verdicts {
		if i > 0 {
			p.Line("")
		}
		p.Line("%s  %s  %d of 10 lookups, %d of 2 voids; worst case %d and %d", v.IP, p.paint(v.Result, strings.ToUpper(string(v.Result))),
			v.Lookups, v.Voids, v.WorstLookups, v.WorstVoids)
		p.node(v.Evaluation.Root, "  ", v.Evaluation.Path())
		p.Line("  %s", v.Explanation)
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

// outcome says what became of a term and what it resolved to.
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
		parts = append(parts, "(void)")
	}
	return strings.Join(parts, "  ")
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

// ListFindings lists them by position, each with its remedy.
func (r *Report) ListFindings(p *Printer) {
	if len(r.Findings) == 0 {
		return
	}
	p.heading("Findings")
	for _, f := range r.Findings {
		style := map[spfguard.Severity]term.Style{spfguard.Error: term.Red, spfguard.Warning: term.Yellow}[f.Severity]
		p.Line("  %s  %s at %d: %s", p.Paint(fmt.Sprintf("%-7s", f.Severity), style), f.Rule, f.Pos, f.Message)
		p.Line("           %s", f.Remedy)
	}
}

// ShowFix shows what to publish, for a zone file and for a web form.
func (r *Report) ShowFix(p *Printer) {
	f := r.Fix
	if f == nil {
		return
	}
	p.heading("Fix: publish this in place of the record")
	p.Line("  zone file   %s", f.Zone)
	p.Line("  web form    %s", f.Record)
	for _, c := range f.Changes {
		p.Line("  - %s", c)
	}
	if len(f.Flatten) > 0 {
		p.Line("  - the record still needs more than 10 lookups for others: replace by networks %s", strings.Join(f.Flatten, ", "))
	}
}
