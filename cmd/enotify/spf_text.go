package main

import (
	"fmt"
	"net/netip"
	"strconv"
	"strings"

	"enotify/spfguard"
)

// tree shows for each address the result, the terms with what became of them,
// and one sentence.
func (r *spfReport) tree(p *treePrinter) {
	for i, v := range r.verdicts {
		if i > 0 {
			p.line("")
		}
		p.line("%s  %s  %d of 10 lookups, %d of 2 voids; worst case %d and %d", v.IP, p.paint(v.Result, strings.ToUpper(string(v.Result))),
			v.Lookups, v.Voids, v.WorstLookups, v.WorstVoids)
		p.node(v.Evaluation.Root, "  ", v.Evaluation.Path())
		p.line("  %s", v.Explanation)
	}
}

// A treePrinter collects lines.
type treePrinter struct {
	strings.Builder
	colour bool
}

// painted text may control the terminal; all other text comes from the DNS of
// strangers and may not.
type painted string

func (p *treePrinter) line(format string, args ...any) {
	for i, arg := range args {
		switch v := arg.(type) {
		case string:
			args[i] = visible(v)
		case error:
			args[i] = visible(v.Error())
		}
	}
	p.WriteString(strings.TrimRight(fmt.Sprintf(format, args...), " ") + "\n")
}

// visible shows what cannot be seen as Go would write it.
func visible(s string) string {
	quoted := strconv.Quote(s)
	return strings.NewReplacer(`\"`, `"`, `\\`, `\`).Replace(quoted[1 : len(quoted)-1])
}

// heading begins a part.
func (p *treePrinter) heading(text string) {
	if p.Len() > 0 {
		p.line("")
	}
	p.line("%s", text)
}

// paint colours text by what r means.
func (p *treePrinter) paint(r spfguard.Result, text string) painted {
	if !p.colour {
		return painted(text)
	}
	code := map[spfguard.Decision]string{spfguard.Send: "32", spfguard.Warn: "33", spfguard.Wait: "33", spfguard.Block: "31"}[r.Decide()]
	return painted("\x1b[" + code + "m" + text + "\x1b[0m")
}

// node shows a record and its terms; path is what led to the decision.
func (p *treePrinter) node(n *spfguard.Node, indent string, path []*spfguard.Node) {
	text := n.Text
	switch {
	case text != "":
	case n.Result == spfguard.TempError:
		text = "the record could not be had"
	default:
		text = "no SPF record"
	}
	p.line("%s%s: %s", indent, n.Domain, text)
	if n.Err != nil && len(n.Steps) == 0 {
		p.line("%s  %v", indent, n.Err)
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
		p.line("%s%s %-*s  %s%s", indent, branch, min(width, 40), st.Term.Text, outcome(st), mark)
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

// findings lists them by position, each with its remedy.
func (r *spfReport) findings(p *treePrinter) {
	if len(r.Findings) == 0 {
		return
	}
	p.heading("Findings")
	for _, f := range r.Findings {
		severity := painted(fmt.Sprintf("%-7s", f.Severity))
		switch f.Severity {
		case spfguard.Error:
			severity = p.paint(spfguard.Fail, string(severity))
		case spfguard.Warning:
			severity = p.paint(spfguard.SoftFail, string(severity))
		}
		p.line("  %s  %s at %d: %s", severity, f.Rule, f.Pos, f.Message)
		p.line("           %s", f.Remedy)
	}
}

// fix shows what to publish, for a zone file and for a web form.
func (r *spfReport) fix(p *treePrinter) {
	f := r.Fix
	if f == nil {
		return
	}
	p.heading("Fix: publish this in place of the record")
	p.line("  zone file   %s", f.Zone)
	p.line("  web form    %s", f.Record)
	for _, c := range f.Changes {
		p.line("  - %s", c)
	}
	if len(f.Flatten) > 0 {
		p.line("  - the record still needs more than 10 lookups for others: replace by networks %s", strings.Join(f.Flatten, ", "))
	}
}
